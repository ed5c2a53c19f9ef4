"""A run that was interrupted equals one that was not, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.core.errors import CheckpointError, ConfigError
from framewright.training.checkpoints import newest_checkpoint, saved_checkpoints
from framewright.training.interruption import Interruption, TrainingInterrupted

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Path]

# accumulation, validation, averages and a schedule: everything that has a state
RECIPE = [
    "optim.iterations=7",
    "optim.accumulate=2",
    "validation.every=3",
    "checkpoint.every=2",
    "checkpoint.monitor=val/psnr",
    "checkpoint.export=best",
]


def assert_equal_runs(one: Path, other: Path) -> None:
    """Weights, optimizer, averages, random state, metrics and data position agree exactly."""
    first, second = newest_checkpoint(one), newest_checkpoint(other)
    assert first.iteration == second.iteration
    a = torch.load(first.path, weights_only=True)
    b = torch.load(second.path, weights_only=True)
    assert_same(a["state_dict"], b["state_dict"])
    assert any(key.startswith("ema.net.") for key in a["state_dict"])
    assert_same(a["optimizer_states"], b["optimizer_states"])
    assert_same(a["lr_schedulers"], b["lr_schedulers"])
    assert_same(a["framewright_rng"], b["framewright_rng"])
    assert_same(a["RunDataModule"], b["RunDataModule"])
    assert_same(a.get("framewright_pools"), b.get("framewright_pools"))
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()


def assert_same(a: Any, b: Any, where: str = "") -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b or (a != a and b != b), where


class Crash(Exception):
    """Stands for a power cut: nothing that the program does about interruptions runs."""


def crash_at(iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Interruption, trainer: Any, *_: Any) -> None:
        if trainer.global_step == iteration:
            raise Crash

    monkeypatch.setattr(Interruption, "on_train_batch_end", stop)


@pytest.mark.parametrize(
    ("experiment", "workers"),
    [
        ("quickstart", 0),
        ("quickstart", 2),
        ("quickstart_inpainting", 0),
        ("quickstart_sr_gan", 0),
        ("quickstart_style", 0),
        ("quickstart_matting", 0),
    ],
)
def test_resumed_equals_uninterrupted(
    experiment: str, workers: int, run_training: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = [*RECIPE, f"experiment={experiment}", f"data.workers={workers}"]
    # full after two iterations
    recipe += ["gan.pool=20"] if experiment == "quickstart_style" else []
    whole = run_training(*recipe, name="whole")
    # 5: between two checkpoints, after a validation at 3 that the run continued from 4 must not repeat
    with monkeypatch.context() as patch:
        crash_at(5, patch)
        with pytest.raises(Crash):
            run_training(*recipe, name="parts")
    parts = whole.parent / "parts"
    assert newest_checkpoint(parts).iteration == 4
    run_training(f"resume={parts}", "trainer.threads=1")
    assert_equal_runs(whole, parts)


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(run_training: Run) -> None:
    first = run_training("checkpoint.every=3", name="first")
    assert_equal_runs(first, run_training("checkpoint.every=3", name="second"))
    other = run_training("checkpoint.every=3", "seed=2", name="other")
    a, b = (torch.load(newest_checkpoint(r).path, weights_only=True)["state_dict"] for r in (first, other))
    assert any(not torch.equal(a[key], b[key]) for key in a)


def test_a_truncated_newest_checkpoint_falls_back(run_training: Run) -> None:
    whole = run_training(*RECIPE, name="whole")
    parts = run_training(*RECIPE, name="parts")
    newest = newest_checkpoint(parts)
    newest.path.write_bytes(newest.path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"iter_00000007.ckpt is damaged .* falling back"):
        run_training(f"resume={parts}")
    assert_equal_runs(whole, parts)
    assert (parts / "checkpoints" / "iter_00000007.damaged").exists()


def test_flipped_bytes_of_the_same_size_are_found(run_training: Run) -> None:
    run = run_training("checkpoint.every=1")
    newest = saved_checkpoints(run)[0]
    content = bytearray(newest.path.read_bytes())
    content[len(content) // 2] ^= 1
    newest.path.write_bytes(bytes(content))
    with pytest.warns(UserWarning, match="SHA-256"):
        assert newest_checkpoint(run).iteration == newest.iteration - 1


def test_when_every_checkpoint_is_damaged_all_reasons_are_given(run_training: Run) -> None:
    run = run_training("checkpoint.every=1")
    for saved in saved_checkpoints(run):
        saved.path.write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CheckpointError, match=r"iter_00000003.ckpt: it has 0 bytes.*iter_00000002"):
            newest_checkpoint(run)


def test_a_file_without_sidecar_does_not_count(run_training: Run) -> None:
    run = run_training("checkpoint.every=1")
    (run / "checkpoints" / "iter_00000009.ckpt").write_bytes(b"killed while writing")
    assert newest_checkpoint(run).iteration == 3


def test_only_the_newest_and_the_best_are_kept(run_training: Run) -> None:
    run = run_training(*RECIPE)
    names = sorted(path.name for path in (run / "checkpoints").glob("*.ckpt"))
    assert names == ["best.ckpt", "iter_00000006.ckpt", "iter_00000007.ckpt"]
    record = json.loads((run / "checkpoints" / "best.json").read_text())
    assert record["iteration"] in (3, 6, 7)


def test_a_signal_writes_a_checkpoint_and_says_how_to_continue(
    run_training: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_training(*RECIPE, name="whole")
    original = Interruption.on_train_batch_end

    def interrupt(self: Interruption, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, trainer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_batch_end", interrupt)
        with pytest.raises(TrainingInterrupted, match=r"stopped at iteration 5.*resume=.*parts"):
            run_training(*RECIPE, name="parts")
    parts = whole.parent / "parts"
    assert newest_checkpoint(parts).iteration == 5
    run_training(f"resume={parts}")
    assert_equal_runs(whole, parts)


def test_a_continued_run_keeps_its_configuration(run_training: Run) -> None:
    run = run_training()
    with pytest.raises(ConfigError) as caught:
        run_training(f"resume={run}", "optim.optimizer.lr=1", "seed=9")
    message = str(caught.value)
    assert "optim.optimizer.lr: 0.001 -> 1" in message
    assert "seed: 1 -> 9" in message
    assert "resume_force=true" in message


def test_another_run_in_the_same_folder_is_refused(run_training: Run) -> None:
    run_training()
    with pytest.raises(ConfigError, match="already holds a run"):
        run_training()


def test_resume_auto_starts_or_continues(run_training: Run, tmp_path: Path) -> None:
    run = run_training("resume=auto", f"run.dir={tmp_path / 'auto'}")
    before = (run / "weights.safetensors").read_bytes()
    (run / "weights.safetensors").unlink()
    run_training("resume=auto", f"run.dir={run}")
    assert (run / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_killed_at_a_random_moment(workers: int, run_training: Run, tmp_path: Path) -> None:
    """SIGKILL to the real program; then the real program continues it."""
    common = [f"data.workers={workers}", "checkpoint.every=1", "optim.iterations=40", "validation.every=20"]
    whole = run_training(*common, name="whole")
    parts = tmp_path / "parts"
    tiny = ["debug=tiny", "final=null", "trainer.progress=false", "trainer.threads=1", "validation.metrics={psnr: {}}"]
    command = [sys.executable, str(ROOT / "train.py")]
    process = subprocess.Popen([*command, *tiny, *common, f"run.dir={parts}"], cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 120
    while not saved_checkpoints(parts) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.random())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reached = newest_checkpoint(parts).iteration
    assert reached < 40, "it was too fast to be killed"
    done = subprocess.run([*command, f"resume={parts}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"continuing at iteration {reached}" in done.stdout
    assert_equal_runs(whole, parts)
