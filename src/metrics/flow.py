"""Errors of optical flow, as the public benchmarks measure them.

Every metric here is the mean, over some of the pixels whose true flow is known, of a number that each pixel has on
its own: its end-point error (the length of the difference of the two flows), or whether that is too large.

What the mean is over differs between benchmarks, and so do the figures wherever pairs have different numbers of such
pixels (sparse ground truth, occluded pixels, fast pixels):

- ``pool="pixels"``: all pixels of all pairs together. So the development kit of KITTI 2015 adds up outliers and
  pixels over its images, and so EPE on Sintel is printed (for dense ground truth of one size both are the same).
- ``pool="images"``: the mean of each pair, then of the pairs. So the development kit of KITTI 2012 averages, and so
  RAFT's evaluation (and those that descend from it) averages the EPE, but not Fl-all, on KITTI.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import ValueMetric
from .pair import VideoPair

Pool = Literal["pixels", "images"]

_WAUC_STEPS = 100


class FlowMetric(ValueMetric):
    """The mean of a number per pixel over some pixels; one value per flow, weighted as ``pool`` says.

    It compares ``pair.results["flow"]`` with ``pair.given["flow"]``, both ``(K, 2, H, W)`` in pixels, where
    ``pair.given["valid"]`` ``(K, 1, H, W)`` is above one half (without it: everywhere). A flow without any pixel that
    counts is left out. What a flow method puts out is a flow for every frame but the last, so that its values stand
    for output frames.

    Args:
        pool: ``"pixels"`` weighs every pixel the same, ``"images"`` every flow.

    Raises:
        ConfigError: an unknown ``pool``.
    """

    simple = True
    higher_is_better = False
    needs_occlusion = False

    def __init__(self, pool: Pool = "pixels") -> None:
        super().__init__()
        if pool not in ("pixels", "images"):
            raise ConfigError(f"pool must be 'pixels' or 'images', got {pool!r}")
        self.pool = pool

    @abstractmethod
    def pixel_values(self, error: Tensor, speed: Tensor) -> Tensor:
        """The number of each pixel ``(N,)`` float64 from end-point errors and lengths of the true flow ``(N,)``."""

    def counts(self, speed: Tensor, occlusion: Tensor | None) -> Tensor | None:
        """Which pixels count besides being valid ``(H, W)`` bool; None: all of them."""
        return None

    def check(self, pair: VideoPair) -> None:
        """Also raise where there is no flow, or no map of what is occluded for a metric that needs one."""
        super().check(pair)
        of = f" of the video {pair.video_id!r}" if pair.video_id else ""
        if "flow" not in pair.results:
            raise ValueError(f"{self.key} needs the optical flow that a method estimated{of}, and there is none")
        if "flow" not in pair.given:
            raise ValueError(f"{self.key} needs the true optical flow{of}, and the data set has none")
        if self.needs_occlusion and "occlusion" not in pair.given:
            raise ValueError(f"{self.key} needs a map of occluded pixels{of}, and the data set has none")
        made, true = pair.results["flow"], pair.given["flow"]
        if made.shape != true.shape or true.dim() != 4 or true.shape[1] != 2:
            raise ValueError(
                f"{self.key} expects two flows (K, 2, H, W) of one shape{of}, got {tuple(made.shape)} and "
                f"{tuple(true.shape)}"
            )

    def values(self, pair: VideoPair) -> Tensor:
        """The mean over the pixels that count of each flow ``(K,)`` float64; NaN where there are none."""
        return self._measured(pair)["values"]

    def weights(self, pair: VideoPair) -> Tensor | None:
        """The number of pixels that count in each flow ``(K,)``; None where every flow weighs the same."""
        return self._measured(pair)["pixels"] if self.pool == "pixels" else None

    def update(self, flow: Tensor, true: Tensor, valid: Tensor | None = None, occlusion: Tensor | None = None) -> None:
        """Add flows ``(K, 2, H, W)``; they need no frames.

        Args:
            flow: estimated.
            true: the same shape, finite everywhere.
            valid: ``(K, 1, H, W)``, above one half where ``true`` is known; None: everywhere.
            occlusion: ``(K, 1, H, W)``, above one half where a pixel has no counterpart.
        """
        given = {"flow": true}
        given |= {} if valid is None else {"valid": valid}
        given |= {} if occlusion is None else {"occlusion": occlusion}
        frames = true.new_zeros(true.shape[0], 3, *true.shape[2:])
        pair = VideoPair(frames, frames, given=given, results={"flow": flow})
        self.add(self.values(pair), self.weights(pair))

    def _measured(self, pair: VideoPair) -> dict[str, Tensor]:
        identity = {"metric": type(self).__name__, **self._identity()}
        return pair.made.get("flow_error", identity, lambda: self._measure(pair))

    def _identity(self) -> dict[str, object]:
        return {}

    def _measure(self, pair: VideoPair) -> dict[str, Tensor]:
        """Flow by flow, so that memory does not grow with the length of a video."""
        self.check(pair)
        values, pixels = [], []
        for index in range(pair.given["flow"].shape[0]):
            made, true = (flow[index].to(torch.float64) for flow in (pair.results["flow"], pair.given["flow"]))
            chosen = pair.given["valid"][index, 0] > 0.5 if "valid" in pair.given else torch.ones_like(true[0]) > 0
            speed = torch.linalg.vector_norm(true, dim=0)
            occlusion = pair.given["occlusion"][index, 0] > 0.5 if self.needs_occlusion else None
            more = self.counts(speed, occlusion)
            chosen = chosen if more is None else chosen & more
            error = torch.linalg.vector_norm(made - true, dim=0)[chosen]
            # the mean of no value is NaN, which stands for "does not count"
            values.append(self.pixel_values(error, speed[chosen]).mean())
            pixels.append(chosen.sum())
        return {"values": torch.stack(values), "pixels": torch.stack(pixels)}

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values; a flow without pixels that count is left out."""
        counted = values[~torch.isnan(values)]
        return counted.sum(dtype=torch.float64), torch.tensor(counted.numel(), device=values.device)


class EndPointError(FlowMetric):
    """EPE: the mean length of the difference to the true flow, in pixels (Baker et al., IJCV 2011)."""

    key = "epe"
    unit = "px"
    decimals = 3

    def pixel_values(self, error: Tensor, speed: Tensor) -> Tensor:
        """The errors themselves."""
        return error


class MatchedEndPointError(EndPointError):
    """EPE of pixels that are visible in both frames (Sintel's "EPE matched"; KITTI's "noc")."""

    key = "epe_matched"
    needs_occlusion = True

    def counts(self, speed: Tensor, occlusion: Tensor | None) -> Tensor | None:
        """Pixels that are not occluded."""
        assert occlusion is not None
        return ~occlusion


class UnmatchedEndPointError(EndPointError):
    """EPE of pixels that are visible in the first frame only (Sintel's "EPE unmatched")."""

    key = "epe_unmatched"
    needs_occlusion = True

    def counts(self, speed: Tensor, occlusion: Tensor | None) -> Tensor | None:
        """Pixels that are occluded or leave the frame."""
        return occlusion


class SpeedEndPointError(EndPointError):
    """EPE of pixels whose true flow is at least ``slowest`` and less than ``fastest`` pixels long.

    Sintel's classes (Butler et al., ECCV 2012): s0-10, s10-40 and s40+.
    """

    def __init__(self, slowest: float, fastest: float, pool: Pool = "pixels") -> None:
        super().__init__(pool)
        if not 0 <= slowest < fastest:
            raise ConfigError(f"expected 0 <= slowest < fastest, got {slowest} and {fastest}")
        self.slowest, self.fastest = slowest, fastest

    def counts(self, speed: Tensor, occlusion: Tensor | None) -> Tensor | None:
        """Pixels of the class."""
        return (speed >= self.slowest) & (speed < self.fastest)

    def _identity(self) -> dict[str, object]:
        return {"slowest": self.slowest, "fastest": self.fastest}


class OutlierRate(FlowMetric):
    """The part of the pixels, in percent, whose end-point error is above ``limit`` pixels.

    So "1px" of Spring and of most papers after it. RAFT's evaluation program prints the complement, the part of the
    pixels below the limit, under the same name.

    Args:
        limit: in pixels.
        pool: see :class:`FlowMetric`.
    """

    unit = "%"
    decimals = 2

    def __init__(self, limit: float = 1.0, pool: Pool = "pixels") -> None:
        super().__init__(pool)
        if limit < 0:
            raise ConfigError(f"limit must not be negative, got {limit}")
        self.limit = limit

    def pixel_values(self, error: Tensor, speed: Tensor) -> Tensor:
        """100 for an outlier, 0 for any other pixel."""
        return (error > self.limit).double() * 100

    def _identity(self) -> dict[str, object]:
        return {"limit": self.limit}


class FlAll(FlowMetric):
    """Fl-all: the part of the pixels, in percent, with an error above 3 pixels and above 5 % of the true flow.

    As the development kit of KITTI 2015 counts (Menze and Geiger, CVPR 2015), over all pixels with ground truth,
    background and foreground, occluded or not.
    """

    key = "fl_all"
    unit = "%"
    decimals = 2

    def pixel_values(self, error: Tensor, speed: Tensor) -> Tensor:
        """100 for an outlier, 0 for any other pixel."""
        return ((error > 3) & (error > 0.05 * speed)).double() * 100


class WAUC(FlowMetric):
    """Weighted area under the curve of accuracy over the limit of the error, in percent; higher is better.

    For the limits ``d_i = i / 20`` pixels, ``i = 1 .. 100``, with the weights ``w_i = 1 - (i - 1) / 100``: the part of
    the pixels with an error of at most ``d_i``, averaged with these weights (Richter et al., "Playing for Benchmarks",
    ICCV 2017; the same in Spring, Mehl et al., CVPR 2023). A pixel with no error gives 100, one with more than 5
    pixels nothing, so that the mean over pixels is that average.
    """

    key = "wauc"
    unit = "%"
    higher_is_better = True
    decimals = 2

    def pixel_values(self, error: Tensor, speed: Tensor) -> Tensor:
        """What each pixel adds, between 0 and 100."""
        index = torch.arange(_WAUC_STEPS, device=error.device, dtype=torch.float64)
        limits, weights = (index + 1) / 20, 1 - index / _WAUC_STEPS
        # the limits from the first one that the error does not exceed count
        beyond = torch.cat([weights.flip(0).cumsum(0).flip(0), weights.new_zeros(1)])
        return 100 * beyond[torch.searchsorted(limits, error)] / weights.sum()
