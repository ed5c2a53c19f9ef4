"""Tests against the best of a column, their correction, and ranks."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from framewright.benchmark import read_results
from framewright.benchmark.comparison import average_ranks, compare, holm, permutation_test
from framewright.benchmark.results import Results, write_results
from framewright.benchmark.statistics import MeanOver, aggregate

from .made_up import made_up_results


def _data(videos: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 9, videos).astype(float)
    others = counts - rng.integers(0, 2, videos)
    return counts * rng.normal(30.4, 1, videos), counts, others * rng.normal(30, 1, videos), others


@pytest.mark.parametrize("mean_over", ["frames", "videos"])
def test_the_exact_p_value_is_that_of_every_exchange_in_plain_python(mean_over: MeanOver) -> None:
    sums, counts, other_sums, other_counts = _data(7)
    found = abs(aggregate(sums, counts, mean_over) - aggregate(other_sums, other_counts, mean_over))
    hits = 0
    for swaps in itertools.product((False, True), repeat=7):
        swap = np.array(swaps)
        one = aggregate(np.where(swap, other_sums, sums), np.where(swap, other_counts, counts), mean_over)
        two = aggregate(np.where(swap, sums, other_sums), np.where(swap, counts, other_counts), mean_over)
        hits += abs(one - two) >= found - 1e-9
    assert permutation_test(sums, counts, other_sums, other_counts, mean_over) == hits / 2**7


def test_with_equal_counts_it_is_the_sign_flip_test_of_the_reference() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    ones = np.ones(11)
    for shift in (0.0, 0.4, 3.0):
        mine, theirs = rng.normal(30 + shift, 1, 11), rng.normal(30, 1, 11)
        reference = stats.permutation_test(
            (mine, theirs), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
        )
        assert permutation_test(mine, ones, theirs, ones, "videos") == pytest.approx(reference.pvalue)


def test_drawn_exchanges_agree_with_all_of_them_and_are_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _data(12, seed=4)
    exact = permutation_test(*data, "frames")
    monkeypatch.setattr("framewright.benchmark.comparison._EXACT_VIDEOS", 5)
    drawn = permutation_test(*data, "frames", draws=20_000, seed=1)
    assert drawn == pytest.approx(exact, abs=0.015)
    assert drawn == permutation_test(*data, "frames", draws=20_000, seed=1)
    assert drawn != permutation_test(*data, "frames", draws=20_000, seed=2)


def test_a_clear_difference_of_many_videos_is_never_quite_zero() -> None:
    ones = np.ones(40)
    assert permutation_test(ones * 9, ones, ones * 5, ones, "videos", draws=999) == pytest.approx(1 / 1000)
    assert permutation_test(ones * 9, ones, ones * 9, ones, "videos", draws=999) == 1


def test_under_the_null_small_p_values_are_as_rare_as_they_say() -> None:
    rng = np.random.default_rng(5)
    ones, low, trials = np.ones(10), 0, 400
    for _ in range(trials):
        shared = rng.normal(30, 5, 10)
        low += (
            permutation_test(shared + rng.normal(0, 1, 10), ones, shared + rng.normal(0, 1, 10), ones, "videos") <= 0.05
        )
    assert 0.02 < low / trials < 0.08


def test_holm() -> None:
    # by hand: 0.01 x 4, 0.013 x 3 (not below the one before), 0.03 x 2, 0.9
    assert holm([0.03, 0.01, 0.9, 0.013]) == pytest.approx([0.06, 0.04, 0.9, 0.04])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_compare_fills_every_cell_but_the_best(tmp_path: Path) -> None:
    results = made_up_results(methods=4, videos=10)
    compared = compare(results)
    assert results.methods[0].metrics["psnr"].p_value is None, "the argument is not changed"
    for key in ("psnr", "ssim", "lpips"):
        best, *others = compared.ranking(key)
        assert compared.method(best).metrics[key].p_value is None
        assert compared.method(best).metrics[key].p_reason is None
        for name in others:
            p_value = compared.method(name).metrics[key].p_value
            assert p_value is not None
            assert 2 / 2**10 <= p_value <= 1
    # the copy of the best method is not told apart from it, the bad one is
    assert compared.methods[1].metrics["psnr"].p_value is not None
    assert compared.methods[1].metrics["psnr"].p_value > 0.05
    assert compared.methods[3].metrics["psnr"].p_value is not None
    assert compared.methods[3].metrics["psnr"].p_value < 0.05
    write_results(compared, tmp_path / "results.json")
    stored = read_results(tmp_path / "results.json")
    assert stored == compared
    assert compare(stored) == compared


def test_what_cannot_be_tested_says_why() -> None:
    compared = compare(made_up_results(methods=3, videos=10))
    reasons = [method.metrics["fid"].p_reason for method in compared.methods]
    assert reasons.count(None) == 1, "the best needs none"
    assert "whole set" in (reasons[1] or reasons[0] or "")
    few = compare(made_up_results(methods=2, videos=5))
    assert [m.metrics["psnr"].p_value for m in few.methods] == [None, None]
    worse = few.ranking("psnr")[1]
    assert few.method(worse).metrics["psnr"].p_reason == "5 videos; 6 are the fewest that could show a difference"


def test_a_video_without_a_value_of_one_method_is_left_out() -> None:
    value = made_up_results(methods=2, videos=7).to_json()
    value["methods"][0]["videos"]["scene/0"]["psnr"] = None
    value["methods"][1]["videos"]["scene/1"]["psnr"] = None
    compared = compare(Results.model_validate(value))
    assert "5 videos" in (compared.method(compared.ranking("psnr")[1]).metrics["psnr"].p_reason or "")


def test_average_ranks_share_places_and_skip_columns_with_gaps() -> None:
    value = made_up_results(methods=3, videos=6).to_json()
    for method, psnr, ssim, lpips in zip(
        value["methods"], (30.0, 30.0, 20.0), (0.9, 0.8, 0.7), (0.1, 0.3, 0.2), strict=True
    ):
        for key, mean in (("psnr", psnr), ("ssim", ssim), ("lpips", lpips)):
            method["metrics"][key]["mean"] = mean
        method["metrics"]["fid"] |= {"mean": None, "reason": "no weights"}
    ranks = average_ranks(Results.model_validate(value))
    assert list(ranks.values()) == pytest.approx([(1.5 + 1 + 1) / 3, (1.5 + 2 + 3) / 3, (3 + 3 + 2) / 3])
    assert average_ranks(made_up_results(methods=2, videos=6)) == {}
