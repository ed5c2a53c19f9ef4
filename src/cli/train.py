"""``python train.py``: one training run, from a configuration to a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, FramewrightError
from .finished import FINISHED

DESCRIPTION = "Train a network: python train.py experiment=<name> key=value ..."


def main(config_directory: Path) -> None:
    """Entry of ``train.py``; ``config_directory`` is the absolute path of ``configs``."""
    from .entry import run
    from .sweeps.multirun import TrainingSweep

    def program(values: dict[str, Any], overrides: Sequence[str]) -> None:
        from ..training.interruption import TrainingRequeued

        try:
            train(values, overrides, config_directory)
        except TrainingRequeued as requeued:
            print(requeued)

    run(program, "train", config_directory, multirun=TrainingSweep(config_directory))


def train(values: dict[str, Any], overrides: Sequence[str], config_directory: Path) -> Path:
    """Run the training that a resolved configuration describes; returns the run folder.

    Args:
        values: the composed configuration as a plain mapping.
        overrides: the command line's overrides, which a continued run applies to its saved configuration.
        config_directory: for the benchmark that makes the final table.

    Raises:
        FramewrightError: anything that is wrong with the configuration, the data or the run folder.
    """
    from ..training.run_folder import choose_run_directory, share_run_directory

    if (values.get("trainer") or {}).get("slurm") is not None:
        script = _slurm(values, overrides, config_directory)
        if script is not None:
            print(f"wrote {script}; submit it with: sbatch {script}")
            return script
    if (values.get("debug") or {}).get("tiny"):
        from .tiny import make_tiny

        # before the saved configuration, which is tiny already, is compared with this one
        values = make_tiny(values, config_directory)
    values, directory, checkpoint = _resume(values, overrides)
    config = check(values)
    if directory is None:
        directory = choose_run_directory(config.run, config.experiment)
    share_run_directory(directory)
    _fit_and_report(config, values, directory, checkpoint, config_directory)
    return directory


def check(values: Mapping[str, Any]) -> Any:
    """Validate a whole training configuration before anything is built.

    Returns:
        the :class:`~framewright.training.config.TrainSection`.

    Raises:
        ConfigError: naming every unknown key with the nearest valid one, and every value out of range.
    """
    from ..core.config import check_arguments, check_known, parse_section, resolve_target
    from ..datamodules.sources import parse_data
    from ..metrics import create_value_metric, list_metrics
    from ..models.registry import get_card
    from ..tasks import task_module
    from ..training.config import TrainSection

    config = parse_section(TrainSection, values)
    card = get_card(config.model.name)
    if card.baseline:
        raise ConfigError(f"model.name={card.name} is a baseline without weights; there is nothing to train")
    kind = task_module(card.task)
    _check_adversaries(config, kind)
    check_arguments(card.build, config.model.options, "model")
    parse_data(config.data)
    allow = config.allow_targets
    if not config.loss:
        raise ConfigError("loss is empty; choose a loss, for example loss=rife")
    for name, term in config.loss.items():
        if "weight" not in term:
            raise ConfigError(f"loss.{name}.weight is required and not set")
        resolve_target({k: v for k, v in term.items() if k != "weight"}, where=f"loss.{name}", allow=allow)
    resolve_target(config.optim.optimizer, where="optim.optimizer", allow=allow, positional=1)
    if config.optim.scheduler is not None:
        resolve_target(config.optim.scheduler, where="optim.scheduler", allow=allow, positional=1)
    for name, callback in config.callbacks.items():
        resolve_target(callback, where=f"callbacks.{name}", allow=allow)
    for key, options in config.validation.metrics.items():
        check_known(key, list_metrics(), "metric")
        create_value_metric(key, masks=kind.has_masks, **options)
    return config


def _slurm(values: dict[str, Any], overrides: Sequence[str], config_directory: Path) -> Path | None:
    """Write the batch script if that is what is asked for; inside a job, be prepared for an early warning."""
    from ..training.interruption import note_early_warning
    from ..training.slurm import current_job, write_batch_script

    if values["trainer"]["slurm"].get("script") is not None:
        return write_batch_script(check(values), overrides, config_directory.parent / "train.py")
    if current_job() is not None:
        note_early_warning()
    return None


def _job_folder(values: Mapping[str, Any]) -> Path | None:
    """The run that a requeued SLURM job continues; None for everything else."""
    from ..core.config import parse_section
    from ..training.checkpoints import saved_checkpoints
    from ..training.config import RunSection
    from ..training.run_folder import choose_run_directory
    from ..training.slurm import current_job

    job = current_job()
    if job is None or (values.get("trainer") or {}).get("slurm") is None:
        return None
    run = parse_section(RunSection, values.get("run") or {}, "run")
    # a folder of the user's choice may hold another run; it is this job's own only if the job ran before
    if run.dir is not None and not job.restarts:
        return None
    folder = choose_run_directory(run, str(values["experiment"]))
    return folder if saved_checkpoints(folder) else None


def _resume(values: dict[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], Path | None, Any]:
    """Where the run continues from: the configuration to use, the folder and the checkpoint."""
    from ..core.errors import CheckpointError
    from ..training.checkpoints import newest_checkpoint, saved_checkpoints
    from ..training.run_folder import load_config, merge_for_resume

    wanted = values.get("resume")
    folder: Path | None
    if wanted is None:
        folder = _job_folder(values)
        if folder is None:
            return values, None, None
    elif wanted == "auto":
        directory = (values.get("run") or {}).get("dir")
        if directory is None:
            raise ConfigError("resume=auto needs run.dir=<folder>: it continues the run there, or starts one")
        folder = Path(str(directory)).expanduser()
        if not saved_checkpoints(folder):
            return values, None, None
    else:
        folder = Path(str(wanted)).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"resume={str(wanted)!r} is not a folder; name a run folder")
    saved = load_config(folder)
    merged = merge_for_resume(saved, values, overrides, bool(values.get("resume_force")))
    try:
        checkpoint = newest_checkpoint(folder)
    except CheckpointError:
        if saved_checkpoints(folder):
            raise
        # killed before its first checkpoint: the same run, from the start
        print(f"{folder} has no checkpoint yet; starting it from the beginning", file=sys.stderr)
        checkpoint = None
    merged["run"] = {**merged.get("run", {}), "dir": str(folder)}
    return merged, folder, checkpoint


def _fit_and_report(
    config: Any, values: Mapping[str, Any], directory: Path, checkpoint: Any, config_directory: Path
) -> None:
    from ..core.files import make_directory
    from ..training.checkpoints import remove_checkpoints_after
    from ..training.fit import check_processes, fit
    from ..training.run_folder import discard_if_empty, is_first_process, prepare_new

    first = is_first_process()
    check_processes(config, checkpoint)
    if first and checkpoint is None:
        prepare_new(directory)
    elif first:
        make_directory(directory)
        remove_checkpoints_after(directory, checkpoint.iteration)
    try:
        data, module = _build(config, directory)
        table = _final_table(config, data.source, config_directory) if first else None
    except BaseException:
        if first:
            discard_if_empty(directory)
        raise
    if first:
        (directory / FINISHED).unlink(missing_ok=True)
        _record(config, values, data, module.net, directory, checkpoint)
    result = fit(config, values, module, data, directory, checkpoint)
    if first:
        _report(config, directory, result, table)


def _final_table(config: Any, source: Any, config_directory: Path) -> dict[str, Any] | None:
    """The configuration of the final table, checked now: nobody wants to learn of a mistake after the training."""
    from ..datamodules.evaluation_sets import create_evaluation_set
    from .entry import compose

    if config.final is None:
        return None
    name, data = (config.final.benchmark, {}) if config.final.benchmark else source.benchmark()
    values = compose(config_directory, "evaluate", [f"benchmark={name}"])
    values["data"] = {**values["data"], **data, **config.final.data}
    values["methods"] = dict(config.final.methods)
    try:
        create_evaluation_set(values["data"], str(values["protocol"]["task"]))
    except FramewrightError as error:
        raise type(error)(f"{error}\n(This concerns the table at the end; final=null trains without one.)") from error
    return values


def _build(config: Any, directory: Path) -> tuple[Any, Any]:
    """The run's data and LightningModule; nothing is written."""
    from ..core.seeding import seed_everything
    from ..datamodules.module import RunDataModule
    from ..datamodules.sources import create_source, parse_data
    from ..models.registry import create_model, get_card
    from ..tasks import task_module

    card = get_card(config.model.name)
    section = parse_data(config.data)
    data = RunDataModule(
        create_source(section, card.task),
        section,
        iterations=config.optim.iterations,
        accumulate=config.optim.accumulate,
        seed=config.seed,
        run_directory=directory,
        repeat_batches=config.debug.repeat_batches,
    )
    seed_everything(config.seed)
    model = config.model
    net = create_model(
        model.name, model.weights, parts=model.parts, backbone_weights=model.backbone_weights, **model.options
    )
    adversaries = {} if config.gan is None else {"adversaries": _adversaries(config)}
    module = task_module(card.task)(
        net,
        build_losses(config),
        config.optim,
        **adversaries,
        compile=config.trainer.compile,
        allow_targets=config.allow_targets,
    )
    return data, module


def _check_adversaries(config: Any, kind: type) -> None:
    """Refuse discriminators that do not exist or that the task has no use for."""
    from ..core.config import check_arguments, resolve_target
    from ..models.registry import get_card
    from ..training.gan_module import GanModule

    if config.gan is None:
        return
    if not issubclass(kind, GanModule):
        raise ConfigError(f"gan is set, but networks like {config.model.name} are trained without discriminators")
    allow = config.allow_targets
    for name, section in config.gan.discriminators.items():
        where = f"gan.discriminators.{name}"
        if not name.isidentifier():
            raise ConfigError(f"{where} cannot name a discriminator: use letters, digits and underscores")
        card = get_card(section.name)
        if card.task != "auxiliary":
            raise ConfigError(f"{where}.name={card.name} is a network for {card.task}, not a discriminator")
        check_arguments(card.build, section.options, where)
    loss, _ = resolve_target(config.gan.loss, where="gan.loss", allow=allow)
    if not hasattr(loss, "discriminator"):
        raise ConfigError(f"gan.loss: {config.gan.loss['_target_']} is not a loss for discriminators")
    if config.gan.optimizer is not None:
        resolve_target(config.gan.optimizer, where="gan.optimizer", allow=allow, positional=1)
    if config.gan.scheduler is not None:
        resolve_target(config.gan.scheduler, where="gan.scheduler", allow=allow, positional=1)


def _adversaries(config: Any) -> Any:
    """The discriminators of a checked configuration (an ``Adversaries``)."""
    from ..core.config import instantiate
    from ..models.registry import create_model
    from ..training.gan_module import Adversaries

    nets = {
        name: create_model(section.name, section.weights, parts=section.parts, **section.options)
        for name, section in config.gan.discriminators.items()
    }
    loss = instantiate(config.gan.loss, where="gan.loss", allow=config.allow_targets)
    return Adversaries(nets, loss, config.gan)


def _record(config: Any, values: Mapping[str, Any], data: Any, net: Any, directory: Path, checkpoint: Any) -> None:
    """Write what makes the run repeatable, and say what it is."""
    from ..core.files import sha256_json, write_json
    from ..core.provenance import command_line, environment
    from ..training.run_folder import save_config

    manifest = data.describe()
    save_config(directory, values)
    write_json(directory / "data.json", manifest)
    record = {"command": command_line(), "data_manifest": sha256_json(manifest), "environment": environment()}
    write_json(directory / "provenance.json", record)
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    what = f"{config.model.name} ({parameters / 1e6:.2f} M parameters) on {data.section.name}"
    where = f", continuing at iteration {checkpoint.iteration}" if checkpoint else ""
    print(f"{config.experiment}: {what}, {config.optim.iterations} iterations{where}\nrun folder: {directory}")


def build_losses(config: Any) -> Any:
    """The named sum of losses of a checked configuration (a ``WeightedSum``)."""
    from ..core.config import instantiate
    from ..losses import WeightedSum

    terms = {}
    for name, term in config.loss.items():
        arguments = {key: value for key, value in term.items() if key != "weight"}
        module = instantiate(arguments, where=f"loss.{name}", allow=config.allow_targets)
        terms[name] = (term["weight"], module)
    return WeightedSum(terms)


def _table_logger(config: Any, directory: Path) -> dict[str, Any]:
    """The final table is a W&B run of its own, in the group of the training."""
    wandb = config.logger.wandb
    if wandb is None:
        return {"wandb": None}
    group = config.run.group or config.run.name or f"{config.experiment}-{directory.name}"
    return {"wandb": {**wandb.model_dump(), "group": group}}


def _report(config: Any, directory: Path, result: Any, table: dict[str, Any] | None) -> None:
    from ..core.files import write_json
    from ..training.curves import CURVES

    minutes, seconds = divmod(round(result.seconds), 60)
    if result.stopped_early:
        print(result.stopped_early)
    print(f"trained {result.iteration} iterations in {minutes}:{seconds:02d}; weights: {result.weights}")
    if table is not None:
        from .evaluate import evaluate

        methods = {**table["methods"], "trained": {"run": str(directory)}}
        logger = _table_logger(config, directory)
        evaluate({**table, "methods": methods, "out": str(directory / "table"), "logger": logger})
    samples = sorted(path.parent for path in (directory / "samples").rglob("*.mp4"))
    if samples:
        print(f"sample clips: {samples[-1]}")
    print(f"curves: {directory / CURVES}")
    record = {"iteration": result.iteration, "stopped_early": result.stopped_early}
    write_json(directory / FINISHED, record)
