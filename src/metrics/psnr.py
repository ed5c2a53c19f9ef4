"""Peak signal-to-noise ratio: of whole frames, of luma, pooled over a set, and of holes alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import FrameMetric, VideoMetric, check_frames, differing, round_to_8bit, to_double
from .pair import VideoPair

Infinite = Literal["clip", "exclude", "largest"]


def check_infinite(infinite: str, maximum: float) -> None:
    """Raise ``ConfigError`` for an unknown rule for infinite values, or a ceiling that is not positive."""
    if infinite not in ("clip", "exclude", "largest"):
        raise ConfigError(f"infinite must be 'clip', 'exclude' or 'largest', got {infinite!r}")
    if maximum <= 0:
        raise ConfigError(f"maximum must be positive, got {maximum}")


def settle_infinite(values: Tensor, infinite: Infinite, maximum: float) -> Tensor:
    """The values that enter a mean, after the rule ``infinite`` (see :class:`PSNR`)."""
    if infinite == "clip":
        return values.clamp(max=maximum)
    return values[~torch.isposinf(values)] if infinite == "exclude" else values


def _squared_errors(
    prediction: Tensor, target: Tensor, rounded: bool, difference: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The mean square of ``difference`` ``(C, H, W)`` of each of ``(N, 3, H, W)`` frames, ``(N,)`` float64."""
    height, width = target.shape[2:]
    errors = torch.zeros(len(target), dtype=torch.float64, device=target.device)
    for index, (frame, truth) in enumerate(zip(prediction.detach(), target.detach(), strict=True)):
        frame = round_to_8bit(frame) if rounded else frame
        place = differing(frame, truth)
        if place is not None:
            wrong = difference(*to_double(frame[:, *place], truth[:, *place], rounded))
            errors[index] = wrong.square().sum() / (len(wrong) * height * width)
    return errors


class PSNR(FrameMetric):
    """PSNR over all RGB values of a frame, in dB, averaged over frames: ``-10 log10(mean squared error)``.

    Args:
        rounded: compare the prediction as 8-bit image, as the published interpolation tables do. The target
            is taken as it is. Off where scored frames are no 8-bit images, such as the means of overlapping
            windows that the evaluations of video inpainting score.
        infinite: what a frame without any error (infinite PSNR) counts as. ``"clip"``, the default, counts
            ``maximum``: then all methods are averaged over the same frames, and one perfect frame of a static
            scene cannot make a mean infinite. ``"exclude"`` leaves such frames out. ``"largest"`` is the rule of
            DEVIL: a perfect frame makes the mean of its video infinite, and infinite *videos* count as the best
            finite video of the set. The latter needs all videos and is the benchmark's work; :meth:`compute`
            and :meth:`mean_of` give the infinite mean.
        maximum: the value of an identical frame, and the ceiling of all values, under ``"clip"``, in dB.

    Raises:
        ConfigError: an unknown ``infinite`` or a ``maximum`` that is not positive.
    """

    key = "psnr"
    unit = "dB"
    higher_is_better = True
    decimals = 2

    def __init__(self, rounded: bool = True, infinite: Infinite = "clip", maximum: float = 100.0) -> None:
        super().__init__()
        check_infinite(infinite, maximum)
        self.rounded, self.infinite, self.maximum = rounded, infinite, maximum

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """PSNR of each frame ``(N,)`` in dB; ``+inf`` where the frames are identical."""
        check_frames(prediction, target)
        return -10 * _squared_errors(prediction, target, self.rounded, self._difference).log10()

    def _difference(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What is squared, ``(C, H, W)`` float64."""
        return prediction - target

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values that count, after the rule ``infinite``."""
        return super().summarise(settle_infinite(values, self.infinite, self.maximum))


class LumaPSNR(PSNR):
    """PSNR of luma, ``Y = 0.299 R + 0.587 G + 0.114 B`` (full-range BT.601, the Y of scikit-image's ``rgb2yuv``).

    The measure of RIFE's HD table: the prediction is rounded as RGB image, luma itself is not rounded. It is not
    the luma PSNR of super-resolution, whose Y is scaled to 16..235. Arguments as for :class:`PSNR`.
    """

    key = "psnr_y"

    def _difference(self, prediction: Tensor, target: Tensor) -> Tensor:
        weights = torch.tensor([0.299, 0.587, 0.114], dtype=prediction.dtype, device=prediction.device)
        return torch.einsum("chw,c->hw", prediction - target, weights).unsqueeze(0)


class PooledPSNR(FrameMetric):
    """PSNR of the squared error pooled over all frames of all videos, in dB: what torchmetrics gives by default.

    It lies below the mean over frames, because the worst frames weigh most. The value of a frame is its mean
    squared error; every mean of such values, over frames, a video or a set, becomes dB in :meth:`finish`. A set
    without any error is infinite.

    Args:
        rounded: compare the prediction as 8-bit image.
    """

    key = "psnr_pooled"
    unit = "dB"
    higher_is_better = True
    decimals = 2

    def __init__(self, rounded: bool = True) -> None:
        super().__init__()
        self.rounded = rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of each frame ``(N,)``, on the range [0, 1]."""
        check_frames(prediction, target)
        return _squared_errors(prediction, target, self.rounded, torch.sub)

    def finish(self, mean: float) -> float:
        """A mean squared error in dB."""
        return math.inf if mean == 0 else -10 * math.log10(mean)


class HolePSNR(VideoMetric):
    """PSNR over the RGB values inside the hole alone, in dB, averaged over the frames that have one.

    PSNR of a whole composited frame mostly measures how small the hole is. Frames without hole do not count.
    Arguments as for :class:`PSNR`.

    Raises:
        ConfigError: an unknown ``infinite`` or a ``maximum`` that is not positive.
    """

    key = "psnr_hole"
    unit = "dB"
    higher_is_better = True
    decimals = 2
    needs_mask = True

    def __init__(self, rounded: bool = True, infinite: Infinite = "clip", maximum: float = 100.0) -> None:
        super().__init__()
        check_infinite(infinite, maximum)
        self.rounded, self.infinite, self.maximum = rounded, infinite, maximum

    def values(self, pair: VideoPair) -> Tensor:
        """PSNR of the hole of each frame ``(T,)`` in dB, NaN where there is none."""
        self.check(pair)
        assert pair.mask is not None
        values = []
        for prediction, target, hole in zip(pair.prediction, pair.target, pair.mask, strict=True):
            a, b = to_double(prediction, target, self.rounded)
            # 0 / 0 is NaN: a frame without hole does not count
            error = ((a - b).square() * hole).sum() / (3 * hole.sum(dtype=torch.float64))
            values.append(-10 * error.log10())
        return torch.stack(values)

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values that count, after the rule ``infinite``."""
        return super().summarise(settle_infinite(values, self.infinite, self.maximum))
