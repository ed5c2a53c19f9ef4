"""The times and tags that a new video takes over from its source."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from .base import VideoReader
from .carry import clock_origin, portable_tags
from .info import VideoInfo
from .reader import FileReader, open_video
from .tags import BT709, ColourTags

# the matrices that the conversion from RGB knows; 2 is "not said"
_MATRICES = (1, 2, 4, 5, 6, 7, 9)
_MAX_UNITS = 2**31 - 1


@dataclass(frozen=True)
class Source:
    """What a writer knows of its source.

    Attributes:
        path: file or folder.
        info: its description.
        fps: mean frames per second.
        stamps: presentation stamp of every frame in units of ``info.time_base``, int64 (N,), on the clock of
            the new file.
        last_duration: how long the last frame is shown, in the same units.
        origin: seconds by which the new file's clock is behind the source's.
        stream_tags: language, title and such of the video stream.
    """

    path: Path
    info: VideoInfo
    fps: Fraction
    stamps: NDArray[np.int64]
    last_duration: int
    origin: Fraction
    stream_tags: dict[str, str]

    @property
    def written_colour(self) -> ColourTags:
        """The colour tags of the new file: the source's, but for RGB and rare matrices that of BT.709."""
        colour = self.info.colour
        if self.info.container == "folder":
            return BT709
        if colour.numbers()[2] in _MATRICES:
            return colour
        return ColourTags(colour.primaries, colour.transfer, BT709.matrix, BT709.range)


def read_source(source: str | os.PathLike[str] | VideoReader) -> Source:
    """Read times and tags of a video file, a folder of frames or an open reader."""
    import av

    reader = source if isinstance(source, VideoReader) else open_video(source)
    info = reader.probe()
    if not isinstance(reader, FileReader):
        return Source(reader.path, info, reader.fps, np.arange(len(reader), dtype=np.int64), 1, Fraction(0), {})
    index = reader.index
    try:
        with av.open(str(index.path)) as container:
            origin = clock_origin(container)
            tags = portable_tags(container.streams.video[0].metadata)
    except av.error.FFmpegError as error:
        raise VideoError(f"cannot read the source {str(index.path)!r}: {error.strerror or error}") from error
    stamps = index.pts - round(origin / index.time_base)
    return Source(index.path, info, index.fps, stamps, index.last_duration, origin, tags)


class Clock:
    """Gives every frame its stamp: the caller's, the source's, or that of a constant rate."""

    def __init__(self, name: str, fps: Fraction | None, source: Source | None, time_base: Fraction | None) -> None:
        self._name, self._fps, self._source = name, fps, source
        self.time_base = time_base or _time_base(fps, source)
        self._start = Fraction(0)
        if source is not None:
            self._start = int(source.stamps[0]) * source.info.time_base
        self.restart()

    def restart(self) -> None:
        self.count = 0
        self._latest: int | None = None
        self._step = 0
        self._own_times = False

    def next(self, time: float | Fraction | None) -> int:
        """The stamp of the next frame, larger than all before."""
        if time is not None:
            self._own_times = True
            if not math.isfinite(time):
                raise ValueError(f"the time of frame {self.count} of {self._name!r} is {time}")
            origin = self._source.origin if self._source else 0
            seconds = Fraction(time) - origin
        elif self._fps is not None:
            seconds = self._start + self.count / self._fps
        elif self._source is not None:
            if self.count >= len(self._source.stamps):
                raise VideoError(
                    f"cannot write frame {self.count} of {self._name!r}: its source {str(self._source.path)!r} has "
                    f"only {self.count} frames; give fps or times"
                )
            seconds = int(self._source.stamps[self.count]) * self._source.info.time_base
        else:
            raise ValueError(f"{self._name!r} has neither fps nor a source: give times with the frames")
        stamp = round(seconds / self.time_base)
        if self._latest is not None and stamp <= self._latest:
            raise ValueError(
                f"the time of frame {self.count} of {self._name!r} ({float(seconds):g} s) is not after the one before"
                f" (in units of {self.time_base} s)"
            )
        self._step = stamp - self._latest if self._latest is not None else 0
        self._latest = stamp
        self.count += 1
        return stamp

    def end(self) -> int:
        """The stamp at which the last frame ends."""
        latest = self._latest or 0
        if self._source is not None and self._fps is None and not self._own_times:
            return latest + max(round(self._source.last_duration * self._source.info.time_base / self.time_base), 1)
        if self._fps is not None and not self._own_times:
            return latest + max(round(1 / self._fps / self.time_base), 1)
        return latest + (self._step or 1)

    def check_complete(self) -> None:
        """Raise when no frame came, or fewer than the source has."""
        if self.count == 0:
            raise VideoError(f"no frame was written to {self._name!r}")
        if self._source is None or self._fps is not None or self._own_times:
            return
        wanted = len(self._source.stamps)
        if self.count < wanted:
            raise VideoError(
                f"cannot finish {self._name!r}: only {self.count} frames were written, its source "
                f"{str(self._source.path)!r} has {wanted}; give times to leave some out"
            )


def _time_base(fps: Fraction | None, source: Source | None) -> Fraction:
    """A unit in which every stamp is a whole number."""
    if source is None:
        return 1 / (fps or Fraction(25))
    unit = source.info.time_base
    if fps is None:
        return unit
    # the largest unit that both the source's start and the new rate are multiples of
    both = Fraction(
        math.gcd(unit.numerator * fps.numerator, fps.denominator * unit.denominator), unit.denominator * fps.numerator
    )
    return both if both.denominator <= _MAX_UNITS else 1 / fps
