"""Structural similarity (Wang et al., IEEE TIP 2004), in the two conventions that papers use for colour."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from .base import FrameMetric, check_frames, round_to_8bit

_RADIUS = 5
_C1, _C2 = 0.01**2, 0.03**2


@functools.lru_cache(maxsize=1)
def _window() -> tuple[float, ...]:
    """The Gaussian of Wang et al.: 11 taps, standard deviation 1.5, sum 1."""
    taps = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-_RADIUS, _RADIUS + 1)]
    return tuple(tap / sum(taps) for tap in taps)


def _blur(x: Tensor) -> Tensor:
    """The window along height and width of ``(..., H, W)``, without padding.

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


def _map(a: Tensor, b: Tensor, *, volume: bool) -> Tensor:
    """The SSIM of every window position ``(C, H', W')``; population covariance, range 1."""
    moments = _blur(torch.stack((a, b, a * a + b * b, a * b)))
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
            _map(a, b, volume=volume).mean(dtype=torch.float64)
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

    key = "ssim_rife"
    higher_is_better = True
    decimals = 4

    def __init__(self, rounded: bool = True) -> None:
        super().__init__()
        self.rounded = rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """SSIM of each frame ``(N,)``."""
        return _frame_values(prediction, target, rounded=self.rounded, replicate=True, volume=True)
