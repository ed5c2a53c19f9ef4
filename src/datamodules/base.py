"""The two kinds of data set: samples to train on, and whole videos to evaluate on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor


class TrainingDataset(ABC):
    """Samples that are a pure function of an index and a random generator.

    Randomness (crop, flip, order of frames) comes only from the generator handed in, which the sampler
    derives from the position in the run. So a run repeats exactly, with any number of loader workers.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of distinct source items (procedural data: any large number)."""

    @abstractmethod
    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Sample ``index`` (0 .. len-1) as a dictionary of unbatched tensors.

        Raises:
            DataError: the item cannot be read; the message names the file.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """A JSON-able manifest: what the samples are made of. Its hash is recorded with every run."""


@dataclass(frozen=True)
class EvaluationVideo:
    """One video of an evaluation set.

    Attributes:
        id: unique within the set, usable as a relative path of a results folder.
        frames: ``(T, 3, H, W)`` RGB float32 in [0, 1].
        truth: ground truth by name, each with the time axis first.
    """

    id: str
    frames: Tensor
    truth: Mapping[str, Tensor] = field(default_factory=dict)


class EvaluationDataset(ABC):
    """An ordered set of whole videos, loaded one at a time.

    Attributes:
        name: of the set in results.
        complete: whether it is a whole published set; published numbers stand only beside those.
    """

    name: str
    complete: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Number of videos."""

    @abstractmethod
    def __getitem__(self, index: int) -> EvaluationVideo:
        """Load video ``index``; raises ``IndexError`` past the end."""

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``; sets that know it without decoding say so here."""
        return len(self[index].frames)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """A JSON-able manifest of the videos (ids, frame counts, hashes)."""

    def __iter__(self) -> Iterator[EvaluationVideo]:
        for index in range(len(self)):
            yield self[index]
