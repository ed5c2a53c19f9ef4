"""What one can tell of a frame at a glance: how sharp it is, how much moves, what it looks like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...ops.shots import Frame
from ...video import VideoReader
from .shots import Progress

Vector = npt.NDArray[np.float32]

_SHARPNESS_SIZE = 512
_MOTION_SIZE = 160
# 8 x 8 x 8 levels of colour, and the arrangement of grey on a grid
_COLOURS, _GRID = 8, 8


class FrameMeasures(NamedTuple):
    """Of the frames of a stretch of a video, in order.

    Attributes:
        sharpness: ``(N,)``, variance of the Laplacian of the grey frame in levels of 0 to 255 (Pech-Pacheco et al.,
            ICPR 2000), its longer side shrunk to 512 pixels. Comparable within a video.
        motion: ``(N,)``, mean length of the optical flow (DIS) from the frame before, in percent of the frame's longer
            side per second; 0 for the first frame.
        looks: ``(N, 576)``, colours and their arrangement, of length 1 each: the closer, the more alike.
    """

    sharpness: npt.NDArray[np.float64]
    motion: npt.NDArray[np.float64]
    looks: Vector


def measure(
    reader: VideoReader,
    frames: range | None = None,
    motion: bool = True,
    looks: bool = True,
    progress: Progress | None = None,
) -> FrameMeasures:
    """Measure consecutive frames of a video in one pass.

    Args:
        reader: an open video.
        frames: which; None: all.
        motion: measure motion, which takes most of the time; otherwise it is 0.
        looks: tell what frames look like, 2 kB each; otherwise there are no columns.
        progress: called with the frames that are done and the number of all.

    Raises:
        VideoError: a frame cannot be read.
    """
    frames = range(len(reader)) if frames is None else frames
    sharp, moving, seen = [], [], []
    flow = _Motion(reader.timestamps) if motion else None
    for number, frame in zip(frames, _read(reader, frames), strict=True):
        sharp.append(sharpness(frame))
        moving.append(flow.push(number, frame) if flow is not None else 0.0)
        seen.append(look(frame) if looks else np.zeros(0, np.float32))
        if progress is not None:
            progress(len(sharp), len(frames))
    return FrameMeasures(np.asarray(sharp, np.float64), np.asarray(moving, np.float64), np.stack(seen))


def sharpness(frame: Frame) -> float:
    """See :class:`FrameMeasures`; for one frame, uint8 RGB ``(H, W, 3)``."""
    import cv2

    return float(cv2.Laplacian(_grey(frame, _SHARPNESS_SIZE), cv2.CV_64F).var())


def look(frame: Frame) -> Vector:
    """See :class:`FrameMeasures`; for one frame, uint8 RGB ``(H, W, 3)``."""
    import cv2

    small = shrunk(frame, 128)
    levels = (small.reshape(-1, 3) // (256 // _COLOURS)).astype(np.int64)
    codes = (levels[:, 0] * _COLOURS + levels[:, 1]) * _COLOURS + levels[:, 2]
    # square roots, so that the inner product is Bhattacharyya's coefficient
    colours = np.sqrt(np.bincount(codes, minlength=_COLOURS**3) / len(codes))
    grid = cv2.resize(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    grey = np.asarray(grid, np.float64).ravel()
    grey = (grey - grey.mean()) / max(float(np.linalg.norm(grey - grey.mean())), 1.0)
    both = np.concatenate([colours, grey])
    return np.asarray(both / np.linalg.norm(both), np.float32)


class _Motion:
    def __init__(self, timestamps: Sequence[float] | npt.NDArray[np.float64]) -> None:
        import cv2

        self._times = timestamps
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._before: tuple[int, npt.NDArray[np.uint8]] | None = None

    def push(self, number: int, frame: Frame) -> float:
        now = _grey(frame, _MOTION_SIZE)
        before, self._before = self._before, (number, now)
        # DIS needs a few of its patches
        if before is None or min(now.shape) < 24:
            return 0.0
        flow = self._dis.calc(before[1], now, None)
        seconds = float(self._times[number] - self._times[before[0]])
        return float(np.linalg.norm(flow, axis=2).mean() / max(now.shape) * 100 / seconds)


def _read(reader: VideoReader, frames: range) -> Iterator[Frame]:
    for start in range(0, len(frames), 16):
        yield from reader.get(frames[start : start + 16])


def _grey(frame: Frame, size: int) -> npt.NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.cvtColor(shrunk(frame, size), cv2.COLOR_RGB2GRAY), np.uint8)


def shrunk(frame: Frame, size: int) -> Frame:
    """The frame with a longer side of at most ``size`` pixels."""
    import cv2

    height, width = frame.shape[:2]
    factor = size / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(frame)
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(frame, shape, interpolation=cv2.INTER_AREA), np.uint8)
