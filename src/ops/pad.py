"""Padding to a size that a network accepts, and cropping back."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

PadMode = Literal["zeros", "replicate", "reflect"]


class Crop(NamedTuple):
    """Undoes :func:`pad_to_multiple`: called with a ``(..., H', W')`` tensor it returns the original area."""

    height: int
    width: int

    def __call__(self, x: Tensor) -> Tensor:
        return x[..., : self.height, : self.width]


def pad_to_multiple(x: Tensor, multiple: int, mode: PadMode = "replicate") -> tuple[Tensor, Crop]:
    """Pad below and to the right until height and width are multiples of ``multiple``.

    Args:
        x: ``(..., C, H, W)`` with at least three dimensions (images and videos).
        multiple: at least 1.
        mode: ``"zeros"``, ``"replicate"`` (repeats the edge) or ``"reflect"`` (mirrors without repeating it).

    Returns:
        The padded tensor (``x`` itself where nothing is missing) and the :class:`Crop` back to H x W.

    Raises:
        ValueError: a bad argument, or ``"reflect"`` on an image smaller than the padding it needs.
    """
    if x.dim() < 3:
        raise ValueError(f"pad_to_multiple expects (..., C, H, W), got shape {tuple(x.shape)}")
    if multiple < 1:
        raise ValueError(f"multiple must be at least 1, got {multiple}")
    if mode not in ("zeros", "replicate", "reflect"):
        raise ValueError(f"padding mode must be 'zeros', 'replicate' or 'reflect', got {mode!r}")
    height, width = x.shape[-2:]
    crop = Crop(height, width)
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return x, crop
    if mode == "zeros":
        return F.pad(x, (0, right, 0, bottom)), crop
    if mode == "reflect" and (bottom >= height or right >= width):
        raise ValueError(
            f"an image of {height}x{width} is too small to be padded by reflection to a multiple of "
            f"{multiple}; use 'replicate'"
        )
    # the non-constant modes take at most four dimensions
    flat = x.reshape(-1, *x.shape[-3:])
    padded = F.pad(flat, (0, right, 0, bottom), mode=mode)
    return padded.reshape(*x.shape[:-2], height + bottom, width + right), crop
