"""Signals: finish the iteration, write a checkpoint, stop, and under SLURM ask to be started again."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from ..core.errors import Interrupted
from .checkpoints import CheckpointKeeper
from .slurm import SlurmJob
from .task_module import is_step_boundary

#: seconds after which all processes know of a signal that one of them received
_AGREE_WITHIN = 2.0
_LARGEST_INTERVAL = 100

_early: list[int] = []


class TrainingInterrupted(Interrupted):
    """Training was stopped by a signal, after a checkpoint was written."""


class TrainingRequeued(TrainingInterrupted):
    """Training was stopped by SLURM's warning, and the job waits in the queue again."""


def note_early_warning() -> None:
    """Remember a SIGUSR1 that comes before the training has begun; by default it would kill the process."""
    _early.clear()
    signal.signal(signal.SIGUSR1, lambda number, frame: _early.append(number))


class Interruption(Callback):
    """Ctrl-C, SIGTERM and SLURM's warning finish the iteration, write a checkpoint and then stop.

    A second Ctrl-C stops at once. Several processes agree on the iteration every two seconds or so: the interval
    follows from a sum over all of them, so that it is the same everywhere. SIGUSR1, which SLURM sends before a
    job's time is over, also puts the job back into the queue; SIGTERM (the job was cancelled or preempted) does
    not. Lightning's own handlers are replaced for the duration, because they would write checkpoints that are
    neither verified nor exact.

    Args:
        keeper: writes the checkpoint.
        resume_hint: the command that continues the run, for the message.
        job: the SLURM job to put back into the queue, None outside of SLURM.
    """

    def __init__(self, keeper: CheckpointKeeper, resume_hint: str, job: SlurmJob | None = None) -> None:
        self.keeper = keeper
        self.resume_hint = resume_hint
        self.job = job
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._interval = 1
        self._since = 0
        self._asked_at = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over the signals for the duration of the training."""
        signals = [signal.SIGINT, signal.SIGTERM]
        if self.job is not None:
            signals.append(signal.SIGUSR1)
            self.received = _early[0] if _early else None
        self._previous = {number: signal.signal(number, self._handle) for number in signals}
        self._asked_at = time.monotonic()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._release()

    def _release(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _handle(self, number: int, frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
        hint = "; Ctrl-C again stops at once" if number == signal.SIGINT else ""
        print(f"\nstopping after this iteration{hint}", file=sys.stderr, flush=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop if a signal has come."""
        if not is_step_boundary(trainer):
            return
        stop, warned = self._agreed(trainer)
        if not stop:
            return
        self.keeper.save(trainer)
        done = f"stopped at iteration {trainer.global_step}, the checkpoint is written."
        if warned and self.job is not None and trainer.global_step < trainer.max_steps:
            # the others stop too, while the first one talks to SLURM
            problem = self.job.requeue() if trainer.is_global_zero else None
            if problem is None:
                raise TrainingRequeued(f"{done} The job {self.job.id} is in the queue again and will continue.")
            raise TrainingInterrupted(f"{done} The job was not put back: {problem}. Continue with: {self.resume_hint}")
        raise TrainingInterrupted(f"{done} Continue with: {self.resume_hint}")

    def _agreed(self, trainer: pl.Trainer) -> tuple[bool, bool]:
        """Whether any process was told to stop, and whether by SLURM's warning."""
        stop, warned = self.received is not None, self.received == signal.SIGUSR1
        if trainer.world_size == 1:
            return stop, warned
        self._since += 1
        if self._since < self._interval:
            return False, False
        now = time.monotonic()
        mine = [float(stop), float(warned), (now - self._asked_at) / self._since]
        device = trainer.strategy.root_device
        shared = trainer.strategy.reduce(torch.tensor(mine, device=device), reduce_op="sum")
        assert isinstance(shared, torch.Tensor)
        stops, warnings, seconds = shared.tolist()
        step = max(seconds / trainer.world_size, 1e-6)
        self._interval = min(max(int(_AGREE_WITHIN / step), 1), _LARGEST_INTERVAL)
        self._since, self._asked_at = 0, now
        return stops > 0, warnings > 0
