"""Pixels in one forward pass of the CPU, against passes that fill a GPU; run by hand.

Run ``python perf/passes.py [--rounds 3]``. Each network goes over random frames of 256x448 with the pixels that are the
default for a GPU and for the CPU, in turns; printed is the median processor time of each and their ratio (below 1: the
CPU's default is faster).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from framewright import create_model
from framewright.inference import Context, NetworkMethod, chunked
from framewright.inference.pairs import pixel_budget_for

CASES: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("rife", "interpolation", 17, {"timesteps": (0.5,)}),
    ("dis_warp", "interpolation", 17, {"timesteps": (0.5,)}),
    ("pwcnet", "flow", 9, {}),
    ("deeplabv3plus", "segmentation", 8, {}),
)


def seconds(name: str, task: str, frames: torch.Tensor, budget: int, options: dict[str, Any]) -> float:
    """Processor time of one network over the frames."""
    torch.manual_seed(0)
    method = NetworkMethod(name, create_model(name).eval(), pixel_budget=budget)
    context = Context(task, device=torch.device("cpu"), **options)
    begun = time.process_time()
    for _ in method.process(chunked(frames), context):
        pass
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    large, small = (pixel_budget_for(torch.device(kind)) for kind in ("cuda", "cpu"))
    for name, task, count, options in CASES:
        frames = torch.rand(count, 3, 256, 448)
        found: dict[int, list[float]] = {large: [], small: []}
        for _ in range(rounds):
            for budget in (large, small):
                found[budget].append(seconds(name, task, frames, budget, options))
        before, after = (statistics.median(found[budget]) for budget in (large, small))
        print(
            f"{name:14} {before:6.2f} s at {large} pixels, {after:6.2f} s at {small}: {after / before:.2f}", flush=True
        )


if __name__ == "__main__":
    main()
