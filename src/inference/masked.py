"""Frames with holes, read from a stream one after the other and kept as long as somebody needs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import DataError
from .method import Chunk


class Box(NamedTuple):
    """Part of a frame: rows ``top`` to ``bottom``, columns ``left`` to ``right``, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    def cut(self, x: Tensor) -> Tensor:
        """This part of ``(..., H, W)``."""
        return x[..., self.top : self.bottom, self.left : self.right]

    def contains(self, other: Box) -> bool:
        """Whether all of ``other`` lies in it."""
        return (
            self.top <= other.top
            and self.bottom >= other.bottom
            and self.left <= other.left
            and self.right >= other.right
        )

    def grown(self, margin: int, size: tuple[int, int], multiple: int = 1) -> Box:
        """With ``margin`` more on all sides, then up to a multiple of pixels, as far as the frame ``size`` has them."""
        rows = _grow(self.top, self.bottom, margin, size[0], multiple)
        columns = _grow(self.left, self.right, margin, size[1], multiple)
        return Box(*rows, *columns)


def _grow(low: int, high: int, margin: int, limit: int, multiple: int) -> tuple[int, int]:
    low, high = max(0, low - margin), min(limit, high + margin)
    length = min(limit, high - low + -(high - low) % multiple)
    low = min(max(0, low - (length - (high - low)) // 2), limit - length)
    return low, low + length


def union(boxes: Iterable[Box | None]) -> Box | None:
    """The smallest box around all, None where there are none."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    tops, bottoms, lefts, rights = zip(*found, strict=True)
    return Box(min(tops), max(bottoms), min(lefts), max(rights))


class MaskedFrame(NamedTuple):
    """One frame with its holes.

    Attributes:
        image: ``(3, H, W)``, 0 inside the holes.
        hole: ``(H, W)`` boolean.
        box: around the holes, None where there are none.
    """

    image: Tensor
    hole: Tensor
    box: Box | None

    def filled(self, values: Tensor | None) -> Tensor:
        """The frame with the hole's pixels set to ``values`` ``(3, K)``, row by row."""
        if values is None:
            return self.image
        image = self.image.clone()
        image[:, self.hole] = values
        return image


class MaskedStream:
    """The frames of one video that are in memory.

    Args:
        chunks: frames with ``extras["mask"]`` ``(T, 1, H, W)`` of any type; every value above 0 is a hole, so that
            masks of 0 and 1, 128 or 255 mean the same.
        name: of the video, for messages.
        dilate: so many times holes grow by the pixels above, below, left and right of them.

    Raises:
        DataError: while frames are read: there is no mask, or frames or masks differ in size.
    """

    def __init__(self, chunks: Iterable[Chunk], name: str, dilate: int = 0) -> None:
        self.name = name
        self.length = 0
        self.ended = False
        self.frames: dict[int, MaskedFrame] = {}
        self.size: tuple[int, int] = (0, 0)
        self._frames = self._read(chunks, dilate)
        self._anything_known = False

    def read_to(self, index: int | None) -> bool:
        """Read until frame ``index`` (None: all) is in memory; whether the video has it."""
        while not self.ended and (index is None or self.length <= index):
            frame = next(self._frames, None)
            if frame is None:
                self._finish()
            else:
                self.frames[self.length] = frame
                self.length += 1
        return index is None or index < self.length

    def forget(self, needed: Callable[[int], bool]) -> None:
        """Drop all frames but the needed ones."""
        self.frames = {index: frame for index, frame in self.frames.items() if needed(index)}

    def _finish(self) -> None:
        self.ended = True
        if self.length and not self._anything_known:
            warnings.warn(
                f"the video {self.name!r} is all hole: its mask covers every pixel of every frame, so that nothing is "
                "known of it and the result is made up",
                stacklevel=2,
            )

    def _read(self, chunks: Iterable[Chunk], dilate: int) -> Iterator[MaskedFrame]:
        for chunk in chunks:
            self._check(chunk)
            holes = _dilated(chunk.extras["mask"].cpu() > 0, dilate)
            for image, hole in zip(chunk.frames, holes[:, 0], strict=True):
                box = _box(hole)
                self._anything_known = self._anything_known or not bool(hole.all())
                # copies, because a view would keep the whole chunk in memory
                yield MaskedFrame(image.masked_fill(hole, 0.0), hole.clone(), box)

    def _check(self, chunk: Chunk) -> None:
        size = (int(chunk.frames.shape[2]), int(chunk.frames.shape[3]))
        mask = chunk.extras.get("mask")
        if mask is None:
            raise DataError(f"the video {self.name!r} has no mask at frame {chunk.start}; inpainting needs its holes")
        if tuple(mask.shape[1:]) != (1, *size):
            raise DataError(
                f"the mask of the video {self.name!r} at frame {chunk.start} is {tuple(mask.shape[1:])}, expected "
                f"{(1, *size)} (channels, height, width) as its frames"
            )
        if self.length and size != self.size:
            raise DataError(
                f"the frames of the video {self.name!r} change their size at frame {chunk.start}, from "
                f"{self.size[1]}x{self.size[0]} to {size[1]}x{size[0]} (width x height)"
            )
        self.size = size


def _dilated(holes: Tensor, iterations: int) -> Tensor:
    """``holes`` ``(T, 1, H, W)`` after dilation with a cross of 3x3 pixels, so many times."""
    for _ in range(iterations):
        x = holes.float()
        holes = torch.maximum(F.max_pool2d(x, (3, 1), 1, (1, 0)), F.max_pool2d(x, (1, 3), 1, (0, 1))) > 0
    return holes


def _box(hole: Tensor) -> Box | None:
    rows, columns = hole.any(1).nonzero(), hole.any(0).nonzero()
    if not len(rows):
        return None
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
