"""Colours of a foreground and of its background, from an image and an alpha."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def estimate_foreground(
    image: Tensor,
    alpha: Tensor,
    *,
    regularisation: float = 1e-5,
    gradient_weight: float = 1.0,
    small_size: int = 32,
    small_sweeps: int = 10,
    large_sweeps: int = 2,
) -> tuple[Tensor, Tensor]:
    """The colours F and B of ``image = alpha * F + (1 - alpha) * B`` that vary least where alpha does not.

    Over another background, the image's own colours would carry the old one along at the edges; F does not. The
    multi-level method of Germer, Uelwer, Conrad and Harmeling, "Fast Multi-Level Foreground Estimation", ICPR 2020
    (https://arxiv.org/abs/2006.14970): from one pixel to full resolution, each level starts from the one before and is
    relaxed over the four neighbours. Pixels are updated in the order of reading; in the authors' program that order
    depends on the number of threads. No gradient goes through it.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1].
        alpha: ``(B, 1, H, W)`` in [0, 1].
        regularisation: pull to the neighbours everywhere.
        gradient_weight: further pull for each unit of difference in alpha.
        small_size: levels of at most so many pixels on both sides count as small.
        small_sweeps, large_sweeps: relaxations of a small and of a large level.

    Returns:
        F and B ``(B, 3, H, W)`` in [0, 1]. What alpha does not tell (F where it is 0) continues smoothly.

    Raises:
        ValueError: shapes do not fit.
    """
    expected = (image.shape[0], 1, *image.shape[2:])
    if image.dim() != 4 or tuple(alpha.shape) != expected:
        raise ValueError(
            f"expected an image (B, 3, H, W) and an alpha (B, 1, H, W), got {tuple(image.shape)} and "
            f"{tuple(alpha.shape)}"
        )
    height, width = image.shape[2:]
    front, back = _mean_colour(image, alpha > 0.9), _mean_colour(image, alpha < 0.1)
    levels = max(1, math.ceil(math.log2(max(height, width, 2))))
    for level in range(levels + 1):
        size = (round(height ** (level / levels)), round(width ** (level / levels)))
        colours, matte, front, back = (F.interpolate(x, size, mode="nearest") for x in (image, alpha, front, back))
        sweeps = small_sweeps if max(size) <= small_size else large_sweeps
        front, back = _relax(colours, matte, front, back, sweeps, regularisation, gradient_weight)
    return front, back


def _mean_colour(image: Tensor, where: Tensor) -> Tensor:
    """``(B, 3, 1, 1)``; of the whole image where nothing is chosen."""
    weight = where.to(image.dtype)
    weight = torch.where(where.flatten(1).any(1).view(-1, 1, 1, 1), weight, 1.0)
    return (image * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)


def _relax(
    image: Tensor, alpha: Tensor, front: Tensor, back: Tensor, sweeps: int, regularisation: float, weight: float
) -> tuple[Tensor, Tensor]:
    """Gauss-Seidel sweeps, row by row from the left: every pixel sees its new left and upper neighbours.

    Pixels of an anti-diagonal do not see each other, so each is updated at once: the image is sheared until they are
    rows, in which the four neighbours lie in the rows before and after.
    """
    height, width = alpha.shape[2:]
    # left, upper, right, lower; beyond the edge a pixel is its own neighbour
    pulls, own = [], torch.zeros_like(alpha)
    padded = F.pad(alpha, (1, 1, 1, 1), mode="replicate")
    inside = F.pad(torch.ones_like(alpha), (1, 1, 1, 1))
    for rows, columns in ((1, 0), (0, 1), (1, 2), (2, 1)):
        part = (..., slice(rows, rows + height), slice(columns, columns + width))
        pull = regularisation + weight * (alpha - padded[part]).abs()
        pulls.append(pull * inside[part])
        own = own + pull * (1 - inside[part])
    other, total = 1 - alpha, sum(pulls) + own
    a, b, d = alpha * alpha + total, alpha * other, other * other + total
    determinant = a * d - b * b
    mixing = [_sheared(x / determinant) for x in (d, b, a)]
    left, upper, right, lower, own = (_sheared(x) for x in (*pulls, own))
    known = _sheared(torch.cat((alpha * image, other * image), 1))
    state = _sheared(torch.cat((front, back), 1))
    # one more row at both ends, and one more pixel, for neighbours that are not there
    state = F.pad(state, (1, 1, 1, 1))
    last = state.shape[2] - 2
    for _ in range(sweeps):
        for row in range(last):
            before, here, after = (state[:, :, row + step] for step in range(3))
            wanted = known[:, :, row] + own[:, :, row] * here[..., 1:-1]
            wanted = wanted + left[:, :, row] * before[..., 1:-1] + upper[:, :, row] * before[..., :-2]
            wanted = wanted + right[:, :, row] * after[..., 1:-1] + lower[:, :, row] * after[..., 2:]
            u, v = wanted.chunk(2, 1)
            first, cross, second = (x[:, :, row] for x in mixing)
            here[..., 1:-1] = torch.cat((first * u - cross * v, second * v - cross * u), 1).clamp_(0, 1)
    state = _upright(state[:, :, 1:-1, 1:-1], width)
    return state[:, :3], state[:, 3:]


def _sheared(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` to ``(B, C, H + W - 1, H)``: row ``k`` holds the pixels with ``x + y = k``, by ``y``."""
    height, width = x.shape[2:]
    flat = F.pad(x, (0, height)).flatten(2)[..., : height * (height + width - 1)]
    # one pixel less per row moves each row by one more than the row above
    return torch.unflatten(flat, 2, (height, height + width - 1)).transpose(2, 3).contiguous()


def _upright(x: Tensor, width: int) -> Tensor:
    """Undoes :func:`_sheared`."""
    height = x.shape[3]
    flat = F.pad(x.transpose(2, 3).flatten(2), (0, height))
    return torch.unflatten(flat, 2, (height, height + width))[..., :width].contiguous()
