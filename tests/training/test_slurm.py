"""SLURM jobs: the batch script, the run folder, the warning and the second start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framewright.cli.entry import compose
from framewright.cli.train import train
from framewright.core.errors import ConfigError
from framewright.training.checkpoints import newest_checkpoint, saved_checkpoints
from framewright.training.interruption import Interruption, TrainingInterrupted, TrainingRequeued
from framewright.training.slurm import current_job

from .conftest import CONFIGS, TINY

Run = Callable[..., Path]

JOB = {
    "SLURM_JOB_ID": "4713",
    "SLURM_ARRAY_JOB_ID": "4711",
    "SLURM_ARRAY_TASK_ID": "2",
    "SLURM_JOB_NAME": "quickstart",
    "SLURM_NTASKS": "1",
    "SLURM_NTASKS_PER_NODE": "1",
    "SLURM_NNODES": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def fake_scontrol(folder: Path, status: int = 0) -> Path:
    """Puts a ``scontrol`` into ``folder`` that writes down how it was called; returns that file."""
    folder.mkdir(exist_ok=True)
    calls = folder / "calls"
    calls.touch()
    program = folder / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\necho "slurm says no" >&2\nexit {status}\n')
    program.chmod(0o755)
    return calls


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Inside task 2 of array job 4711, with a ``scontrol`` of our own."""
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return fake_scontrol(tmp_path / "bin")


def attempt(*overrides: str) -> Path:
    typed = [*TINY, *overrides]
    return train(compose(CONFIGS, "train", typed), typed, CONFIGS)


SLURM = ["trainer=slurm", "trainer.accelerator=cpu", "trainer.strategy=auto", "trainer.threads=1"]


def signal_at(iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Interruption.on_train_batch_end

    def interrupt(self: Interruption, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == iteration:
            os.kill(os.getpid(), signal.SIGUSR1)
        original(self, trainer, *arguments)

    monkeypatch.setattr(Interruption, "on_train_batch_end", interrupt)


def test_the_warning_saves_requeues_and_the_second_start_continues(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = [*SLURM, "optim.iterations=6", "checkpoint.every=4", f"run.root={tmp_path}"]
    with monkeypatch.context() as patch:
        signal_at(3, patch)
        with pytest.raises(TrainingRequeued, match=r"iteration 3.*job 4711_2 is in the queue again"):
            attempt(*recipe)
    assert job.read_text() == "requeue 4711_2\n"
    run = tmp_path / "quickstart" / "slurm-4711_2"
    assert newest_checkpoint(run).iteration == 3
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert attempt(*recipe) == run
    assert newest_checkpoint(run).iteration == 6
    assert job.read_text() == "requeue 4711_2\n"
    assert not list(run.rglob("hpc_ckpt*")), "Lightning wrote a checkpoint of its own"


def test_a_folder_of_ones_own_is_continued_only_by_the_same_job(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_scontrol(tmp_path / "bin", status=1)
    recipe = [*SLURM, f"run.dir={tmp_path / 'mine'}"]
    with monkeypatch.context() as patch:
        signal_at(2, patch)
        with pytest.raises(TrainingInterrupted, match=r"not put back: slurm says no. Continue with: .*resume="):
            attempt(*recipe)
    with pytest.raises(ConfigError, match="already holds a run"):
        attempt(*recipe)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    attempt(*recipe)
    assert saved_checkpoints(tmp_path / "mine")[0].iteration == 3


def test_a_job_that_does_not_fit_is_refused(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"trainer.devices=2, but the SLURM job has --ntasks-per-node=1"):
        attempt(*SLURM, "trainer.devices=2", f"run.root={tmp_path}")
    with pytest.raises(ConfigError, match=r"trainer.num_nodes=3, but the SLURM job has --nodes=1"):
        attempt(*SLURM, "trainer.num_nodes=3", f"run.root={tmp_path}")
    for name in JOB:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=r"trainer.slurm.script=<file>.*sbatch"):
        attempt(*SLURM, f"run.root={tmp_path}")


def test_the_job_of_an_environment() -> None:
    assert current_job({}) is None
    plain = {k: v for k, v in JOB.items() if "ARRAY" not in k}
    found = current_job({**plain, "SLURM_STEP_ID": "1", "SLURM_RESTART_COUNT": "2"})
    assert found is not None
    assert (found.id, found.name, found.restarts) == ("4713", "slurm-4713-step1", 2)
    assert current_job({**plain, "SLURM_JOB_NAME": "interactive"}) is None


def test_the_batch_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "my job.sh"
    typed = [
        "experiment=rife_vimeo90k",
        "data.root=/data/vimeo, 2026",
        "seed=${oc.env:SLURM_ARRAY_TASK_ID,0}",
        "trainer=slurm",
        "trainer.devices=4",
        "trainer.num_nodes=2",
        "trainer.slurm.array=0-3",
        "trainer.slurm.partition=gpu",
        "trainer.slurm.setup=['module load cuda']",
        "trainer.slurm.options=['--exclude=node7']",
        f"trainer.slurm.script={script}",
    ]
    values = compose(CONFIGS, "train", typed)
    assert train(values, typed, CONFIGS) == script
    text = script.read_text()
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    wanted = {
        "#SBATCH --job-name=rife_vimeo90k",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=4",
        "#SBATCH --gpus-per-node=4",
        "#SBATCH --signal=SIGUSR1@180",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --array=0-3",
        "#SBATCH --partition=gpu",
        "#SBATCH --exclude=node7",
        f"#SBATCH --output={tmp_path}/slurm/%x-%A_%a.out",
        "module load cuda",
        f"cd {tmp_path}",
    }
    assert wanted <= set(lines)
    assert not any("mem" in line for line in lines)
    assert (tmp_path / "slurm").is_dir(), "SLURM does not make the folder of its output"
    (command,) = [line for line in lines if line.startswith("srun")]
    assert "trainer.slurm.script" not in command
    # bash gives the program exactly what was typed; $ and spaces included
    echo = tmp_path / "srun"
    echo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    echo.chmod(0o755)
    bare = "\n".join(line for line in lines if line != "module load cuda")
    done = subprocess.run(
        ["bash", "-c", bare], capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr
    given = done.stdout.splitlines()
    assert given[:2] == ["--kill-on-bad-exit=1", "--wait=0"]
    assert given[3] == str(CONFIGS.parent / "train.py")
    assert given[4:] == typed[:-1]
    with pytest.raises(ConfigError, match="exists already"):
        train(values, typed, CONFIGS)
