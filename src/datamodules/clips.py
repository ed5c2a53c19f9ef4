"""Which frames of a video make a training clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from ..core.config import Section
from ..core.errors import ConfigError
from .sections import Positive, Probability


class ClipSection(Section):
    """``data.clip``: how many frames a training clip has, and which.

    Attributes:
        frames: consecutive or scattered frames of a clip.
        scattered: probability that they are scattered: drawn from the whole video and put in order; otherwise they are
            consecutive. STTN, DSTT and FuseFormer: 5 and 0.5.
        references: so many further frames after those, scattered over the rest of the video, in order. E2FGVI: 5
            frames, ``scattered: 0``, 3 references.
        span: scattered frames lie within so many frames; null: anywhere in the video. For long videos with cuts.
    """

    frames: Positive = 5
    scattered: Probability = 0.5
    references: Annotated[int, Field(ge=0)] = 0
    span: Positive | None = None

    @property
    def total(self) -> int:
        """Frames of a clip with its references."""
        return self.frames + self.references

    def choose(self, rng: np.random.Generator, length: int) -> list[int]:
        """Numbers of the frames of one clip from a video of ``length`` frames, at least :attr:`total`.

        Raises:
            ConfigError: the video or the span is shorter than a clip.
        """
        stretch = length if self.span is None else min(self.span, length)
        if stretch < self.total:
            raise ConfigError(f"a clip has {self.total} frames, the video {length} and data.clip.span is {self.span}")
        first = int(rng.integers(length - stretch + 1))
        if rng.random() < self.scattered:
            chosen = _scattered(rng, range(stretch), self.frames)
        else:
            start = int(rng.integers(stretch - self.frames + 1))
            chosen = list(range(start, start + self.frames))
        if self.references:
            taken = set(chosen)
            chosen += _scattered(rng, [index for index in range(stretch) if index not in taken], self.references)
        return [first + index for index in chosen]


def _scattered(rng: np.random.Generator, numbers: Sequence[int], count: int) -> list[int]:
    places = sorted(rng.choice(len(numbers), count, replace=False).tolist())
    return [numbers[place] for place in places]
