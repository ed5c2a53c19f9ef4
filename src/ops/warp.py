"""Backward warping of an image by an optical flow."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Literal["border", "zeros"]


def _axis(size: int, align_corners: bool, like: Tensor) -> Tensor:
    """Normalised positions of the ``size`` pixel centres of one axis."""
    if align_corners:
        return torch.linspace(-1.0, 1.0, size, device=like.device, dtype=like.dtype)
    edge = 1.0 - 1.0 / size
    return torch.linspace(-edge, edge, size, device=like.device, dtype=like.dtype)


def warp(image: Tensor, flow: Tensor, padding: Padding = "border", align_corners: bool = True) -> Tensor:
    """Bring ``image_b`` onto ``image_a``: ``out(x, y) = image_b(x + u(x, y), y + v(x, y))``, bilinear.

    The sampling grid and the interpolation are computed in float32 (float64 for float64 images) even under
    autocast, because half precision cannot hold a pixel position; the result has the dtype of ``image``.
    Nothing is cached between calls. Differentiable with respect to both arguments.

    Args:
        image: ``(B, C, H, W)``, any number of channels.
        flow: ``(B, 2, H, W)`` from a to b in pixels; channel 0 is u (right), channel 1 is v (down).
        padding: ``"border"`` repeats the edge outside the image, ``"zeros"`` is black there.
        align_corners: how positions are normalised for ``grid_sample``. The grid is built to match, so both
            settings sample the same positions and differ in rounding only; ``True`` rounds as most
            reference implementations do.

    Raises:
        ValueError: shapes or ``padding`` do not fit.
    """
    if image.dim() != 4 or flow.dim() != 4 or flow.shape[1] != 2:
        raise ValueError(
            f"warp expects image (B, C, H, W) and flow (B, 2, H, W), got {tuple(image.shape)} and {tuple(flow.shape)}"
        )
    if image.shape[0] != flow.shape[0] or image.shape[2:] != flow.shape[2:]:
        raise ValueError(
            f"warp expects the same batch, height and width, got image {tuple(image.shape)} and "
            f"flow {tuple(flow.shape)}"
        )
    if padding not in ("border", "zeros"):
        raise ValueError(f"warp padding must be 'border' or 'zeros', got {padding!r}")
    height, width = image.shape[2:]
    # one pixel has no two corners to align: the other normalisation is defined for it
    align_corners = align_corners and min(height, width) > 1
    dtype = torch.promote_types(image.dtype, torch.float32)
    with torch.autocast(device_type=image.device.type, enabled=False):
        offset = flow.to(dtype)
        spans = (width - 1, height - 1) if align_corners else (width, height)
        x = _axis(width, align_corners, offset) + offset[:, 0] / (spans[0] / 2)
        y = _axis(height, align_corners, offset).unsqueeze(1) + offset[:, 1] / (spans[1] / 2)
        warped = F.grid_sample(
            image.to(dtype),
            torch.stack((x, y), dim=-1),
            mode="bilinear",
            padding_mode=padding,
            align_corners=align_corners,
        )
    return warped.to(image.dtype)
