"""Aggregates and their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
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


def crossed_bootstrap(
    rows: Sequence[tuple[Floats, Floats]],
    mean_over: MeanOver,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Floats]:
    """Bootstrap replicates of several rows, each trained with several seeds and measured on the same videos.

    Videos and seeds are crossed: every seed was measured on every video. Both are drawn with replacement,
    independently of each other (the pigeonhole bootstrap; Owen, "The Pigeonhole Bootstrap", Annals of Applied
    Statistics 1(2), 2007). All rows get the same videos in each draw, so that the difference of two rows is a paired
    one over videos; seeds of different rows have nothing in common and are drawn apart. A row with one seed varies
    over videos only; with few seeds the interval is somewhat too narrow, by about a factor sqrt((n - 1) / n) of
    the part that the seeds contribute.

    Args:
        rows: per row ``(S, V)`` sums of a metric over the frames of each video and ``(S, V)`` numbers of frames;
            S, the number of seeds, may differ between rows, V may not.
        mean_over: as for :func:`aggregate`; the value of a row is the mean over its seeds.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        per row ``(resamples,)`` values.
    """
    videos = rows[0][0].shape[1]
    generators = np.random.default_rng(seed).spawn(len(rows) + 1)
    block = max(1, _BLOCK // (videos * max(len(sums) for sums, _ in rows)))
    replicates = [np.empty(resamples) for _ in rows]
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = generators[0].integers(0, videos, size=(size, videos))
        for place, (sums, counts) in enumerate(rows):
            seeds = len(sums)
            if mean_over == "videos":
                measured = counts > 0
                sums, counts = np.where(measured, sums / np.where(measured, counts, 1), 0.0), measured.astype(float)
            with np.errstate(invalid="ignore"):
                values = sums[:, drawn].sum(2) / counts[:, drawn].sum(2)
            chosen = generators[place + 1].integers(0, seeds, size=(seeds, size))
            replicates[place][start : start + size] = np.take_along_axis(values, chosen, axis=0).mean(0)
    return replicates


def quantile_interval(replicates: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """Lower and upper end of bootstrap replicates; None where none is finite (draws without any frame)."""
    finite = replicates[np.isfinite(replicates)]
    if not len(finite):
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(finite, (tail, 1 - tail))
    return float(low), float(high)


def t_interval(values: Sequence[float], minus: Sequence[float] | None = None) -> tuple[float, float] | None:
    """95 % interval of a mean over seeds, or of the difference of two such means (Welch), from Student's t.

    Returns:
        Lower and upper end; None where one of the samples has fewer than two values.
    """
    samples = [np.asarray(values, dtype=np.float64)]
    if minus is not None:
        samples.append(np.asarray(minus, dtype=np.float64))
    if any(len(sample) < 2 for sample in samples):
        return None
    centre = float(samples[0].mean() - (samples[1].mean() if minus is not None else 0.0))
    parts = [float(sample.var(ddof=1) / len(sample)) for sample in samples]
    if sum(parts) == 0:
        return centre, centre
    freedom = sum(parts) ** 2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, samples, strict=True))
    half = _t975(freedom) * float(np.sqrt(sum(parts)))
    return centre - half, centre + half


#: 97.5 % quantiles of Student's t for 1 to 10 degrees of freedom
_T975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


def _t975(freedom: float) -> float:
    """97.5 % quantile of Student's t: a table, in between linear in 1 / freedom, above it Fisher's expansion."""
    if freedom < len(_T975):
        below = max(int(freedom), 1)
        if freedom <= below:
            return _T975[below - 1]
        weight = (1 / below - 1 / freedom) / (1 / below - 1 / (below + 1))
        return _T975[below - 1] + weight * (_T975[below] - _T975[below - 1])
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
