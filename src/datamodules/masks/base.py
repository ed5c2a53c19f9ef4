"""What every mask generator gives: the masks of one video, frame by frame."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class MaskVideo(ABC):
    """The masks of one video, a pure function of :meth:`describe`; True (1) = hole to fill.

    Frames are made when they are asked for, in any order, so that a long video at full size never lies in
    memory as a whole.

    Attributes:
        frames: their number.
        size: height and width in pixels.
    """

    frames: int
    size: tuple[int, int]

    @abstractmethod
    def frame(self, index: int) -> Mask:
        """The mask ``(H, W)`` of frame ``index``, counted from 0.

        Raises:
            IndexError: outside of the video.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The JSON-able values that these masks are made of."""

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Mask]:
        return (self.frame(index) for index in range(self.frames))

    def stack(self) -> npt.NDArray[np.uint8]:
        """All masks as ``(T, 1, H, W)`` uint8, 1 = hole."""
        masks = np.empty((self.frames, 1, *self.size), np.uint8)
        for index, mask in enumerate(self):
            masks[index, 0] = mask
        return masks

    def sha256(self) -> str:
        """Hash of the bits: frame after frame, each row by row, eight pixels a byte (a frame's last byte filled up)."""
        digest = hashlib.sha256()
        for mask in self:
            digest.update(np.packbits(mask).tobytes())
        return digest.hexdigest()

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.frames:
            raise IndexError(f"the masks have frames 0 to {self.frames - 1}, not {index}")
