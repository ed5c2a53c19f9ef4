"""Laying a foreground over a background."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Space = Literal["srgb", "linear"]


def srgb_to_linear(x: Tensor) -> Tensor:
    """Light intensity of sRGB values in [0, 1] (IEC 61966-2-1)."""
    # the power of values below the knee would have no gradient at zero
    curve = ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(x <= 0.04045, x / 12.92, curve)


def linear_to_srgb(x: Tensor) -> Tensor:
    """Undoes :func:`srgb_to_linear`."""
    curve = 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(x <= 0.0031308, x * 12.92, curve)


def composite(foreground: Tensor, alpha: Tensor, background: Tensor, space: Space = "srgb") -> Tensor:
    """``alpha * foreground + (1 - alpha) * background``.

    Args:
        foreground, background: ``(..., 3, H, W)`` sRGB in [0, 1].
        alpha: ``(..., 1, H, W)`` in [0, 1].
        space: ``"srgb"`` mixes the values as they are, as data sets of matting were made; ``"linear"`` mixes light, as
            a camera does, which keeps bright edges bright.

    Raises:
        ValueError: an unknown space, or shapes that do not fit.
    """
    if space not in ("srgb", "linear"):
        raise ValueError(f"space must be 'srgb' or 'linear', got {space!r}")
    if foreground.shape[-2:] != background.shape[-2:] or alpha.shape[-3:] != (1, *foreground.shape[-2:]):
        raise ValueError(
            f"foreground {tuple(foreground.shape)}, alpha {tuple(alpha.shape)} and background "
            f"{tuple(background.shape)} do not fit; expected (..., 3, H, W), (..., 1, H, W) and (..., 3, H, W)"
        )
    if space == "srgb":
        return background + alpha * (foreground - background)
    behind = srgb_to_linear(background)
    return linear_to_srgb(behind + alpha * (srgb_to_linear(foreground) - behind))
