"""What W&B would be told, read back from its offline folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framewright.cli.entry import compose
from framewright.cli.evaluate import evaluate
from framewright.core.errors import DataError
from framewright.datamodules.scenes import ScenesDataset

from ..wandb_reader import offline_runs
from .conftest import CONFIGS
from .test_resume import Crash, crash_at

Run = Callable[..., Path]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")


def test_a_resumed_run_is_a_group_of_segments(
    run_training: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = [
        "logger=wandb",
        "logger.wandb.log_model=true",
        "run.tags=[trial]",
        "optim.iterations=7",
        "validation.every=3",
        "checkpoint.every=2",
        "checkpoint.monitor=val/psnr",
    ]
    with monkeypatch.context() as patch:
        crash_at(5, patch)
        with pytest.raises(Crash):
            run_training(*recipe)
    run = run_training(f"resume={tmp_path / 'run'}", "trainer.threads=1")

    first, second = offline_runs(run)
    assert first.id != second.id, "a second folder of one id would replace the first on upload"
    assert first.group == second.group == "quickstart-run"
    assert (first.job_type, second.job_type) == ("segment-1", "segment-2")
    assert (first.name, second.name) == ("quickstart-run", "quickstart-run (segment 2)")
    assert first.tags == ["trial"]
    assert (first.exit_code, second.exit_code) == (1, 0)

    assert first.step_metrics["*"] == "iteration", "our own iteration is the x axis"
    for segment, reached in ((first, [1, 2, 3, 4, 5]), (second, [5, 6, 7])):
        trained = [row["iteration"] for row in segment.history if "train/loss" in row]
        assert sorted(set(trained)) == reached
    with open(run / "metrics.csv", newline="") as handle:
        rows = {int(row["iteration"]): row for row in csv.DictReader(handle)}
    for row in second.history:
        for key in ("train/loss", "val/psnr"):
            if key in row:
                assert row[key] == pytest.approx(float(rows[row["iteration"]][key]))

    clips = [(row["iteration"], value) for row in second.history for value in row.values() if isinstance(value, dict)]
    assert [iteration for iteration, _ in clips] == [6, 7]
    for _, clip in clips:
        assert clip["_type"] == "video-file"
        (folder,) = (run / "wandb").glob(f"offline-run-*-{second.id}")
        assert (folder / "files" / clip["path"]).stat().st_size == clip["size"]

    config = second.config
    assert config["optim"]["iterations"] == 7
    assert config["framewright"]["segment"] == 2
    assert config["framewright"]["first_iteration"] == 4
    assert len(config["framewright"]["data_manifest"]) == 64
    assert "torch" in config["framewright"]["environment"]["packages"]

    models = [(name, aliases) for kind, name, aliases in second.artifacts if kind == "model"]
    assert models == [
        ("checkpoint-quickstart-run", ("best", "latest")),
        ("checkpoint-quickstart-run", ("last", "latest")),
    ]
    assert not [kind for kind, *_ in first.artifacts if kind == "model"], "it did not finish"


def test_an_error_ends_the_wandb_run_as_failed(
    run_training: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(self: Any, index: int, rng: Any) -> Any:
        raise DataError("clip.mp4: frame 3 cannot be decoded")

    monkeypatch.setattr(ScenesDataset, "sample", broken)
    with pytest.raises(DataError):
        run_training("logger=wandb")
    (only,) = offline_runs(tmp_path / "run")
    assert only.exit_code == 1


def test_a_table_is_logged_with_pictures_and_files(tmp_path: Path) -> None:
    typed = [
        "benchmark=interpolation_scenes",
        "data.videos=1",
        "methods.average=frame_average",
        "logger=wandb",
        f"out={tmp_path / 'out'}",
        "resamples=50",
    ]
    evaluate(compose(CONFIGS, "evaluate", typed))
    (run,) = offline_runs(tmp_path / "out")
    assert (run.job_type, run.exit_code) == ("evaluation", 0)
    (row,) = run.history
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    mean = results["methods"][0]["metrics"]["psnr"]["mean"]
    assert run.summary["average/psnr"] == pytest.approx(mean)
    assert row["table"]["_type"] == row["videos"]["_type"] == "table-file"
    assert [value["_type"] for key, value in row.items() if key.startswith("clips/")] == ["video-file"]
    assert {value["_type"] for key, value in row.items() if key.startswith("stills/")} == {"images/separated"}
    assert ("results", "results-interpolation_scenes_part", ("latest",)) in run.artifacts
