"""Running a pipeline over a file: decoding, computing and encoding overlap, and finished segments are kept.

A video is cut into segments of the source. Each is computed by itself, with so many frames around it as the stages look
at, and encoded into a file of its own; at the end the files are joined without encoding anything again. An interrupted
run is continued at the first segment that is missing; because no segment depends on how the others were computed, the
result is that of an uninterrupted run.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.files import sha256_file, sha256_tree
from ..core.memory import keep_large_blocks_apart
from ..inference.ahead import ahead
from ..inference.files import check_places
from ..inference.method import Chunk
from ..ops.resize import to_8bit
from ..video import VideoReader, open_video
from ..video.encoding import Encoding
from ..video.segments import SegmentWriter, join_segments
from ..video.source import read_source
from .pipeline import Pipeline
from .stage import TIME, Settings
from .timeline import Timeline
from .work import WorkFolder

Progress = Callable[[int, int], None]
Overlap = Literal["none", "files", "stages"]

Item = TypeVar("Item")

_POLL_SECONDS = 0.01
_CHUNK = 4
_ENCODED_AHEAD = 8


@dataclass(frozen=True)
class Execution:
    """How a pipeline is run.

    Attributes:
        encoding: of the output.
        overlap: ``files``: decoding, computing and encoding each in a thread of its own; ``stages``: every stage too;
            ``none``: one after the other.
        segment: frames of the source in a segment; None: chosen by how far the stages look.
        progress: called with the frames that are done and all frames.
        note: called with lines for people.
    """

    encoding: Encoding = field(default_factory=Encoding)
    overlap: Overlap = "files"
    segment: int | None = None
    progress: Progress | None = None
    note: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class EditRun:
    """What :func:`run_pipeline` has done.

    Attributes:
        source, target: the files.
        frames: of the target.
        size: height and width of its frames.
        seconds: of this run.
        reused: frames that an interrupted run had finished.
        timeline: of decoding, stages and encoding.
    """

    source: Path
    target: Path
    frames: int
    size: tuple[int, int]
    seconds: float
    reused: int
    timeline: Timeline


class _Frame(NamedTuple):
    segment: int
    time: float
    pixels: NDArray[np.uint8]


def run_pipeline(
    pipeline: Pipeline, source: Path, target: Path, settings: Settings, execution: Execution | None = None
) -> EditRun:
    """Run a pipeline over a video and write the result.

    Sound, subtitles, chapters, tags, rotation and aspect are the source's, and so are the times of its frames. The
    target has its name only when it is complete. What an interrupted run has finished lies in ``.<target>.work`` beside
    it and is used by the next run of the same input, configuration and weights.

    Args:
        pipeline: what to do.
        source: video file or folder of frames.
        target: file to write.
        settings: where to compute.
        execution: how to write and to overlap.

    Raises:
        ConfigError: the target is the source, or cannot hold the codec.
        VideoError: the source cannot be read, or the target not be written.
        FramewrightError: anything that a stage cannot do.
    """
    execution = execution or Execution()
    begun = time.perf_counter()
    check_places(source, target)
    execution.encoding.check_suffix(target)
    keep_large_blocks_apart()
    with open_video(source, access="stream") as reader:
        pipeline.check(reader)
        plan = _plan(pipeline, reader, settings, execution)
        pipeline.load(settings)
        run = _Run(pipeline, reader, target, settings, execution)
        with WorkFolder(target, plan) as work:
            reused = run.prepare_and_write(work)
            with run.timeline.span("join"):
                join_segments(
                    [work.segment(number) for number in range(len(run.segments))],
                    target,
                    run.source,
                    run.times(),
                    run.source.info.time_base / pipeline.factor,
                )
    return EditRun(source, target, run.total, run.size, time.perf_counter() - begun, reused, run.timeline)


def _plan(pipeline: Pipeline, reader: VideoReader, settings: Settings, execution: Execution) -> dict[str, Any]:
    source = reader.path
    encoding = execution.encoding
    return {
        "input": sha256_tree(source) if source.is_dir() else sha256_file(source),
        "frames": len(reader),
        "segment": execution.segment,
        "encoding": [encoding.codec, encoding.quality, encoding.format, encoding.speed],
        "settings": [settings.device.type, settings.precision, settings.compile],
        **pipeline.fingerprint(),
    }


class _Run:
    def __init__(
        self, pipeline: Pipeline, reader: VideoReader, target: Path, settings: Settings, execution: Execution
    ) -> None:
        self.pipeline, self.reader, self.settings, self.execution = pipeline, reader, settings, execution
        self.target = target
        self.source = read_source(reader)
        self.timeline = Timeline()
        self.segments = pipeline.segments(len(reader), execution.segment)
        self.total = pipeline.output_frames(len(reader))
        self.size = (0, 0)
        self._threads: list[Generator[Any, None, None]] = []

    def times(self) -> list[float]:
        """Seconds at which each frame of the result is shown."""
        factor, stamps = self.pipeline.factor, self.reader.timestamps
        places = np.arange(self.total) / factor
        return [float(x) for x in np.interp(places, np.arange(len(stamps)), stamps)]

    def frames_of(self, segment: range) -> int:
        """Frames that come out of a segment."""
        last = segment.stop == len(self.reader)
        return (len(segment) - last) * self.pipeline.factor + last

    def prepare_and_write(self, work: WorkFolder) -> int:
        """Write all segments that are missing; returns how many frames were there already."""
        try:
            self._prepare(work)
            return self._write(work)
        finally:
            self._stop()

    def _ahead(self, items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
        made = ahead(items, depth)
        assert isinstance(made, Generator)
        self._threads.append(made)
        return made

    def _stop(self) -> None:
        """End all threads before what they read from is closed, whatever has happened.

        One that another one is waiting for cannot be ended yet; it can as soon as that one has.
        """
        while self._threads:
            self._threads = [thread for thread in self._threads if not _ended(thread)]

    def _write(self, work: WorkFolder) -> int:
        missing = [number for number in range(len(self.segments)) if not work.segment(number).exists()]
        done = reused = self.total - sum(self.frames_of(self.segments[number]) for number in missing)
        if reused:
            self.execution.note(f"continuing an interrupted run: {reused} of {self.total} frames are done")
            with open_video(work.segment(next(n for n in range(len(self.segments)) if n not in missing))) as first:
                self.size = first.size
        self._report(done)
        frames = self._computed(missing)
        if self.execution.overlap != "none":
            frames = self._ahead(frames, _ENCODED_AHEAD)
        for number in missing:
            # not one more than it has: a segment is finished whatever happens to the next one
            count = self.frames_of(self.segments[number])
            self._encode(work.segment(number), number, itertools.islice(frames, count), done)
            done += count
        if next(frames, None) is not None:
            raise ValueError(f"the pipeline {self.pipeline.name!r} made more than {self.total} frames")
        return reused

    def _encode(self, path: Path, number: int, frames: Iterator[_Frame], done: int) -> None:
        first = next(frames, None)
        if first is None:
            raise ValueError(f"the pipeline {self.pipeline.name!r} made none of the frames of segment {number}")
        self.size = (first.pixels.shape[0], first.pixels.shape[1])
        rate = self.source.fps * self.pipeline.factor
        with SegmentWriter(path, self.execution.encoding, self.size, rate, self.source) as writer:
            for frame in itertools.chain([first], frames):
                if frame.segment != number:
                    raise ValueError(f"the pipeline {self.pipeline.name!r} made too few frames of segment {number}")
                with self.timeline.span("encode"):
                    writer.write(frame.pixels[None])
                self._report(done + writer.count)
            if writer.count != self.frames_of(self.segments[number]):
                raise ValueError(f"the pipeline {self.pipeline.name!r} made too few frames of segment {number}")

    def _report(self, done: int) -> None:
        if self.execution.progress is not None:
            self.execution.progress(done, self.total)

    def _computed(self, numbers: Sequence[int]) -> Iterator[_Frame]:
        """The results of the segments, frame by frame in 8 bits."""
        back, forward = self.pipeline.reach()
        ranges = []
        for number in numbers:
            segment = self.segments[number]
            start = 0 if back is None else max(0, segment.start - back)
            # the frame after the last one: retiming needs it
            ranges.append((number, range(start, min(len(self.reader), segment.stop + forward))))
        for number, chunks in self._decoded(ranges):
            segment = self.segments[number]
            stamps = self.reader.timestamps
            begin = float(stamps[segment.start])
            end = float(stamps[segment.stop]) if segment.stop < len(stamps) else float("inf")
            for chunk in self._chain(chunks, len(self.pipeline.stages)):
                for frame, shown in zip(chunk.frames, chunk.extras[TIME].tolist(), strict=True):
                    if begin <= shown < end:
                        with self.timeline.span("compute"):
                            pixels = to_8bit(frame[None]).permute(0, 2, 3, 1)[0].contiguous().cpu().numpy()
                        yield _Frame(number, shown, pixels)

    def _chain(self, chunks: Iterator[Chunk], stages: int) -> Iterator[Chunk]:
        for stage in self.pipeline.stages[:stages]:
            chunks = self.timeline.track(stage.name, stage.run(chunks, self.settings))
            if self.execution.overlap == "stages":
                chunks = self.timeline.track("wait", self._ahead(chunks, 2))
        return chunks

    def _decoded(self, ranges: Sequence[tuple[int, range]]) -> Iterator[tuple[int, Iterator[Chunk]]]:
        """For each number the chunks of its frames; all are decoded by one thread, in order."""

        def decode() -> Iterator[tuple[int, Chunk]]:
            for number, frames in ranges:
                for start in range(frames.start, frames.stop, _CHUNK):
                    indices = range(start, min(start + _CHUNK, frames.stop))
                    levels = torch.from_numpy(self.reader.get(indices)).permute(0, 3, 1, 2)
                    shown = torch.from_numpy(self.reader.timestamps[indices.start : indices.stop].copy())
                    yield number, Chunk(start, levels.to(torch.float32).div_(255), {TIME: shown})

        chunks: Iterator[tuple[int, Chunk]] = self.timeline.track("decode", decode())
        if self.execution.overlap != "none":
            chunks = self.timeline.track("wait", self._ahead(chunks, 2))
        for number, group in itertools.groupby(chunks, key=lambda item: item[0]):
            yield number, (chunk for _, chunk in group)

    def _prepare(self, work: WorkFolder) -> None:
        """Let the stages that ask for it look through the whole video, unless an earlier run has done so."""
        for place, stage in enumerate(self.pipeline.stages):
            if not stage.prepares:
                continue
            name = f"prepared_{place}"
            folder = work.folder(name)
            if not work.is_done(name):
                self.execution.note(f"{stage.name}: looking through the video")
                for _, chunks in self._decoded([(0, range(len(self.reader)))]):
                    with self.timeline.span(f"{stage.name} (before)"):
                        stage.prepare(self._chain(chunks, place), folder, self.settings)
                work.mark_done(name)
            stage.prepared(folder)


def _ended(thread: Generator[Any, None, None]) -> bool:
    """End a thread; False while another thread is waiting for its next item."""
    try:
        thread.close()
    except ValueError:
        # generator already executing
        time.sleep(_POLL_SECONDS)
        return False
    return True
