"""Padding to a size that a network accepts, and cropping back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class PadRule:
    """Padding that an evaluation protocol prescribes, whatever the network then does by itself.

    Attributes:
        size: height and width to pad to; or
        multiple: pad both to a multiple of it. Exactly one of the two is given.
        mode: ``"zeros"`` or ``"replicate"``.
        centred: half of it on each side (the odd row or column below or to the right); else below and right only.

    Raises:
        ValueError: neither or both of ``size`` and ``multiple``.
    """

    size: tuple[int, int] | None = None
    multiple: int | None = None
    mode: Literal["zeros", "replicate"] = "zeros"
    centred: bool = False

    def __post_init__(self) -> None:
        if (self.size is None) == (self.multiple is None):
            raise ValueError("padding needs either a size or a multiple")

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after padding.

        Raises:
            ValueError: the image is larger than the prescribed size.
        """
        if self.multiple is not None:
            return height + -height % self.multiple, width + -width % self.multiple
        assert self.size is not None
        if height > self.size[0] or width > self.size[1]:
            raise ValueError(
                f"{width}x{height} is larger than the {self.size[1]}x{self.size[0]} (width x height) to pad to"
            )
        return self.size

    def pad(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The padded images ``(B, C, H', W')`` of ``(B, C, H, W)``, and a function that crops back.

        Raises:
            ValueError: the image is larger than the prescribed size.
        """
        height, width = x.shape[-2:]
        rows, columns = self.padded_size(height, width)
        top = (rows - height) // 2 if self.centred else 0
        left = (columns - width) // 2 if self.centred else 0
        margins = (left, columns - width - left, top, rows - height - top)
        padded = F.pad(x, margins) if self.mode == "zeros" else F.pad(x, margins, mode="replicate")
        return padded, lambda y: y[..., top : top + height, left : left + width]
