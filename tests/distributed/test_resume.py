"""Two processes that were killed, or warned by SLURM, continue bit for bit."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from framewright.training.checkpoints import newest_checkpoint, saved_checkpoints

from ..training.test_resume import assert_equal_runs
from ..training.test_slurm import JOB, fake_scontrol
from .conftest import RECIPE, start


def wait_for_checkpoint(run: Path, *processes: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not saved_checkpoints(run) and time.monotonic() < deadline:
        assert all(process.poll() is None for process in processes), processes[0].communicate()[1]
        time.sleep(0.02)


def test_killed_and_resumed_equals_uninterrupted(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "parts"
    process = start(tmp_path, *RECIPE, f"run.dir={run}")
    wait_for_checkpoint(run, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    reached = newest_checkpoint(run).iteration
    assert reached < 60, "it was too fast to be killed"
    assert newest_checkpoint(run).processes == 2

    alone = start(tmp_path, f"resume={run}", "trainer.devices=1", "trainer.strategy=auto")
    _, errors = alone.communicate(timeout=120)
    assert alone.returncode == 2
    assert errors.count("error:") == 1
    assert "was trained by 2 processes and would now continue with 1" in errors
    assert newest_checkpoint(run).iteration == reached, "the refused call changed nothing"

    process = start(tmp_path, f"resume={run}")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert f"continuing at iteration {reached}" in output
    assert_equal_runs(whole, run)


def test_a_warned_job_of_two_tasks_continues(whole: Path, tmp_path: Path) -> None:
    calls = fake_scontrol(tmp_path / "bin")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {
        **JOB,
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }
    slurm = [a if a != "trainer=ddp" else "trainer=slurm" for a in RECIPE]

    def srun(restarts: int) -> list[subprocess.Popen[str]]:
        ranks = [{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2)]
        return [start(tmp_path, *slurm, **{**job, **rank, "SLURM_RESTART_COUNT": str(restarts)}) for rank in ranks]

    run = tmp_path / "runs" / "quickstart" / "slurm-4711_2"
    tasks = srun(0)
    wait_for_checkpoint(run, *tasks)
    # the warning reaches one of them first
    tasks[1].send_signal(signal.SIGUSR1)
    time.sleep(0.1)
    tasks[0].send_signal(signal.SIGUSR1)
    for task in tasks:
        output, errors = task.communicate(timeout=120)
        assert task.returncode == 0, errors
        assert ("is in the queue again" in output) == (task is tasks[0])
    assert calls.read_text() == "requeue 4711_2\n", "asked once, by the first process"
    assert 0 < newest_checkpoint(run).iteration < 60

    for task in srun(1):
        _, errors = task.communicate(timeout=300)
        assert task.returncode == 0, errors
    assert_equal_runs(whole, run)
    assert not list(run.rglob("hpc_ckpt*"))
