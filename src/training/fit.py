"""From a task and its data to a finished run folder."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from ..core.config import instantiate
from ..core.errors import ConfigError, DataError, FramewrightError
from ..datamodules.module import RunDataModule
from ..datamodules.position import original_message
from ..metrics import FrameMetric, create_metric
from ..models.registry import save_model
from .callbacks import EarlyStopping, Interruption, Progress, StepMetrics, Validation
from .checkpoints import CheckpointKeeper, SavedCheckpoint
from .config import TrainSection
from .curves import plot_curves
from .loggers import CsvLogger, IterationWandbLogger, make_wandb_logger, wandb_mode
from .task_module import TaskModule


@dataclass(frozen=True)
class FitResult:
    """What a finished run leaves behind.

    Attributes:
        weights: the exported weight file, None on ranks other than the first.
        iteration: optimizer steps done.
        metrics: the last validation.
        seconds: time of this call, in seconds.
        stopped_early: why the run ended before its last iteration, or None.
    """

    weights: Path | None
    iteration: int
    metrics: Mapping[str, float]
    seconds: float
    stopped_early: str | None


def fit(
    config: TrainSection,
    resolved: Mapping[str, Any],
    module: TaskModule,
    data: RunDataModule,
    run_directory: Path,
    checkpoint: SavedCheckpoint | None = None,
) -> FitResult:
    """Train, validate, keep checkpoints, and export ``weights.safetensors``.

    Args:
        config: the checked configuration.
        resolved: the same as a plain mapping, for the loggers.
        module: the task's LightningModule.
        data: the run's data.
        run_directory: an existing, writable folder.
        checkpoint: continue from this one.

    Raises:
        FramewrightError: a sample cannot be read, a loss is not finite, a configuration value does not fit.
        TrainingInterrupted: stopped by a signal, after a checkpoint.
    """
    _check_precision(config)
    keeper = CheckpointKeeper(run_directory, config.checkpoint)
    stopping = EarlyStopping(config.early_stopping) if config.early_stopping else None
    loggers, wandb_logger = _loggers(config, resolved, run_directory, checkpoint)
    validation = _validation(config, data, run_directory, keeper, stopping, wandb_logger)
    interruption = Interruption(keeper, resume_hint=f"python train.py resume={run_directory}")
    extra = [
        instantiate(values, where=f"callbacks.{name}", allow=config.allow_targets)
        for name, values in config.callbacks.items()
    ]
    steps = StepMetrics(config.trainer.log_every)
    progress = Progress(steps) if config.trainer.progress else None
    callbacks: list[Callback | None] = [steps, progress, validation, stopping, *extra, keeper, interruption]
    trainer = _trainer(config, [c for c in callbacks if c is not None], loggers, run_directory)
    module.run_directory = run_directory
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            # our sampler resumes by position; Lightning cannot know
            warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # the average is in eval mode on purpose
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            path = str(checkpoint.path) if checkpoint else None
            trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
    except FramewrightError as error:
        if isinstance(error, DataError):
            raise DataError(original_message(error)) from error
        raise
    weights = _export(config, module, trainer, keeper, run_directory)
    if trainer.is_global_zero:
        plot_curves(run_directory / "metrics.csv", run_directory / "curves.png")
    return FitResult(
        weights,
        int(trainer.global_step),
        dict(validation.results) if validation else {},
        time.monotonic() - started,
        stopping.reason if stopping else None,
    )


def _check_precision(config: TrainSection) -> None:
    if config.trainer.precision == "16-mixed" and config.optim.accumulate > 1:
        raise ConfigError(
            "trainer.precision=16-mixed cannot be combined with optim.accumulate > 1 (the gradient scale may change "
            "between the accumulated batches); use bf16-mixed"
        )


def _loggers(
    config: TrainSection, resolved: Mapping[str, Any], run_directory: Path, checkpoint: SavedCheckpoint | None
) -> tuple[list[Logger], IterationWandbLogger | None]:
    csv = CsvLogger(run_directory / "metrics.csv")
    if checkpoint is not None:
        csv.load_until(checkpoint.iteration)
    if config.logger.wandb is None:
        return [csv], None
    logging.getLogger("framewright").info(wandb_mode(config.logger.wandb)[1])
    label = config.run.name or f"{config.experiment}-{run_directory.name}"
    wandb_logger = make_wandb_logger(
        config.logger.wandb,
        run_directory,
        name=label,
        group=config.run.group or label,
        tags=config.run.tags,
        notes=config.run.notes,
        config=dict(resolved),
    )
    return [csv, wandb_logger], wandb_logger


def _validation(
    config: TrainSection,
    data: RunDataModule,
    run_directory: Path,
    keeper: CheckpointKeeper,
    stopping: EarlyStopping | None,
    wandb_logger: IterationWandbLogger | None,
) -> Validation | None:
    if data.validation is None or not config.validation.metrics:
        if config.checkpoint.monitor is not None or stopping is not None:
            raise ConfigError("checkpoint.monitor and early_stopping need validation data and validation.metrics")
        return None
    metrics: dict[str, FrameMetric] = {
        key: create_metric(key, **options) for key, options in config.validation.metrics.items()
    }
    return Validation(
        data.validation,
        metrics,
        config.validation,
        run_directory,
        keeper,
        stopping,
        show_media=wandb_logger.log_clip if wandb_logger is not None else None,
    )


def _trainer(config: TrainSection, callbacks: list[Callback], loggers: list[Logger], run_directory: Path) -> pl.Trainer:
    section = config.trainer
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    # Lightning's banners repeat what the configuration says
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    profiler: Any = section.profiler
    if profiler is not None:
        from pytorch_lightning.profilers import PyTorchProfiler, SimpleProfiler

        kind = PyTorchProfiler if profiler == "pytorch" else SimpleProfiler
        profiler = kind(dirpath=run_directory / "profile", filename="profile")
    return pl.Trainer(
        accelerator=section.accelerator,
        devices=section.devices,
        num_nodes=section.num_nodes,
        strategy=section.strategy,
        precision=section.precision,
        deterministic=section.deterministic,
        max_epochs=1,
        max_steps=config.optim.iterations,
        accumulate_grad_batches=config.optim.accumulate,
        # the order of samples is ours, by position in the run
        use_distributed_sampler=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        log_every_n_steps=section.log_every,
        logger=loggers,
        callbacks=callbacks,
        default_root_dir=run_directory,
        enable_progress_bar=section.progress,
        enable_model_summary=False,
        enable_checkpointing=True,
        profiler=profiler,
    )


def _export(
    config: TrainSection,
    module: TaskModule,
    trainer: pl.Trainer,
    keeper: CheckpointKeeper,
    run_directory: Path,
) -> Path | None:
    """Write the weights that inference shall use, with what they were trained on."""
    if not trainer.is_global_zero:
        return None
    net, iteration, kind = module.evaluation_net, int(trainer.global_step), "last"
    best = keeper.directory / "best.ckpt"
    if config.checkpoint.export == "best" and best.is_file():
        state = torch.load(best, map_location="cpu", weights_only=True)
        iteration, kind = int(state["framewright"]["iteration"]), "best"
        prefix = "ema.net." if module.ema is not None else "net."
        net.load_state_dict(
            {key.removeprefix(prefix): value for key, value in state["state_dict"].items() if key.startswith(prefix)}
        )
    path = run_directory / "weights.safetensors"
    training = {
        "experiment": config.experiment,
        "iteration": iteration,
        "export": kind,
        "ema": module.ema is not None,
        "seed": config.seed,
    }
    if keeper.best_value is not None and kind == "best":
        training[str(config.checkpoint.monitor)] = keeper.best_value
    save_model(net, path, training=training)
    return path
