"""Checkpoints that are complete or not there, and the way back to the newest good one.

A checkpoint ``checkpoints/iter_00001200.ckpt`` counts only together with ``iter_00001200.json``, which is written
after it and holds its size and SHA-256. A run killed at any moment therefore leaves at most a file without a
sidecar, which is ignored.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from ..core.errors import CheckpointError
from ..core.files import make_directory, sha256_file, sync_directory, write_json
from ..core.seeding import get_rng_state, set_rng_state
from .config import CheckpointSection
from .task_module import is_step_boundary


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint file with what its sidecar says; ``processes`` is None in sidecars of early versions."""

    path: Path
    iteration: int
    sha256: str
    size: int
    processes: int | None = None

    def problem(self) -> str | None:
        """Why the file cannot be trusted, or None."""
        if not self.path.is_file():
            return "the file is missing"
        size = self.path.stat().st_size
        if size != self.size:
            return f"it has {size} bytes instead of {self.size}"
        return None if sha256_file(self.path) == self.sha256 else "its SHA-256 is not the recorded one"


def saved_checkpoints(run_directory: Path) -> list[SavedCheckpoint]:
    """All checkpoints of a run that were written completely, newest first (their bytes are not read)."""
    found = []
    for sidecar in (run_directory / "checkpoints").glob("iter_*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(sidecar.read_text(encoding="utf-8"))
            found.append(
                SavedCheckpoint(
                    sidecar.with_suffix(".ckpt"),
                    int(record["iteration"]),
                    record["sha256"],
                    int(record["size"]),
                    record.get("processes"),
                )
            )
    return sorted(found, key=lambda saved: saved.iteration, reverse=True)


def newest_checkpoint(run_directory: Path) -> SavedCheckpoint:
    """The newest checkpoint of a run whose bytes are as they were written.

    A damaged one is reported with a warning and the one before is tried.

    Raises:
        CheckpointError: there is none; the message lists what was wrong with each.
    """
    problems = []
    for saved in saved_checkpoints(run_directory):
        problem = saved.problem()
        if problem is None:
            return saved
        problems.append(f"{saved.path.name}: {problem}")
        warnings.warn(
            f"the checkpoint {saved.path} is damaged ({problem}); falling back to the one before",
            stacklevel=2,
        )
    detail = f" ({'; '.join(problems)})" if problems else ""
    raise CheckpointError(f"no usable checkpoint in {run_directory / 'checkpoints'}{detail}")


class CheckpointKeeper(Checkpoint):
    """Writes a checkpoint every ``every`` iterations, keeps the newest and the best.

    It runs as the last callback of an iteration, so that a checkpoint holds the validation, the early-stopping
    counters and the random state with which the next iteration begins.

    Args:
        run_directory: checkpoints go to its folder ``checkpoints``.
        section: how often, how many, which metric.
    """

    def __init__(self, run_directory: Path, section: CheckpointSection) -> None:
        super().__init__()
        self.directory = run_directory / "checkpoints"
        self.section = section
        self.best_value: float | None = None
        self.best_iteration: int | None = None
        self._last_saved = -1
        self._restored_rng: list[dict[str, Any]] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the folder before the first iteration, not at the first save."""
        if trainer.is_global_zero:
            make_directory(self.directory)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the random state at the last moment: creating loaders and workers draws numbers too."""
        if self._restored_rng is not None:
            set_rng_state(self._restored_rng[trainer.global_rank])
            self._restored_rng = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when this iteration is a multiple of ``every`` or the last one."""
        iteration = int(trainer.global_step)
        last = iteration >= trainer.max_steps or trainer.should_stop
        if is_step_boundary(trainer) and (iteration % self.section.every == 0 or last):
            self.save(trainer)

    def is_improvement(self, value: float) -> bool:
        """Whether ``value`` of the monitored metric beats the best one so far (NaN never does)."""
        if self.best_value is None:
            return value == value
        return value > self.best_value if self.section.mode == "max" else value < self.best_value

    def on_validated(self, trainer: pl.Trainer, metrics: dict[str, float]) -> None:
        """Keep the weights of the best validation as ``best.ckpt``; called by the validation callback."""
        if self.section.monitor is None:
            return
        value = metrics[self.section.monitor]
        if self.is_improvement(value):
            self.best_value, self.best_iteration = value, int(trainer.global_step)
            self.save(trainer, best=True)

    def save(self, trainer: pl.Trainer, best: bool = False) -> None:
        """Write a checkpoint of this moment (collective: every rank must call it)."""
        iteration = int(trainer.global_step)
        if not best and iteration == self._last_saved:
            return
        name = "best" if best else f"iter_{iteration:08d}"
        target = self.directory / f"{name}.ckpt"
        temporary = self.directory / f".{name}.partial"
        for logger in trainer.loggers:
            # the log on disk must never end before a checkpoint does
            logger.save()
        try:
            trainer.save_checkpoint(temporary, weights_only=False)
            if trainer.is_global_zero:
                record = {"iteration": iteration, "monitor": self.best_value, "processes": trainer.world_size}
                _publish(temporary, target, record)
        finally:
            if trainer.is_global_zero:
                temporary.unlink(missing_ok=True)
        if not best:
            self._last_saved = iteration
            if trainer.is_global_zero:
                self._prune()

    def _prune(self) -> None:
        """Remove old checkpoints, the sidecar first: a checkpoint without one does not count."""
        for old in saved_checkpoints(self.directory.parent)[self.section.keep :]:
            old.path.with_suffix(".json").unlink(missing_ok=True)
            old.path.unlink(missing_ok=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the random state of every rank."""
        states: list[Any] = [get_rng_state()]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, get_rng_state())
        checkpoint["framewright_rng"] = states

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check that the run has as many processes as before, and remember the random state."""
        states = checkpoint["framewright_rng"]
        if len(states) != trainer.world_size:
            raise CheckpointError(
                f"the checkpoint was written by {len(states)} processes and {trainer.world_size} are running; an "
                f"exact continuation needs the same number (trainer.devices x trainer.num_nodes = {len(states)})"
            )
        self._restored_rng = states

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best_value": self.best_value, "best_iteration": self.best_iteration}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value so far."""
        self.best_value = state_dict["best_value"]
        self.best_iteration = state_dict["best_iteration"]


def _publish(temporary: Path, target: Path, record: dict[str, Any]) -> None:
    """Flush, rename, and only then describe a finished file in its sidecar."""
    with open(temporary, "rb") as handle:
        os.fsync(handle.fileno())
    size, digest = temporary.stat().st_size, sha256_file(temporary)
    target.with_suffix(".json").unlink(missing_ok=True)
    os.replace(temporary, target)
    sync_directory(target.parent)
    write_json(target.with_suffix(".json"), {**record, "size": size, "sha256": digest})


def remove_checkpoints_after(run_directory: Path, iteration: int) -> None:
    """Remove checkpoints newer than the one a run continues from (they were found damaged)."""
    for saved in saved_checkpoints(run_directory):
        if saved.iteration > iteration:
            damaged = saved.path.with_suffix(".damaged")
            saved.path.with_suffix(".json").unlink(missing_ok=True)
            if saved.path.exists():
                shutil.move(saved.path, damaged)
