"""The clips of a video that are worth taking: sharp, within a shot, with as much motion as wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...core.errors import ConfigError, DataError
from ...video import VideoReader
from .measures import FrameMeasures
from .shots import Shot


class Clip(NamedTuple):
    """A part of a shot.

    Attributes:
        first, stop: its frames are ``first`` to ``stop - 1``.
        start, end: in seconds.
        shot: number of the shot that it is of.
        motion: mean of its frames, see :class:`FrameMeasures`.
        sharpness: that a tenth of its frames does not reach.
    """

    first: int
    stop: int
    start: float
    end: float
    shot: int
    motion: float
    sharpness: float


def select_clips(
    reader: VideoReader,
    shots: Sequence[Shot],
    measures: FrameMeasures,
    seconds: float = 2.0,
    count: int = 10,
    motion: tuple[float, float] = (0.0, math.inf),
    min_sharpness: float = 0.0,
) -> list[Clip]:
    """Choose clips of one length that do not overlap, in the order of the video.

    Every clip lies within one shot. Those whose mean motion or sharpness is out of bounds are left out; of the others
    the sharpest is taken first, then the sharpest that does not overlap it, and so on.

    Args:
        reader: the video.
        shots: of it.
        measures: of all its frames.
        seconds: length of a clip.
        count: clips at most.
        motion: least and largest mean motion, in percent of the frame's longer side per second.
        min_sharpness: that nine tenths of a clip's frames must reach.

    Raises:
        ConfigError: an option out of range.
        DataError: no shot is long enough.
    """
    if not seconds > 0 or count < 1 or not 0 <= motion[0] <= motion[1] or min_sharpness < 0:
        raise ConfigError(
            "expected seconds above 0, count of 1 or more, 0 <= min_motion <= max_motion and min_sharpness of 0 or "
            f"more, got seconds={seconds}, count={count}, motion={motion}, min_sharpness={min_sharpness}"
        )
    candidates: list[Clip] = []
    for number, shot in enumerate(shots):
        candidates += _windows(reader, number, shot, seconds, measures)
    if not candidates:
        longest = max(shot.end - shot.start for shot in shots)
        raise DataError(
            f"no shot of {str(reader.path)!r} has {seconds:g} s; the longest has {longest:.2f} s: give fewer seconds"
        )
    fitting = [clip for clip in candidates if motion[0] <= clip.motion <= motion[1] and clip.sharpness >= min_sharpness]
    chosen: list[Clip] = []
    for clip in sorted(fitting, key=lambda clip: (-clip.sharpness, clip.first)):
        if len(chosen) < count and all(clip.stop <= other.first or other.stop <= clip.first for other in chosen):
            chosen.append(clip)
    return sorted(chosen, key=lambda clip: clip.first)


def _windows(reader: VideoReader, number: int, shot: Shot, seconds: float, measures: FrameMeasures) -> list[Clip]:
    """All clips of a shot, each a quarter of its length after the one before."""
    starts = reader.timestamps[shot.first : shot.stop]
    ends = np.append(starts[1:], shot.end)
    clips: list[Clip] = []
    earliest = -math.inf
    for place, start in enumerate(starts):
        if start < earliest:
            continue
        # half a frame of tolerance for rounded time stamps
        slack = 0.5 * (shot.end - shot.start) / len(shot)
        length = int(np.searchsorted(ends, start + seconds - slack)) + 1 - place
        if place + length > len(shot):
            break
        inside = slice(shot.first + place, shot.first + place + length)
        # the motion of a frame is that from the one before it, which the first one's is not part of
        moving = measures.motion[inside][1:] if length > 1 else np.zeros(1)
        clips.append(
            Clip(
                inside.start,
                inside.stop,
                float(start),
                float(ends[place + length - 1]),
                number,
                float(moving.mean()),
                float(_low(measures.sharpness[inside])),
            )
        )
        earliest = start + seconds / 4
    return clips


def _low(values: npt.NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.1))
