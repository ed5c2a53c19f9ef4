"""Structural similarity (Wang et al., IEEE TIP 2004), with the windows that papers use."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from .base import FrameMetric, check_frames, differing, round_to_8bit, to_double

_RADIUS = 5
_C1, _C2 = 0.01**2, 0.03**2


@functools.lru_cache(maxsize=1)
def _window() -> tuple[float, ...]:
    """The Gaussian of Wang et al.: 11 taps, standard deviation 1.5, sum 1."""
    taps = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-_RADIUS, _RADIUS + 1)]
    return tuple(tap / sum(taps) for tap in taps)


def gaussian_blur(x: Tensor) -> Tensor:
    """The Gaussian window along height and width of ``(..., H, W)``, without padding: 10 pixels smaller.

    Shifted sums: on a CPU four times as fast as convolutions of single planes.
    """
    for axis in (-2, -1):
        size = x.shape[axis] - 2 * _RADIUS
        weights = _window()
        blurred = x.narrow(axis, 0, size) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            blurred.add_(x.narrow(axis, shift, size), alpha=weight)
        x = blurred
    return x


def _blur_channels(x: Tensor) -> Tensor:
    """The window along axis -3, the first and last channel repeated outside."""
    channels = x.shape[-3]
    mixing = x.new_zeros(channels, channels)
    for out in range(channels):
        for offset, weight in enumerate(_window(), start=-_RADIUS):
            mixing[out, min(max(out + offset, 0), channels - 1)] += weight
    return torch.einsum("oc,...chw->...ohw", mixing, x)


def ssim_map(a: Tensor, b: Tensor, *, volume: bool = False) -> Tensor:
    """The SSIM of every position of the Gaussian window ``(C, H', W')``; population covariance, range 1.

    Args:
        a, b: ``(C, H, W)`` in [0, 1], in the precision to compute in.
        volume: let the window reach over the channels too.
    """
    moments = gaussian_blur(torch.stack((a, b, a * a + b * b, a * b)))
    if volume:
        moments = _blur_channels(moments)
    mean_a, mean_b, squares, product = moments.unbind(0)
    mean_squares, mean_product = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    luminance = (2 * mean_product + _C1) / (mean_squares + _C1)
    return luminance * (2 * (product - mean_product) + _C2) / (squares - mean_squares + _C2)


def _frame_values(prediction: Tensor, target: Tensor, *, rounded: bool, replicate: bool, volume: bool) -> Tensor:
    check_frames(prediction, target)
    # the differences of moments lose too many digits in half precision
    prediction, target = prediction.detach(), target.detach()
    if rounded:
        prediction = round_to_8bit(prediction)
    prediction, target = prediction.float(), target.float()
    if replicate:
        pad = (_RADIUS,) * 4
        prediction, target = (F.pad(x, pad, mode="replicate") for x in (prediction, target))
    elif min(prediction.shape[2:]) <= 2 * _RADIUS:
        raise ValueError(
            f"SSIM without padding needs frames of at least 11x11 pixels, got {prediction.shape[2]}x"
            f"{prediction.shape[3]}; use border='replicate'"
        )
    # frame by frame: the moments of a long batch would need twenty times its memory
    with torch.autocast(device_type=prediction.device.type, enabled=False):
        values = [
            ssim_map(a, b, volume=volume).mean(dtype=torch.float64)
            for a, b in zip(prediction.unbind(), target.unbind(), strict=True)
        ]
    return torch.stack(values) if values else prediction.new_zeros(0, dtype=torch.float64)


class SSIM(FrameMetric):
    """Mean SSIM of the three colour channels, each with an 11x11 Gaussian window of deviation 1.5.

    K1 = 0.01, K2 = 0.03, range 1, population covariance: the convention of Wang et al. and, with the default
    border, the same as ``skimage.metrics.structural_similarity(gaussian_weights=True,
    use_sample_covariance=False)``.

    Args:
        rounded: compare the prediction as 8-bit image.
        border: ``"valid"`` averages over windows inside the frame (needs 11x11 pixels), ``"replicate"`` over
            all pixels with repeated edges.

    Raises:
        ConfigError: an unknown ``border``.
    """

    simple = True
    key = "ssim"
    higher_is_better = True
    decimals = 4

    def __init__(self, rounded: bool = True, border: Literal["valid", "replicate"] = "valid") -> None:
        super().__init__()
        if border not in ("valid", "replicate"):
            raise ConfigError(f"border must be 'valid' or 'replicate', got {border!r}")
        self.rounded, self.border = rounded, border

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """SSIM of each frame ``(N,)``."""
        replicate = self.border == "replicate"
        return _frame_values(prediction, target, rounded=self.rounded, replicate=replicate, volume=False)


class SSIMRife(FrameMetric):
    """The SSIM of the RIFE tables: an 11x11x11 Gaussian window over (colour, height, width).

    As the "MATLAB-like" function of the official evaluation: the frame is a volume with three slices, edges
    are repeated by 5 along all three axes, deviation 1.5. Values lie above those of :class:`SSIM` and must
    not be mixed with them. Computed separably.

    Args:
        rounded: compare the prediction as 8-bit image, as the published tables do.
    """

    simple = True
    key = "ssim_rife"
    higher_is_better = True
    decimals = 4

    def __init__(self, rounded: bool = True) -> None:
        super().__init__()
        self.rounded = rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """SSIM of each frame ``(N,)``."""
        return _frame_values(prediction, target, rounded=self.rounded, replicate=True, volume=True)


def box_sum(x: Tensor, window: int) -> Tensor:
    """The sum over every square window inside ``(..., H, W)``: ``(..., H - window + 1, W - window + 1)``.

    By differences of cumulative sums, so that its time does not depend on the window; float64, because large sums
    cancel.
    """
    for axis in (-1, -2):
        sums = x.cumsum(axis)
        size = x.shape[axis] - window
        x = torch.empty_like(sums.narrow(axis, 0, size + 1), memory_format=torch.contiguous_format)
        x.select(axis, 0).copy_(sums.select(axis, window - 1))
        torch.sub(sums.narrow(axis, window, size), sums.narrow(axis, 0, size), out=x.narrow(axis, 1, size))
    return x


# of which the sums of a^2 + b^2 of 8-bit levels fit into 32 bits
_LARGEST_INTEGER_WINDOW = 127


def _levels(image: Tensor) -> Tensor | None:
    """An image on the CPU as levels of 8 bits in int32; None unless all its values are n/255."""
    if image.device.type != "cpu":
        return None
    levels = (image * 255).round_()
    return levels.to(torch.int32) if torch.equal(levels / 255, image) else None


def _integer_box_sum(x: Tensor, window: int) -> Tensor:
    """:func:`box_sum` of an int32 plane ``(H, W)``, exact, as float64; a fifth of its time."""
    import cv2

    sums = cv2.boxFilter(x.numpy(), cv2.CV_64F, (window, window), normalize=False, borderType=cv2.BORDER_CONSTANT)
    inside = slice(window // 2, -(window // 2))
    return torch.from_numpy(sums)[inside, inside]


def ssim_of_moments(moments: Sequence[Tensor], constants: tuple[float, float], correction: float) -> Tensor:
    """SSIM from the means over windows of a, b, a^2 + b^2 and ab; overwrites them.

    Args:
        moments: those four, of one shape.
        constants: C1 and C2.
        correction: factor of variances and covariance, 1 for those of a population.
    """
    # in place throughout: fresh memory costs more than the arithmetic
    mean_a, mean_b, squares, product = moments
    c1, c2 = constants
    mean_product = mean_a * mean_b
    mean_squares = mean_a.square_().addcmul_(mean_b, mean_b)
    product.sub_(mean_product).mul_(2 * correction).add_(c2)
    squares.sub_(mean_squares).mul_(correction).add_(c2)
    numerator = mean_product.mul_(2).add_(c1).mul_(product)
    return numerator.div_(mean_squares.add_(c1).mul_(squares))


class UniformSSIM(FrameMetric):
    """SSIM with a uniform square window, the mean over the windows inside the frame and the three colour channels.

    Equal to ``skimage.metrics.structural_similarity(win_size=window, channel_axis=-1, data_range=data_range)``:
    K1 = 0.01, K2 = 0.03, float64. Evaluations of video inpainting (FuseFormer, E2FGVI, ProPainter) use a window of
    65 pixels.

    Args:
        window: its side in pixels, odd.
        data_range: what K1 and K2 are multiplied by. 1 is the range of RGB in [0, 1]. DEVIL's figures come from 2,
            the range that scikit-image before 0.19 took for floating-point images; they are higher.
        sample_covariance: divide variances and covariance by N - 1 instead of N = window^2.
        rounded: compare the prediction as 8-bit image.

    Raises:
        ConfigError: ``window`` is even or below 3, ``data_range`` is not positive.
    """

    simple = True
    key = "ssim_uniform"
    higher_is_better = True
    decimals = 4

    def __init__(
        self, window: int = 7, data_range: float = 1.0, sample_covariance: bool = True, rounded: bool = True
    ) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            raise ConfigError(f"window must be odd and at least 3, got {window}")
        if data_range <= 0:
            raise ConfigError(f"data_range must be positive, got {data_range}")
        self.window, self.data_range = window, data_range
        self.sample_covariance, self.rounded = sample_covariance, rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """SSIM of each frame ``(N,)``."""
        check_frames(prediction, target)
        height, width = prediction.shape[2:]
        if min(height, width) < self.window:
            raise ValueError(
                f"{self.key} with a window of {self.window} pixels needs frames of at least "
                f"{self.window}x{self.window}, got {height}x{width}"
            )
        values = torch.zeros(len(prediction), dtype=torch.float64, device=prediction.device)
        for index, (frame, truth) in enumerate(zip(prediction.detach(), target.detach(), strict=True)):
            values[index] = self._frame(round_to_8bit(frame) if self.rounded else frame, truth)
        return values

    def _frame(self, a: Tensor, b: Tensor) -> Tensor:
        """The mean over all windows of a frame ``(3, H, W)``; those without a differing pixel are exactly 1."""
        height, width = a.shape[1:]
        windows = 3 * (height - self.window + 1) * (width - self.window + 1)
        place = differing(a, b)
        if place is None:
            return torch.ones((), dtype=torch.float64)
        rows, columns = self._reach(place[0], height), self._reach(place[1], width)
        a, b = a[:, rows, columns], b[:, rows, columns]
        levels = (_levels(a), _levels(b)) if self.window <= _LARGEST_INTEGER_WINDOW else (None, None)
        if levels[0] is not None and levels[1] is not None:
            a, b = levels[0], levels[1]
        else:
            a, b = to_double(a, b, self.rounded)
        # plane by plane: what is at work at a time fits into a processor's cache
        maps = [self._plane(*planes) for planes in zip(a, b, strict=True)]
        looked_at = sum(found.numel() for found in maps)
        return (torch.stack([found.sum() for found in maps]).sum() + (windows - looked_at)) / windows

    def _reach(self, different: slice, size: int) -> slice:
        """The pixels of all windows that hold one of the rows or columns that differ, of ``size``."""
        first = max(different.start - self.window + 1, 0)
        last = min(different.stop - 1, size - self.window)
        return slice(min(first, last), last + self.window)

    def _plane(self, a: Tensor, b: Tensor) -> Tensor:
        """SSIM of every window of one channel ``(H, W)``: float64, or the levels of 8 bits as integers."""
        count = self.window**2
        if a.is_floating_point():
            # one after the other: a single plane of sums stays in the cache, which is half of the time
            planes = a, b, (a * a).addcmul_(b, b), a * b
            moments = [box_sum(plane, self.window).div_(count) for plane in planes]
        else:
            planes = a, b, (a * a).addcmul_(b, b), a * b
            scales = 255, 255, 255**2, 255**2
            sums = [_integer_box_sum(plane, self.window) for plane in planes]
            moments = [found.div_(scale * count) for found, scale in zip(sums, scales, strict=True)]
        constants = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        correction = count / (count - 1) if self.sample_covariance else 1.0
        return ssim_of_moments(moments, constants, correction)
