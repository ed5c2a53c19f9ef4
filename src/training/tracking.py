"""Weights & Biases runs: which mode, how segments of a resumed run belong together, and their end."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..core.files import make_directory, write_json
from .config import WandbSection


def wandb_mode(section: WandbSection) -> tuple[str, str]:
    """Which W&B mode to use and one line that says why.

    The configuration decides, then ``WANDB_MODE``, then whether a key is configured. There is never a prompt.
    """
    if section.mode is not None:
        return section.mode, f"W&B is {section.mode} (logger.wandb.mode)"
    variable = os.environ.get("WANDB_MODE")
    if variable:
        return variable, f"W&B is {variable} (WANDB_MODE)"
    if os.environ.get("WANDB_API_KEY") or _key_in_netrc():
        return "online", "W&B is online (a key is configured)"
    return (
        "offline",
        "W&B is offline because no key is configured; upload later with: wandb sync <run folder>/wandb/*run-*",
    )


def _key_in_netrc() -> bool:
    import netrc

    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def start_run(
    section: WandbSection,
    directory: Path,
    *,
    name: str,
    group: str,
    job_type: str,
    tags: list[str],
    notes: str | None,
    config: Mapping[str, Any],
    step_metric: str | None = None,
) -> Any:
    """Begin a W&B run whose files lie in ``directory/wandb``; ``step_metric`` names the value on its x axis.

    Every call is a run of its own with a new id: W&B cannot continue an offline run, and uploading a second
    folder of one id would replace the first.
    """
    import wandb

    mode, _ = wandb_mode(section)
    if mode != "disabled":
        make_directory(directory / "wandb")
        _keep_files_in(directory / "wandb" / "data")
    run = wandb.init(
        project=section.project,
        entity=section.entity,
        id=secrets.token_hex(4),
        name=name,
        dir=str(directory),
        group=group,
        job_type=job_type,
        tags=tags,
        notes=notes,
        mode=cast(Any, mode),
        config=dict(config),
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off"),
    )
    if step_metric is not None:
        run.define_metric(step_metric, hidden=True)
        run.define_metric("*", step_metric=step_metric)
    return run


_chosen_data_directory: str | None = None


def _keep_files_in(folder: Path) -> None:
    """Tables and artifacts wait for their upload beside the run, not in the home directory."""
    global _chosen_data_directory
    if os.environ.get("WANDB_DATA_DIR") in (None, _chosen_data_directory):
        _chosen_data_directory = os.environ["WANDB_DATA_DIR"] = str(folder.absolute())


def next_segment(directory: Path, first_iteration: int) -> int:
    """Number of the segment of a run that begins now, from 1; kept in ``wandb/segments.json``."""
    path = directory / "wandb" / "segments.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    number = len(known) + 1
    make_directory(path.parent)
    write_json(path, [*known, {"segment": number, "first_iteration": first_iteration}])
    return number


def folder_size(directory: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def log_files(run: Any, name: str, kind: str, files: Mapping[str, Path], aliases: list[str], **metadata: Any) -> None:
    """Add an artifact: ``files`` by their names in it. W&B keeps a copy until it is uploaded."""
    import wandb

    artifact = wandb.Artifact(_artifact_name(name), type=kind, metadata=metadata)
    for inside, path in files.items():
        artifact.add_file(str(path), name=inside)
    run.log_artifact(artifact, aliases=aliases)


def _artifact_name(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)[:120] or "run"
