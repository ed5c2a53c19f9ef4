"""What training logs, keeps and refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.core.errors import DataError, TrainingError
from framewright.datamodules.scenes import ScenesDataset
from framewright.training.callbacks import EarlyStopping
from framewright.training.checkpoints import newest_checkpoint
from framewright.training.config import EarlyStoppingSection, WandbSection
from framewright.training.ema import Ema
from framewright.training.schedules import HoldThenFall, WarmupCosine
from framewright.training.tracking import wandb_mode
from safetensors.torch import load_file
from torch import nn

Run = Callable[..., Path]


def rows(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_run_folder_is_complete(run_training: Run) -> None:
    run = run_training("validation.every=2")
    names = {path.name for path in run.iterdir()}
    wanted = {"config.yaml", "data.json", "provenance.json", "metrics.csv", "curves.png", "weights.safetensors"}
    assert wanted | {"checkpoints", "samples"} <= names
    assert {path.parent.name for path in (run / "samples").rglob("*.mp4")} == {"iter_00000002", "iter_00000003"}
    provenance = json.loads((run / "provenance.json").read_text())
    assert len(provenance["data_manifest"]) == 64
    assert "torch" in provenance["environment"]["packages"]
    assert [row["iteration"] for row in rows(run)] == ["1", "2", "3"]
    assert not rows(run)[0]["val/psnr"]
    assert float(rows(run)[2]["val/psnr"]) > 5


def test_every_loss_term_is_logged_and_weighted(run_training: Run) -> None:
    run = run_training("loss=rife", "model.teacher=true", "loss.distillation.weight=0.5")
    for row in rows(run):
        parts = [float(row[f"train/{name}"]) for name in ("laplacian", "teacher", "distillation")]
        assert float(row["train/loss"]) == pytest.approx(parts[0] + parts[1] + 0.5 * parts[2], rel=1e-5)


def test_accumulation_equals_the_large_batch(run_training: Run) -> None:
    # tiny batches hold 2 samples: 3 steps of 2 x 2 against the mean gradient is compared through the weights
    accumulated = run_training("optim.accumulate=2", "optim.ema=null", name="accumulated")
    state = torch.load(newest_checkpoint(accumulated).path, weights_only=True)
    assert state["framewright"]["iteration"] == 3
    assert state["RunDataModule"]["consumed"] == 3 * 2 * 2
    assert len(rows(accumulated)) == 3


def test_channels_last_changes_the_layout_and_not_the_training(run_training: Run) -> None:
    plain, moved = (
        load_file(run_training("optim.iterations=2", f"trainer.channels_last={on}", name=on) / "weights.safetensors")
        for on in ("false", "true")
    )
    assert plain.keys() == moved.keys()
    for key, value in plain.items():
        assert torch.allclose(value, moved[key], atol=1e-4), key


def test_a_checkpoint_holds_network_average_and_optimizer_only(run_training: Run) -> None:
    run = run_training()
    state = torch.load(newest_checkpoint(run).path, weights_only=True)
    prefixes = {key.split(".")[0] for key in state["state_dict"]}
    assert prefixes == {"net", "ema"}
    live = {key.removeprefix("net.") for key in state["state_dict"] if key.startswith("net.")}
    averaged = {key.removeprefix("ema.net.") for key in state["state_dict"] if key.startswith("ema.net.")}
    assert live == averaged
    assert len(state["optimizer_states"]) == 1


def test_overfitting_one_batch_drives_the_loss_down(run_training: Run) -> None:
    run = run_training("debug.repeat_batches=1", "optim.iterations=60", "validation.every=100", "checkpoint.every=100")
    losses = [float(row["train/loss"]) for row in rows(run)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_gradients_are_clipped_and_their_true_norm_is_logged(run_training: Run) -> None:
    free = rows(run_training("optim.gradient_clip=null", "optim.ema=null", name="free"))
    clipped = rows(run_training("optim.gradient_clip=1e-9", "optim.ema=null", name="clipped"))
    assert float(free[0]["train/grad_norm"]) == float(clipped[0]["train/grad_norm"]) > 1e-3


def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(
    run_training: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = ScenesDataset.sample

    def poisoned(self: Any, index: int, rng: Any) -> Any:
        sample = original(self, index, rng)
        return {**sample, "target": sample["target"] * float("nan")}

    monkeypatch.setattr(ScenesDataset, "sample", poisoned)
    with pytest.raises(TrainingError, match=r"not finite at iteration 0: laplacian.*not_finite_00000000.pt"):
        run_training()
    kept = torch.load(tmp_path / "run" / "not_finite_00000000.pt", weights_only=True)
    assert kept["target"].isnan().all()
    assert kept["image0"].isfinite().all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_read_ends_with_its_message(
    workers: int, run_training: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, index: int, rng: Any) -> Any:
        raise DataError("clip.mp4: frame 3 cannot be decoded")

    monkeypatch.setattr(ScenesDataset, "sample", broken)
    with pytest.raises(DataError) as caught:
        run_training(f"data.workers={workers}")
    assert str(caught.value) == "clip.mp4: frame 3 cannot be decoded"


def test_early_stopping_ends_the_run(run_training: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_training(
        "early_stopping={monitor: val/psnr, patience: 1, min_delta: 100}",
        "optim.iterations=20",
        "validation.every=2",
    )
    assert len(rows(run)) == 4
    assert newest_checkpoint(run).iteration == 4
    assert "early stopping: val/psnr has not improved" in capsys.readouterr().out


def test_early_stopping_counts_validations_without_improvement() -> None:
    class Trainer:
        should_stop = False

    stopping, trainer = EarlyStopping(EarlyStoppingSection(monitor="m", mode="min", patience=2)), Trainer()
    for value, stop in [(3.0, False), (2.0, False), (2.5, False), (1.0, False), (1.0, False), (1.1, True)]:
        stopping.on_validated(trainer, {"m": value})  # type: ignore[arg-type]
        assert trainer.should_stop is stop, value


def test_the_average_follows_the_weights_as_documented() -> None:
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.zeros_(net[0].weight)
    ema = Ema(net, 0.9)
    expected = 0.0
    for step in range(200):
        nn.init.ones_(net[0].weight)
        net[1].running_mean.fill_(step)
        ema.update(net)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
        assert float(ema.net[0].weight) == pytest.approx(expected, abs=1e-6)
        assert float(ema.net[1].running_mean) == step
    assert not any(p.requires_grad for p in ema.parameters())
    assert not ema.train().net.training


def test_warmup_cosine_is_the_published_schedule() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-4)
    schedule = WarmupCosine(optimizer, total=100, warmup=20, minimum=3e-6)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == 0
    assert rates[10] == pytest.approx(1.5e-4)
    assert rates[20] == pytest.approx(3e-4)
    assert rates[60] == pytest.approx((3e-4 + 3e-6) / 2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-6)


def test_hold_then_fall_is_the_official_schedule() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2e-4)
    schedule = HoldThenFall(optimizer, total=400)
    rates = []
    for _ in range(400):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    # two iterations are an epoch
    assert set(rates[:198]) == {2e-4}
    assert rates[198] == rates[199] == pytest.approx(2e-4 * 100 / 101)
    assert rates[300] == pytest.approx(2e-4 * (1 - 52 / 101))
    assert rates[398:] == [0, 0]
    with pytest.raises(ValueError, match="0 <= hold <= epochs"):
        HoldThenFall(optimizer, total=400, epochs=50)


def test_wandb_never_prompts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert wandb_mode(WandbSection())[0] == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode(WandbSection())[0] == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode(WandbSection())[0] == "offline"
    assert wandb_mode(WandbSection(mode="disabled"))[0] == "disabled"


def test_wandb_offline_run_lies_in_the_run_folder(run_training: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = run_training("logger=wandb")
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert list(folder.glob("*.wandb"))
    assert list(folder.rglob("*.mp4"))


def test_validating_more_often_does_not_change_the_training(run_training: Run) -> None:
    often = run_training("validation.every=1", "optim.iterations=4", name="often")
    never = run_training("validation.every=100", "optim.iterations=4", name="never")
    a, b = (torch.load(newest_checkpoint(run).path, weights_only=True)["state_dict"] for run in (often, never))
    assert all(torch.equal(a[key], b[key]) for key in a)
