"""A shape cut out of a mask that stands still or wanders through the frame.

The walk is that of the training programs of STTN (Zeng et al., ECCV 2020), which DSTT, FuseFormer, E2FGVI and
ProPainter took over: whole-pixel steps of a velocity whose speed and angle drift, and a new velocity at the border.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import ConfigError
from ...core.seeding import position_rng
from .base import Mask, MaskVideo

# pixels and radians per frame
_FIRST_SPEED = (1.0, 3.0)
_SPEED_DRIFT, _ANGLE_DRIFT, _SPEED_AFTER_BORDER = 1.5, 0.25, 1.5

Cut = tuple[Mask, int, int]


def walk(rng: np.random.Generator, start: tuple[int, int], room: tuple[int, int], frames: int) -> npt.NDArray[np.int64]:
    """Corner (row, column) of the shape in every frame, ``(frames, 2)``.

    Args:
        rng: the only source of randomness.
        start: the first corner.
        room: the last row and column at which the shape still lies in the frame; every corner is from 0 to these.
        frames: length; a longer walk begins with the same corners.
    """
    speed, angle = rng.uniform(*_FIRST_SPEED), rng.uniform(0, 2 * math.pi)
    corners = np.empty((frames, 2), np.int64)
    row, column = corners[0] = start
    for frame in range(1, frames):
        # cut towards zero, as published: slow shapes keep to one place along an axis
        row, column = row + int(speed * math.cos(angle)), column + int(speed * math.sin(angle))
        drift = rng.standard_normal(2)
        speed, angle = speed + _SPEED_DRIFT * drift[0], angle + _ANGLE_DRIFT * drift[1]
        if not (0 <= row <= room[0] and 0 <= column <= room[1]):
            speed, angle = _SPEED_AFTER_BORDER * abs(rng.standard_normal()), rng.uniform(0, 2 * math.pi)
        row, column = min(max(row, 0), room[0]), min(max(column, 0), room[1])
        corners[frame] = row, column
    return corners


def cut_out(mask: Mask) -> Cut:
    """The part of a mask within the bounding box of its hole, with the box's first row and column."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return mask[:0, :0], 0, 0
    top, left = int(rows[0]), int(columns[0])
    return mask[top : rows[-1] + 1, left : columns[-1] + 1].copy(), top, left


class WanderingMasks(MaskVideo):
    """One random shape per video, which stands still or wanders; a pure function of the seed.

    Args:
        seed: 0 to 2**64 - 1.
        frames: length; a longer video begins with the same frames.
        size: height and width.
        moving: probability that the shape wanders.

    Raises:
        ConfigError: a value out of range.
    """

    generator: str

    def __init__(self, seed: int, *, frames: int, size: tuple[int, int], moving: float = 0.5) -> None:
        if frames < 1 or min(size) < 1:
            raise ConfigError(
                f"masks need frames >= 1 and a size of at least 1x1, got frames={frames}, size={size[1]}x{size[0]}"
            )
        if not 0 <= seed < 2**64:
            raise ConfigError(f"the seed of a mask video lies between 0 and 2**64 - 1, got {seed}")
        if not 0.0 <= moving <= 1.0:
            raise ConfigError(f"moving={moving} is not a probability (0 to 1)")
        self.seed = seed
        self.frames = frames
        self.size = (size[0], size[1])
        self.moving = moving

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Cut:
        """A random shape that fits into the frame, and its first row and column."""

    @functools.cached_property
    def _shape(self) -> Mask:
        # streams of their own, so that the shape does not depend on how it moves
        return self._drawn[0]

    @functools.cached_property
    def _drawn(self) -> Cut:
        return self.draw(position_rng(self.seed, 0))

    @functools.cached_property
    def corners(self) -> npt.NDArray[np.int64]:
        """First row and column of the shape in every frame, ``(T, 2)``."""
        shape, top, left = self._drawn
        rng = position_rng(self.seed, 1)
        if rng.random() >= self.moving:
            return np.tile(np.array([top, left], np.int64), (self.frames, 1))
        room = self.size[0] - shape.shape[0], self.size[1] - shape.shape[1]
        return walk(rng, (top, left), room, self.frames)

    @property
    def wanders(self) -> bool:
        """Whether this video's shape moves."""
        return bool((self.corners != self.corners[0]).any())

    def frame(self, index: int) -> Mask:
        self._check_index(index)
        row, column = self.corners[index]
        mask = np.zeros(self.size, np.bool_)
        mask[row : row + self._shape.shape[0], column : column + self._shape.shape[1]] = self._shape
        return mask

    def describe(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "seed": self.seed,
            "frames": self.frames,
            "size": list(self.size),
            "moving": self.moving,
        }
