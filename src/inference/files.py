"""A video file through a method into a new video file, frame by frame."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..core.errors import ConfigError, VideoError
from ..core.memory import keep_large_blocks_apart
from ..ops.resize import to_8bit
from ..video import VideoReader, VideoWriter, open_video
from .method import Chunk, Context, Method

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FileRun:
    """What :func:`process_file` has done.

    Attributes:
        path: the file that was written.
        frames: how many frames it has.
        size: their height and width, without the padding of odd sizes.
        seconds: of the whole run, from opening the source to the finished file.
        latency_p50, latency_p95: percentiles over the frames of the seconds from the beginning of a frame's decoding
            until the encoder has taken its result.
    """

    path: Path
    frames: int
    size: tuple[int, int]
    seconds: float
    latency_p50: float
    latency_p95: float

    @property
    def frames_per_second(self) -> float:
        """Frames over the seconds of the whole run."""
        return self.frames / self.seconds


def process_file(
    method: Method,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    context: Context,
    *,
    crf: int = 16,
    chunk: int = 1,
    progress: Progress | None = None,
) -> FileRun:
    """Run a method over a video and write the result as a video.

    Frames are decoded, processed and encoded as they come, so that memory does not grow with the length of the video.
    Frame i is shown when frame i of the source is (of variable rate too); sound, subtitles, chapters, colour tags,
    rotation and aspect are the source's. The size is whatever the method makes. The target has its name only when it is
    complete; an older file of that name stays as it was until then.

    Args:
        method: gives a frame for every frame.
        source: a video file or a folder of frames.
        target: file to write: mp4, m4v, mov or mkv.
        context: what the method is asked to do.
        crf: quality of H.264, 0 (best) to 51.
        chunk: frames decoded at a time; with 1 no frame waits for another one unless the method lets it wait.
        progress: called with the frames written so far and the frames of the source.

    Raises:
        ConfigError: the target is the source, ``chunk`` is below 1, or the task has not one result for every frame.
        VideoError: the source cannot be read, the target cannot be written, or a stream does not fit into it.
        ValueError: the method returned frames in another order, of changing size, or not as many as it should.
    """
    if chunk < 1:
        raise ConfigError(f"a chunk has at least 1 frame, got {chunk}")
    check_places(Path(source), Path(target))
    keep_large_blocks_apart(2**17)
    begun = time.perf_counter()
    with open_video(source, access="stream") as reader:
        total = len(reader)
        if context.output_frames(total) != total:
            raise ConfigError(
                f"{context.task} makes {context.output_frames(total)} frames of the {total} of {str(source)!r}; a file "
                "is made with one for each, at the same time"
            )
        starts: dict[int, float] = {}
        results = method.process(_decoded(reader, chunk, starts), context)
        first = next(results, None)
        if first is None:
            raise ValueError(f"method {method.name!r} returned none of the {total} frames of {str(source)!r}")
        size = (int(first.frames.shape[2]), int(first.frames.shape[3]))
        latencies: list[float] = []
        with VideoWriter(target, size=size, crf=crf, source=reader) as writer:
            for made in _one_by_one(first, results):
                if made.start != writer.count or writer.count == total or tuple(made.frames.shape[2:]) != size:
                    raise ValueError(
                        f"method {method.name!r} returned frame {made.start} of {_shown(made)}, expected frame "
                        f"{writer.count} of {total} of {size[1]}x{size[0]} (width x height)"
                    )
                writer.write(to_8bit(made.frames).permute(0, 2, 3, 1).contiguous().cpu().numpy())
                # a method may look at later frames only once it has given this one, but not give it before it came
                latencies.append(time.perf_counter() - starts.pop(made.start))
                if progress is not None:
                    progress(writer.count, total)
            if writer.count < total:
                raise ValueError(
                    f"method {method.name!r} returned {writer.count} of the {total} frames of {str(source)!r}"
                )
    p50, p95 = (float(value) for value in np.percentile(latencies, (50, 95)))
    return FileRun(Path(target), total, size, time.perf_counter() - begun, p50, p95)


def check_places(source: Path, target: Path) -> None:
    same = source.resolve() == target.resolve()
    if not same and source.exists() and target.exists():
        same = source.samefile(target)
    if same:
        raise ConfigError(f"the result would overwrite the video that it is made of: {str(target)!r}")
    if target.is_dir():
        raise VideoError(f"cannot write {str(target)!r}: it is a folder")


def _decoded(reader: VideoReader, chunk: int, starts: dict[int, float]) -> Iterator[Chunk]:
    """The frames of a video, noting for each when its decoding began."""
    for start in range(0, len(reader), chunk):
        indices = range(start, min(start + chunk, len(reader)))
        starts.update(dict.fromkeys(indices, time.perf_counter()))
        frames = torch.from_numpy(reader.get(indices)).permute(0, 3, 1, 2)
        yield Chunk(start, frames.to(torch.float32).div_(255))


def _one_by_one(first: Chunk | None, results: Iterator[Chunk]) -> Iterator[Chunk]:
    """Chunks of one frame each, so that never more than one is held in 8 bits as well."""
    while first is not None:
        for place in range(len(first)):
            yield Chunk(first.start + place, first.frames[place : place + 1])
        first = next(results, None)


def _shown(chunk: Chunk) -> str:
    return f"{chunk.frames.shape[3]}x{chunk.frames.shape[2]}"
