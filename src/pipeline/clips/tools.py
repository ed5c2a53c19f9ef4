"""What the command can do; each tool is its options, and how it uses them. See docs/clips.md."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from ...core.config import Section
from ...core.errors import ConfigError, DataError
from ...core.files import make_directory, write_json, write_text
from ...video import VideoReader, VideoWriter, open_video, write_image
from ...video.writer import CONTAINER_SUFFIXES
from .keyframes import Choice, contact_sheet, find_key_frames
from .measures import measure, shrunk
from .resample import Between, resample
from .select import select_clips
from .shots import Progress, Shot, ShotSettings, find_shots
from .sync import Alignment, align_audio, align_frames, align_timestamps


class Tool(Section, ABC):
    """What all tools have.

    Attributes:
        input: a video file or a folder of frames.
        out: a folder, which is made.
    """

    input: Path
    out: Path

    @abstractmethod
    def run(self, progress: Progress | None) -> str:
        """Do the work and write the results; one line about them."""


class ShotsTool(Tool, ShotSettings):
    """Find the shots of a video: shots.json, shots.csv and scores.csv.

    Attributes:
        cut: write each shot as a video with its sound.
        crf: x264's quality of these, 0 (best) to 51.
    """

    cut: bool = False
    crf: int = Field(default=16, ge=0, le=51)

    def run(self, progress: Progress | None) -> str:
        with open_video(self.input) as reader:
            found = find_shots(reader, _shots(self), progress)
            rows = [{"shot": number, **shot._asdict()} for number, shot in enumerate(found.shots)]
            _write_table(self.out, "shots", reader, rows, "shots")
            if found.scores:
                scores = ({"frame": frame, "score": round(score, 4)} for frame, score in enumerate(found.scores))
                write_text(self.out / "scores.csv", _csv(scores))
            if self.cut:
                for number, shot in enumerate(found.shots):
                    _cut(reader, shot.first, shot.stop, shot.end, self.out / f"shot_{number:03d}", self.crf)
            return f"{len(found.shots)} shots of {len(reader)} frames: {self.out}"


class KeyframesTool(Tool, ShotSettings):
    """Choose key frames of every shot: PNG images, keyframes.json, keyframes.csv and a contact sheet, sheet.png.

    Attributes:
        choice: representative, sharpest or middle.
        count: for each shot.
    """

    choice: Choice = "representative"
    count: int = Field(default=1, ge=1)

    def run(self, progress: Progress | None) -> str:
        with open_video(self.input) as reader:
            shots = _found(reader, self, progress)
            chosen = find_key_frames(reader, shots, self.choice, self.count, progress)
            rows: list[dict[str, Any]] = []
            pictures, labels = [], []
            for key in chosen:
                name = f"shot_{key.shot:03d}_frame_{key.frame:06d}.png"
                picture = reader.get([key.frame])[0]
                write_image(make_directory(self.out) / name, picture)
                pictures.append(shrunk(picture, 240))
                labels.append(f"shot {key.shot}  frame {key.frame}  {key.time:.2f} s")
                rows.append({**key._asdict(), "sharpness": _finite(key.sharpness), "file": name})
            _write_table(self.out, "keyframes", reader, rows, "key_frames")
            write_image(self.out / "sheet.png", contact_sheet(pictures, labels))
            return f"{len(chosen)} key frames of {len(shots)} shots: {self.out}"


class SelectTool(Tool, ShotSettings):
    """Choose clips by motion and sharpness: clips.json and clips.csv.

    Attributes:
        seconds: length of a clip.
        clips: how many at most.
        min_motion, max_motion: mean motion in percent of the frame's longer side per second.
        min_sharpness: that nine tenths of a clip's frames must reach.
        cut: write each clip as a video with its sound.
        crf: x264's quality of these, 0 (best) to 51.
    """

    seconds: float = Field(default=2.0, gt=0)
    clips: int = Field(default=10, ge=1)
    min_motion: float = Field(default=0.0, ge=0)
    max_motion: float = Field(default=float("inf"), ge=0)
    min_sharpness: float = Field(default=0.0, ge=0)
    cut: bool = False
    crf: int = Field(default=16, ge=0, le=51)

    def run(self, progress: Progress | None) -> str:
        with open_video(self.input) as reader:
            shots = _found(reader, self, progress)
            measures = measure(reader, looks=False, progress=progress)
            bounds = (self.min_motion, self.max_motion)
            chosen = select_clips(reader, shots, measures, self.seconds, self.clips, bounds, self.min_sharpness)
            _write_table(self.out, "clips", reader, [clip._asdict() for clip in chosen], "clips")
            if self.cut:
                for number, clip in enumerate(chosen):
                    _cut(reader, clip.first, clip.stop, clip.end, self.out / f"clip_{number:03d}", self.crf)
            return f"{len(chosen)} clips: {self.out}"


class SyncTool(Tool):
    """Find how a second video goes together with the first: sync.json, and pairs.csv with frame for frame.

    Attributes:
        second: the second video.
        by: audio, frames, warp (frames, of a video that runs at another pace) or timestamps.
        offset: of timestamps: seconds to add to a time of the first video to have that of the second.
        max_offset: of audio and frames: largest offset of either sign in seconds.
        min_confidence: less than this is an error.
        write: also write second.mp4: the frames of the second video that belong to those of the first, at their times.
        crf: x264's quality of it, 0 (best) to 51.
    """

    second: Path
    by: Literal["audio", "frames", "warp", "timestamps"] = "audio"
    offset: float = 0.0
    max_offset: float | None = Field(default=None, gt=0)
    min_confidence: float = Field(default=0.2, ge=0, le=1)
    write: bool = False
    crf: int = Field(default=16, ge=0, le=51)

    def run(self, progress: Progress | None) -> str:
        with open_video(self.input) as first, open_video(self.second) as second:
            found = self._align(first, second, progress)
            if found.confidence < self.min_confidence:
                raise DataError(
                    f"{str(self.input)!r} and {str(self.second)!r} do not go together by {self.by}: the best offset, "
                    f"{found.offset:.3f} s, has confidence {found.confidence:.2f}, less than {self.min_confidence}"
                )
            rows = []
            for frame, other in enumerate(found.pairs.tolist()):
                there = {"second": other, "second_time": float(second.timestamps[other])} if other >= 0 else {}
                rows.append({"first": frame, "first_time": float(first.timestamps[frame]), **there})
            make_directory(self.out)
            write_text(self.out / "pairs.csv", _csv(rows, ("first", "first_time", "second", "second_time")))
            matched = int((found.pairs >= 0).sum())
            write_json(
                self.out / "sync.json",
                {
                    "first": str(self.input),
                    "second": str(self.second),
                    "by": self.by,
                    "offset": found.offset,
                    "confidence": round(found.confidence, 4),
                    "frames": len(first),
                    "matched": matched,
                },
            )
            if self.write:
                _write_second(first, second, found, self.out / "second.mp4", self.crf)
            return (
                f"offset {found.offset:+.4f} s (confidence {found.confidence:.2f}), {matched} of {len(first)} frames "
                f"matched: {self.out}"
            )

    def _align(self, first: VideoReader, second: VideoReader, progress: Progress | None) -> Alignment:
        if self.by == "timestamps":
            return align_timestamps(first, second, self.offset)
        if "offset" in self.model_fields_set:
            raise ConfigError(f"offset={self.offset:g} means nothing with by={self.by}; it belongs to by=timestamps")
        if self.by == "audio":
            return align_audio(first, second, self.max_offset)
        return align_frames(first, second, self.by == "warp", self.max_offset, progress=progress)


class ResampleTool(Tool, ShotSettings):
    """Write a video at a constant frame rate; ``out`` is the file.

    Attributes:
        fps: frames per second, as a number or a fraction (30000/1001).
        between: what is shown between old frames: nearest, blend or flow.
        network: of flow: an interpolation method by name, a weight file or a run folder.
        device: of flow.
        crf: x264's quality, 0 (best) to 51.
    """

    fps: Fraction = Field(gt=0)
    between: Between = "nearest"
    network: str = "dis_warp"
    device: str = "cpu"
    crf: int = Field(default=16, ge=0, le=51)

    @field_validator("fps", mode="before")
    @classmethod
    def _a_rate(cls, value: object) -> Fraction:
        try:
            return Fraction(str(value)).limit_denominator(1001)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"expected a number or a fraction such as 30000/1001, got {str(value)!r}") from None

    def run(self, progress: Progress | None) -> str:
        count = resample(
            self.input,
            self.out,
            self.fps,
            self.between,
            self.network,
            _shots(self),
            self.device,
            self.crf,
            progress,
        )
        return f"{count} frames at {self.fps} fps: {self.out}"


TOOLS: Mapping[str, type[Tool]] = {
    "shots": ShotsTool,
    "keyframes": KeyframesTool,
    "select": SelectTool,
    "sync": SyncTool,
    "resample": ResampleTool,
}


def _shots(tool: ShotSettings) -> ShotSettings:
    return ShotSettings(**{key: getattr(tool, key) for key in ShotSettings.model_fields})


def _found(reader: VideoReader, tool: ShotSettings, progress: Progress | None) -> list[Shot]:
    return find_shots(reader, _shots(tool), progress).shots


def _write_table(folder: Path, name: str, reader: VideoReader, rows: list[dict[str, Any]], key: str) -> None:
    make_directory(folder)
    write_json(
        folder / f"{name}.json",
        {"video": str(reader.path), "frames": len(reader), "fps": str(reader.fps), key: rows},
    )
    write_text(folder / f"{name}.csv", _csv(rows))


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    listed = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or (list(listed[0]) if listed else []), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()


def _finite(value: float) -> float | None:
    return value if value == value else None


def _cut(reader: VideoReader, first: int, stop: int, end: float, stem: Path, crf: int) -> None:
    """Write frames ``first`` to ``stop - 1`` with the sound that goes with them."""
    # into a container like the source's, or into one that holds any sound and subtitles
    known = "mp4" if reader.probe().container == "folder" else "mkv"
    suffix = reader.path.suffix.lower()
    path = stem.with_suffix(suffix if suffix in CONTAINER_SUFFIXES else f".{known}")
    if path.resolve() == reader.path.resolve():
        raise ConfigError(f"the result would overwrite the video that it is made of: {str(path)!r}")
    span = (float(reader.timestamps[first]), end)
    with VideoWriter(path, source=reader, span=span, crf=crf) as writer:
        for start in range(first, stop, 16):
            numbers = range(start, min(start + 16, stop))
            writer.write(reader.get(numbers), [float(reader.timestamps[number]) for number in numbers])


def _write_second(first: VideoReader, second: VideoReader, found: Alignment, path: Path, crf: int) -> None:
    """The second video in step with the first; before its start and after its end its nearest frame stands still."""
    known = [number for number in found.pairs.tolist() if number >= 0]
    if not known:
        raise DataError(f"no frame of {str(second.path)!r} goes with one of {str(first.path)!r}")
    latest = known[0]
    shown = []
    for number in found.pairs.tolist():
        latest = number if number >= 0 else latest
        shown.append(latest)
    with VideoWriter(path, source=first, size=second.size, crf=crf, keep=()) as writer:
        for start in range(0, len(shown), 16):
            writer.write(second.get(shown[start : start + 16]))
