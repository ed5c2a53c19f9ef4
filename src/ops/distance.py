"""Distance to the nearest marked pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def distance_to(marked: Tensor, limit: int) -> Tensor:
    """Euclidean distance from every pixel to the nearest marked one, exact up to ``limit``.

    Squared distances along rows, then the lower envelope along columns (Felzenszwalb and Huttenlocher, "Distance
    Transforms of Sampled Functions", 2004, section 3), here by trying every row within the limit: on any device, and
    without a loop over pixels.

    Args:
        marked: ``(B, 1, H, W)`` bool.
        limit: pixels; farther distances are given as this.

    Returns:
        ``(B, 1, H, W)`` float32 in [0, limit].

    Raises:
        ValueError: ``marked`` is not as stated, or ``limit`` is below 1.
    """
    if marked.dim() != 4 or marked.shape[1] != 1 or marked.dtype != torch.bool:
        raise ValueError(f"expected marked pixels (B, 1, H, W) bool, got {tuple(marked.shape)} {marked.dtype}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    height, width = marked.shape[2:]
    column = torch.arange(width, device=marked.device)
    beyond = width + limit
    before = torch.where(marked, column, -beyond).cummax(3).values
    after = torch.where(marked, -column, -beyond).flip(3).cummax(3).values.flip(3)
    along = torch.minimum(column - before, -after - column).clamp_(max=limit).float().square_()
    nearest = along.clone()
    padded = F.pad(along, (0, 0, limit, limit), value=float(limit**2))
    for rows in range(1, limit + 1):
        above = padded[:, :, limit - rows : limit - rows + height]
        below = padded[:, :, limit + rows : limit + rows + height]
        nearest = torch.minimum(nearest, torch.minimum(above, below) + rows**2)
    return nearest.clamp_(max=limit**2).sqrt_()
