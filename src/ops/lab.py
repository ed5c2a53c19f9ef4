"""CIELAB of sRGB images, for white D65 seen under 2 degrees (CIE 1976; IEC 61966-2-1)."""

from __future__ import annotations

import torch
from torch import Tensor

_XYZ_OF_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """L from 0 to 100, a (red against green) and b (yellow against blue).

    Args:
        rgb: ``(..., 3, H, W)`` sRGB in [0, 1].
    """
    rgb = rgb.to(torch.promote_types(rgb.dtype, torch.float32))
    linear = torch.where(rgb > 0.04045, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    matrix = rgb.new_tensor(_XYZ_OF_RGB) / rgb.new_tensor(_WHITE)[:, None]
    x, y, z = _lightness(torch.einsum("ij,...jhw->...ihw", matrix, linear)).unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse of :func:`rgb_to_lab`; colours that sRGB does not have are cut to [0, 1]."""
    lab = lab.to(torch.promote_types(lab.dtype, torch.float32))
    light, a, b = lab.unbind(-3)
    y = (light + 16) / 116
    xyz = _unlightness(torch.stack((y + a / 500, y, (y - b / 200).clamp(min=0)), -3))
    matrix = lab.new_tensor(_XYZ_OF_RGB) / lab.new_tensor(_WHITE)[:, None]
    linear = torch.einsum("ij,...jhw->...ihw", torch.linalg.inv(matrix.double()).to(matrix), xyz)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, linear * 12.92).clamp(0, 1)


def _lightness(t: Tensor) -> Tensor:
    return torch.where(t > 0.008856, t.clamp(min=0.008856) ** (1 / 3), 7.787 * t + 16 / 116)


def _unlightness(t: Tensor) -> Tensor:
    return torch.where(t > 0.2068966, t**3, (t - 16 / 116) / 7.787)
