"""Several data sets as one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..core.errors import ConfigError
from .base import TrainingDataset


class Mixture(TrainingDataset):
    """Several data sets as one: an epoch shows every item of a part ``repeats`` times.

    Args:
        name: of the mixture in its manifest.
        parts: each data set with its number of repetitions.

    Raises:
        ConfigError: no part, or a number below 1.
    """

    def __init__(self, name: str, parts: Sequence[tuple[TrainingDataset, int]]) -> None:
        if not parts or min(repeats for _, repeats in parts) < 1:
            raise ConfigError("a mixture needs at least one part, each repeated at least once")
        self.name = name
        self.parts = list(parts)
        lengths = [len(dataset) * repeats for dataset, repeats in self.parts]
        self._ends = list(itertools.accumulate(lengths))

    def __len__(self) -> int:
        """Number of items, repetitions counted."""
        return self._ends[-1]

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The sample of the part that ``index`` falls into."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        dataset, _ = self.parts[part]
        start = self._ends[part - 1] if part else 0
        return dataset.sample((index - start) % len(dataset), rng)

    def describe(self) -> dict[str, Any]:
        """The parts with their repetitions."""
        return {
            "dataset": self.name,
            "parts": [{"repeats": repeats, **dataset.describe()} for dataset, repeats in self.parts],
        }
