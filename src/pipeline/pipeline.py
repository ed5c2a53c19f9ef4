"""From a configuration to stages whose wiring is checked, and what they will do, for people."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.config import parse_section
from ..core.errors import ConfigError, nearest
from ..core.files import sha256_file, sha256_tree
from ..inference.specs import recognise
from ..video import VideoInfo, VideoReader
from .stage import Settings, Stage
from .stages import STAGES

# shorter segments than these many frames are not worth their key frames
_SHORTEST = 240
# what is computed around a segment costs at most this part of it
_WASTE = 8


@dataclass(frozen=True)
class Pipeline:
    """Stages in the order in which they run.

    Attributes:
        name: of the preset.
        stages: at least one.
    """

    name: str
    stages: tuple[Stage, ...]

    @property
    def factor(self) -> int:
        """Frames out for each pair of neighbours in."""
        factor = 1
        for stage in self.stages:
            factor *= stage.factor
        return factor

    def output_frames(self, frames: int) -> int:
        """How many frames come out of a video of ``frames``."""
        return (frames - 1) * self.factor + 1 if frames else 0

    def reach(self, stages: int | None = None) -> tuple[int | None, int]:
        """Frames of the source before (None: all) and after a frame that matter for what the first stages give."""
        back: int | None = 0
        ahead, factor = 0, 1
        for stage in self.stages[:stages]:
            # a later stage counts its own frames, of which there may be more
            ahead += -(-stage.ahead // factor)
            back = None if back is None or stage.back is None else back + -(-stage.back // factor)
            factor *= stage.factor
        return back, ahead

    def segments(self, frames: int, length: int | None = None) -> list[range]:
        """The frames of the source, cut into parts that are computed by themselves.

        Args:
            frames: of the source.
            length: of a segment; None: 240, or more where stages look far.
        """
        back, ahead = self.reach()
        if back is None:
            return [range(frames)]
        length = length or max(_SHORTEST, _WASTE * (back + ahead))
        return [range(start, min(start + length, frames)) for start in range(0, frames, length)]

    def check(self, reader: VideoReader) -> None:
        """Raise a :class:`FramewrightError` where a stage cannot serve this video; nothing has been loaded yet."""
        for stage in self.stages:
            stage.check(len(reader), reader.size)

    def load(self, settings: Settings) -> None:
        """Build all networks."""
        for stage in self.stages:
            stage.load(settings)

    def fingerprint(self) -> dict[str, Any]:
        """Everything about the stages that the result depends on, JSON-able; files count by their contents."""
        return {
            "version": importlib.metadata.version("framewright"),
            "torch": importlib.metadata.version("torch"),
            "stages": [
                {
                    "stage": type(stage).__name__,
                    "options": stage.section.model_dump(mode="json"),
                    "files": {str(path): _hash(path) for path in stage.files()},
                }
                for stage in self.stages
            ],
        }

    def describe(self, info: VideoInfo) -> list[str]:
        """The plan, line by line."""
        frames = info.frames
        sound = f", sound {' '.join(track.codec for track in info.audio)}" if info.audio else ""
        lines = [
            f"input   {info.path}: {info.size[1]}x{info.size[0]}, {frames} frames, {info.average_fps:.5g} frames/s"
            f"{'' if info.regular else ' (variable)'}, {info.codec}{sound}"
        ]
        for number, stage in enumerate(self.stages, 1):
            reads = f" reads {', '.join(sorted(stage.reads))}" if stage.reads else ""
            gives = f" gives {', '.join(sorted(stage.gives))}" if stage.gives else ""
            lines.append(
                f"stage {number} {stage.name}:{reads}{gives}{' looks through the video first' * stage.prepares}"
            )
            lines += [f"        {used}" for used in stage.used()]
        back, ahead = self.reach()
        parts = self.segments(frames)
        how = "resumable after each" if back is not None else "a stage remembers all frames: not resumable"
        count = "1 segment" if len(parts) == 1 else f"{len(parts)} segments"
        lines.append(f"looks   {'all' if back is None else back} frames back, {ahead} ahead; {count}, {how}")
        lines.append(f"output  {self.output_frames(frames)} frames")
        return lines


def build_pipeline(name: str, stages: Mapping[str, Any], given: frozenset[str] = frozenset()) -> Pipeline:
    """The pipeline of ``stages: {<name>: options}``; nothing is loaded.

    A stage that is ``false`` or ``null`` is left out; ``true`` has its defaults; a text is its method, recognised as in
    a benchmark. The option ``stage`` says which stage it is where the name does not. Stages that only help others are
    left out where nobody needs them.

    Args:
        name: of the preset.
        stages: their options, in order.
        given: extras that come with the frames.

    Raises:
        ConfigError: an unknown stage or option, no stage at all, or one that reads what no earlier one gives.
    """
    built = [
        _build(str(key), options) for key, options in stages.items() if options is not None and options is not False
    ]
    if not built:
        raise ConfigError(f"the preset {name!r} has no stage that is switched on")
    built = _without_idle(built, given)
    _check_wiring(built, given)
    rate = 1
    for stage in built:
        stage.rate = rate
        rate *= stage.factor
    return Pipeline(name, tuple(built))


def _build(name: str, options: Any) -> Stage:
    where = f"stages.{name}"
    values = {} if options is True else options
    kind = name
    if isinstance(values, Mapping) and "stage" in values:
        kind = str(values["stage"])
        values = {key: value for key, value in values.items() if key != "stage"}
    if kind not in STAGES:
        raise ConfigError(f"{where}: unknown stage {kind!r}{nearest(kind, STAGES)} (available: {', '.join(STAGES)})")
    stage = STAGES[kind]
    if isinstance(values, str):
        task = getattr(stage, "task", None)
        if task is None:
            raise ConfigError(f"{where} has no method to choose; give its options, or false to leave it out")
        values = {recognise(values, where, task)[0]: values}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a mapping of options, a method, true or false, got {values!r}")
    return stage(name, parse_section(stage.options(), {str(key): value for key, value in values.items()}, where))


def _without_idle(stages: Sequence[Stage], given: frozenset[str]) -> list[Stage]:
    """Without helpers whose extras nobody reads, or come with the frames."""
    needed: list[Stage] = []
    wanted: set[str] = set()
    for stage in reversed(stages):
        if not stage.helper or stage.gives & wanted - given or len(stages) == 1:
            needed.insert(0, stage)
            wanted |= stage.reads
    return needed


def _check_wiring(stages: Sequence[Stage], given: frozenset[str]) -> None:
    known = dict.fromkeys(given, "the input")
    lost: dict[str, str] = {}
    for stage in stages:
        for key in sorted(stage.reads - known.keys()):
            if key in lost:
                raise ConfigError(
                    f"stages.{stage.name} reads {key}, which is no longer true after stages.{lost[key]} has moved or "
                    f"resized the frames; put it before"
                )
            givers = [name for name, kind in STAGES.items() if key in kind.gives]
            raise ConfigError(
                f"stages.{stage.name} reads {key}, which no earlier stage gives (given by: {', '.join(givers)})"
            )
        if not stage.keeps:
            lost |= dict.fromkeys(known, stage.name)
            known = {}
        known |= dict.fromkeys(stage.gives, stage.name)
        for key in stage.gives:
            lost.pop(key, None)


def _hash(path: Path) -> str:
    return sha256_tree(path) if path.is_dir() else sha256_file(path)
