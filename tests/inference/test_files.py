"""Whole files: what comes out has the frames, times and sound of what went in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, FramewrightError, VideoError
from framewright.inference import Chunk, Context, NetworkMethod, process_file
from framewright.models.registry import create_model
from framewright.video import open_video, probe

STAMPS = [0, 40, 100, 120, 200, 333, 360, 400, 444, 520, 600, 610]
HEIGHT, WIDTH = 24, 32


def shade(number: int) -> int:
    return 20 + 18 * number


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve gray frames of growing brightness at uneven times, with a tone."""
    import av

    path = tmp_path / "source.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for number, stamp in enumerate(STAMPS):
            frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), shade(number), np.uint8), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for block in range(30):
            tone = np.sin(np.arange(1024)[None] * 0.05).astype(np.float32)
            part = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = 48000, block * 1024, Fraction(1, 48000)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    import av

    with av.open(str(path)) as container:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


class Own:
    """A method that does with the frames what a test wants."""

    name, source, weights_sha256, parameters, published = "own", "", None, None, ()

    def __init__(self, work: Any) -> None:
        self.work = work

    def fingerprint(self) -> Mapping[str, Any] | None:
        return None

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        return self.work(chunks)


CONTEXT = Context("super_resolution")


@pytest.mark.parametrize("chunk", [1, 5])
def test_times_and_sound_are_those_of_the_source(tmp_path: Path, video: Path, chunk: int) -> None:
    target = tmp_path / "large.mp4"
    told: list[tuple[int, int]] = []
    method = NetworkMethod("nearest", create_model("nearest", scale=2))
    run = process_file(
        method, video, target, Context("super_resolution", scale=2), chunk=chunk, progress=lambda *n: told.append(n)
    )
    assert (run.frames, run.size, run.path) == (len(STAMPS), (2 * HEIGHT, 2 * WIDTH), target)
    assert 0 < run.latency_p50 <= run.latency_p95 <= run.seconds
    assert told == [(number + 1, len(STAMPS)) for number in range(len(STAMPS))]
    with open_video(video) as before, open_video(target) as after:
        np.testing.assert_array_equal(after.timestamps, before.timestamps)
        frames = after.get(range(len(after)))
    levels = frames.reshape(len(frames), -1).mean(axis=1)
    np.testing.assert_allclose(levels, [shade(number) for number in range(len(STAMPS))], atol=3)
    assert sound_of(target) == sound_of(video)
    one, two = probe(video), probe(target)
    assert (one.colour, one.time_base, one.audio) == (two.colour, two.time_base, two.audio)


def test_results_may_come_late_and_in_other_pieces(tmp_path: Path, video: Path) -> None:
    def all_at_once(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        yield Chunk(0, torch.cat([chunk.frames for chunk in chunks]))

    run = process_file(Own(all_at_once), video, tmp_path / "new.mkv", CONTEXT)
    assert run.frames == len(open_video(tmp_path / "new.mkv")) == len(STAMPS)


def fails(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if chunk.start == 6:
            raise FramewrightError("broken")
        yield chunk


def forgets(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if chunk.start < 6:
            yield chunk


def skips(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if chunk.start != 6:
            yield chunk


def grows(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        yield Chunk(chunk.start, chunk.frames.repeat(1, 1, 1 + chunk.start // 6, 1))


@pytest.mark.parametrize(
    ("work", "error", "says"),
    [
        (fails, FramewrightError, "broken"),
        (forgets, ValueError, "returned 6 of the 12 frames"),
        (skips, ValueError, "returned frame 7"),
        (grows, ValueError, "32x48, expected frame 6 of 12 of 32x24"),
        (lambda chunks: iter(()), ValueError, "returned none of the 12 frames"),
    ],
)
def test_a_failing_method_leaves_nothing(
    tmp_path: Path, video: Path, work: Any, error: type[Exception], says: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    old = folder / "old.mp4"
    old.write_bytes(b"what was there")
    for target in (folder / "new.mp4", old):
        with pytest.raises(error, match=says):
            process_file(Own(work), video, target, CONTEXT)
    assert [path.name for path in folder.iterdir()] == ["old.mp4"]
    assert old.read_bytes() == b"what was there"


def test_the_source_is_never_overwritten(tmp_path: Path, video: Path) -> None:
    before = video.read_bytes()
    other = tmp_path / "other.mp4"
    os.link(video, other)
    for target in (video, tmp_path / "x" / ".." / video.name, other):
        with pytest.raises(ConfigError, match="overwrite"):
            process_file(Own(iter), video, target, CONTEXT)
    assert video.read_bytes() == before


def test_what_cannot_be_written_is_said(tmp_path: Path, video: Path) -> None:
    with pytest.raises(ConfigError, match="makes 11 frames of the 12"):
        process_file(Own(iter), video, tmp_path / "new.mp4", Context("interpolation"))
    with pytest.raises(VideoError, match="suffixes"):
        process_file(Own(iter), video, tmp_path / "new.gif", CONTEXT)
    with pytest.raises(VideoError, match="folder"):
        process_file(Own(iter), video, tmp_path, CONTEXT)
    with pytest.raises(ConfigError, match="at least 1"):
        process_file(Own(iter), video, tmp_path / "new.mp4", CONTEXT, chunk=0)


KILLED = """
import sys, time
from framewright.inference import Context, NetworkMethod, process_file
from framewright.models.registry import create_model
def wait(done, total):
    print(done, flush=True)
    if done == 4:
        time.sleep(60)
method = NetworkMethod("nearest", create_model("nearest", scale=2))
process_file(method, sys.argv[1], sys.argv[2], Context("super_resolution"), progress=wait)
"""


def test_a_killed_process_leaves_no_file_of_that_name(tmp_path: Path, video: Path) -> None:
    target = tmp_path / "out" / "large.mp4"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(video), str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == b"4":
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not target.exists()
