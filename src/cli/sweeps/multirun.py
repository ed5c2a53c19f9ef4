"""Hydra's ``-m`` for training: run folders below one sweep folder, and a refusal where it cannot work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError
from .folder import SweepFolder
from .plan import Job, Plan, label_of, with_names


class TrainingSweep:
    """The jobs of ``train.py -m``.

    Args:
        config_directory: the configurations.
    """

    def __init__(self, config_directory: Path) -> None:
        self.config_directory = config_directory
        self.jobs: list[Job] = []
        self.swept: list[str] = []

    def prepare(self, jobs: Sequence[Sequence[str]], swept: Sequence[str]) -> None:
        """Check every job before the first one starts.

        Raises:
            ConfigError: a job's configuration is wrong, needs several devices, or names a run folder.
        """
        self.swept = [key for key in swept if key != "seed"]
        described = []
        for overrides in jobs:
            check_job(overrides, self.config_directory, multirun=True)
            texts = {o.lstrip("+~").partition("=")[0]: o.partition("=")[2] for o in overrides}
            settings = {key: texts[key].strip("'\"") for key in self.swept if key in texts}
            seed = int(texts["seed"]) if "seed" in texts else None
            plain = tuple(override.lstrip("+") for override in overrides)
            described.append(Job("", label_of("", settings), settings, seed, plain))
        self.jobs = with_names(described)

    def place(self, values: dict[str, Any], folder: Path, number: int) -> dict[str, Any]:
        """Put the run into the sweep's folder, grouped and tagged."""
        refuse_several_devices(values)
        sweep = SweepFolder(folder)
        run = dict(values.get("run") or {})
        run["group"] = run.get("group") or sweep.path.name
        name, tags = f"job-{number}", list(run.get("tags") or [])
        if number < len(self.jobs):
            job = self.jobs[number]
            if number == 0:
                plan = Plan(run["group"], tuple(self.swept), self.jobs[0].setting, tuple(self.jobs), tuple(tags))
                sweep.write_plan(plan)
            name = job.name
            # W&B takes tags of at most 64 characters
            tags += [f"{key}={value}"[:64] for key, value in job.settings.items()]
            print(f"[{number + 1}/{len(self.jobs)}] {name}", flush=True)
        run["name"] = name if run.get("name") is None else f"{run['name']}-{name}"
        return {**values, "run": {**run, "tags": list(dict.fromkeys(tags)), "dir": str(sweep.path / name)}}

    def failed(self, folder: Path, number: int, message: str) -> None:
        """Remember the reason beside the runs, for the table of the sweep."""
        if number < len(self.jobs):
            SweepFolder(folder).record_failure(self.jobs[number], message)


def check_job(overrides: Sequence[str], config_directory: Path, *, multirun: bool = False) -> dict[str, Any]:
    """Compose and validate one job without starting it; returns its configuration.

    Raises:
        ConfigError: anything is wrong with it.
    """
    from ..entry import compose
    from ..tiny import make_tiny
    from ..train import check

    values = compose(config_directory, "train", overrides)
    if multirun:
        refuse_several_devices(values)
        if (values.get("run") or {}).get("dir") is not None:
            raise ConfigError(
                "run.dir names the folder of a single run; the runs of -m go below hydra.sweep.dir=<folder>"
            )
        if values.get("resume") is not None:
            raise ConfigError("resume continues a single run; python sweep.py continues a sweep (docs/sweeps.md)")
    if (values.get("debug") or {}).get("tiny"):
        values = make_tiny(values, config_directory)
    check(values)
    return values


def refuse_several_devices(values: Mapping[str, Any]) -> None:
    """Refuse ``-m`` for a run of several processes.

    Lightning starts the other ranks with the command line of the first one. With ``-m`` in it every rank runs the
    sweep of its own, and nothing keeps two of these in step: after a job that fails on one of them they wait for
    each other for ever.

    Raises:
        ConfigError: saying why and what to do instead.
    """
    reason = _several_devices(values.get("trainer") or {})
    if reason is not None:
        raise ConfigError(
            f"-m runs all jobs inside one process and cannot be combined with several devices ({reason}): every "
            "further rank is started with the same command line and would run the whole sweep once more. Use "
            "`python sweep.py sweep=<name>`, which starts one command per job; see docs/sweeps.md"
        )


def _several_devices(trainer: Mapping[str, Any]) -> str | None:
    devices, strategy = trainer.get("devices", 1), str(trainer.get("strategy", "auto"))
    if strategy not in ("auto", "single_device"):
        return f"trainer.strategy={strategy}"
    if isinstance(devices, int) and not isinstance(devices, bool) and devices > 1:
        return f"trainer.devices={devices}"
    if trainer.get("num_nodes", 1) not in (None, 1):
        return f"trainer.num_nodes={trainer['num_nodes']}"
    for variable in ("WORLD_SIZE", "SLURM_NTASKS"):
        started = os.environ.get(variable, "1")
        interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive") or "SLURM_PROCID" not in os.environ
        if started.isdigit() and int(started) > 1 and not (variable.startswith("SLURM") and interactive):
            return f"{variable}={started}"
    if devices == "auto" and trainer.get("accelerator") in ("auto", "gpu", "cuda"):
        import torch

        if torch.cuda.device_count() > 1:
            return f"trainer.devices=auto with {torch.cuda.device_count()} GPUs"
    return None
