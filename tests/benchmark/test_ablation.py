"""Tables of sweeps: values, intervals, differences, and what is left out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.benchmark.ablation import LeftOut, Measurement, Trial, make_ablation
from framewright.benchmark.ablation_report import ablation_csv, ablation_text, make_grid, write_ablation
from framewright.benchmark.results import MethodResult, MetricColumn, MetricResult, ProtocolRecord, read_results
from framewright.benchmark.statistics import aggregate, bootstrap_interval, crossed_bootstrap, t_interval
from framewright.core.errors import ConfigError, DataError

COLUMN = MetricColumn(key="psnr", label="PSNR", metric="psnr", options={}, unit="dB", higher_is_better=True, decimals=2)
LENGTHS = {"a": 1, "b": 3, "c": 2, "d": 10}


def measurement(values: dict[str, float], manifest: str = "m", videos: bool = True) -> Measurement:
    protocol = ProtocolRecord(
        name="p", version=1, task="interpolation", mean_over="frames", description=["as described"], metrics=[COLUMN]
    )
    frames = sum(LENGTHS[video] for video in values)
    mean = sum(value * LENGTHS[video] for video, value in values.items()) / frames
    result = MethodResult(
        name="trained",
        source="run",
        weights_sha256=None,
        metrics={
            "psnr": MetricResult(mean=mean, ci95=None, n=len(values), n_frames=frames, unit="dB", higher_is_better=True)
        },
        videos={video: {"psnr": value} for video, value in values.items()} if videos else {},
        frames={video: {"psnr": LENGTHS[video]} for video in values} if videos else {},
    )
    return Measurement(protocol, "data", manifest, result)


def trial(setting: str, seed: int, shift: float, **more: Any) -> Trial:
    values = {"a": 30.0 + shift, "b": 20.0 + shift, "c": 25.0 + shift, "d": 28.0 + shift}
    return Trial(f"{setting}-{seed}", setting, {"optim.ema": setting}, seed, measurement(values, **more))


def test_values_are_means_over_seeds_and_differences_are_paired_over_videos() -> None:
    trials = [trial("off", 1, 0.0), trial("off", 2, 0.2), trial("on", 1, 1.0), trial("on", 2, 1.2)]
    table = make_ablation("sweep", trials, ["optim.ema"])
    off, on = table.results.methods
    plain = (30 + 3 * 20 + 2 * 25 + 10 * 28) / 16
    assert off.metrics["psnr"].mean == pytest.approx(plain + 0.1)
    assert on.metrics["psnr"].mean == pytest.approx(plain + 1.1)
    found = table.rows[1].differences["psnr"]
    assert found.mean == pytest.approx(1.0)
    assert found.ci95 is not None
    # the videos differ by 10 dB, the rows by the same amount on each: pairing removes all of that
    assert 0.75 < found.ci95[0] < 1.0 < found.ci95[1] < 1.25
    interval = off.metrics["psnr"].ci95
    assert interval is not None
    assert interval[1] - interval[0] > 2
    assert not table.rows[0].differences
    assert table.rows[0].spread["psnr"] == pytest.approx(0.2 / np.sqrt(2))


def test_with_one_seed_the_crossed_bootstrap_is_that_over_videos() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 20, size=30).astype(float)
    sums = counts * rng.normal(30, 3, size=30)
    (replicates,) = crossed_bootstrap([(sums[None], counts[None])], "frames", resamples=20_000)
    expected = bootstrap_interval(sums, counts, "frames", resamples=20_000)
    assert expected is not None
    assert np.quantile(replicates, [0.025, 0.975]) == pytest.approx(expected, abs=0.05)
    assert replicates.mean() == pytest.approx(aggregate(sums, counts, "frames"), abs=0.1)


def test_the_crossed_interval_covers_what_varies_with_videos_and_with_seeds() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        videos, seeds = rng.normal(0, 1, 12), rng.normal(0, 0.5, 8)
        values = 30 + videos[None] + seeds[:, None]
        counts = np.ones_like(values)
        (replicates,) = crossed_bootstrap([(values, counts)], "videos", resamples=400)
        low, high = np.quantile(replicates, [0.025, 0.975])
        covered += low <= 30 <= high
    # 95 % nominal; the percentile bootstrap of so few is a little narrow
    assert 0.84 < covered / 200 < 0.99


def test_students_t_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    for count in (2, 3, 7, 11, 12, 40):
        values = rng.normal(30, 1, count)
        expected = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
        assert t_interval(list(values)) == pytest.approx(expected, rel=1e-4)
        others = rng.normal(31, 2, count + 1)
        welch = stats.ttest_ind(values, others, equal_var=False).confidence_interval()
        found = t_interval(list(values), list(others))
        assert found is not None
        assert sum(found) == pytest.approx(welch.low + welch.high)
        # between whole degrees of freedom the table is interpolated
        assert found[1] - found[0] == pytest.approx(welch.high - welch.low, rel=0.01)
    assert t_interval([1.0]) is None
    assert t_interval([1.0, 2.0], [1.0]) is None


def test_without_values_per_video_the_intervals_are_over_seeds() -> None:
    trials = [trial("off", 1, 0.0, videos=False), trial("off", 2, 0.2, videos=False), trial("on", 1, 1, videos=False)]
    table = make_ablation("sweep", trials, ["optim.ema"])
    off, on = table.results.methods
    assert off.metrics["psnr"].ci95 is not None
    assert on.metrics["psnr"].ci95 is None
    assert table.rows[1].differences["psnr"].ci95 is None
    assert "Student's t over seeds" in table.notes[0]


def test_a_value_of_the_whole_set_has_an_interval_over_seeds_alone() -> None:
    trials = [trial("off", 1, 0.0), trial("off", 2, 0.2), trial("on", 1, 1.0), trial("on", 2, 1.4)]
    for each in trials:
        each.measurement.protocol.metrics[0] = COLUMN.model_copy(update={"mean_over": "set"})
    row = make_ablation("sweep", trials, ["optim.ema"]).rows[1]
    assert row.differences["psnr"].ci95 == pytest.approx(t_interval([1.0, 1.4], [0.0, 0.2]))


def test_the_base_can_be_chosen_and_must_exist() -> None:
    trials = [trial("off", 1, 0.0), trial("on", 1, 1.0)]
    table = make_ablation("sweep", trials, ["optim.ema"], base="on")
    assert table.rows[0].differences["psnr"].mean == pytest.approx(-1.0)
    with pytest.raises(ConfigError, match=r"'onn' is no row; did you mean 'on'"):
        make_ablation("sweep", trials, ["optim.ema"], base="onn")
    with pytest.raises(ConfigError, match="has no finished run yet"):
        make_ablation("sweep", trials, ["optim.ema"], base="x", left_out=[LeftOut("x-1", "x", "failed: error")])
    with pytest.raises(DataError, match=r"no finished run.*\n.*x-1: failed"):
        make_ablation("sweep", [], ["optim.ema"], left_out=[LeftOut("x-1", "x", "failed: error")])


def test_runs_measured_on_other_data_are_left_out_and_listed() -> None:
    trials = [trial("off", 1, 0.0), trial("off", 2, 5.0, manifest="other"), trial("on", 1, 1.0)]
    table = make_ablation("sweep", trials, ["optim.ema"])
    assert [row.seeds for row in table.rows] == [(1,), (1,)]
    assert [run.name for run in table.left_out] == ["off-2"]
    assert "off-2: was measured on other data" in ablation_text(table)


def test_all_formats_show_settings_differences_and_what_is_missing(tmp_path: Path) -> None:
    names = {"off": r"<b>off</b> & 50%_|x|", "on": "smörgås"}
    trials = [trial(names[k], seed, shift) for k, shift in (("off", 0.0), ("on", 1.0)) for seed in (1, 2)]
    failed = LeftOut("broken-1", "broken", "failed: exit status 2: error: <i>loss</i> is not finite")
    table = make_ablation("a sweep", trials, ["optim.ema"], left_out=[failed])
    written = write_ablation(table, tmp_path)
    markdown, latex, page = (p.read_text() for p in (written.markdown, written.latex, written.html))
    assert "| ema | seeds | PSNR (dB) ↑ | Δ | parameters |" in markdown
    assert "&lt;b&gt;off&lt;/b&gt;" in markdown
    assert r"50\%\_\textbar{}x\textbar{}" in latex
    assert r"$\Delta$" in latex
    assert "$+1.00$" in latex
    for text in (markdown, latex, page):
        assert "+1.00" in text
        assert "broken-1" in text
        assert "bootstrap over 4 videos and over seeds" in text
    assert "<b>off" not in page
    assert "<i>loss" not in page
    lines = list(csv.DictReader(io.StringIO(ablation_csv(table))))
    assert lines[1]["optim.ema"] == "smörgås"
    assert float(lines[1]["psnr_difference"]) == pytest.approx(1.0)
    assert lines[2]["left_out_because"] == failed.reason
    # the file is an evaluation's results with more in it
    assert [m.name for m in read_results(written.results).methods] == list(names.values())
    record = json.loads(written.results.read_text())
    assert record["ablation"]["left_out"][0]["run"] == "broken-1"
    assert record["methods"][1]["ablation"]["difference_to_base"]["psnr"]["mean"] == pytest.approx(1.0)


def test_rows_with_names_of_their_own_keep_them() -> None:
    named = [Trial("n-1", "with EMA", {"optim.ema": "0.9"}, 1, measurement({"a": 1.0, "b": 2.0}))]
    assert make_grid(make_ablation("s", named, ["optim.ema"])).named
    plain = [Trial("n-1", "ema=0.9", {"optim.ema": "0.9"}, 1, measurement({"a": 1.0, "b": 2.0}))]
    assert not make_grid(make_ablation("s", plain, ["optim.ema"])).named
