"""Seconds and peak memory of inpainting a whole video through the engine; run by hand.

Run ``python perf/inpainting_video.py [--network sttn] [--small] [--size 432x240] [--frames 60] [--mode bounded]
[--crop] [--precision 32-true] [--device cpu] [--threads 1]``. Weights are random, frames are noise that is made while
they are read, and a ninth of each frame is a hole that moves. Every number of frames runs in a fresh process after a
short video that warms it up; peak resident memory is read from Linux (on CUDA, the allocator's peak is printed too).
Several numbers of frames (``--small --size 160x96 --frames 100 1000``) show how memory grows with the length; the
growth is the difference to the first. Baselines run too (``--network flow_propagation``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from framewright.inference import Chunk, Context, NetworkMethod, engine_options
from framewright.models.registry import create_model, get_card

WARM_UP = 40


def noise(frames: int, size: tuple[int, int], chunk: int = 16) -> Iterator[Chunk]:
    """A video that is never in memory as a whole."""
    width, height = size
    generator = torch.Generator().manual_seed(0)
    for start in range(0, frames, chunk):
        count = min(chunk, frames - start)
        mask = torch.zeros(count, 1, height, width)
        for place in range(count):
            left = (start + place) % max(1, width - width // 3)
            mask[place, :, height // 3 : 2 * height // 3 + 1, left : left + width // 3] = 1
        yield Chunk(start, torch.rand(count, 3, height, width, generator=generator), {"mask": mask})


def measure(arguments: argparse.Namespace, frames: int) -> dict[str, float]:
    """Seconds, peaks in MB and what the peak was before, of one video in this process."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    card = get_card(arguments.network)
    net = create_model(arguments.network, **(card.tiny if arguments.small else {}))
    chosen: dict[str, Any] = {} if card.baseline else {"mode": arguments.mode}
    options = engine_options("inpainting", {**chosen, **({"crop": True} if arguments.crop else {})}, "options")
    method = NetworkMethod(arguments.network, net, options=options)
    context = Context("inpainting", device=torch.device(arguments.device), precision=arguments.precision)

    def run(count: int) -> float:
        start = time.perf_counter()
        made = sum(len(chunk) for chunk in method.process(noise(count, arguments.size), context))
        assert made == count
        return time.perf_counter() - start

    if not arguments.cold:
        run(min(frames, WARM_UP))
    if arguments.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    # sets the recorded peak to what is held now
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    seconds = run(frames)
    found = {"seconds": seconds, "before": before, "peak": _status("VmHWM")}
    if arguments.device != "cpu":
        found["device"] = torch.cuda.max_memory_allocated() / 1e6
    return found


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024 / 1e6


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def main() -> None:
    """One line for each number of frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="sttn")
    parser.add_argument("--small", action="store_true", help="the variant for tests")
    parser.add_argument("--size", type=_size, default=(432, 240), help="width x height")
    parser.add_argument("--frames", type=int, nargs="+", default=[60])
    parser.add_argument("--mode", default="bounded", choices=("bounded", "official"))
    parser.add_argument("--crop", action="store_true")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cold", action="store_true", help="without warming up, where a video takes minutes")
    parser.add_argument("--here", action="store_true", help="measure one number of frames in this process, as JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments, arguments.frames[0])))
        return
    first = None
    for frames in arguments.frames:
        command = [sys.executable, __file__, *_without_frames(sys.argv[1:]), "--here", "--frames", str(frames)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        first = found["peak"] if first is None else first
        device = f"   device {found['device']:6.0f} MB" if "device" in found else ""
        print(
            f"{arguments.network} {arguments.size[0]}x{arguments.size[1]} {frames:5d} frames   "
            f"{found['seconds']:7.1f} s ({1000 * found['seconds'] / frames:.0f} ms/frame)   "
            f"peak {found['peak']:6.0f} MB, {found['peak'] - found['before']:.1f} MB more than before   "
            f"grown by {found['peak'] - first:.1f} MB{device}",
            flush=True,
        )


def _without_frames(given: list[str]) -> list[str]:
    kept: list[str] = []
    skipping = False
    for argument in given:
        skipping = argument == "--frames" or (skipping and argument.isdigit())
        if not skipping:
            kept.append(argument)
    return kept


if __name__ == "__main__":
    main()
