"""From a task and its data to a finished run folder."""

from __future__ import annotations

import json
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
from ..core.errors import CheckpointError, ConfigError, DataError
from ..core.processes import FailureWatch
from ..datamodules.module import RunDataModule
from ..datamodules.position import original_message
from ..metrics import create_value_metric
from ..models.registry import save_model
from .callbacks import EarlyStopping, Progress, StepMetrics, Validation
from .checkpoints import CheckpointKeeper, SavedCheckpoint
from .config import TrainSection
from .curves import CURVES, plot_curves
from .interruption import Interruption, TrainingInterrupted
from .loggers import CsvLogger, IterationWandbLogger
from .run_folder import is_first_process
from .slurm import check_job, current_job
from .task_module import TaskModule
from .tracking import folder_size, next_segment, start_run, wandb_mode


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
    if config.trainer.channels_last:
        _arrange(module)
    job = current_job()
    keeper = CheckpointKeeper(run_directory, config.checkpoint)
    stopping = EarlyStopping(config.early_stopping) if config.early_stopping else None
    loggers, wandb_logger = _loggers(config, resolved, run_directory, checkpoint)
    exit_code = 1
    try:
        validation = _validation(config, module, data, run_directory, keeper, stopping, wandb_logger)
        hint = f"python train.py resume={run_directory}"
        interruption = Interruption(keeper, resume_hint=hint, job=job if config.trainer.slurm else None)
        extra = [
            instantiate(values, where=f"callbacks.{name}", allow=config.allow_targets)
            for name, values in config.callbacks.items()
        ]
        steps = StepMetrics(config.trainer.log_every)
        progress = Progress(steps) if config.trainer.progress else None
        callbacks: list[Callback | None] = [steps, progress, validation, stopping, *extra, keeper, interruption]
        trainer = _trainer(config, module, [c for c in callbacks if c is not None], loggers, run_directory)
        module.run_directory = run_directory
        started = time.monotonic()
        _run(trainer, module, data, checkpoint)
        weights = _export(config, module, trainer, keeper, run_directory)
        if trainer.is_global_zero:
            plot_curves(run_directory / "metrics.csv", run_directory / CURVES)
        if wandb_logger is not None and trainer.is_global_zero:
            _upload(config, keeper, wandb_logger, int(trainer.global_step))
        exit_code = 0
    except TrainingInterrupted:
        exit_code = 255
        raise
    finally:
        if wandb_logger is not None:
            wandb_logger.finish(exit_code)
            _say_size(run_directory / "wandb")
    return FitResult(
        weights,
        int(trainer.global_step),
        dict(validation.results) if validation else {},
        time.monotonic() - started,
        stopping.reason if stopping else None,
    )


def _run(trainer: pl.Trainer, module: TaskModule, data: RunDataModule, checkpoint: SavedCheckpoint | None) -> None:
    """Train; when another process failed, end here, because that one has said why."""
    watch = None
    if trainer.world_size > 1:
        launcher = trainer.strategy.launcher
        watch = FailureWatch(
            trainer.global_rank,
            trainer.world_size,
            children=lambda: getattr(launcher, "procs", ()),
            cleanup=lambda: _save_logs(trainer),
        )
        watch.start()
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
    except BaseException as error:
        if isinstance(error, DataError):
            error = DataError(original_message(error)).with_traceback(error.__traceback__)
        if watch is not None:
            if isinstance(error, TrainingInterrupted):
                watch.end_quietly()
            else:
                watch.leave(error)
        raise error from None
    finally:
        if watch is not None:
            watch.stop()


def _save_logs(trainer: pl.Trainer) -> None:
    """What has to be saved when this process ends because another one failed."""
    for logger in trainer.loggers:
        logger.finalize("failed")
        if isinstance(logger, IterationWandbLogger):
            logger.finish(1)


def check_processes(config: TrainSection, checkpoint: SavedCheckpoint | None) -> None:
    """Refuse a job that does not fit, or to continue with another number of processes; nothing is started or written.

    Raises:
        CheckpointError: saying which number it was and is.
        ConfigError: ``trainer=slurm`` and a job that does not fit.
    """
    check_job(config, current_job())
    if checkpoint is None:
        return
    _quiet()
    section = config.trainer
    # Lightning alone knows what "auto" means on this machine
    count = pl.Trainer(
        accelerator=section.accelerator,
        devices=section.devices,
        num_nodes=section.num_nodes,
        strategy=section.strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=_cluster(),
    ).world_size
    if checkpoint.processes in (None, count):
        return
    raise CheckpointError(
        f"the run was trained by {checkpoint.processes} processes and would now continue with {count}. Each process "
        "has its own random state and its own share of every batch, so only the same number continues the run "
        f"exactly: trainer.devices x trainer.num_nodes must be {checkpoint.processes}. To go on with another number, "
        "start a new run from the weights: model.weights=<run folder>"
    )


def _quiet() -> None:
    """Lightning's banners repeat what the configuration says."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def _upload(config: TrainSection, keeper: CheckpointKeeper, logger: IterationWandbLogger, iteration: int) -> None:
    """The best and the last checkpoint of a finished run, if the configuration asks for it."""
    if config.logger.wandb is None or not config.logger.wandb.log_model:
        return
    best = keeper.directory / "best.ckpt"
    if best.is_file() and keeper.best_iteration is not None:
        logger.log_checkpoint(best, "best", keeper.best_iteration)
    logger.log_checkpoint(keeper.directory / f"iter_{iteration:08d}.ckpt", "last", iteration)


def _say_size(folder: Path) -> None:
    if is_first_process() and folder.is_dir():
        print(f"W&B files: {folder_size(folder) / 1e6:.1f} MB in {folder}")


def _arrange(module: TaskModule) -> None:
    """Weights of two-dimensional convolutions with the channels last in memory; what they compute follows them."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


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
    if not is_first_process():
        silent = IterationWandbLogger(None)
        return [csv, silent], silent
    mode, why = wandb_mode(config.logger.wandb)
    print(why)
    label = config.run.name or f"{config.experiment}-{run_directory.name}"
    first_iteration = checkpoint.iteration if checkpoint is not None else 0
    segment = 1 if mode == "disabled" else next_segment(run_directory, first_iteration)
    about = {"run": label, "folder": str(run_directory), "segment": segment, "first_iteration": first_iteration}
    provenance = run_directory / "provenance.json"
    if provenance.is_file():
        about |= json.loads(provenance.read_text(encoding="utf-8"))
    run = start_run(
        config.logger.wandb,
        run_directory,
        name=label if segment == 1 else f"{label} (segment {segment})",
        group=config.run.group or label,
        job_type=f"segment-{segment}",
        tags=config.run.tags,
        notes=config.run.notes,
        config={**resolved, "framewright": about},
        step_metric="iteration",
    )
    wandb_logger = IterationWandbLogger(run, label)
    return [csv, wandb_logger], wandb_logger


def _validation(
    config: TrainSection,
    module: TaskModule,
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
    metrics = {
        key: create_value_metric(key, masks=module.has_masks, **options)
        for key, options in config.validation.metrics.items()
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


def _trainer(
    config: TrainSection,
    module: TaskModule,
    callbacks: list[Callback],
    loggers: list[Logger],
    run_directory: Path,
) -> pl.Trainer:
    section = config.trainer
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    _quiet()
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
        # a module that optimises by itself also accumulates by itself
        accumulate_grad_batches=config.optim.accumulate if module.automatic_optimization else 1,
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
        plugins=_cluster(),
    )


def _cluster() -> list[Any]:
    """Under SLURM, Lightning must leave saving and requeueing to us."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    return [SLURMEnvironment(auto_requeue=False)] if current_job() is not None else []


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
