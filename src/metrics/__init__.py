"""Metrics by key: ``create_metric("psnr")``."""

from __future__ import annotations

import inspect
from typing import Any

from ..core.errors import ConfigError, nearest
from .base import FrameMetric
from .interpolation_error import InterpolationError
from .psnr import PSNR, LumaPSNR
from .ssim import SSIM, SSIMRife

__all__ = [
    "PSNR",
    "SSIM",
    "FrameMetric",
    "InterpolationError",
    "LumaPSNR",
    "SSIMRife",
    "create_metric",
    "list_metrics",
    "metric_class",
]

_METRICS: dict[str, type[FrameMetric]] = {m.key: m for m in (PSNR, LumaPSNR, SSIM, SSIMRife, InterpolationError)}


def list_metrics() -> list[str]:
    """The keys of all metrics, sorted."""
    return sorted(_METRICS)


def metric_class(key: str) -> type[FrameMetric]:
    """The class behind a key, for its unit, direction and number of decimals.

    Raises:
        ConfigError: no such metric.
    """
    if key not in _METRICS:
        raise ConfigError(f"there is no metric {key!r}{nearest(key, _METRICS)}. Known: {', '.join(list_metrics())}")
    return _METRICS[key]


def create_metric(key: str, **options: Any) -> FrameMetric:
    """A new metric, for example ``create_metric("psnr", rounded=False)``.

    Raises:
        ConfigError: no such metric or option, or an option out of range.
    """
    cls = metric_class(key)
    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"the metric {key!r} has no option {name!r}{nearest(name, known)}. Options: {', '.join(known)}"
            )
    return cls(**options)
