"""A sweep as somebody else's job list: a SLURM array, or a file for ``wandb agent``."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError
from ...core.files import atomic_path, make_directory, write_text
from ..arguments import quote
from .driver import job_command
from .folder import SweepFolder
from .plan import Plan, SweepFile, grammar


def write_slurm_array(
    path: str | Path,
    plan: Plan,
    folder: SweepFolder,
    program: Path,
    trainer: Mapping[str, Any],
    *,
    at_once: int | None = None,
) -> Path:
    """Write a batch script whose array has one task per job; ``sbatch`` submits it.

    A task that is requeued, or the whole script submitted again, continues every job where it stopped.

    Args:
        path: of the script, which must not exist.
        plan: the jobs; finished ones are left out by the caller.
        folder: of the sweep.
        program: absolute path of ``train.py``.
        trainer: the section of the composed configuration: devices, nodes, and what SLURM shall be asked for.
        at_once: how many tasks may run at the same time; None: as many as SLURM likes.

    Raises:
        ConfigError: the file exists, the trainer is not SLURM's, or the number of devices is not known.
    """
    path = Path(path).expanduser()
    if path.exists():
        raise ConfigError(f"slurm: {str(path)!r} exists already; choose another name or remove it")
    devices = trainer.get("devices", 1)
    if not isinstance(devices, int):
        raise ConfigError("a batch script needs the number of devices per node: trainer.devices=<number>")
    asked = trainer.get("slurm")
    if asked is None:
        raise ConfigError("slurm needs trainer=slurm, which saves and requeues the jobs before their time is over")
    limit = f"%{at_once}" if at_once is not None else ""
    options: dict[str, Any] = {
        "job-name": asked.get("name") or plan.name,
        "array": f"0-{len(plan.jobs) - 1}{limit}",
        "nodes": trainer.get("num_nodes", 1),
        "ntasks-per-node": devices,
        "gpus-per-node": None if trainer.get("accelerator") == "cpu" else devices,
        "cpus-per-task": asked.get("cpus_per_task"),
        "mem": asked.get("memory"),
        "time": asked.get("time"),
        "partition": asked.get("partition"),
        "account": asked.get("account"),
        "qos": asked.get("qos"),
        "output": folder.path / "logs" / "slurm-%A_%a.log",
        # after a requeue the log goes on
        "open-mode": "append",
        # to all processes, so many seconds before the time is over
        "signal": f"SIGUSR1@{asked.get('warning', 180)}",
    }
    lines = ["#!/bin/bash"]
    lines += [f"#SBATCH --{key}={_option(value)}" for key, value in options.items() if value is not None]
    lines += ["#SBATCH --requeue", *(f"#SBATCH {line}" for line in asked.get("options") or [])]
    lines += ["", "set -euo pipefail", f"cd {shlex.quote(str(Path.cwd()))}", *(asked.get("setup") or []), ""]
    lines.append('case "$SLURM_ARRAY_TASK_ID" in')
    for number, job in enumerate(plan.jobs):
        command = shlex.join(job_command(program, folder, plan, job))
        lines.append(f"{number}) srun --kill-on-bad-exit=1 --wait=0 {command} ;;")
    lines += ['*) echo "there is no job $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;', "esac", ""]
    # SLURM does not make the folder of its output
    make_directory(folder.path / "logs")
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o755)
    return path


def _option(value: object) -> str:
    text = str(value)
    return f'"{text}"' if any(c.isspace() for c in text) else text


def write_wandb_sweep(
    path: str | Path,
    name: str,
    sweep: SweepFile,
    common: Sequence[str],
    composed: Mapping[str, Any],
    folder: SweepFolder,
) -> Path:
    """Write the file that ``wandb sweep`` takes and ``wandb agent`` then runs.

    W&B's grid is a product of values per key. Rows that change different keys are not one, except where a single
    key is concerned; a row that leaves it alone gets the experiment's own value.

    Args:
        path: of the file, which must not exist.
        name: of the sweep.
        sweep: what varies.
        common: further overrides of all runs.
        composed: the configuration without any setting.
        folder: the runs go below it.

    Raises:
        ConfigError: the file exists, or the rows are no product.
    """
    from omegaconf import OmegaConf

    path = Path(path).expanduser()
    if path.exists():
        raise ConfigError(f"wandb: {str(path)!r} exists already; choose another name or remove it")
    parameters = {key: {"values": [_plain(value) for value in values]} for key, values in sweep.grid.items()}
    keys = list(dict.fromkeys(itertools.chain.from_iterable(sweep.settings.values())))
    if len(keys) > 1:
        raise ConfigError(
            f"the settings change several keys ({', '.join(keys)}), but W&B knows only products of values; use a "
            "grid, or run the sweep without W&B's agent and with logger=wandb"
        )
    for key in keys:
        values = [
            setting[key] if key in setting else _value_of(composed, key, name_)
            for name_, setting in sweep.settings.items()
        ]
        parameters[key] = {"values": [_plain(value) for value in values]}
    parameters["seed"] = {"values": list(sweep.seeds)}
    logger = (composed.get("logger") or {}).get("wandb") or {}
    checkpoint = composed.get("checkpoint") or {}
    typed = [f"experiment={sweep.experiment}"] if sweep.experiment is not None else []
    typed += [*sweep.overrides, *common]
    if not any(override.startswith("logger") for override in typed):
        typed.append("logger=wandb")
    tags = ",".join(quote(tag[:64]) for tag in sweep.tags)
    typed += [f"run.root={folder.path}", f"run.group={grammar(name)}", *([f"run.tags=[{tags}]"] if tags else [])]
    # wandb replaces ${...} of its own in the command; a dollar brace in ours would look like one
    if any("${" in part for part in typed):
        raise ConfigError("an override with ${ cannot stand in a W&B sweep file; write its value")
    value: dict[str, Any] = {
        "name": name,
        "project": logger.get("project", "framewright"),
        "program": "train.py",
        "method": "grid",
    }
    if checkpoint.get("monitor"):
        goal = "maximize" if checkpoint.get("mode", "max") == "max" else "minimize"
        value["metric"] = {"name": checkpoint["monitor"], "goal": goal}
    value["parameters"] = parameters
    text = OmegaConf.to_yaml(OmegaConf.create(value))
    # written by hand: these are W&B's own placeholders and no interpolations
    macros = ["${env}", "${interpreter}", "${program}"]
    parts = [*macros, *(_yaml_string(part) for part in typed), "${args_no_hyphens}"]
    text += "command:\n" + "".join(f"- {part}\n" for part in parts)
    head = f"# wandb sweep {path.name}   prints the sweep's id; then, in the folder of train.py: wandb agent <id>\n"
    write_text(path, head + text)
    return path


def _value_of(composed: Mapping[str, Any], key: str, setting: str) -> Any:
    value: Any = composed
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        raise ConfigError(f"the setting {setting!r} does not say which {key} it means; W&B needs {key} in every one")
    return value


def _plain(value: Any) -> Any:
    """A value that W&B puts behind ``key=`` with Python's ``str``: only numbers survive that unchanged."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return grammar(value)


def _yaml_string(text: str) -> str:
    import json

    # a JSON string is a YAML string, whatever it holds
    return json.dumps(text, ensure_ascii=False)
