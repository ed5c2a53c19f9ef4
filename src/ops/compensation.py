"""Moving frames by camera corrections, and what is shown where a frame has nothing to show."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from .camera_path import check_poses, inverse, rotated

Border = Literal["mirror", "circular", "black"]
Interpolation = Literal["bilinear", "bicubic"]
_SLACK = 1e-3  # pixels that rounding may lead beyond the edge


def compensate(
    frames: Tensor, corrections: Tensor, border: Border = "mirror", interpolation: Interpolation = "bilinear"
) -> tuple[Tensor, Tensor]:
    """Frames seen through a corrected camera.

    Differentiable with respect to both arguments (frames only through ``bilinear`` or ``bicubic`` sampling).

    Args:
        frames: ``(B, C, H, W)``.
        corrections: ``(B, 4)``, maps from the frames onto the output, see :mod:`framewright.ops.camera_path`.
        border: beyond the edge the frame is ``"mirror"``-ed about its outermost pixels, repeated (``"circular"``) or
            ``"black"``.
        interpolation: ``"bilinear"`` or ``"bicubic"`` (sharper; may leave the frame's range).

    Returns:
        The frames ``(B, C, H, W)``, and their validity ``(B, 1, H, W)`` float: 1 where the frame itself is seen, 0
        where the border is made up.

    Raises:
        ConfigError: an unknown border or interpolation.
        ValueError: shapes do not fit.
    """
    check_poses(corrections, "a correction")
    if frames.dim() != 4 or corrections.shape != (frames.shape[0], 4):
        raise ValueError(
            f"compensate expects frames (B, C, H, W) and corrections (B, 4), got {tuple(frames.shape)} and "
            f"{tuple(corrections.shape)}"
        )
    if border not in ("mirror", "circular", "black") or interpolation not in ("bilinear", "bicubic"):
        raise ConfigError(
            "border must be 'mirror', 'circular' or 'black' and interpolation 'bilinear' or 'bicubic', got "
            f"{border!r} and {interpolation!r}"
        )
    height, width = frames.shape[-2:]
    x, y = _sources(corrections, height, width, frames)
    inside = (x >= -_SLACK) & (x <= width - 1 + _SLACK) & (y >= -_SLACK) & (y <= height - 1 + _SLACK)
    if border == "circular":
        x, y = x.remainder(width), y.remainder(height)
        # one more column and row, in which the next repetition begins
        frames = torch.cat((frames, frames[..., :1]), 3)
        frames = torch.cat((frames, frames[..., :1, :]), 2)
    grid = torch.stack((_normalised(x, frames.shape[3]), _normalised(y, frames.shape[2])), -1)
    padding = {"mirror": "reflection", "circular": "border", "black": "zeros"}[border]
    made = F.grid_sample(frames, grid.to(frames.dtype), mode=interpolation, padding_mode=padding, align_corners=True)
    return made, inside.unsqueeze(1).to(frames.dtype)


def _sources(corrections: Tensor, height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Where ``(B, H, W)`` in the frame each pixel of the output comes from."""
    back = inverse(corrections.to(like.device)).to(torch.promote_types(like.dtype, torch.float32))
    one, zero = torch.ones_like(back[:, 0]), torch.zeros_like(back[:, 0])
    right, down = rotated(back, one, zero), rotated(back, zero, one)
    column = torch.arange(width, device=like.device, dtype=back.dtype) - (width - 1) / 2
    row = (torch.arange(height, device=like.device, dtype=back.dtype) - (height - 1) / 2)[:, None]
    x, y = (
        a[:, None, None] * column + b[:, None, None] * row + back[:, i, None, None] + (size - 1) / 2
        for i, (a, b, size) in enumerate(zip(right, down, (width, height), strict=True))
    )
    return x, y


def _normalised(position: Tensor, size: int) -> Tensor:
    return position * (2 / (size - 1)) - 1 if size > 1 else torch.zeros_like(position)
