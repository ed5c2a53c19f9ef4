"""Which differences of a table are more than chance: each method tested against the best of its column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .results import MethodResult, MetricColumn, MetricResult, Results
from .statistics import Floats, MeanOver

LEVEL = 0.05

# with five videos the two-sided test cannot go below 2 / 2^5 = 0.0625
FEWEST_VIDEOS = 6
# up to here every one of the 2^V exchanges is counted, beyond it they are drawn
_EXACT_VIDEOS = 13
_BLOCK = 2**20


def compare(results: Results, *, draws: int = 10_000, seed: int = 0) -> Results:
    """Test every method against the best of each column, and rank the methods.

    Works on the values per video alone, so also on a stored ``results.json``. Per column, the p-values of
    :func:`permutation_test` are adjusted by :func:`holm` over the methods that were tested. The best method is the
    best of these very data: the test tells which others cannot be told apart from it, and is somewhat too ready to
    see a difference where many methods are equally good (Hsu, "Multiple Comparisons", 1996, chapter 4).

    Args:
        results: of an evaluation; not changed.
        draws: of the test, where there are too many videos to count all exchanges.
        seed: of the draws.

    Returns:
        The results with ``p_value`` or ``p_reason`` in each cell but the best, and ``average_rank`` in each row.
    """
    ranks = average_ranks(results)
    cells: dict[str, dict[str, MetricResult]] = {method.name: {} for method in results.methods}
    for column in results.protocol.metrics:
        tested, reasons = _test_column(results, column, draws, seed)
        for method in results.methods:
            update = {"p_value": tested.get(method.name), "p_reason": reasons.get(method.name)}
            cells[method.name][column.key] = method.metrics[column.key].model_copy(update=update)
    methods = [
        method.model_copy(update={"metrics": cells[method.name], "average_rank": ranks.get(method.name)})
        for method in results.methods
    ]
    return results.model_copy(update={"methods": methods})


def _test_column(
    results: Results, column: MetricColumn, draws: int, seed: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Adjusted p-values of the tested methods, and the reasons of the others."""
    order = results.ranking(column.key)
    mean_over = results.protocol.mean_over_of(column)
    tested: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name in order[1:]:
        if mean_over == "set":
            reasons[name] = "its value is one of the whole set, without values per video"
            continue
        best, other = results.method(order[0]), results.method(name)
        videos = [
            v for v in best.videos if _value(best, v, column) is not None and _value(other, v, column) is not None
        ]
        if len(videos) < FEWEST_VIDEOS:
            reasons[name] = f"{len(videos)} videos; {FEWEST_VIDEOS} are the fewest that could show a difference"
            continue
        tested[name] = permutation_test(
            *_sums(best, videos, column), *_sums(other, videos, column), mean_over, draws=draws, seed=seed
        )
    return dict(zip(tested, holm(list(tested.values())), strict=True)), reasons


def _value(method: MethodResult, video: str, column: MetricColumn) -> float | None:
    return method.videos.get(video, {}).get(column.key)


def _sums(method: MethodResult, videos: Sequence[str], column: MetricColumn) -> tuple[Floats, Floats]:
    values = np.array([_value(method, video, column) for video in videos], dtype=np.float64)
    counts = [method.frames.get(video, {}).get(column.key, 1) for video in videos]
    weights = np.array(counts, dtype=np.float64)
    return values * weights, weights


def permutation_test(
    sums: Floats,
    counts: Floats,
    other_sums: Floats,
    other_counts: Floats,
    mean_over: MeanOver,
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value of the difference of two methods' aggregates over the same videos.

    If two methods were alike, it would not matter which of them made which of the two results of a video. So the
    results are exchanged video by video, all frames of a video together because they resemble each other, and the
    very same aggregate as in the table is computed for each exchange; p is the share of exchanges whose difference
    is at least the one found (Fisher's randomization test; Smucker, Allan and Carterette, "A Comparison of
    Statistical Significance Tests for Information Retrieval Evaluation", CIKM 2007). Up to 13 videos all ``2^V``
    exchanges are counted, otherwise seeded draws, to which the exchange found belongs as one more (Phipson and
    Smyth, "Permutation P-values Should Never Be Zero", 2010, equation 2).

    Args:
        sums: ``(V,)`` sum of the metric over the frames of each video, of one method.
        counts: ``(V,)`` number of frames in each sum, positive.
        other_sums: ``(V,)`` of the other method.
        other_counts: ``(V,)``; differs from ``counts`` where a frame of one method has no finite value.
        mean_over: as for :func:`~framewright.benchmark.statistics.aggregate`.
        draws: number of drawn exchanges.
        seed: of the draws.
    """
    if mean_over == "videos":
        sums, counts = sums / counts, np.ones(len(sums))
        other_sums, other_counts = other_sums / other_counts, np.ones(len(sums))
    videos = len(sums)

    exchange = np.stack([other_sums - sums, other_counts - counts], axis=1)

    def differences(swapped: Floats) -> Floats:
        """``(N, V)`` of 0 and 1: the absolute difference of the aggregates of each exchange."""
        numerator, weight = (swapped @ exchange).T
        mine = (sums.sum() + numerator) / (counts.sum() + weight)
        theirs = (other_sums.sum() - numerator) / (other_counts.sum() - weight)
        return np.asarray(np.abs(mine - theirs), dtype=np.float64)

    mine, theirs = sums.sum() / counts.sum(), other_sums.sum() / other_counts.sum()
    # sums in another order differ by rounding errors, which must not break ties
    least = abs(mine - theirs) - 1e-10 * max(abs(mine), abs(theirs), 1e-300)
    if videos <= _EXACT_VIDEOS:
        every = (np.arange(2**videos)[:, None] >> np.arange(videos)) & 1
        return float((differences(every.astype(np.float64)) >= least).mean())
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // videos)
    found = 0
    for start in range(0, draws, block):
        coins = rng.integers(0, 256, size=(min(block, draws - start), -(-videos // 8)), dtype=np.uint8)
        swapped = np.unpackbits(coins, axis=1, count=videos).astype(np.float64)
        found += int((differences(swapped) >= least).sum())
    return (found + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: below a level, they keep the chance of any false difference below that level.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics
    6(2), 1979.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = highest
    return adjusted


def least_p_value(videos: int, methods: int) -> float:
    """The smallest adjusted p-value that the exact test of that many methods over that many videos can give."""
    return min(1.0, 2.0 ** (1 - videos) * methods)


def average_ranks(results: Results) -> dict[str, float]:
    """By method, the mean over the columns of its place; equal values share the mean of their places.

    Only columns count that have a value of every method. Empty for fewer than three methods or two such columns.
    """
    keys = [
        column.key
        for column in results.protocol.metrics
        if all(method.metrics[column.key].mean is not None for method in results.methods)
    ]
    if len(results.methods) < 3 or len(keys) < 2:
        return {}
    places = np.zeros(len(results.methods))
    for key in keys:
        sign = -1.0 if results.column(key).higher_is_better else 1.0
        costs = np.array([sign * (method.metrics[key].mean or 0.0) for method in results.methods])
        better = (costs[None, :] < costs[:, None]).sum(1)
        equal = (costs[None, :] == costs[:, None]).sum(1)
        places += better + (equal + 1) / 2
    return {method.name: float(place / len(keys)) for method, place in zip(results.methods, places, strict=True)}
