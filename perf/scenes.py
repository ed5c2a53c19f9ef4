"""Samples per second of procedural scenes on one core, by task; run by hand.

Run ``python perf/scenes.py [--size 112] [--seconds 3]``. The reference is what any data set has to do at
least: cut three plain crops out of a photograph in memory and make float tensors of them. Ratios to it
can be compared between machines, samples per second cannot.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from framewright.core.seeding import position_rng
from framewright.datamodules.scenes import TASKS, ScenesDataset, ScenesEvaluation, load_texture


def rate(sample: Callable[[np.random.Generator], object], seconds: float) -> float:
    """Calls per second of processor time, after a warm-up."""
    for position in range(20):
        sample(position_rng(1, position))
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        sample(position_rng(2, count))
        count += 1
    return count / (time.process_time() - start)


def plain_crops(rng: np.random.Generator, size: int) -> list[torch.Tensor]:
    """Three crops of a photograph as ``(3, size, size)`` float tensors."""
    image = load_texture("astronaut")[0]
    crops = []
    for _ in range(3):
        y, x = int(rng.integers(0, 512 - size)), int(rng.integers(0, 512 - size))
        crop = image[y : y + size, x : x + size].astype(np.float32) * np.float32(1 / 255)
        crops.append(torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))))
    return crops


def main() -> None:
    """Print one line per task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    reference = rate(lambda rng: plain_crops(rng, arguments.size), arguments.seconds)
    print(f"{'reference: three plain crops':32s} {reference:8.0f} samples/s")
    for task in TASKS:
        dataset = ScenesDataset(task, arguments.size, arguments.size)
        # bound as a default, because the loop variable changes before a later call could use it
        value = rate(lambda rng, dataset=dataset: dataset.sample(0, rng), arguments.seconds)
        print(f"{task:32s} {value:8.0f} samples/s   {reference / value:6.1f} x the reference's time")
    for task in ("interpolation", "all"):
        evaluation = ScenesEvaluation(task=task)
        start = time.process_time()
        for _ in evaluation:
            pass
        label = f"{evaluation.name} {task}"
        print(f"{label:32s} {time.process_time() - start:8.1f} s for {len(evaluation)} videos")


if __name__ == "__main__":
    main()
