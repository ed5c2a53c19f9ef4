"""From rows to one cell of the table: the aggregate over all videos, and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from ..metrics import PooledMetric, ValueMetric, VectorMetric
from .results import MetricResult, Published, finite
from .scoring import Column, Row
from .statistics import aggregate, bootstrap_interval

Floats = npt.NDArray[np.float64]

# distances of a jackknife: (vectors of all videos) ** 3 x (videos), at most some minutes on one core
_JACKKNIFE_WORK = 2e10


def column_result(
    column: Column, rows: Sequence[Row], published: Published | None, *, resamples: int, seed: int
) -> MetricResult:
    """The cell of one method in one column.

    Args:
        column: the metric, or the reason why it is absent.
        rows: of all videos, in the order of the data set.
        published: the literature's number.
        resamples: of the bootstrap; 0 leaves the interval out.
        seed: of the bootstrap.
    """
    record = column.record
    shared: dict[str, Any] = {
        "unit": record.unit,
        "higher_is_better": record.higher_is_better,
        "published": published,
    }
    if column.metric is None:
        return _absent(column.reason, shared)
    if isinstance(column.metric, VectorMetric):
        return _set_result(column.metric, column.key, rows, shared, interval=resamples > 0)
    assert isinstance(column.metric, ValueMetric)
    sums, counts = sums_and_counts(column, rows)
    mean_over = cast(Literal["frames", "videos"], record.mean_over)
    mean = finite(column.metric.finish(aggregate(sums, counts, mean_over)))
    if mean is None:
        if not counts.any():
            return _absent(f"no {record.items} counts for {record.label}{_why_none(column.metric)}", shared)
        return _absent(f"{record.label} is infinite: every prediction equals its target", shared)
    items = sum(row.items(column.key) for row in rows)
    interval = None
    if resamples:
        interval = bootstrap_interval(sums, counts, mean_over, resamples=resamples, seed=seed)
    if interval is not None:
        low, high = sorted(column.metric.finish(end) for end in interval)
        interval = (low, high) if math.isfinite(low) and math.isfinite(high) else None
    return MetricResult(mean=mean, ci95=interval, n=int((counts > 0).sum()), n_frames=items, **shared)


def video_value(column: Column, row: Row) -> tuple[float | None, int]:
    """A column's value for one video, and how many items (or pixels) it is the mean of; None where there is none or
    it is infinite."""
    if isinstance(column.metric, VectorMetric):
        return None, len(row.features[column.key][0])
    if not isinstance(column.metric, ValueMetric):
        return None, 0
    total, count = row.sum_and_count(column.key)
    return (finite(column.metric.finish(total / count)) if count else None), count


def sums_and_counts(column: Column, rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """Per video the sum over its items and their number, weighted where the metric weighs its items.

    Where the metric says ``infinite = "largest"``, the mean of a video with an infinite value becomes the largest
    finite mean of all videos (the rule of DEVIL's summaries).
    """
    pairs = [row.sum_and_count(column.key) for row in rows]
    sums = np.array([pair[0] for pair in pairs], dtype=np.float64)
    counts = np.array([pair[1] for pair in pairs], dtype=np.float64)
    infinite = np.isinf(sums)
    if infinite.any() and getattr(column.metric, "infinite", "") == "largest":
        known = (counts > 0) & ~infinite
        if known.any():
            sums[infinite] = (sums[known] / counts[known]).max() * counts[infinite]
    return sums, counts


def _why_none(metric: ValueMetric) -> str:
    if metric.needs_mask:
        return ": no frame has a hole"
    return "; every prediction equals its target" if metric.key.startswith("psnr") else ""


def _absent(reason: str, shared: dict[str, Any]) -> MetricResult:
    return MetricResult(mean=None, ci95=None, n=0, n_frames=0, reason=reason, **shared)


def _set_result(
    metric: VectorMetric, key: str, rows: Sequence[Row], shared: dict[str, Any], *, interval: bool
) -> MetricResult:
    predicted, real = ([torch.from_numpy(row.features[key][place]) for row in rows] for place in (0, 1))
    vectors = sum(len(part) for part in predicted)
    if vectors < metric.minimum_vectors:
        return _absent(f"{vectors} vectors are too few for a distance of two sets", shared)
    value = finite(float(metric.distance(torch.cat(predicted), torch.cat(real))))
    if value is None:
        return _absent("the distance is not finite", shared)
    ends = None
    # counts are only summed, distances need the square root of a matrix
    work = vectors if isinstance(metric, PooledMetric) else vectors**3
    if interval and work * len(rows) <= _JACKKNIFE_WORK:
        ends = _jackknife(metric, predicted, real, value)
    return MetricResult(mean=value, ci95=ends, n=len(rows), n_frames=vectors, **shared)


def _jackknife(
    metric: VectorMetric, predicted: list[torch.Tensor], real: list[torch.Tensor], value: float
) -> tuple[float, float] | None:
    """``value`` plus and minus 1.96 standard errors of the delete-one-video jackknife (Efron and Stein, 1981).

    A bootstrap draws videos several times, which makes covariances of few vectors smaller and the distance larger:
    its interval would not even contain the value.
    """
    videos = len(predicted)
    if videos < 3 or sum(map(len, predicted)) - max(map(len, predicted)) < metric.minimum_vectors:
        return None
    without = []
    for left_out in range(videos):
        sets = (torch.cat([p for i, p in enumerate(part) if i != left_out]) for part in (predicted, real))
        without.append(float(metric.distance(*sets)))
    deviations = np.array(without) - np.mean(without)
    error = float(np.sqrt((videos - 1) / videos * np.square(deviations).sum()))
    return (value - 1.96 * error, value + 1.96 * error) if math.isfinite(error) else None
