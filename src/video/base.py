"""The interface of everything that yields frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .info import VideoInfo

Frames = NDArray[np.uint8]


class VideoReader(ABC):
    """Random and sequential access to the frames of a video; use it as a context manager.

    A reader can be pickled and survives a fork: what holds operating-system resources is opened on first
    use in the process that uses it.

    Attributes:
        path: the video file or the folder of frames.
        fps: mean frames per second.
        size: height and width in pixels, after the rotation that the file asks for.
        timestamps: presentation time of every frame in seconds as stored in the file (the first one need
            not be 0), float64 of shape (N,).
    """

    path: Path
    fps: Fraction
    size: tuple[int, int]
    timestamps: NDArray[np.float64]

    def __len__(self) -> int:
        """The number of frames that can be decoded (never the number a header claims)."""
        return len(self.timestamps)

    def get(self, indices: Sequence[int]) -> Frames:
        """Frames by index, in the order asked for, repeats allowed.

        Args:
            indices: non-negative integers below ``len(self)``.

        Returns:
            uint8 RGB of shape (N, H, W, 3).

        Raises:
            IndexError: for an index outside of the video.
            VideoError: when a frame cannot be decoded; names the file and the frame.
        """
        wanted = [int(i) for i in indices]
        for index in wanted:
            if not 0 <= index < len(self):
                raise IndexError(f"{str(self.path)!r} has frames 0 to {len(self) - 1}, not {index}")
        if not wanted:
            return np.empty((0, *self.size, 3), np.uint8)
        unique = sorted(set(wanted))
        frames = self._read(unique)
        if unique == wanted:
            return frames
        places = {index: place for place, index in enumerate(unique)}
        return frames[[places[index] for index in wanted]]

    def iterate(self, chunk: int = 16) -> Iterator[Frames]:
        """All frames in order, as uint8 arrays (n, H, W, 3) with n = ``chunk`` (fewer in the last one)."""
        if chunk < 1:
            raise ValueError(f"chunk is a positive number of frames, got {chunk}")
        for start in range(0, len(self), chunk):
            yield self.get(range(start, min(start + chunk, len(self))))

    @abstractmethod
    def probe(self) -> VideoInfo:
        """What the video is: format, colour tags, rotation, aspect, frame rate, sound and subtitles."""

    @abstractmethod
    def _read(self, indices: list[int]) -> Frames:
        """Frames of sorted, distinct, valid indices."""

    def close(self) -> None:  # noqa: B027  (a reader without resources has nothing to release)
        """Release decoder and file; the reader opens them again when it is used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.size
        return f"{type(self).__name__}({str(self.path)!r}, {len(self)} frames, {width}x{height})"
