"""What every section of a configuration about data has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from ..core.config import Section, check_known, parse_section
from ..core.errors import ConfigError
from .base import EvaluationDataset, TrainingDataset

Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


_OF_THE_MIX = ("batch_size", "workers", "on_error", "validation")  # keys that only a mixture itself has


class DataSection(Section):
    """Keys that every source has.

    ``batch_size`` counts the samples of the global batch, over all processes. ``workers`` are loader
    processes per training process. ``on_error`` says what a sample that cannot be read does.
    """

    name: str
    batch_size: Positive = 8
    workers: Annotated[int, Field(ge=0)] = 2
    on_error: Literal["raise", "skip"] = "raise"


class DataSource(ABC):
    """One kind of data: builds its data sets from its checked section, for one task.

    Args:
        section: the checked ``data`` section.
        task: task of the network that is trained.
    """

    section_type: ClassVar[type[DataSection]]
    tasks: ClassVar[tuple[str, ...]] = ("interpolation",)

    def __init__(self, section: DataSection, task: str) -> None:
        if task not in self.tasks:
            raise ConfigError(
                f"data={section.name} has no samples for the task {task!r} (it serves {', '.join(self.tasks)})"
            )
        self.task = task

    @abstractmethod
    def training(self) -> TrainingDataset:
        """The training samples."""

    @abstractmethod
    def validation(self) -> EvaluationDataset | None:
        """The validation videos, or None if there are none."""

    @abstractmethod
    def benchmark(self) -> tuple[str, dict[str, Any]]:
        """The benchmark that belongs to this data, and the values of its data section that make it so."""


class EvaluationSection(Section):
    """Keys that every evaluation set has: its ``name`` and at most how many ``videos`` (null: all)."""

    name: str
    videos: Positive | None = None

    @abstractmethod
    def build(self, task: str) -> EvaluationDataset:
        """The evaluation set for networks of a task."""


Part = TypeVar("Part", bound=DataSection)


def parse_part(
    values: Mapping[str, Any], index: int, mixture: str, sources: Mapping[str, type[DataSource]], kind: type[Part]
) -> tuple[Part, int]:
    """The checked section of one part of a mixture of data sets, and its repetitions.

    Args:
        values: ``name``, ``repeats`` and what the data set of that name takes.
        index: of the part, for messages.
        mixture: name of the mixture, for messages.
        sources: what a part may be, by name.
        kind: what the sections of all of them are.

    Raises:
        ConfigError: an unknown data set or key, or a wrong value.
    """
    where = f"data.parts[{index}]"
    name = str(values.get("name", ""))
    check_known(name, sources, f"part of {mixture} ({where}.name)")
    wrong = [key for key in _OF_THE_MIX if key in values]
    if wrong:
        raise ConfigError(f"{where}.{wrong[0]}: this key is the mixture's own; set data.{wrong[0]}")
    repeats = values.get("repeats", 1)
    if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 1:
        raise ConfigError(f"{where}.repeats={repeats!r}: expected a whole number, 1 or more")
    own = {key: value for key, value in values.items() if key != "repeats"}
    section = parse_section(sources[name].section_type, own, where)
    assert isinstance(section, kind)
    return section, repeats
