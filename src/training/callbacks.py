"""Callbacks of every run: validation on whole videos, early stopping, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from torch import Tensor

from ..core.files import safe_name
from ..core.processes import Group
from ..core.seeding import get_rng_state, set_rng_state
from ..datamodules.base import EvaluationDataset
from ..metrics import PooledMetric, ValueMetric
from ..video.montage import side_by_side
from ..video.writer import VideoWriter
from .checkpoints import CheckpointKeeper
from .config import EarlyStoppingSection, ValidationSection
from .task_module import TaskModule, is_step_boundary


class StepMetrics(Callback):
    """Logs losses, gradient norm and learning rate of every ``every``-th iteration.

    Runs before everything else at the end of an iteration (Lightning's own logging comes after it), so that a
    checkpoint never lies ahead of the log.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.loss: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Hand the finished step's values to the loggers."""
        if not is_step_boundary(trainer):
            return
        assert isinstance(pl_module, TaskModule)
        iteration = int(trainer.global_step)
        if iteration % self.every:
            pl_module.drop_step_metrics()
            return
        values = pl_module.take_step_metrics(reduce=trainer.world_size > 1)
        self.loss = values["train/loss"]
        for logger in trainer.loggers:
            logger.log_metrics(values, step=iteration)


class Validation(Callback):
    """Predicts whole videos every ``every`` iterations and at the end; logs metrics, writes sample clips.

    Videos go to ranks in turn and the metrics' states are summed, so a video counts exactly once whatever the
    number of processes. The global random state is put back afterwards: how often one validates does not
    change the training.

    Args:
        dataset: the validation videos.
        metrics: metric objects by key.
        section: how often and how many.
        run_directory: sample clips go to its folder ``samples``.
        keeper: told about every result, to keep the best weights.
        early_stopping: told about every result.
        show_media: called with name and path of each sample clip and the iteration.
    """

    def __init__(
        self,
        dataset: EvaluationDataset,
        metrics: Mapping[str, ValueMetric | PooledMetric],
        section: ValidationSection,
        run_directory: Path,
        keeper: CheckpointKeeper,
        early_stopping: EarlyStopping | None = None,
        show_media: Callable[[str, Path, int], None] | None = None,
    ) -> None:
        self.dataset = dataset
        self.metrics = dict(metrics)
        self.section = section
        self.run_directory = run_directory
        self.keeper = keeper
        self.early_stopping = early_stopping
        self.show_media = show_media
        self.results: dict[str, float] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate when it is time."""
        iteration = int(trainer.global_step)
        due = iteration % self.section.every == 0 or iteration >= trainer.max_steps
        if due and is_step_boundary(trainer):
            assert isinstance(pl_module, TaskModule)
            self.run(trainer, pl_module)

    def run(self, trainer: pl.Trainer, module: TaskModule) -> None:
        """Validate now."""
        state, training = get_rng_state(), module.net.training
        module.net.eval()
        try:
            with torch.no_grad():
                self.results = self._score(trainer, module)
        finally:
            module.net.train(training)
            set_rng_state(state)
        iteration = int(trainer.global_step)
        for logger in trainer.loggers:
            logger.log_metrics(self.results, step=iteration)
        if trainer.progress_bar_callback is not None and trainer.is_global_zero:
            shown = "  ".join(f"{key} {value:.4g}" for key, value in self.results.items())
            trainer.progress_bar_callback.print(f"iteration {iteration}: {shown}")
        self.keeper.on_validated(trainer, self.results)
        if self.early_stopping is not None:
            self.early_stopping.on_validated(trainer, self.results)

    def _score(self, trainer: pl.Trainer, module: TaskModule) -> dict[str, float]:
        for metric in self.metrics.values():
            metric.reset()
            metric.to(module.device)
        count = len(self.dataset) if self.section.videos is None else min(self.section.videos, len(self.dataset))
        written: list[tuple[str, Path]] = []
        for index in range(trainer.global_rank, count, trainer.world_size):
            video = self.dataset[index]
            result = module.predict_video(video)
            pair = result.pair(video.id, module.device)
            for metric in self.metrics.values():
                metric.add_pair(pair)
            if index < self.section.samples:
                clips = {**result.shown, "prediction": result.prediction, "target": result.target}
                written.append(self._write_sample(video.id, clips, int(trainer.global_step)))
        self._show(trainer, written)
        return {f"val/{key}": float(metric.compute()) for key, metric in self.metrics.items()}

    def _show(self, trainer: pl.Trainer, written: list[tuple[str, Path]]) -> None:
        """Only the first process talks to the loggers, also about clips that others wrote."""
        if self.show_media is None:
            return
        everybody = Group(trainer.global_rank, trainer.world_size).gather(written)
        if trainer.is_global_zero:
            for name, path in sorted(clip for clips in everybody for clip in clips):
                self.show_media(name, path, int(trainer.global_step))

    def _write_sample(self, video_id: str, clips: Mapping[str, Tensor], iteration: int) -> tuple[str, Path]:
        safe = safe_name(video_id)
        path = self.run_directory / "samples" / f"iter_{iteration:08d}" / f"{safe}.mp4"
        frames = side_by_side({label: clip.cpu() for label, clip in clips.items()})
        with VideoWriter(path, fps=4, size=(frames.shape[1], frames.shape[2])) as writer:
            writer.write(frames)
        return f"samples/{safe}", path


class EarlyStopping(Callback):
    """Stops the run when the monitored validation metric no longer improves.

    Its counters are part of every checkpoint, so an interrupted run stops at the same iteration as an
    uninterrupted one.
    """

    def __init__(self, section: EarlyStoppingSection) -> None:
        self.section = section
        self.best: float | None = None
        self.waited = 0
        self.reason: str | None = None

    def on_validated(self, trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
        """Count a validation without improvement; stop after ``patience`` of them."""
        value, section = metrics[self.section.monitor], self.section
        gain = None if self.best is None else (value - self.best) * (1 if section.mode == "max" else -1)
        if gain is None or gain > section.min_delta:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= section.patience:
            trainer.should_stop = True
            self.reason = (
                f"early stopping: {section.monitor} has not improved on {self.best:.4g} for {self.waited} validations"
            )

    def state_dict(self) -> dict[str, Any]:
        """Best value and validations waited."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counters."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]


class Progress(TQDMProgressBar):
    """One bar over all iterations: rate, time left, loss, and the share of time spent waiting for data.

    Where the output is not a terminal (a log file), a line is printed every half minute instead.
    """

    def __init__(self, step_metrics: StepMetrics) -> None:
        self.step_metrics = step_metrics
        interactive = sys.stderr.isatty()
        super().__init__()
        self.interactive = interactive
        if not interactive:
            self.disable()
        self._waiting = 0.0
        self._busy_since = self._ended = self._line_at = self._started = time.monotonic()
        self._first_iteration = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the clocks."""
        super().on_train_start(trainer, pl_module)
        self._started = self._ended = self._line_at = time.monotonic()
        self._waiting = 0.0
        self._first_iteration = int(trainer.global_step)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Name the bar after the run, not after an epoch."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description("training")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The time since the last batch ended was spent waiting for this one."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._waiting += time.monotonic() - self._ended

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Refresh the bar, or print a line."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        now = self._ended = time.monotonic()
        if not self.interactive and (now - self._line_at > 30 or trainer.global_step == trainer.max_steps):
            self._line_at = now
            done = int(trainer.global_step) - self._first_iteration
            rate = done / max(now - self._started, 1e-9)
            left = (trainer.max_steps - trainer.global_step) / max(rate, 1e-9)
            metrics = self.get_metrics(trainer, pl_module)
            shown = "  ".join(f"{name} {value}" for name, value in metrics.items())
            self.print(
                f"iteration {trainer.global_step}/{trainer.max_steps}  {rate:.2f} it/s  "
                f"{int(left) // 60}:{int(left) % 60:02d} left  {shown}"
            )

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar: loss and data-wait share."""
        shown: dict[str, Any] = {}
        if self.step_metrics.loss is not None:
            shown["loss"] = f"{self.step_metrics.loss:.4g}"
        elapsed = max(time.monotonic() - self._started, 1e-9)
        shown["data-wait"] = f"{100 * self._waiting / elapsed:.0f}%"
        return shown

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """Print above the bar."""
        if self.interactive:
            super().print(*args, sep=sep, **kwargs)
        else:
            print(*args, sep=sep, flush=True)
