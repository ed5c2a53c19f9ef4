"""Jobs of the SLURM workload manager: their names, their second start, and the batch script that submits them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConfigError
from ..core.files import atomic_path
from .config import TrainSection


@dataclass(frozen=True)
class SlurmJob:
    """The job that this process belongs to.

    Attributes:
        id: as ``scontrol`` knows it: the number, or ``<array>_<task>``.
        restarts: how often it was requeued.
        step: number of the ``srun`` within the job.
        tasks_per_node: processes per node, None where SLURM does not tell.
        nodes: number of nodes.
    """

    id: str
    restarts: int
    step: int
    tasks_per_node: int | None
    nodes: int

    @property
    def name(self) -> str:
        """Of the run folder: the same when the job is requeued, another for each ``srun`` of a script."""
        return f"slurm-{self.id}" + (f"-step{self.step}" if self.step else "")

    def requeue(self) -> str | None:
        """Ask SLURM to put the job back into the queue; what went wrong, or None."""
        try:
            done = subprocess.run(
                ["scontrol", "requeue", self.id], capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"scontrol cannot be run: {error}"
        return None if done.returncode == 0 else done.stderr.strip() or f"scontrol ended with {done.returncode}"


def current_job(environment: Mapping[str, str] = os.environ) -> SlurmJob | None:
    """The job of this process, None outside of SLURM and in interactive sessions (job name bash, interactive)."""
    job = environment.get("SLURM_JOB_ID")
    interactive = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if job is None or "SLURM_PROCID" not in environment or "SLURM_NTASKS" not in environment or interactive:
        return None
    if "SLURM_ARRAY_JOB_ID" in environment:
        # on requeue, the array's number and the task are what stays
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    step = environment.get("SLURM_STEP_ID", "0")
    per_node = environment.get("SLURM_NTASKS_PER_NODE", "")
    return SlurmJob(
        job,
        int(environment.get("SLURM_RESTART_COUNT", "0")),
        int(step) if step.isdigit() else 0,
        int(per_node) if per_node.isdigit() else None,
        int(environment.get("SLURM_NNODES", "1")),
    )


def check_job(config: TrainSection, job: SlurmJob | None) -> None:
    """Compare a job with the configuration.

    Raises:
        ConfigError: ``trainer=slurm`` outside of a job, or a job with another number of tasks or nodes.
    """
    trainer = config.trainer
    if trainer.slurm is None:
        return
    if job is None:
        raise ConfigError(
            "trainer=slurm runs inside a SLURM job, started by srun. Write a batch script with "
            "trainer.slurm.script=<file> and submit it with: sbatch <file>"
        )
    if trainer.num_nodes != job.nodes:
        raise ConfigError(f"trainer.num_nodes={trainer.num_nodes}, but the SLURM job has --nodes={job.nodes}")
    if job.tasks_per_node is not None and trainer.devices not in ("auto", job.tasks_per_node):
        raise ConfigError(
            f"trainer.devices={trainer.devices}, but the SLURM job has --ntasks-per-node={job.tasks_per_node}; "
            "SLURM starts one process per device"
        )


def write_batch_script(config: TrainSection, arguments: Sequence[str], program: Path) -> Path:
    """Write the script that ``sbatch`` takes.

    Args:
        config: of the run, with its ``trainer.slurm`` section.
        arguments: of the training program; those that only concern the script are left out.
        program: absolute path of ``train.py``.

    Raises:
        ConfigError: ``trainer.devices`` is not a number, or the file exists.
    """
    section, trainer = config.trainer.slurm, config.trainer
    assert section is not None
    assert section.script is not None
    if trainer.devices == "auto":
        raise ConfigError("a batch script needs the number of GPUs per node: trainer.devices=<number>")
    path = Path(section.script).expanduser()
    if path.exists():
        raise ConfigError(f"trainer.slurm.script: {str(path)!r} exists already; choose another name or remove it")
    kept = [a for a in arguments if a.lstrip("+").partition("=")[0] != "trainer.slurm.script"]
    command = shlex.join([sys.executable, str(program), *kept])
    logs = Path(section.logs).expanduser().absolute()
    log = logs / ("%x-%A_%a.out" if section.array else "%x-%j.out")
    options: dict[str, object] = {
        "job-name": section.name or config.run.name or config.experiment,
        "nodes": trainer.num_nodes,
        "ntasks-per-node": trainer.devices,
        "gpus-per-node": None if trainer.accelerator == "cpu" else trainer.devices,
        "cpus-per-task": section.cpus_per_task,
        "mem": section.memory,
        "time": section.time,
        "partition": section.partition,
        "account": section.account,
        "qos": section.qos,
        "array": section.array,
        "output": log,
        # after a requeue the log goes on
        "open-mode": "append",
        # to all processes (no "B:"), so many seconds before the time is over
        "signal": f"SIGUSR1@{section.warning}",
    }
    lines = ["#!/bin/bash"]
    lines += [f"#SBATCH --{key}={_option(value)}" for key, value in options.items() if value is not None]
    lines += ["#SBATCH --requeue", *(f"#SBATCH {line}" for line in section.options), "", "set -euo pipefail"]
    lines += [f"cd {shlex.quote(str(Path.cwd()))}", *section.setup, ""]
    # one failed process ends all; the first may go on alone with the final table
    lines += [f"srun --kill-on-bad-exit=1 --wait=0 {command}", ""]
    logs.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o755)
    return path


def _option(value: object) -> str:
    text = str(value)
    return f'"{text}"' if any(c.isspace() for c in text) else text
