"""Metrics by key: ``create_metric("psnr")``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.errors import ConfigError, nearest
from .base import BenchmarkMetric, FrameMetric, PooledMetric, SetMetric, ValueMetric, VideoMetric
from .fid import FID
from .flow import (
    WAUC,
    EndPointError,
    FlAll,
    FlowMetric,
    MatchedEndPointError,
    OutlierRate,
    SpeedEndPointError,
    UnmatchedEndPointError,
)
from .fsim import FSIM, FSIMc
from .i3d import FVD, PVCS, VFID, VFIDClips
from .interpolation_error import InterpolationError
from .lpips import LPIPS
from .luma import StudioLumaPSNR, StudioLumaSSIM
from .matting import (
    ConnectivityError,
    GradientError,
    MattingMetric,
    MattingMSE,
    MeanAbsoluteDifference,
    MeanSquaredDifference,
    SumOfAbsoluteDifferences,
    TemporalCoherence,
)
from .ms_ssim import MultiScaleSSIM
from .niqe import NIQE
from .pair import Shared, VideoPair
from .pcons import MaskedPatchConsistencyPSNR, PatchConsistencyPSNR, PatchConsistencySSIM
from .psnr import PSNR, HolePSNR, LumaPSNR, PooledPSNR
from .segmentation import BoundaryF, MeanIoU, PixelAccuracy
from .ssim import SSIM, SSIMRife, UniformSSIM
from .stabilization import (
    CroppingRatio,
    Distortion,
    FidelityGain,
    InterframeFidelity,
    PathAcceleration,
    PlannedAcceleration,
    ResidualShake,
    Stability,
    Steadiness,
)
from .style import ArtFID, ColourDistance, GramStyle, StyledPSNR, StyleFID
from .tof import TemporalFlowDifference
from .warp_error import SOURCES as _FLOW_SOURCES
from .warp_error import WarpError, WarpErrorMask

__all__ = [
    "FID",
    "FSIM",
    "FVD",
    "LPIPS",
    "NIQE",
    "PSNR",
    "PVCS",
    "SSIM",
    "VFID",
    "WAUC",
    "ArtFID",
    "BenchmarkMetric",
    "BoundaryF",
    "ColourDistance",
    "ConnectivityError",
    "CroppingRatio",
    "Distortion",
    "EndPointError",
    "FSIMc",
    "FidelityGain",
    "FlAll",
    "FlowMetric",
    "FrameMetric",
    "GradientError",
    "GramStyle",
    "HolePSNR",
    "InterframeFidelity",
    "InterpolationError",
    "LumaPSNR",
    "MaskedPatchConsistencyPSNR",
    "MatchedEndPointError",
    "MattingMSE",
    "MattingMetric",
    "MeanAbsoluteDifference",
    "MeanIoU",
    "MeanSquaredDifference",
    "MetricEntry",
    "MultiScaleSSIM",
    "OutlierRate",
    "PatchConsistencyPSNR",
    "PatchConsistencySSIM",
    "PathAcceleration",
    "PixelAccuracy",
    "PlannedAcceleration",
    "PooledMetric",
    "PooledPSNR",
    "ResidualShake",
    "SSIMRife",
    "SetMetric",
    "Shared",
    "SpeedEndPointError",
    "Stability",
    "Steadiness",
    "StudioLumaPSNR",
    "StudioLumaSSIM",
    "StyleFID",
    "StyledPSNR",
    "SumOfAbsoluteDifferences",
    "TemporalCoherence",
    "TemporalFlowDifference",
    "UniformSSIM",
    "UnmatchedEndPointError",
    "VFIDClips",
    "ValueMetric",
    "VideoMetric",
    "VideoPair",
    "WarpError",
    "WarpErrorMask",
    "create_frame_metric",
    "create_metric",
    "create_value_metric",
    "list_metrics",
    "metric_entry",
]


class MetricEntry(NamedTuple):
    """A registered metric: its class, and the options that its key fixes."""

    cls: type[BenchmarkMetric]
    options: Mapping[str, Any]


_METRICS: dict[str, MetricEntry] = {
    m.key: MetricEntry(m, {})
    for m in (
        *(PSNR, LumaPSNR, PooledPSNR, HolePSNR, InterpolationError),
        *(SSIM, SSIMRife, UniformSSIM, MultiScaleSSIM, FSIM, FSIMc),
        *(NIQE, PatchConsistencyPSNR, MaskedPatchConsistencyPSNR, PatchConsistencySSIM, TemporalFlowDifference),
    )
}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (StudioLumaPSNR, StudioLumaSSIM)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (FID, VFID, VFIDClips, PVCS, FVD)}
_METRICS |= {f"lpips_{net}": MetricEntry(LPIPS, {"net": net}) for net in ("alex", "vgg", "squeeze")}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (EndPointError, MatchedEndPointError, UnmatchedEndPointError)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (FlAll, WAUC)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (MeanIoU, PixelAccuracy, BoundaryF)}
_METRICS |= {
    m.key: MetricEntry(m, {})
    for m in (
        *(SumOfAbsoluteDifferences, MattingMSE, GradientError, ConnectivityError),
        *(MeanAbsoluteDifference, MeanSquaredDifference, TemporalCoherence),
    )
}
for _name, _slowest, _fastest in (("s0_10", 0.0, 10.0), ("s10_40", 10.0, 40.0), ("s40plus", 40.0, float("inf"))):
    _METRICS[f"epe_{_name}"] = MetricEntry(SpeedEndPointError, {"slowest": _slowest, "fastest": _fastest})
_METRICS |= {f"px{limit}": MetricEntry(OutlierRate, {"limit": float(limit)}) for limit in (1, 3, 5)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (CroppingRatio, Distortion, Stability, Steadiness)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (InterframeFidelity, FidelityGain, PathAcceleration)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (PlannedAcceleration, ResidualShake)}
_METRICS |= {m.key: MetricEntry(m, {}) for m in (GramStyle, ColourDistance, StyledPSNR, StyleFID, ArtFID)}
for _source in _FLOW_SOURCES:
    _METRICS[f"warp_error_{_source}"] = MetricEntry(WarpError, {"source": _source})
    _METRICS[f"warp_error_mask_{_source}"] = MetricEntry(WarpErrorMask, {"source": _source})


def list_metrics() -> list[str]:
    """The keys of all metrics, sorted."""
    return sorted(_METRICS)


def metric_entry(key: str) -> MetricEntry:
    """What is registered under a key; its class knows unit, direction and number of decimals.

    Raises:
        ConfigError: no such metric.
    """
    if key not in _METRICS:
        raise ConfigError(f"there is no metric {key!r}{nearest(key, _METRICS)}. Known: {', '.join(list_metrics())}")
    return _METRICS[key]


def create_metric(key: str, **options: Any) -> BenchmarkMetric:
    """A new metric, for example ``create_metric("psnr", rounded=False)``.

    Raises:
        ConfigError: no such metric or option, or an option out of range.
        WeightsError: the weights of its network are absent; the message says where to get them.
    """
    entry = metric_entry(key)
    known = [name for name in inspect.signature(entry.cls.__init__).parameters if name != "self"]
    known = [name for name in known if name not in entry.options]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"the metric {key!r} has no option {name!r}{nearest(name, known)}. Options: {', '.join(known)}"
            )
    metric = entry.cls(**entry.options, **options)
    metric.key = key
    return metric


def create_frame_metric(key: str, **options: Any) -> FrameMetric:
    """As :func:`create_metric`, for use where frames arrive without their video.

    Raises:
        ConfigError: also where the metric has no value per frame.
    """
    metric = create_metric(key, **options)
    if not isinstance(metric, FrameMetric):
        known = [name for name in list_metrics() if issubclass(metric_entry(name).cls, FrameMetric)]
        raise ConfigError(f"the metric {key!r} has no value per frame; possible here: {', '.join(known)}")
    return metric


def create_value_metric(key: str, /, *, masks: bool = False, **options: Any) -> ValueMetric | PooledMetric:
    """As :func:`create_metric`, for use where there are whole videos, but not a set to look at at once.

    Args:
        key: of the metric.
        masks: whether the videos come with masks of holes.
        options: of the metric.

    Raises:
        ConfigError: also where the metric compares sets, or needs masks that there are not.
    """
    possible = (ValueMetric, PooledMetric)
    metric = create_metric(key, **options)
    if not isinstance(metric, possible) or (metric.needs_mask and not masks):
        classes = {name: metric_entry(name).cls for name in list_metrics()}
        known = [name for name, cls in classes.items() if issubclass(cls, possible) and (masks or not cls.needs_mask)]
        what = "needs masks of holes" if metric.needs_mask else "compares whole sets of videos"
        raise ConfigError(f"the metric {key!r} {what}; possible here: {', '.join(known)}")
    return metric
