"""Errors of alpha mattes, image by image and over time.

They compare ``pair.results["alpha"]`` with ``pair.given["alpha"]``, both ``(T, 1, H, W)`` in [0, 1], where
``region="unknown"`` inside the unknown part of ``pair.given["trimap"]`` and ``region="all"`` everywhere. SAD, MSE,
gradient and connectivity are those of Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting",
CVPR 2009 (https://doi.org/10.1109/CVPR.2009.5206503), as mmagic's evaluation computes them in float64: mattes are first
rounded to 8 bits; SAD, gradient and connectivity are divided by 1000.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from .base import ValueMetric
from .pair import VideoPair

Region = Literal["unknown", "all"]
Array = npt.NDArray[np.floating[Any]]
Mattes = tuple[Tensor, Tensor, Tensor]
"""Of a frame: the estimated and the true matte ``(H, W)`` float64, and where they count ``(H, W)`` bool."""
_SIGMA, _STEP, _THRESHOLD = 1.4, 0.1, 0.15


class MattingMetric(ValueMetric):
    """A metric of alpha mattes with one value per frame of a video.

    Args:
        region: where errors count: ``"unknown"`` pixels of the trimap, or ``"all"``.
        rounded: mattes are compared as 8-bit images.
        known: with ``"unknown"``, the prediction takes the trimap's values in known pixels, as the field's tables do.

    Raises:
        ConfigError: an unknown region.
    """

    higher_is_better = False
    scale = 1.0

    def __init__(self, region: Region = "unknown", rounded: bool = True, known: bool = True) -> None:
        super().__init__()
        if region not in ("unknown", "all"):
            raise ConfigError(f"region must be 'unknown' or 'all', got {region!r}")
        self.region, self.rounded, self.known = region, rounded, known

    @abstractmethod
    def errors(self, frames: Iterable[Mattes]) -> Iterator[float]:
        """One error per frame, from the mattes of a video in order."""

    def check(self, pair: VideoPair) -> None:
        """Also raise where there is no matte, or no trimap for the unknown region."""
        super().check(pair)
        of = f" of the video {pair.video_id!r}" if pair.video_id else ""
        if "alpha" not in pair.results:
            raise ValueError(f"{self.key} needs the alpha that a method estimated{of}, and there is none")
        needed = ("alpha", "trimap") if self.region == "unknown" else ("alpha",)
        for name in needed:
            if name not in pair.given:
                raise ValueError(f"{self.key} with region={self.region} needs the true {name}{of}; there is none")
            if pair.results["alpha"].shape != pair.given[name].shape or pair.given[name].shape[1:2] != (1,):
                raise ValueError(
                    f"{self.key} expects (T, 1, H, W) of one shape{of}: the estimated alpha is "
                    f"{tuple(pair.results['alpha'].shape)}, the true {name} {tuple(pair.given[name].shape)}"
                )

    def values(self, pair: VideoPair) -> Tensor:
        """The error of each frame ``(T,)`` float64."""
        self.check(pair)
        frames = (self._mattes(pair, index) for index in range(len(pair.results["alpha"])))
        return torch.tensor([error / self.scale for error in self.errors(frames)], dtype=torch.float64)

    def _mattes(self, pair: VideoPair, index: int) -> Mattes:
        alpha, true = (matte[index, 0].double() for matte in (pair.results["alpha"], pair.given["alpha"]))
        counts = torch.ones_like(true, dtype=torch.bool)
        if self.region == "unknown":
            trimap = pair.given["trimap"][index, 0]
            background, foreground = trimap <= 0, trimap >= 1
            counts = ~(background | foreground)
            if self.known:
                alpha = torch.where(background, 0.0, torch.where(foreground, 1.0, alpha))
        if self.rounded:
            alpha, true = ((matte.clamp(0, 1) * 255).round() / 255 for matte in (alpha, true))
        return alpha, true, counts

    def update(self, alpha: Tensor, true: Tensor, trimap: Tensor | None = None) -> None:
        """Add mattes ``(T, 1, H, W)``; they need no frames."""
        given = {"alpha": true} | ({} if trimap is None else {"trimap": trimap})
        frames = torch.zeros(len(true), 3, *true.shape[2:])
        self.add(self.values(VideoPair(frames, frames, given=given, results={"alpha": alpha})))


class FrameMattingMetric(MattingMetric):
    """A metric of alpha that sees each frame by itself; options as for :class:`MattingMetric`."""

    @abstractmethod
    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The error of one frame from two mattes ``(H, W)`` float64 and where they count ``(H, W)`` bool."""

    def errors(self, frames: Iterable[Mattes]) -> Iterator[float]:
        """The errors of all frames."""
        return (self.frame_value(*frame) for frame in frames)


class SumOfAbsoluteDifferences(FrameMattingMetric):
    """SAD / 1000, over the whole frame as mmagic sums it: a trimap that contradicts the truth adds to it."""

    key = "sad"
    decimals = 2
    scale = 1000.0

    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The sum of absolute differences."""
        return float((alpha - true).abs().sum())


class MattingMSE(FrameMattingMetric):
    """The sum of squared differences over the frame, per pixel that counts (0 where there is none)."""

    key = "matting_mse"
    decimals = 4

    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The mean squared error."""
        number = int(counts.sum())
        return float((alpha - true).square().sum()) / number if number else 0.0


class GradientError(FrameMattingMetric):
    """Squared difference of the gradient magnitudes of both mattes, summed, / 1000.

    Mattes are stretched to [0, 1] each, gradients are those of a Gaussian of sigma 1.4.
    """

    key = "matting_grad"
    decimals = 2
    scale = 1000.0

    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The summed difference."""
        difference = _gradient(_stretched(alpha)) - _gradient(_stretched(true))
        return float(difference.square()[counts].sum())


class ConnectivityError(FrameMattingMetric):
    """How much less, or more, each pixel hangs together with the opaque part of the matte than it should; / 1000.

    Args:
        region, rounded, known: see :class:`MattingMetric`.
        single: mattes are float32, as in the evaluation of Robust Video Matting: 153/255 then reaches the threshold
            0.6, which it misses in float64.
    """

    key = "matting_conn"
    decimals = 2
    scale = 1000.0

    def __init__(
        self, region: Region = "unknown", rounded: bool = True, known: bool = True, single: bool = False
    ) -> None:
        super().__init__(region, rounded, known)
        self.single = single

    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The summed difference of the two degrees of connectivity."""
        kind = torch.float32 if self.single else torch.float64
        made, wanted = alpha.cpu().to(kind).numpy(), true.cpu().to(kind).numpy()
        level = _common_level(made, wanted)
        difference = _connectivity(made, level) - _connectivity(wanted, level)
        return float(np.abs(difference)[counts.cpu().numpy()].sum())


class MeanAbsoluteDifference(FrameMattingMetric):
    """MAD x 1000 over whole frames, as Robust Video Matting reports it (Lin et al., WACV 2022)."""

    key = "matting_mad"
    decimals = 2

    def __init__(self, region: Region = "all", rounded: bool = True) -> None:
        super().__init__(region, rounded)

    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The mean over the pixels that count; 0 where there are none."""
        number = int(counts.sum())
        return 1000 * float((alpha - true).abs()[counts].sum()) / number if number else 0.0


class MeanSquaredDifference(MeanAbsoluteDifference):
    """MSE x 1000 over whole frames, as Robust Video Matting reports it."""

    key = "matting_mse_video"

    def frame_value(self, alpha: Tensor, true: Tensor, counts: Tensor) -> float:
        """The mean over the pixels that count; 0 where there are none."""
        number = int(counts.sum())
        return 1000 * float((alpha - true).square()[counts].sum()) / number if number else 0.0


class TemporalCoherence(MattingMetric):
    """dtSSD: ``100 * sqrt(mean(((p_t - p_t-1) - (g_t - g_t-1))^2))`` of consecutive frames.

    Erofeev et al., "Perceptually Motivated Benchmark for Video Matting", BMVC 2015. The first frame of a video counts
    as 0, as in the evaluation of Robust Video Matting.
    """

    key = "dtssd"
    decimals = 2

    def __init__(self, rounded: bool = True) -> None:
        super().__init__("all", rounded)

    def errors(self, frames: Iterable[Mattes]) -> Iterator[float]:
        """0, then the error of each pair of frames."""
        before: Tensor | None = None
        for alpha, true, _ in frames:
            difference = alpha - true
            yield 0.0 if before is None else 100 * math.sqrt(float((difference - before).square().mean()))
            before = difference


def _stretched(x: Tensor) -> Tensor:
    """Linearly to [0, 1]; a constant becomes 0."""
    low, high = x.aminmax()
    return (x - low) / (high - low) if high > low else torch.zeros_like(x)


def _gradient(x: Tensor) -> Tensor:
    """Gradient magnitude ``(H, W)``: derivative of a Gaussian across, Gaussian along, unit norm, edges repeated."""
    half = math.ceil(_SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * _SIGMA * 0.01)))
    t = torch.arange(-half, half + 1, dtype=x.dtype, device=x.device)
    bell = torch.exp(-(t**2) / (2 * _SIGMA**2)) / (_SIGMA * math.sqrt(2 * math.pi))
    slope = -t * bell / _SIGMA**2
    # columns of the kernel run along x; its norm is the product of both norms
    norm = bell.norm() * slope.norm()
    padded = F.pad(x[None, None], [half] * 4, mode="replicate")
    derivatives = []
    for along_x, along_y in ((slope, bell), (bell, slope)):
        rows = F.conv2d(padded, along_x.view(1, 1, 1, -1))
        derivatives.append(F.conv2d(rows, along_y.view(1, 1, -1, 1))[0, 0] / norm)
    return torch.hypot(*derivatives)


def _common_level(alpha: Array, true: Array) -> Array:
    """The highest threshold up to which each pixel belongs to the largest region that is opaque in both mattes."""
    from skimage.measure import label

    thresholds = np.arange(0, 1 + _STEP, _STEP)
    level = np.full_like(alpha, -1.0)
    for before, threshold in itertools.pairwise(thresholds):
        common = (alpha >= threshold) & (true >= threshold)
        parts = np.asarray(label(common, connectivity=1))  # type: ignore[no-untyped-call]
        sizes = np.bincount(parts.ravel())
        largest = np.zeros_like(common) if len(sizes) < 2 else parts == 1 + int(np.argmax(sizes[1:]))
        level[(level == -1) & ~largest] = before
    level[level == -1] = 1.0
    return level


def _connectivity(alpha: Array, level: Array) -> Array:
    distance = alpha - level
    degree: Array = 1 - distance * (distance >= _THRESHOLD)
    return degree
