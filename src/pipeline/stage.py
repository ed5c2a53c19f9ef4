"""What a stage of a pipeline is: what it reads and gives, how far it looks, and the method it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.config import Section, parse_section
from ..core.errors import ConfigError, WeightsError
from ..inference.method import Chunk, Context
from ..inference.specs import RUN_WEIGHTS, MethodFields, MethodSpec, method_from_spec
from ..models.card import ModelCard
from ..models.registry import get_card, list_models

TIME = "time"
"""The extra that every chunk has: seconds at which each frame is shown, float64 ``(T,)``."""


@dataclass(frozen=True)
class Settings:
    """Where and how stages compute.

    Attributes:
        device: of networks and tensor operations.
        precision: ``32-true`` or ``bf16-mixed``.
        compile: networks go through ``torch.compile``.
        video_id: name of the video, for messages.
    """

    device: torch.device
    precision: str = "32-true"
    compile: bool = False
    video_id: str = ""

    def context(self, task: str, **options: Any) -> Context:
        """What a method of a task is asked to do."""
        return Context(task, video_id=self.video_id, device=self.device, precision=self.precision, **options)


@dataclass(frozen=True)
class Used:
    """One line of a plan: a method that a stage runs.

    Attributes:
        method: what it is, for people.
        weights: file, run folder or tag; None where there are none.
        licence: of the weights, as far as it is known; empty without weights.
        baseline: without weights, whether a network could take its place.
    """

    method: str
    weights: str | None = None
    licence: str = ""
    baseline: bool = True

    def __str__(self) -> str:
        if self.weights is None:
            return f"{self.method} (baseline, no weights)" if self.baseline else self.method
        return f"{self.method}, weights {self.weights}, licence: {self.licence or 'as its source says'}"


class Chosen:
    """A method that is known by name now and built when it is needed.

    Args:
        choice: what the user wrote.
        task: of the method.
        baseline: what runs where nothing was chosen.
        where: dotted path of the choice, for messages.
        defaults: options of that baseline, where the user says nothing else.
        inference: how its engine runs it, where the user says nothing else.

    Raises:
        ConfigError: no such network, or one of another task.
    """

    def __init__(
        self,
        choice: MethodFields,
        task: str,
        baseline: str,
        where: str,
        defaults: dict[str, Any] | None = None,
        inference: dict[str, Any] | None = None,
    ) -> None:
        self.task, self.where = task, where
        fields = MethodFields.model_fields
        spec = {key: value for key, value in choice.model_dump().items() if key in fields and value not in (None, {})}
        if not any(key in spec for key in ("network", "run", "baseline", "folder", "weights")):
            spec["baseline"] = baseline
        if "folder" in spec:
            raise ConfigError(f"{where}: a stage runs its method, it cannot take results from a folder")
        parse_section(MethodSpec, spec, where)
        name = spec.get("network") or spec.get("baseline")
        self.card: ModelCard | None = None
        if name is not None:
            if name not in list_models(task):
                # the same words as for a benchmark
                method_from_spec(task, spec, task, where)
            self.card = get_card(name)
        else:
            place = Path(spec.get("run") or spec["weights"]).expanduser()
            if not place.exists():
                raise ConfigError(f"{where}: there is no {str(place)!r}")
            self.card = _card_of(place, task, where)
        if name == baseline and self.card is not None and self.card.baseline and defaults:
            spec["options"] = {**defaults, **spec.get("options", {})}
        if inference and "inference" not in spec:
            spec["inference"] = inference
        self.spec = spec
        self._method: Any = None

    @property
    def baseline(self) -> bool:
        """Whether it needs no weights."""
        return self.card is not None and self.card.baseline

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of the network where it is built, else of its class where that has it."""
        known = self._method.net if self._method is not None else self.card.build if self.card is not None else None
        return getattr(known, name, default)

    def used(self) -> Used:
        """What it is, without loading anything."""
        options = ", ".join(f"{key}={value}" for key, value in self.spec.get("options", {}).items())
        shown = f" ({options})" if options else ""
        if "network" not in self.spec and not self.baseline:
            name = self.card.name if self.card is not None else f"{self.task} network"
            return Used(f"{name}{shown}", self.spec.get("run") or self.spec["weights"], "of your own training")
        assert self.card is not None
        if self.card.baseline:
            return Used(f"{self.card.name}{shown}")
        tag = self.spec.get("weights")
        known = {entry.tag: entry for entry in self.card.weights}
        first = next((entry.tag for entry in self.card.weights if entry.url is not None), None)
        tag = tag or first or "none given"
        licence = known[tag].licence if tag in known else f"that of the file (official weights: {self.card.licence})"
        return Used(f"{self.card.name}{shown}", tag, licence)

    def load(self, settings: Settings | None = None) -> Any:
        """The :class:`framewright.inference.NetworkMethod`, built on the first call."""
        if self._method is None:
            self._method = method_from_spec(self.task, self.spec, self.task, self.where).method
        if settings is not None and settings.compile and not self.baseline and not getattr(self, "_compiled", False):
            self._method.net.compile()
            self._compiled = True
        return self._method

    def run(self, chunks: Iterator[Chunk], settings: Settings, **options: Any) -> Iterator[Chunk]:
        """The engine's results."""
        made: Iterator[Chunk] = self.load(settings).process(chunks, settings.context(self.task, **options))
        return made

    def files(self) -> list[Path]:
        """Weight files and run folders that the result depends on."""
        named = [self.spec.get("run"), self.spec.get("weights"), *self.spec.get("parts", {}).values()]
        return [Path(name).expanduser() for name in named if name is not None and Path(name).expanduser().exists()]


def _card_of(place: Path, task: str, where: str) -> ModelCard | None:
    """The card of a weight file of ours or a run folder, from its header; None where that does not say it."""
    file = place / RUN_WEIGHTS if place.is_dir() else place
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), "pt") as opened:
            name = (opened.metadata() or {}).get("framewright.model")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{where}: {str(file)!r} is not a readable weight file: {error}") from error
    if name is not None and name in list_models() and name not in list_models(task):
        raise ConfigError(
            f"{where}: {str(place)!r} holds {name!r}, a network for {get_card(name).task}, not for {task}"
        )
    return get_card(name) if name in list_models(task) else None


class Stage(ABC):
    """One step of a pipeline.

    A stage gets the chunks of a part of a video and yields chunks with the same frames or others, in order. What it
    gives for a frame depends on at most ``back`` frames before and ``ahead`` frames after it; so much more is computed
    around a segment, and thrown away.

    Attributes:
        name: in the configuration.
        reads: names of extras that an earlier stage has to give.
        gives: names of extras that it adds.
        keeps: extras of earlier stages stay true of its frames (it moves and resizes nothing).
        factor: frames out for each pair of neighbours in (retiming), else 1.
        prepares: it looks through the whole video once before anything is written.
        rate: frames of this stage for each pair of neighbours of the source (after retiming: more than 1).
        helper: it only gives extras, and is left out where no later stage reads them.

    Args:
        name: in the configuration.
        section: its checked options.
    """

    reads: frozenset[str] = frozenset()
    gives: frozenset[str] = frozenset()
    keeps: bool = True
    prepares: bool = False
    factor: int = 1
    rate: int = 1
    helper: ClassVar[bool] = False

    def __init__(self, name: str, section: Any) -> None:
        self.name, self.section = name, section
        self.where = f"stages.{name}"

    @property
    def back(self) -> int | None:
        """Frames before a frame that matter for it; None: all, so that the video is one segment."""
        return 0

    @property
    def ahead(self) -> int:
        """Frames after a frame that matter for it."""
        return 0

    def used(self) -> list[Used]:
        """The methods it runs."""
        return []

    def files(self) -> list[Path]:
        """Files and folders beside the video that its result depends on."""
        return []

    def check(self, frames: int, size: tuple[int, int]) -> None:  # noqa: B027  (most stages take any video)
        """Raise a :class:`FramewrightError` where the stage cannot serve such a source, before anything is loaded.

        Args:
            frames: of the source video.
            size: height and width of the source.
        """

    def load(self, settings: Settings) -> None:  # noqa: B027  (a stage may have nothing to load)
        """Build networks and open files."""

    def prepare(  # noqa: B027  (only stages that prepare)
        self, chunks: Iterator[Chunk], folder: Path, settings: Settings
    ) -> None:
        """Look through the whole video and keep in ``folder`` what :meth:`run` needs of it."""

    def prepared(self, folder: Path) -> None:  # noqa: B027  (only stages that prepare)
        """Read what :meth:`prepare` has kept, in this run or in an interrupted one."""

    @abstractmethod
    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        """The stage's result for consecutive chunks."""

    @classmethod
    @abstractmethod
    def options(cls) -> type[Section]:
        """The section of its options."""


class MethodStage(Stage):
    """A stage whose work is one method of a task: a network, or a baseline where none is chosen."""

    task: ClassVar[str]

    def __init__(self, name: str, section: Any) -> None:
        super().__init__(name, section)
        self.chosen = self.choose()

    @abstractmethod
    def choose(self) -> Chosen:
        """The method, from the section."""

    def used(self) -> list[Used]:
        return [self.chosen.used()]

    def files(self) -> list[Path]:
        return self.chosen.files()

    def load(self, settings: Settings) -> None:
        self.chosen.load(settings)


def along(
    chunks: Iterator[Chunk], run: Callable[[Iterator[Chunk]], Iterator[Chunk]], keeps: bool = True
) -> Iterator[Chunk]:
    """Run what gives one frame for every frame, and carry the extras of its input over.

    Args:
        chunks: the input.
        run: the work; its own extras win.
        keeps: carry all extras over, or the time alone.
    """
    waiting: deque[tuple[int, dict[str, Tensor]]] = deque()

    def noted() -> Iterator[Chunk]:
        for chunk in chunks:
            for place in range(len(chunk)):
                kept = {key: value[place] for key, value in chunk.extras.items() if keeps or key == TIME}
                waiting.append((chunk.start + place, kept))
            yield chunk

    for made in run(noted()):
        carried = [waiting.popleft() for _ in range(len(made))]
        extras = {key: torch.stack([values[key] for _, values in carried]) for key in carried[0][1]}
        yield Chunk(carried[0][0], made.frames, {**extras, **made.extras})


def single(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same frames, each in a chunk of its own."""
    for chunk in chunks:
        for place in range(len(chunk)):
            part = slice(place, place + 1)
            yield Chunk(chunk.start + place, chunk.frames[part], {key: x[part] for key, x in chunk.extras.items()})
