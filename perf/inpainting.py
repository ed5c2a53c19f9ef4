"""The inpainting transformers: fused attention and convolutions against the plain computation; run by hand.

Run ``python perf/inpainting.py [--rounds 1] [--frames 5 10 20] [--height 240] [--width 432] [--threads 1]
[--only fuseformer] [--device cpu]``. The plain computation (``implementation="plain"``) is the official one step by
step: explicit softmax, patches cut and folded, overlaps folded in every block. Both have the same weights and take
turns in one process; printed are medians of processor time (wall time on another device), and the ratio of the plain
time to ours (above 1: ours is faster), which can be compared between machines. Peak memory is that of a fresh process
beyond what it held before the measured call, read from Linux (on CUDA, from torch). The largest difference of the
outputs is printed too.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from framewright.models.inpainting.contract import InpaintingNetwork
from framewright.models.registry import create_model
from torch import Tensor

NETWORKS = ("sttn", "dstt", "fuseformer")
IMPLEMENTATIONS = ("plain", "fused")
Work = Callable[[Tensor, Tensor], Tensor]


def network(name: str, implementation: str, device: str) -> Work:
    """The forward pass of a network with seeded weights."""
    torch.manual_seed(0)
    net = create_model(name, implementation=implementation).to(device)
    assert isinstance(net, InpaintingNetwork)
    with torch.no_grad():
        # the official initialisation is so small that every output is grey, and every difference too
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.normal_().div_(parameter[0].numel() ** 0.5)
    return torch.no_grad()(net)


def clip(frames: int, size: tuple[int, int], device: str) -> tuple[Tensor, Tensor]:
    """Noise, and a hole of a ninth of the frame in the middle."""
    height, width = size
    mask = torch.zeros(1, frames, 1, height, width)
    mask[..., height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
    return torch.rand(1, frames, 3, height, width).to(device), mask.to(device)


def timed(work: Work, video: Tensor, mask: Tensor) -> tuple[float, Tensor]:
    """Processor time of a call, wall time where another device does the work; and what it gives."""
    device = video.device.type
    clock = time.process_time if device == "cpu" else time.perf_counter
    _wait(device)
    start = clock()
    frames = work(video, mask)
    _wait(device)
    return clock() - start, frames


def peak_mebibytes(work: Work, video: Tensor, mask: Tensor) -> float:
    """What a call adds to the largest memory in use."""
    if video.device.type != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work(video, mask)
        return float(torch.cuda.max_memory_allocated() - before) / 2**20
    # sets the recorded peak to what is held now
    Path("/proc/self/clear_refs").write_text("5")
    kilobytes = _resident_peak()
    work(video, mask)
    return (_resident_peak() - kilobytes) / 1024


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _resident_peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def compare(name: str, frames: int, arguments: argparse.Namespace) -> None:
    """Print times, their ratio, and the peaks of both implementations."""
    video, mask = clip(frames, (arguments.height, arguments.width), arguments.device)
    works = {key: network(name, key, arguments.device) for key in IMPLEMENTATIONS}
    times: dict[str, list[float]] = {key: [] for key in IMPLEMENTATIONS}
    outputs: dict[str, Tensor] = {}
    for work in works.values():  # warms up
        work(video[:, :1], mask[:, :1])
    for number in range(arguments.rounds):
        for key in IMPLEMENTATIONS if number % 2 else IMPLEMENTATIONS[::-1]:
            seconds, outputs[key] = timed(works[key], video, mask)
            times[key].append(seconds)
    difference = (outputs["plain"] - outputs["fused"]).abs().max().item()
    before, after = (statistics.median(times[key]) for key in IMPLEMENTATIONS)
    ratios = sorted(a / b for a, b in zip(*times.values(), strict=True))
    peaks = [_peak_elsewhere(name, key, frames, arguments) for key in IMPLEMENTATIONS]
    print(
        f"{name:10s} T = {frames:2d}   plain {before:7.2f} s {peaks[0]:6.0f} MiB   "
        f"ours {after:7.2f} s {peaks[1]:6.0f} MiB   "
        f"time ratio {statistics.median(ratios):4.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})   "
        f"difference {difference:.1e}",
        flush=True,
    )


def _peak_elsewhere(name: str, implementation: str, frames: int, arguments: argparse.Namespace) -> float:
    options = [f"--{key}={getattr(arguments, key)}" for key in ("height", "width", "threads", "device")]
    command = [sys.executable, __file__, *options, "--memory", name, implementation, str(frames)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Times and peak memory of every network and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--frames", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=432)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="what the network's name contains")
    parser.add_argument("--memory", nargs=3, metavar=("NETWORK", "IMPLEMENTATION", "FRAMES"), help="print one peak")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.memory:
        name, implementation, frames = arguments.memory
        video, mask = clip(int(frames), (arguments.height, arguments.width), arguments.device)
        print(peak_mebibytes(network(name, implementation, arguments.device), video, mask))
        return
    for name in NETWORKS:
        if arguments.only in name:
            for frames in arguments.frames:
                compare(name, frames, arguments)


if __name__ == "__main__":
    main()
