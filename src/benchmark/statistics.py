"""Aggregates and their uncertainty."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MeanOver = Literal["frames", "videos"]

# values drawn at once; bounds the memory of a bootstrap over thousands of videos
_BLOCK = 2**21


def aggregate(sums: Floats, counts: Floats, mean_over: MeanOver) -> float:
    """One number for a data set.

    Args:
        sums: ``(V,)`` sum of a metric over the frames of each video.
        counts: ``(V,)`` number of frames in each sum; videos without any are left out.
        mean_over: ``frames``: every frame weighs the same, ``sum(sums) / sum(counts)``; ``videos``: the mean
            of the videos' own means.

    Returns:
        The mean; NaN if no frame was counted.
    """
    measured = counts > 0
    if not measured.any():
        return float("nan")
    if mean_over == "frames":
        return float(sums[measured].sum() / counts[measured].sum())
    return float((sums[measured] / counts[measured]).mean())


def bootstrap_interval(
    sums: Floats,
    counts: Floats,
    mean_over: MeanOver,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of :func:`aggregate` over whole videos.

    Frames of one video resemble each other, so whole videos are drawn with replacement (cluster bootstrap;
    Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8) and the very same
    aggregate is computed for each draw: with ``mean_over="frames"`` a ratio of sums. The same seed and number
    of videos draw the same videos, so the intervals of several methods are comparable.

    Args:
        sums: ``(V,)`` as for :func:`aggregate`.
        counts: ``(V,)``.
        mean_over: as for :func:`aggregate`.
        resamples: number of draws.
        level: coverage of the interval.
        seed: of the draws.

    Returns:
        Lower and upper end; None for fewer than two videos with values: they tell nothing about the spread.
    """
    measured = counts > 0
    videos = int(measured.sum())
    if videos < 2:
        return None
    numerators, weights = sums[measured], counts[measured]
    if mean_over == "videos":
        numerators, weights = numerators / weights, np.ones(videos)
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // videos)
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(0, videos, size=(rows, videos))
        means[start : start + rows] = numerators[drawn].sum(1) / weights[drawn].sum(1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
