"""A video enlarged four times through a file: frames, times, sound, speed and memory; run by hand.

``python perf/super_resolution.py <video> <weights> [--frames 60] [--threads 1] [--precision 32-true]`` runs ``srvgg``
with such weights (``realesr-animevideov3.pth``) over the video, checks that the new file has its number of frames, its
time stamps and its packets of sound, and prints frames/s, latency per frame and the peak of memory. ``--frames``
takes the first of them only.

``--memory`` measures whether memory grows: the middle 160x120 pixels of the video, once and ten times in a row
(``--loops 1 10``), each in a fresh process after a warm-up. Memory is read from Linux.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anonymous import Peak, anonymous
from framewright.core.files import atomic_path
from framewright.inference import Context, NetworkMethod, process_file
from framewright.models.registry import create_model
from framewright.video import VideoWriter, open_video

CROP = (120, 160)
WARM_UP = 48


def cut(source: Path, target: Path, frames: int) -> Path:
    """The first frames of a video with the sound until then, packet by packet; the whole file for 0 frames."""
    if frames == 0:
        return source
    import av

    with open_video(source) as reader:
        times = reader.timestamps
    end = times[frames] if frames < len(times) else np.inf
    with atomic_path(target) as temporary, av.open(str(source)) as old, av.open(str(temporary), "w") as new:
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size and packet.pts * packet.time_base < end:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return target


def loops(source: Path, target: Path, count: int, limit: int | None = None) -> Path:
    """The middle of a video several times in a row, without sound."""
    with open_video(source) as reader, VideoWriter(target, reader.fps, CROP) as writer:
        top, left = ((side - part) // 2 for side, part in zip(reader.size, CROP, strict=True))
        for _ in range(count):
            for frames in reader.iterate():
                part = frames[:, top : top + CROP[0], left : left + CROP[1]]
                if limit is not None:
                    part = part[: limit - writer.count]
                if len(part):
                    writer.write(np.ascontiguousarray(part))
    return target


def sound(path: Path) -> list[tuple[Any, bytes]]:
    """Time and bytes of all packets of sound."""
    import av

    with av.open(str(path)) as container:
        streams = container.streams.audio
        packets = container.demux(*streams) if streams else iter(())
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size]


def measure(arguments: argparse.Namespace, source: Path, target: Path, warm_up: Path | None) -> dict[str, Any]:
    """Run one file in this process."""
    torch.set_num_threads(arguments.threads)
    method = NetworkMethod("srvgg", create_model("srvgg", arguments.weights))
    context = Context("super_resolution", precision=arguments.precision)
    if warm_up is not None:
        process_file(method, warm_up, target, context)
    before = anonymous()
    with Peak() as found:
        run = process_file(method, source, target, context)
    return {
        "frames": run.frames,
        "size": run.size,
        "fps": run.frames_per_second,
        "p50": run.latency_p50,
        "p95": run.latency_p95,
        "before": before,
        "peak": found.megabytes,
    }


def check(source: Path, target: Path) -> str:
    """That the new file has the frames, times and sound of the old one; AssertionError if not."""
    with open_video(source) as old, open_video(target) as new:
        assert len(old) == len(new), f"{len(old)} frames became {len(new)}"
        assert np.array_equal(old.timestamps, new.timestamps), "the times differ"
        enlarged = tuple(4 * side for side in old.size)
        assert new.size == enlarged, f"{new.size} instead of {enlarged}"
        count = len(new)
    packets = sound(source)
    assert packets == sound(target), "the sound differs"
    return f"{count} frames with equal times, {len(packets)} equal packets of sound"


def apart(arguments: argparse.Namespace, *files: Path) -> dict[str, Any]:
    """:func:`measure` in a fresh process."""
    options = ["--threads", str(arguments.threads), "--precision", arguments.precision]
    command = [sys.executable, __file__, str(arguments.video), str(arguments.weights), *options]
    command += ["--here", *(str(file) for file in files)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--frames", type=int, default=0, help="the first of them; 0: all")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--loops", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--keep", type=Path, help="where the large video is kept")
    parser.add_argument("--here", type=Path, nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        source, target, *warm_up = arguments.here
        print(json.dumps(measure(arguments, source, target, warm_up[0] if warm_up else None)))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if arguments.memory:
            warm_up, first = loops(arguments.video, place / "warm_up.mp4", 1, WARM_UP), None
            for count in arguments.loops:
                source = loops(arguments.video, place / f"{count}.mp4", count)
                found = apart(arguments, source, place / "large.mp4", warm_up)
                first = found["peak"] if first is None else first
                print(
                    f"{count:3d} x {CROP[1]}x{CROP[0]}: {found['frames']} frames, {found['fps']:.1f} frames/s, peak "
                    f"{found['peak']:.1f} MB, grown by {found['peak'] - first:.1f} MB",
                    flush=True,
                )
            return
        source = cut(arguments.video, place / f"cut{arguments.video.suffix}", arguments.frames)
        found = apart(arguments, source, place / "large.mp4")
        print(check(source, place / "large.mp4"))
        print(
            f"{found['size'][1]}x{found['size'][0]}, {arguments.threads} thread(s), {arguments.precision}: "
            f"{found['fps']:.2f} frames/s, latency p50 {found['p50']:.2f} s, p95 {found['p95']:.2f} s, peak "
            f"{found['peak']:.0f} MB ({found['before']:.0f} MB before the first frame)"
        )
        if arguments.keep is not None:
            shutil.copy(place / "large.mp4", arguments.keep)


if __name__ == "__main__":
    main()
