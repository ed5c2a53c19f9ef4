"""Frames that stand for a shot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from ...core.errors import ConfigError
from ...ops.shots import Frame
from ...video import VideoReader
from .measures import FrameMeasures, measure
from .shots import Progress, Shot

Choice = Literal["representative", "sharpest", "middle"]

# part of a shot at each end that is left out: cuts are often fades, and titles come and go
_MARGIN = 0.1
# a representative frame is the sharpest of the most typical ones
_TYPICAL = 0.2


class KeyFrame(NamedTuple):
    """A frame that stands for a shot: the shot's number, the frame's, its time in seconds and its sharpness."""

    shot: int
    frame: int
    time: float
    sharpness: float


def find_key_frames(
    reader: VideoReader,
    shots: Sequence[Shot],
    choice: Choice = "representative",
    count: int = 1,
    progress: Progress | None = None,
) -> list[KeyFrame]:
    """Choose key frames of every shot.

    The tenth of a shot at each end is left out where the rest has ``count`` frames. ``"middle"`` takes the frame in the
    middle, ``"sharpest"`` the sharpest, ``"representative"`` the sharpest of that fifth of the frames which look most
    like the shot on average. For several, the shot is divided into parts of equal length.

    Args:
        reader: the video.
        shots: of it.
        choice: see above.
        count: for each shot (fewer, where it has fewer frames).
        progress: called with the frames that are done and the number of all.

    Raises:
        ConfigError: no such choice, or a count below 1.
        VideoError: a frame cannot be read.
    """
    if choice not in get_args(Choice) or count < 1:
        raise ConfigError(
            f"key frames are chosen with choice={'|'.join(get_args(Choice))} and count of 1 or more, "
            f"got choice={choice!r}, count={count}"
        )
    total, done = sum(len(shot) for shot in shots), 0
    found = []
    for number, shot in enumerate(shots):
        margin = math.floor(len(shot) * _MARGIN)
        inner = range(shot.first + margin, shot.stop - margin)
        if len(inner) < count:
            inner = range(shot.first, shot.stop)
        measures = None if choice == "middle" else measure(reader, inner, motion=False)
        for part in _parts(len(inner), min(count, len(inner))):
            frame = inner[_chosen(measures, part, choice)]
            sharp = float(measures.sharpness[frame - inner.start]) if measures is not None else math.nan
            found.append(KeyFrame(number, frame, float(reader.timestamps[frame]), sharp))
        done += len(shot)
        if progress is not None:
            progress(done, total)
    return found


def _parts(length: int, count: int) -> list[range]:
    borders = [length * part // count for part in range(count + 1)]
    return [range(borders[part], borders[part + 1]) for part in range(count)]


def _chosen(measures: FrameMeasures | None, part: range, choice: Choice) -> int:
    if measures is None:
        return part[len(part) // 2]
    sharp = measures.sharpness[part.start : part.stop]
    if choice == "sharpest":
        return part[int(np.argmax(sharp))]
    looks = measures.looks[part.start : part.stop]
    alike = looks @ looks.mean(axis=0)
    typical = np.argsort(-alike, kind="stable")[: max(1, math.ceil(len(part) * _TYPICAL))]
    return part[int(typical[np.argmax(sharp[typical])])]


def contact_sheet(frames: Sequence[Frame], labels: Sequence[str], columns: int = 5, width: int = 240) -> Frame:
    """Small pictures under their labels, in rows.

    Args:
        frames: uint8 RGB ``(H, W, 3)``, of any sizes, at least one.
        labels: one each; what is not ASCII is shown as ``?``.
        columns: pictures in a row.
        width: of each, in pixels.

    Returns:
        uint8 RGB.
    """
    import cv2

    heights = [max(1, round(frame.shape[0] * width / frame.shape[1])) for frame in frames]
    cell, strip = max(heights), 20
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    sheet: npt.NDArray[np.uint8] = np.full((rows * (cell + strip), columns * width, 3), 24, np.uint8)
    for place, (frame, label, height) in enumerate(zip(frames, labels, heights, strict=True)):
        top, left = place // columns * (cell + strip), place % columns * width
        small = cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=cv2.INTER_AREA)
        sheet[top + strip : top + strip + height, left : left + width] = small
        text = label.encode("ascii", "replace").decode()
        cv2.putText(sheet, text, (left + 4, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1, cv2.LINE_AA)
    return sheet
