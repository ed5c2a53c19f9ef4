"""Aggregates and bootstrap intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from framewright.benchmark.statistics import MeanOver, aggregate, bootstrap_interval

SUMS = np.array([10.0, 42.0, 7.5, 90.0, 12.0])
COUNTS = np.array([2.0, 6.0, 1.0, 9.0, 3.0])


def test_aggregate_weighs_frames_or_videos() -> None:
    assert aggregate(SUMS, COUNTS, "frames") == pytest.approx(161.5 / 21)
    assert aggregate(SUMS, COUNTS, "videos") == pytest.approx(np.mean([5, 7, 7.5, 10, 4]))


def test_videos_without_measured_frames_are_left_out() -> None:
    assert aggregate(np.array([4.0, 0.0]), np.array([2.0, 0.0]), "videos") == 2.0
    assert math.isnan(aggregate(np.zeros(2), np.zeros(2), "frames"))
    assert bootstrap_interval(np.array([4.0, 0.0]), np.array([2.0, 0.0]), "frames") is None


@pytest.mark.parametrize("mean_over", ["frames", "videos"])
def test_interval_equals_a_brute_force_bootstrap(mean_over: MeanOver) -> None:
    """Every one of the 5^5 equally likely draws, in plain Python."""
    means = []
    for draw in np.ndindex(*[5] * 5):
        sums, counts = [SUMS[i] for i in draw], [COUNTS[i] for i in draw]
        if mean_over == "frames":
            means.append(sum(sums) / sum(counts))
        else:
            means.append(sum(s / c for s, c in zip(sums, counts, strict=True)) / 5)
    expected = np.quantile(means, (0.025, 0.975))
    found = bootstrap_interval(SUMS, COUNTS, mean_over, resamples=200_000)
    assert found == pytest.approx(expected, abs=0.03)


def test_interval_is_exactly_that_of_a_loop_over_the_same_draws() -> None:
    drawn = np.random.default_rng(7).integers(0, 5, size=(500, 5))
    means = [SUMS[row].sum() / COUNTS[row].sum() for row in drawn]
    assert bootstrap_interval(SUMS, COUNTS, "frames", resamples=500, seed=7) == pytest.approx(
        np.quantile(means, (0.025, 0.975)), abs=1e-12
    )


def test_seed_fixes_the_interval() -> None:
    first = bootstrap_interval(SUMS, COUNTS, "frames", seed=3, resamples=99)
    assert first == bootstrap_interval(SUMS, COUNTS, "frames", seed=3, resamples=99)
    assert first != bootstrap_interval(SUMS, COUNTS, "frames", seed=4, resamples=99)


def test_one_video_has_no_interval() -> None:
    assert bootstrap_interval(SUMS[:1], COUNTS[:1], "frames") is None


def test_coverage_of_a_known_mean() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        counts = rng.integers(3, 12, 60).astype(float)
        sums = np.array([rng.normal(30 + rng.normal(0, 2), 1, int(n)).sum() for n in counts])
        interval = bootstrap_interval(sums, counts, "frames", resamples=500, seed=trial)
        assert interval is not None
        hits += interval[0] <= 30 <= interval[1]
    assert 0.89 <= hits / 200 <= 0.99


def test_thousands_of_videos_stay_within_bounded_blocks() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(35, 3, 4000)
    interval = bootstrap_interval(values, np.ones(4000), "frames", resamples=1200)
    assert interval is not None
    assert interval[1] - interval[0] == pytest.approx(2 * 1.96 * 3 / math.sqrt(4000), rel=0.1)
