"""``python edit.py``: a preset of the pipeline on somebody's own videos."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..core.config import Section, parse_section
from ..core.errors import ConfigError, nearest
from ..core.processes import Group, process_group

DESCRIPTION = "Edit a video: python edit.py preset=<name> input=<video> output=<file>"


class EncodingSection(Section):
    """How the output is written, see :class:`framewright.video.encoding.Encoding`."""

    codec: str = "h264"
    quality: int | None = None
    pixel_format: str | None = None
    speed: str | None = None


class EditSection(Section):
    """A whole configuration of ``edit.py``.

    ``mask``, ``box``, ``subject``, ``reference``, ``background`` and ``other`` are short ways to say what the stages of
    a preset take; presets refer to them.
    """

    preset: str | None
    input: str | list[str] | None
    output: str | None = None
    stages: dict[str, Any] = {}
    mask: str | None = None
    box: list[int] | None = None
    subject: str | int | None = None
    reference: str | None = None
    background: str | list[int] | None = None
    other: str | None = None
    encoding: EncodingSection = EncodingSection()
    device: str = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compile: bool = False
    overlap: Literal["none", "files", "stages"] = "files"
    segment: int | None = Field(default=None, ge=1)
    dry_run: bool = False
    report: bool = False
    preview: Literal["side_by_side", "wipe"] | None = None
    progress: bool | Literal["auto"] = "auto"


def main(config_directory: Path, arguments: Sequence[str] | None = None) -> None:
    """Entry of ``edit.py``; ``config_directory`` is the absolute path of ``configs``."""
    from .entry import run

    def program(values: dict[str, Any], overrides: Sequence[str]) -> None:
        with process_group() as group:
            edit(values, group)

    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        typed = choose_preset(typed, config_directory)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    run(program, "edit", config_directory, typed)


def choose_preset(arguments: Sequence[str], config_directory: Path) -> list[str]:
    """The arguments with ``preset=<name>`` as the choice of a configuration group.

    Raises:
        ConfigError: there is no such preset.
    """
    known = sorted(path.stem for path in (config_directory / "pipeline").glob("*.yaml"))
    chosen = []
    for argument in arguments:
        key, _, name = argument.partition("=")
        if key == "preset":
            if name not in known:
                raise ConfigError(f"unknown preset {name!r}{nearest(name, known)} (available: {', '.join(known)})")
            argument = f"pipeline={name}"
        chosen.append(argument)
    return chosen


def edit(values: Mapping[str, Any], group: Group | None = None) -> list[Path]:
    """Edit what a composed configuration describes; returns the files that were written by this process.

    Args:
        values: the composed configuration as a plain mapping.
        group: the processes that share the inputs. None: this process alone.

    Raises:
        FramewrightError: anything wrong with the configuration, a video, a method or the output.
    """
    from ..pipeline import Settings, build_pipeline
    from ..video import open_video
    from ..video.encoding import Encoding
    from .device import choose_device

    group = group or Group()
    config = parse_section(EditSection, values)
    if config.preset is None:
        raise ConfigError("nothing to do: give a preset, for example preset=upscale (python edit.py --help lists them)")
    encoding = Encoding(**config.encoding.model_dump())
    # wrong stages are told of before wrong files
    build_pipeline(config.preset, config.stages)
    jobs = places(config)
    if not config.dry_run:
        _check_targets([target for _, target in jobs])
    device = choose_device(config.device, group)
    written = []
    for source, target in jobs[group.rank :: group.size]:
        pipeline = build_pipeline(config.preset, config.stages)
        with open_video(source) as reader:
            pipeline.check(reader)
            plan = pipeline.describe(reader.probe())
        plan.append(f"        {target}: {encoding.codec} {encoding.format}")
        print(f"{config.preset} on {device}")
        print("\n".join(f"  {line}" for line in plan))
        if config.dry_run:
            continue
        settings = Settings(device, config.precision, config.compile, source.stem)
        run = _run(config, pipeline, source, target, settings, encoding)
        _show(config, run, plan)
        written.append(target)
    return written


def _run(config: EditSection, pipeline: Any, source: Path, target: Path, settings: Any, encoding: Any) -> Any:
    from ..pipeline import Execution, run_pipeline

    with _Bar(config.progress, source.name) as bar:
        execution = Execution(encoding, config.overlap, config.segment, bar.report, bar.note)
        run = run_pipeline(pipeline, source, target, settings, execution)
    new = run.frames - run.reused
    print(
        f"{target}: {run.frames} frames of {run.size[1]}x{run.size[0]}, {new} of them made in {run.seconds:.1f} s "
        f"({new / run.seconds:.1f} frames/s)"
    )
    return run


def _show(config: EditSection, run: Any, plan: Sequence[str]) -> None:
    from ..pipeline.report import write_preview, write_report

    if config.preview is not None:
        preview = run.target.with_name(f"{run.target.stem}_preview.mp4")
        write_preview(run, config.preview, preview)
        print(f"preview: {preview}")
    if config.report:
        page = run.target.with_name(f"{run.target.stem}_report.html")
        write_report(run, plan, page)
        print(f"report:  {page}")


def places(config: EditSection) -> list[tuple[Path, Path]]:
    """Every input with its output.

    Raises:
        ConfigError: no input, or an output that cannot hold all of them.
    """
    given = [config.input] if isinstance(config.input, str) else config.input
    if not given:
        raise ConfigError("nothing to edit: give input=<video>, a folder of frames, or input=[several,of,them]")
    sources = [Path(path).expanduser() for path in given]
    suffix = {"prores": ".mov", "ffv1": ".mkv"}.get(config.encoding.codec, ".mp4")
    names = [f"{source.stem if source.is_file() else source.name}_{config.preset}{suffix}" for source in sources]
    if config.output is None:
        folder = Path()
    else:
        output = Path(config.output).expanduser()
        if len(sources) == 1 and not output.is_dir() and output.suffix:
            return [(sources[0], output)]
        if output.suffix and not output.is_dir():
            raise ConfigError(f"{len(sources)} inputs need a folder as output, got {str(output)!r}")
        folder = output
    return [(source, folder / name) for source, name in zip(sources, names, strict=True)]


def _check_targets(targets: Sequence[Path]) -> None:
    for target in targets:
        if targets.count(target) > 1:
            raise ConfigError(f"several inputs would be written to {str(target)!r}; give them other names")


class _Bar:
    """A progress bar with frames per second and the time that is left; nothing where nobody looks."""

    def __init__(self, wanted: bool | str, name: str) -> None:
        from tqdm import tqdm

        shown = sys.stderr.isatty() if wanted == "auto" else bool(wanted)
        self._bar = tqdm(desc=name, unit="frame", disable=not shown, dynamic_ncols=True, smoothing=0.1)

    def report(self, done: int, total: int) -> None:
        if self._bar.total is None:
            self._bar.total = total
            self._bar.initial = self._bar.n = done
        self._bar.update(done - self._bar.n)

    def note(self, line: str) -> None:
        self._bar.write(f"  {line}", file=sys.stdout)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
