"""Matching costs of two feature maps over a square neighbourhood (the correlation layer of FlowNet and PWC-Net)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Implementation = Literal["auto", "shifts", "tiles"]

# columns of a tile: its products cover tile x (tile + 2 radius) pairs, of which tile x (2 radius + 1) are wanted
_TILE = 16


def cost_volume(first: Tensor, second: Tensor, radius: int = 4, implementation: Implementation = "auto") -> Tensor:
    """The mean over channels of the product of each position of ``first`` with its neighbours in ``second``.

    ``out[:, (dy + r) (2 r + 1) + dx + r, y, x] = mean_c first[:, c, y, x] second[:, c, y + dy, x + dx]`` for
    dy, dx in -r..r, zero where the neighbour lies outside. Computed in float32 (float64 for float64 features), even
    under autocast: a sum over 200 channels loses its small differences in half precision. Differentiable with
    respect to both. On CUDA, ``torch.set_float32_matmul_precision`` applies to ``"tiles"`` as to any product.

    Args:
        first: ``(B, C, H, W)``.
        second: the same shape.
        radius: r, at least 0.
        implementation: ``"shifts"`` multiplies shifted slices, the reference; ``"tiles"`` multiplies matrices of
            neighbouring columns; ``"auto"`` is the faster one (``perf/flow.py`` measures both).

    Returns:
        ``(B, (2 r + 1)^2, H, W)``.

    Raises:
        ValueError: shapes or an option do not fit.
    """
    if first.dim() != 4 or first.shape != second.shape:
        raise ValueError(
            f"cost_volume expects two feature maps (B, C, H, W) of one shape, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    if radius < 0:
        raise ValueError(f"radius must be at least 0, got {radius}")
    if implementation not in ("auto", "shifts", "tiles"):
        raise ValueError(f"implementation must be 'auto', 'shifts' or 'tiles', got {implementation!r}")
    compute: Callable[[Tensor, Tensor, int], Tensor] = _shifts if implementation == "shifts" else _tiles
    dtype = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
    with torch.autocast(device_type=first.device.type, enabled=False):
        return compute(first.to(dtype), second.to(dtype), radius)


def _shifts(first: Tensor, second: Tensor, radius: int) -> Tensor:
    height, width = first.shape[2:]
    padded = F.pad(second, (radius,) * 4)
    side = range(2 * radius + 1)
    costs = [(first * padded[..., dy : dy + height, dx : dx + width]).mean(1) for dy in side for dx in side]
    return torch.stack(costs, 1)


def _tiles(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """Per row, row offset and tile: a ``(tile x C) (C x tile + 2 r)`` product; the wanted band of it is a view."""
    batch, channels, height, width = first.shape
    side, count = 2 * radius + 1, -(-width // _TILE)
    reach = _TILE + 2 * radius
    missing = count * _TILE - width
    # rows first, so that the rows dy .. dy + H of all windows are one block: (H, B, tiles, ...)
    rows = F.pad(first, (0, missing)).permute(2, 0, 3, 1).reshape(height, batch, count, _TILE, channels)
    rows = rows / channels
    windows = F.pad(second, (radius, radius + missing, radius, radius)).unfold(3, reach, _TILE)
    windows = windows.permute(2, 0, 3, 1, 4).contiguous()
    costs = []
    for dy in range(side):
        products = rows @ windows[dy : dy + height]
        # column t of a tile meets t + dx: steps of reach + 1 along the diagonal
        band = products.as_strided(
            (height, batch, count, _TILE, side), (*products.stride()[:3], reach + 1, 1), products.storage_offset()
        )
        costs.append(band.permute(1, 4, 0, 2, 3).reshape(batch, side, height, -1)[..., :width])
    return torch.cat(costs, 1)
