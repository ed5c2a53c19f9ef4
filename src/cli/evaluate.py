"""``python evaluate.py``: one benchmark table, methods x metrics."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..core.config import Section, parse_section
from ..core.errors import ConfigError
from ..core.processes import Group, process_group
from ..training.config import WandbSection
from .device import choose_device

if TYPE_CHECKING:
    from ..inference import Method

DESCRIPTION = "Make a benchmark table: python evaluate.py benchmark=<name> methods.<name>=<what>"


class PicturesSection(Section):
    """Side-by-side clips of the first ``clips`` videos, at most ``clip_frames`` frames each."""

    clips: Annotated[int, Field(ge=0)] = 3
    clip_frames: Annotated[int, Field(gt=0)] = 24


class TableWandbSection(WandbSection):
    """Weights & Biases for a table: ``name`` (null: benchmark and folder), ``group`` and ``tags`` of the run."""

    name: str | None = None
    group: str | None = None
    tags: list[str] = []


class TableLoggerSection(Section):
    """The table is always written as files; ``wandb`` also logs it."""

    wandb: TableWandbSection | None = None


class EvaluateSection(Section):
    """A whole configuration of ``evaluate.py``.

    ``metrics`` are the columns wanted, null for those of the protocol; ``metric_options`` adds options to them. ``gt``
    and ``masks`` belong to ``benchmark=folders``.
    ``published_when`` holds the values of ``data`` with which published numbers of the benchmark belong in the table.
    """

    benchmark: str
    data: dict[str, Any]
    published_when: dict[str, Any] = {}
    protocol: dict[str, Any]
    methods: dict[str, Any] = {}
    metrics: list[str] | None = None
    metric_options: dict[str, dict[str, Any]] = {}
    gt: str | None = None
    masks: str | None = None
    out: str | None = None
    device: str = "auto"
    precision: str = "32-true"
    strict: bool = False
    cache: str | None = None
    resamples: Annotated[int, Field(gt=0)] = 10_000
    pictures: PicturesSection = PicturesSection()
    logger: TableLoggerSection = TableLoggerSection()


def main(config_directory: Path) -> None:
    """Entry of ``evaluate.py``; ``config_directory`` is the absolute path of ``configs``."""
    from .entry import run

    def program(values: dict[str, Any], overrides: Sequence[str]) -> None:
        _join_slurm()
        with process_group() as group:
            evaluate(values, group, config_directory)

    run(program, "evaluate", config_directory)


def _join_slurm() -> None:
    """Under srun with several tasks, describe the processes as torchrun does."""
    import os

    from ..training.slurm import current_job

    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if current_job() is None or tasks == 1 or "RANK" in os.environ:
        return
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    slurm = SLURMEnvironment(auto_requeue=False)
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = slurm.main_address, str(slurm.main_port)
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(slurm.global_rank()), str(tasks)
    os.environ["LOCAL_RANK"] = str(slurm.local_rank())


def evaluate(values: Mapping[str, Any], group: Group | None = None, config_directory: Path | None = None) -> Path:
    """Evaluate what a composed configuration describes; returns the folder with table and report.

    Args:
        values: the composed configuration as a plain mapping.
        group: the processes that share the videos; the first one writes. None: this process alone.
        config_directory: where presets of pipelines lie; None: there are none.

    Raises:
        FramewrightError: anything wrong with the configuration, the data, a method or the output folder.
    """
    from ..benchmark.formats import plain_text
    from ..benchmark.protocol import Protocol
    from ..benchmark.report import write_reports
    from ..benchmark.runner import Benchmark, RunOptions
    from ..benchmark.runner import run as run_benchmark
    from ..benchmark.samples import LearningCurve
    from ..core.files import make_directory
    from ..datamodules.evaluation_sets import create_evaluation_set
    from ..inference.specs import method_from_spec
    from ..training.curves import CURVES

    group = group or Group()
    first = group.rank == 0
    config = parse_section(EvaluateSection, values)
    protocol = Protocol.from_mapping(config.protocol).choose(config.metrics, config.metric_options)
    device = choose_device(config.device, group)
    if not config.methods:
        raise ConfigError("nothing to evaluate: give at least one method, for example methods.average=frame_average")
    methods: list[Method] = []
    curves = []
    for name, spec in config.methods.items():
        if isinstance(spec, Mapping) and "pipeline" in spec:
            pipeline = pipeline_method(str(name), spec, protocol.task, config_directory)
            methods.append(pipeline)
            if first:
                print(f"methods.{name}: {pipeline.source}")
            continue
        resolved = method_from_spec(str(name), spec, protocol.task)
        if first:
            print(resolved.decision)
        methods.append(resolved.method)
        if resolved.run is not None and (resolved.run / CURVES).is_file():
            curves.append(LearningCurve(resolved.method.name, resolved.run / CURVES))
    stamp = group.agree(datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    out = Path(config.out or Path("results") / config.benchmark / stamp).expanduser()
    # a table that is made again under another name knows the rows of the earlier one
    cache = Path(config.cache).expanduser() if config.cache else (out / "cache" if config.out else out.parent / "cache")
    make_directory(out)
    dataset = create_evaluation_set(config.data, protocol.task)
    options = RunOptions(
        device=device,
        precision=config.precision,
        cache=cache,
        pictures=out,
        clips=config.pictures.clips,
        clip_frames=config.pictures.clip_frames,
        resamples=config.resamples,
        strict=config.strict,
        group=group,
    )
    # published numbers belong to the whole set only
    part = (
        not dataset.complete
        or config.data.get("videos") is not None
        or config.data.get("split") == "val"
        or any(config.data.get(key) != value for key, value in config.published_when.items())
    )
    name = f"{config.benchmark}_part" if part else config.benchmark
    outcome = run_benchmark(Benchmark(name, dataset, protocol, methods), options)
    if not first:
        return out
    outcome.gallery.curves.extend(curves)
    written = write_reports(outcome.results, out, outcome.gallery, outcome.manifest)
    print(f"\n{plain_text(outcome.results)}")
    for name, (computed, known) in outcome.truth.items():
        print(f"ground truth: {name} computed for {computed} videos, known for {known}")
    if outcome.cached:
        print(f"{outcome.cached} of {outcome.cached + outcome.computed} rows were known from {options.cache}")
    print(f"results: {written.results}\nreport:  {written.html}")
    if config.logger.wandb is not None:
        _log(config, outcome, written, out)
    return out


class PipelineSpec(Section):
    """A preset of ``edit.py`` as a method; ``stages`` holds options that differ from the preset's."""

    pipeline: str
    stages: dict[str, Any] = {}


def pipeline_method(name: str, spec: Mapping[str, Any], task: str, config_directory: Path | None) -> Method:
    """The method ``methods.<name>={pipeline: <preset>, stages: {...}}``.

    Raises:
        ConfigError: no such preset or option, or a benchmark whose results are not frames.
    """
    from ..pipeline import PipelineMethod, build_pipeline
    from ..pipeline.method import GIVEN
    from .edit import choose_preset
    from .entry import compose

    if config_directory is None:
        raise ConfigError(f"methods.{name}: presets of pipelines are not known here")
    section = parse_section(PipelineSpec, spec, f"methods.{name}")
    values = compose(config_directory, "edit", choose_preset([f"preset={section.pipeline}"], config_directory))
    stages = dict(values["stages"])
    for stage, options in section.stages.items():
        both = isinstance(options, Mapping) and isinstance(stages.get(stage), Mapping)
        stages[stage] = {**stages[stage], **options} if both else options
    return PipelineMethod(name, build_pipeline(section.pipeline, stages, GIVEN.get(task, frozenset())), task)


def _log(config: EvaluateSection, outcome: Any, written: Any, out: Path) -> None:
    from ..training.tracking import folder_size, start_run, wandb_mode
    from .table_logging import log_table

    section = config.logger.wandb
    assert section is not None
    print(wandb_mode(section)[1])
    name = section.name or f"{config.benchmark}-{out.name}"
    run = start_run(
        section,
        out,
        name=name,
        group=section.group or config.benchmark,
        job_type="evaluation",
        tags=section.tags,
        notes=None,
        config=config.model_dump(mode="json"),
    )
    status = 1
    try:
        log_table(run, outcome.results, outcome.gallery, written)
        status = 0
    finally:
        run.finish(exit_code=status)
    if (out / "wandb").is_dir():
        print(f"W&B files: {folder_size(out / 'wandb') / 1e6:.1f} MB in {out / 'wandb'}")
