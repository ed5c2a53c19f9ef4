"""The shots of a video."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

from pydantic import Field

from ...core.config import Section
from ...ops.shots import AdaptiveDetector, ContentDetector, ContentScore, CutDetector
from ...video import VideoReader

Progress = Callable[[int, int], None]


class Shot(NamedTuple):
    """Consecutive frames without a cut.

    Attributes:
        first, stop: its frames are ``first`` to ``stop - 1``.
        start, end: in seconds on the clock of ``reader.timestamps``; it ends where the next begins.
    """

    first: int
    stop: int
    start: float
    end: float

    def __len__(self) -> int:
        return self.stop - self.first


class ShotSettings(Section):
    """How cuts are found, see :mod:`framewright.ops.shots`.

    Attributes:
        detector: ``adaptive`` forgives fast pans, ``content`` has a fixed threshold, ``none`` takes the whole video
            as one shot.
        threshold: of ``content``: score from 0 to 255.
        flashes: of ``content``: what becomes of cuts in quick succession, ``merge`` or ``suppress``.
        ratio: of ``adaptive``: how far a score has to stand out from those around it.
        window: of ``adaptive``: frames on each side that it is compared with.
        min_score: of ``adaptive``: score that a cut has at least.
        min_length: frames that a shot has at least.
        size: longer side in pixels to which frames are shrunk before they are judged; null: none are.
    """

    detector: Literal["adaptive", "content", "none"] = "adaptive"
    threshold: float = Field(default=27.0, ge=0, le=255)
    flashes: Literal["merge", "suppress"] = "merge"
    ratio: float = Field(default=3.0, ge=0)
    window: int = Field(default=2, ge=1)
    min_score: float = Field(default=15.0, ge=0, le=255)
    min_length: int = Field(default=15, ge=0)
    size: int | None = Field(default=256, ge=1)

    def create(self) -> CutDetector | None:
        """A new detector; None where there is nothing to detect."""
        score = ContentScore(size=self.size)
        if self.detector == "content":
            return ContentDetector(self.threshold, self.min_length, self.flashes, score)
        if self.detector == "adaptive":
            return AdaptiveDetector(self.ratio, self.min_length, self.window, self.min_score, score)
        return None


class FoundShots(NamedTuple):
    """The shots of a video, and the score of every frame (empty without a detector)."""

    shots: list[Shot]
    scores: list[float]


def find_shots(
    reader: VideoReader, settings: ShotSettings | None = None, progress: Progress | None = None
) -> FoundShots:
    """Find the shots of a video in one pass; together they are the whole video.

    Args:
        reader: an open video.
        settings: None: the defaults, PySceneDetect's adaptive detector.
        progress: called with the frames that are done and the number of all.

    Raises:
        VideoError: a frame cannot be read.
    """
    detector = (settings or ShotSettings()).create()
    if detector is None:
        return FoundShots(shots_between(reader, []), [])
    cuts: list[int] = []
    scores: list[float] = []
    for frames in reader.iterate():
        for frame in frames:
            cuts += detector.push(frame)
            scores.append(detector.latest)
        if progress is not None:
            progress(detector.count, len(reader))
    return FoundShots(shots_between(reader, cuts), scores)


def shots_between(reader: VideoReader, cuts: list[int]) -> list[Shot]:
    """The shots that a list of cuts (first frames of shots but the first, increasing) divides a video into."""
    end = end_of(reader)
    times = [float(time) for time in reader.timestamps] + [end]
    return [Shot(first, stop, times[first], times[stop]) for first, stop in pairwise([0, *cuts, len(reader)])]


def end_of(reader: VideoReader) -> float:
    """The time in seconds at which the last frame of a video ends, on the clock of ``reader.timestamps``."""
    return float(reader.timestamps[0]) + reader.probe().duration
