"""``python train.py``: one training run, from a configuration to a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError

#: written last into a run folder; a run without it is to be continued
FINISHED = "finished.json"

DESCRIPTION = "Train a network: python train.py experiment=<name> key=value ..."


def main(config_directory: Path) -> None:
    """Entry of ``train.py``; ``config_directory`` is the absolute path of ``configs``."""
    from .entry import run
    from .sweeps.multirun import TrainingSweep

    run(
        lambda values, overrides: train(values, overrides, config_directory),
        "train",
        config_directory,
        multirun=TrainingSweep(config_directory),
    )


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
    from ..metrics import create_metric, list_metrics
    from ..models.registry import get_card
    from ..tasks import task_module
    from ..training.config import TrainSection

    config = parse_section(TrainSection, values)
    card = get_card(config.model.name)
    if card.baseline:
        raise ConfigError(f"model.name={card.name} is a baseline without weights; there is nothing to train")
    task_module(card.task)
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
        create_metric(key, **options)
    return config


def _resume(values: dict[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], Path | None, Any]:
    """Where the run continues from: the configuration to use, the folder and the checkpoint."""
    from ..core.errors import CheckpointError
    from ..training.checkpoints import newest_checkpoint, saved_checkpoints
    from ..training.run_folder import load_config, merge_for_resume

    wanted = values.get("resume")
    if wanted is None:
        return values, None, None
    if wanted == "auto":
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
    from ..core.files import make_directory, sha256_json, write_json
    from ..core.provenance import command_line, environment
    from ..core.seeding import seed_everything
    from ..datamodules.module import RunDataModule
    from ..datamodules.sources import create_source, parse_data
    from ..models.registry import create_model, get_card
    from ..tasks import task_module
    from ..training.checkpoints import remove_checkpoints_after
    from ..training.fit import fit
    from ..training.run_folder import is_first_process, prepare_new, save_config

    first = is_first_process()
    if first and checkpoint is None:
        prepare_new(directory)
    elif first:
        make_directory(directory)
        remove_checkpoints_after(directory, checkpoint.iteration)
    if first:
        (directory / FINISHED).unlink(missing_ok=True)
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
    net = create_model(config.model.name, config.model.weights, parts=config.model.parts, **config.model.options)
    module = task_module(card.task)(
        net,
        build_losses(config),
        config.optim,
        compile=config.trainer.compile,
        allow_targets=config.allow_targets,
    )
    if first:
        manifest = data.describe()
        save_config(directory, values)
        write_json(directory / "data.json", manifest)
        record = {
            "command": command_line(),
            "data_manifest": sha256_json(manifest),
            "environment": environment(),
        }
        write_json(directory / "provenance.json", record)
        parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
        what = f"{config.model.name} ({parameters / 1e6:.2f} M parameters) on {section.name}"
        where = f", continuing at iteration {checkpoint.iteration}" if checkpoint else ""
        print(f"{config.experiment}: {what}, {config.optim.iterations} iterations{where}\nrun folder: {directory}")
    result = fit(config, values, module, data, directory, checkpoint)
    if first:
        _report(config, directory, result, config_directory)


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


def _report(config: Any, directory: Path, result: Any, config_directory: Path) -> None:
    from ..core.files import write_json

    minutes, seconds = divmod(round(result.seconds), 60)
    if result.stopped_early:
        print(result.stopped_early)
    print(f"trained {result.iteration} iterations in {minutes}:{seconds:02d}; weights: {result.weights}")
    if config.final is not None:
        from .evaluate import evaluate_run

        evaluate_run(config.final.benchmark, config.final.methods, config.final.data, directory, config_directory)
    samples = sorted(path.parent for path in (directory / "samples").rglob("*.mp4"))
    if samples:
        print(f"sample clips: {samples[-1]}")
    print(f"curves: {directory / 'curves.png'}")
    record = {"iteration": result.iteration, "stopped_early": result.stopped_early}
    write_json(directory / FINISHED, record)
