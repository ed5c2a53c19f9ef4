"""The folder that a run leaves behind, and how a later call continues in it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..core.files import make_directory, safe_name, write_text
from .checkpoints import saved_checkpoints
from .config import RunSection
from .slurm import current_job

#: what a continued run must not change, or it would not be the same run
PROTECTED = ("experiment", "seed", "model", "data", "loss", "optim")
#: keys below these that may change all the same, because results do not depend on them
UNPROTECTED = ("data.workers", "data.root")

_SHARED = "FRAMEWRIGHT_RUN_DIRECTORY"


def choose_run_directory(section: RunSection, experiment: str) -> Path:
    """The run folder that a configuration means, the same one for all processes of a run.

    Without ``run.dir`` it is ``<root>/<experiment>/<date and time>``. Processes that Lightning starts learn it
    from the first one; under SLURM it is named after the job, so that it is found again when the job is requeued.
    Other launchers start all processes at once, and then ``run.dir`` is required.
    """
    if section.dir is not None:
        return Path(section.dir).expanduser()
    if int(os.environ.get("LOCAL_RANK", "0")) > 0 and _SHARED in os.environ:
        return Path(os.environ[_SHARED])
    root = Path(section.root).expanduser() / safe_name(experiment)
    job = current_job()
    if job is not None:
        return root / job.name
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("with an external launcher every process must know the run folder: set run.dir=<folder>")
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    directory, count = root / stamp, 1
    while directory.exists():
        count += 1
        directory = root / f"{stamp}-{count}"
    return directory


def is_first_process() -> bool:
    """Whether this is the process that writes the run folder (before any process group exists)."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    rank = next((os.environ[name] for name in names if name in os.environ), "0")
    return int(rank) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


def share_run_directory(directory: Path) -> None:
    """Tell processes that are started from this one which folder the run uses."""
    os.environ[_SHARED] = str(directory.resolve())


def prepare_new(directory: Path) -> Path:
    """Create the folder of a new run.

    Raises:
        ConfigError: it already holds a run.
        FramewrightError: it cannot be written to.
    """
    if saved_checkpoints(directory):
        raise ConfigError(
            f"{str(directory)!r} already holds a run with checkpoints. Continue it with resume={directory}, or "
            "choose another run.dir"
        )
    return make_directory(directory)


def discard_if_empty(directory: Path) -> None:
    """Remove the folder of a run that failed before it wrote anything, and parents made for it."""
    for folder in (directory, directory.parent, directory.parent.parent):
        try:
            folder.rmdir()
        except OSError:
            return


def save_config(directory: Path, values: Mapping[str, Any]) -> None:
    """Write the resolved configuration as ``config.yaml``."""
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(OmegaConf.create(_escaped(dict(values))))
    write_text(directory / "config.yaml", text)


def load_config(directory: Path) -> dict[str, Any]:
    """The resolved configuration of a run.

    Raises:
        ConfigError: the folder is not a run folder.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = directory / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{str(directory)!r} is not a run folder: it has no config.yaml")
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _escaped(value: Any) -> Any:
    """A text such as a file name may contain ``${``, which is no interpolation in a resolved configuration."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value


def merge_for_resume(
    saved: Mapping[str, Any], composed: Mapping[str, Any], overrides: Sequence[str], force: bool
) -> dict[str, Any]:
    """The saved configuration with what the command line sets explicitly.

    Args:
        saved: resolved configuration of the run that is continued.
        composed: configuration composed from the present command line.
        overrides: the present command line's overrides.
        force: allow changes of what makes the run what it is.

    Raises:
        ConfigError: a protected value would change; the message lists the changes.
    """
    merged: dict[str, Any] = _copy(saved)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0]
        if key in ("resume", "resume_force", "experiment", "debug") or key.startswith("hydra."):
            continue
        _set(merged, key.replace("/", ".").split("."), _get(composed, key.replace("/", ".").split(".")))
    typed = {override.lstrip("+").partition("=")[0] for override in overrides}
    if "experiment" in typed and composed["experiment"] != saved["experiment"]:
        merged["experiment"] = composed["experiment"]
    changes = _differences({k: saved.get(k) for k in PROTECTED}, {k: merged.get(k) for k in PROTECTED})
    changes = {key: change for key, change in changes.items() if key not in UNPROTECTED}
    if changes and not force:
        listed = "\n".join(f"  {key}: {before!r} -> {after!r}" for key, (before, after) in changes.items())
        raise ConfigError(
            f"a continued run keeps its configuration, but the command line changes it:\n{listed}\n"
            "Start a new run, or add resume_force=true to continue with these changes all the same."
        )
    return merged


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return list(value) if isinstance(value, list) else value


def _get(values: Mapping[str, Any], path: Sequence[str]) -> Any:
    current: Any = values
    for part in path:
        current = current.get(part) if isinstance(current, Mapping) else None
    return _copy(current)


def _set(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        child = values.get(part)
        if not isinstance(child, dict):
            child = values[part] = {}
        values = child
    values[path[-1]] = value


def _differences(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: dict[str, tuple[Any, Any]] = {}
        for key in {**before, **after}:
            where = f"{path}.{key}" if path else str(key)
            found.update(_differences(before.get(key), after.get(key), where))
        return found
    return {} if before == after else {path: (before, after)}
