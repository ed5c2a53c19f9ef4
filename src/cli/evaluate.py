"""``python evaluate.py``: one benchmark table, methods x metrics."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ..core.config import Section, parse_section
from ..core.errors import ConfigError

DESCRIPTION = "Make a benchmark table: python evaluate.py benchmark=<name> methods.<name>=<what>"


class PicturesSection(Section):
    """Side-by-side clips of the first ``clips`` videos, at most ``clip_frames`` frames each."""

    clips: Annotated[int, Field(ge=0)] = 3
    clip_frames: Annotated[int, Field(gt=0)] = 24


class EvaluateSection(Section):
    """A whole configuration of ``evaluate.py``.

    ``published_when`` holds the values of ``data`` with which published numbers of the benchmark belong in the table.
    """

    benchmark: str
    data: dict[str, Any]
    published_when: dict[str, Any] = {}
    protocol: dict[str, Any]
    methods: dict[str, Any] = {}
    out: str | None = None
    device: str = "auto"
    precision: str = "32-true"
    strict: bool = False
    cache: str | None = None
    resamples: Annotated[int, Field(gt=0)] = 10_000
    pictures: PicturesSection = PicturesSection()


def main(config_directory: Path) -> None:
    """Entry of ``evaluate.py``; ``config_directory`` is the absolute path of ``configs``."""
    from .entry import run

    def program(values: dict[str, Any], overrides: Sequence[str]) -> None:
        evaluate(values)

    run(program, "evaluate", config_directory)


def evaluate(values: Mapping[str, Any]) -> Path:
    """Evaluate what a composed configuration describes; returns the folder with table and report.

    Raises:
        FramewrightError: anything wrong with the configuration, the data, a method or the output folder.
    """
    from ..benchmark.methods import method_from_spec
    from ..benchmark.protocol import Protocol
    from ..benchmark.report import write_reports
    from ..benchmark.runner import Benchmark, RunOptions
    from ..benchmark.runner import run as run_benchmark
    from ..benchmark.tables import plain_text
    from ..core.files import make_directory
    from ..datamodules.evaluation_sets import create_evaluation_set

    config = parse_section(EvaluateSection, values)
    protocol = Protocol.from_mapping(config.protocol)
    device = choose_device(config.device)
    if not config.methods:
        raise ConfigError("nothing to evaluate: give at least one method, for example methods.average=frame_average")
    methods = []
    for name, spec in config.methods.items():
        resolved = method_from_spec(str(name), spec, protocol.task)
        print(resolved.decision)
        methods.append(resolved.method)
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
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
    written = write_reports(outcome.results, out, outcome.gallery, outcome.manifest)
    print(f"\n{plain_text(outcome.results)}")
    if outcome.cached:
        print(f"{outcome.cached} of {outcome.cached + outcome.computed} rows were known from {options.cache}")
    print(f"results: {written.results}\nreport:  {written.html}")
    return out


def choose_device(name: str) -> Any:
    """The torch device that ``device=`` means (``auto``: the first GPU where there is one).

    Raises:
        ConfigError: no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(f"device={name!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device


def evaluate_run(
    benchmark: str,
    methods: Mapping[str, Any],
    data: Mapping[str, Any],
    run_directory: Path,
    config_directory: Path,
) -> Path:
    """The final table of a training run: the trained network beside other methods.

    Args:
        benchmark: a choice of ``configs/benchmark``.
        methods: further methods by name.
        data: values that replace those of the benchmark's ``data`` section.
        run_directory: holds ``weights.safetensors``; the table goes to its folder ``table``.
        config_directory: the configurations.
    """
    from .entry import compose

    values = compose(config_directory, "evaluate", [f"benchmark={benchmark}"])
    values["data"] = {**values["data"], **data}
    values["methods"] = {**methods, "trained": {"run": str(run_directory)}}
    values["out"] = str(run_directory / "table")
    return evaluate(values)
