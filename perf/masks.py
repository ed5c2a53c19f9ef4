"""Masks per second of each generator, for whole videos; run by hand.

Run ``python perf/masks.py [--size 432x240] [--frames 5] [--seconds 3]``. A sample is a new video of which so many
frames are used, as in training. The reference is the blob as the official programs draw it: the same outline through a
matplotlib figure, a new one for every sample. The last line says how far the blobs of the two agree.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from framewright.core.seeding import position_rng
from framewright.datamodules.masks import BezierMasks, DevilMasks, FreeFormMasks, MaskVideo
from framewright.datamodules.masks.bezier import outline
from framewright.datamodules.masks.wander import cut_out


def rate(make: Callable[[int], object], seconds: float) -> float:
    """Calls per second of processor time, after a warm-up."""
    for seed in range(3):
        make(seed)
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        make(count)
        count += 1
    return count / (time.process_time() - start)


def figure_blob(seed: int, height: int, width: int) -> np.ndarray:
    """The blob of a seed drawn by matplotlib, as a mask of its bounding box."""
    from matplotlib import patches
    from matplotlib import pyplot as plt
    from matplotlib.path import Path

    rng = position_rng(seed, 0)
    box_height, box_width = (int(rng.integers(side // 3, side)) for side in (height, width))
    points = np.stack(outline(rng), axis=1)
    codes = np.full(len(points), Path.CURVE4)
    codes[0] = Path.MOVETO
    figure = plt.figure()
    axes = figure.add_subplot(111)
    axes.add_patch(patches.PathPatch(Path(points, codes), facecolor="black", lw=2))
    axes.set_xlim(points.min() * 1.1, points.max() * 1.1)
    axes.set_ylim(points.min() * 1.1, points.max() * 1.1)
    axes.axis("off")
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., 0].copy()
    plt.close(figure)
    # the figure's y axis points up
    return cut_out(cv2.resize(picture, (box_width, box_height)) == 0)[0][::-1]


def agreement(height: int, width: int, count: int = 40) -> tuple[float, float]:
    """Ratio of the mean areas of our blobs and matplotlib's, and their mean intersection over union."""
    areas, overlaps = [], []
    for seed in range(count):
        ours = cut_out(BezierMasks(seed, frames=1, size=(height, width)).frame(0))[0]
        theirs = figure_blob(seed, height, width)
        canvas = np.zeros((2, *np.maximum(ours.shape, theirs.shape)), np.bool_)
        for layer, blob in zip(canvas, (ours, theirs), strict=True):
            layer[: blob.shape[0], : blob.shape[1]] = blob
        areas.append((ours.sum(), theirs.sum()))
        overlaps.append(canvas.all(0).sum() / canvas.any(0).sum())
    ours_area, theirs_area = np.sum(areas, axis=0)
    return float(ours_area / theirs_area), float(np.mean(overlaps))


def main() -> None:
    """Print one line per generator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="432x240")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    import matplotlib

    matplotlib.use("Agg")
    width, height = (int(part) for part in arguments.size.split("x"))
    # a clip's frames, scattered over a video of 180
    numbers = np.linspace(0, 179, arguments.frames).astype(int).tolist()

    def clip(video: MaskVideo) -> list[np.ndarray]:
        return [video.frame(number) for number in numbers]

    size = (height, width)
    generators: dict[str, Callable[[int], object]] = {
        "blobs, standing": lambda seed: clip(BezierMasks(seed, frames=180, size=size, moving=0.0)),
        "blobs, wandering": lambda seed: clip(BezierMasks(seed, frames=180, size=size, moving=1.0)),
        "strokes, standing": lambda seed: clip(FreeFormMasks(seed, frames=180, size=size, moving=0.0)),
        "strokes, wandering": lambda seed: clip(FreeFormMasks(seed, frames=180, size=size, moving=1.0)),
        "DEVIL": lambda seed: clip(DevilMasks("fgs-h_fgm-l_fgd-l", seed=seed, frames=180, size=size)),
    }
    reference = rate(lambda seed: figure_blob(seed, height, width), arguments.seconds)
    print(f"videos of 180 frames of {width}x{height}, of which {arguments.frames} are drawn")
    print(f"{'reference: one matplotlib figure':34s} {reference:8.1f} videos/s")
    for name, make in generators.items():
        value = rate(make, arguments.seconds)
        masks = value * arguments.frames
        print(f"{name:34s} {value:8.1f} videos/s {masks:9.0f} masks/s {value / reference:8.1f} x the reference")
    area, overlap = agreement(height, width)
    print(f"area of the blobs {area:.3f} x the figure's, intersection over union {overlap:.3f}")


if __name__ == "__main__":
    main()
