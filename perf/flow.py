"""The cost volume and PWC-Net: tiled matrix products against shifted slices; run by hand.

Run ``python perf/flow.py [--rounds 5] [--height 448] [--width 1024] [--threads 1] [--only PWC]``. Both take turns in
one process; printed are medians of processor time, and the ratio of the reference's time to ours (above 1: ours is
faster), which can be compared between machines. Peak memory is that of a fresh process beyond what it held before the
measured call; it is read from Linux.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from framewright.models.flow import pwcnet
from framewright.ops.cost_volume import Implementation, cost_volume
from torch import Tensor

IMPLEMENTATIONS: tuple[Implementation, Implementation] = ("shifts", "tiles")
LEVELS = {2: 32, 3: 64, 4: 96, 5: 128, 6: 196}  # channels of the official pyramid
CROP = (320, 448)  # of a training step
Work = Callable[[Implementation], None]


def costs(level: int, size: tuple[int, int], *, backward: bool) -> Work:
    """The cost volume of one level of an image of ``size``."""
    shape = (1, LEVELS[level], size[0] >> level, size[1] >> level)
    first, second = (torch.randn(shape).requires_grad_(backward) for _ in range(2))

    def work(implementation: Implementation) -> None:
        out = cost_volume(first, second, 4, implementation)
        if backward:
            out.sum().backward()

    return work


def network(size: tuple[int, int], *, backward: bool) -> Work:
    """PWC-Net on one pair of images of ``size``; with ``backward`` a training step without the optimizer."""
    net = pwcnet.PWCNet().train(backward)
    first, second = (torch.rand(1, 3, *size) for _ in range(2))

    def work(implementation: Implementation) -> None:
        pwcnet.cost_volume = functools.partial(cost_volume, implementation=implementation)  # type: ignore[assignment]
        with torch.set_grad_enabled(backward):
            if backward:
                loss = sum((flow.square().sum() for flow in net.training_outputs(first, second)), Tensor([0]))
                loss.backward()
            else:
                net(first, second)

    return work


def compare(label: str, work: Work, rounds: int) -> None:
    """Print the medians of both implementations and their ratio."""
    times: dict[Implementation, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    for number in range(rounds + 1):
        order = IMPLEMENTATIONS if number % 2 else IMPLEMENTATIONS[::-1]
        for name in order:
            start = time.process_time()
            work(name)
            if number:  # the first round warms up
                times[name].append(time.process_time() - start)
    shifts, tiles = (1e3 * statistics.median(times[name]) for name in IMPLEMENTATIONS)
    ratios = sorted(a / b for a, b in zip(*times.values(), strict=True))
    print(
        f"{label:44s} shifts {shifts:8.1f} ms   tiles {tiles:8.1f} ms   ratio {statistics.median(ratios):5.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def peak_mebibytes(work: Work, implementation: Implementation) -> float:
    """What a call adds to the largest resident memory of this process."""
    # sets the recorded peak to what is held now
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident_peak()
    work(implementation)
    return (_resident_peak() - before) / 1024


def _resident_peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def workloads(size: tuple[int, int]) -> dict[str, Callable[[], Work]]:
    """Everything that is measured, by label."""
    tasks: dict[str, Callable[[], Work]] = {}
    for backward in (False, True):
        for level, channels in LEVELS.items():
            label = f"level {level}: {channels}x{size[0] >> level}x{size[1] >> level}" + " + backward" * backward
            tasks[label] = functools.partial(costs, level, size, backward=backward)
    tasks[f"PWC-Net forward {size[0]}x{size[1]}"] = functools.partial(network, size, backward=False)
    tasks[f"PWC-Net forward + backward {CROP[0]}x{CROP[1]}"] = functools.partial(network, CROP, backward=True)
    return tasks


def main() -> None:
    """Times of everything, then peak memory of everything in processes of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--height", type=int, default=448)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="what the label contains")
    parser.add_argument("--memory", nargs=2, metavar=("LABEL", "IMPLEMENTATION"), help="print one peak and leave")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    tasks = workloads((arguments.height, arguments.width))
    if arguments.memory:
        label, implementation = arguments.memory
        print(peak_mebibytes(tasks[label](), implementation))
        return
    tasks = {label: make for label, make in tasks.items() if arguments.only in label}
    for label, make in tasks.items():
        compare(label, make(), arguments.rounds)
    size = (f"--height={arguments.height}", f"--width={arguments.width}", f"--threads={arguments.threads}")
    for label in (name for name in tasks if "level 2" in name or "PWC" in name):
        peaks = []
        for name in IMPLEMENTATIONS:
            command = [sys.executable, __file__, *size, "--memory", label, name]
            peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"peak memory {label:42s} shifts {peaks[0]:6.0f} MiB   tiles {peaks[1]:6.0f} MiB")


if __name__ == "__main__":
    main()
