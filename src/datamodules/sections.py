"""What every section of a configuration about data has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ..core.config import Section
from ..core.errors import ConfigError
from .base import EvaluationDataset, TrainingDataset

Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


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
