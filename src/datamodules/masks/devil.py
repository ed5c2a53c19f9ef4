"""The occlusion masks of the DEVIL benchmark: eight presets of a thousand videos each, and its splits.

Szeto and Corso, "The DEVIL Is in the Details: A Diagnostic Evaluation Benchmark for Video Inpainting", CVPR 2022.
A preset says low (l) or high (h) of three attributes: foreground size (fgs), motion, that is
deformation (fgm), and displacement (fgd).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...core.errors import ConfigError, nearest
from .base import Mask, MaskVideo
from .strokes import Stroke, StrokeSettings, move_stroke

CANVAS = (1080, 1920)
FRAMES = 90
VIDEOS_PER_PRESET = 1000
SPLIT_SIZE = (480, 832)

_LOW_PUSH, _HIGH_PUSH = (1, 1), (1, 3)


def _presets() -> dict[str, StrokeSettings]:
    shapes: dict[str, dict[str, Any]] = {
        "fgs-h_fgm-h": {
            "vertices": (7, 13),
            "head_speed": (50, 70),
            "head_acceleration": (0, 60),
            "brush": (150, 300),
            "restless": 0.8,
            "point_acceleration": 1.5,
            "margin": 300,
            "reach": 300,
            "pull": 0.75,
        },
        "fgs-h_fgm-l": {
            "vertices": (7, 13),
            "head_speed": (50, 80),
            "head_acceleration": (0, 70),
            "brush": (205, 375),
            "restless": 0.05,
            "point_acceleration": 0.5,
            "margin": 300,
            "reach": None,
            "pull": 1,
        },
        "fgs-l_fgm-h": {
            "vertices": (10, 22),
            "head_speed": (10, 25),
            "head_acceleration": (0, 50),
            "brush": (50, 125),
            "restless": 0.8,
            "point_acceleration": 1.0,
            "margin": 400,
            "reach": 150,
            "pull": 1,
        },
        "fgs-l_fgm-l": {
            "vertices": (10, 22),
            "head_speed": (10, 35),
            "head_acceleration": (0, 50),
            "brush": (75, 150),
            "restless": 0.05,
            "point_acceleration": 0.05,
            "margin": 400,
            "reach": 300,
            "pull": 1,
        },
    }
    found = {}
    for name, shape in shapes.items():
        fast = (9, 15) if name.endswith("fgm-h") else (5, 8)
        found[f"{name}_fgd-h"] = StrokeSettings(**shape, speed=fast, push=_HIGH_PUSH)
        found[f"{name}_fgd-l"] = StrokeSettings(**shape, speed=(0, 3), push=_LOW_PUSH)
    return found


#: in the order in which the splits count through them
PRESETS: dict[str, StrokeSettings] = _presets()

MARGINAL_SPLITS = ("fgs-l", "fgs-h", "fgm-l", "fgm-h", "fgd-l", "fgd-h", "all")


class DevilMasks(MaskVideo):
    """One mask video: a single stroke, drawn at 1920x1080 and brought to another size as DEVIL does.

    Args:
        preset: one of :data:`PRESETS`; DEVIL's own name with ``devil_`` in front is understood too.
        index: number of the video within the preset, 0 to 999 in the benchmark; it gives the seed.
        seed: of the stroke, in place of ``index``.
        frames: length; longer videos begin with the same frames.
        size: height and width. Masks are enlarged or reduced to cover it (nearest pixel) and cut about the
            centre.
        reverse: play the video backwards.

    Raises:
        ConfigError: unknown preset, or a value out of range.
    """

    def __init__(
        self,
        preset: str,
        index: int = 0,
        *,
        seed: int | None = None,
        frames: int = FRAMES,
        size: tuple[int, int] = CANVAS,
        reverse: bool = False,
    ) -> None:
        name = preset.removeprefix("devil_")
        if name not in PRESETS:
            raise ConfigError(f"unknown mask preset {preset!r}{nearest(name, PRESETS)} (known: {', '.join(PRESETS)})")
        if index < 0 or frames < 1 or min(size) < 1:
            raise ConfigError(
                f"masks need index >= 0, frames >= 1 and a size of at least 1x1, got index={index}, frames={frames}, "
                f"size={size[1]}x{size[0]}"
            )
        if seed is not None and not 0 <= seed < 2**32:
            raise ConfigError(f"the seed of a mask video lies between 0 and 2**32 - 1, got {seed}")
        self.preset = name
        self.index = None if seed is not None else index
        self.seed = _seed(index) if seed is None else seed
        self.frames = frames
        self.size = (size[0], size[1])
        self.reverse = reverse

    @functools.cached_property
    def stroke(self) -> Stroke:
        """The stroke in motion, on the canvas of 1920x1080."""
        return move_stroke(PRESETS[self.preset], self.seed, self.frames, CANVAS)

    def frame(self, index: int) -> Mask:
        self._check_index(index)
        drawn = self.stroke.draw(self.frames - 1 - index if self.reverse else index, CANVAS)
        return drawn if self.size == CANVAS else _cover(drawn, self.size)

    def describe(self) -> dict[str, Any]:
        return {
            "generator": "devil",
            "preset": self.preset,
            "index": self.index,
            "seed": self.seed,
            "frames": self.frames,
            "size": list(self.size),
            "reverse": self.reverse,
        }


def devil_masks(
    name: str, videos: int = 150, *, frames: int = FRAMES, size: tuple[int, int] = SPLIT_SIZE, seed: int = 0
) -> list[DevilMasks]:
    """The mask videos of a preset or of one of DEVIL's splits; they are drawn when they are used.

    A preset gives its first videos in order. A split (:data:`MARGINAL_SPLITS`) shuffles the thousand videos of
    all presets that belong to it and plays each backwards with probability 1/2, as for the published splits.

    Args:
        name: one of :data:`PRESETS` or :data:`MARGINAL_SPLITS`.
        videos: how many; the published splits have 150.
        frames: length of each.
        size: height and width; the published splits have 480x832.
        seed: of the shuffling and reversing; 0 for the published splits.

    Raises:
        ConfigError: unknown name, or more videos than there are.
    """
    plain = name.removeprefix("devil_")
    if plain in PRESETS:
        candidates = [(plain, index) for index in range(VIDEOS_PER_PRESET)]
        reverse = [False] * len(candidates)
    elif plain in MARGINAL_SPLITS:
        members = [preset for preset in PRESETS if plain == "all" or plain in preset]
        candidates = [(preset, index) for preset in members for index in range(VIDEOS_PER_PRESET)]
        rng = np.random.RandomState(seed)
        rng.shuffle(candidates)
        reverse = rng.randint(2, size=len(candidates), dtype=np.bool_).tolist()
    else:
        known = (*MARGINAL_SPLITS, *PRESETS)
        raise ConfigError(f"unknown mask split {name!r}{nearest(plain, known)} (known: {', '.join(known)})")
    if not 1 <= videos <= len(candidates):
        raise ConfigError(f"{name} has {len(candidates)} mask videos, asked for {videos}")
    chosen = zip(candidates[:videos], reverse[:videos], strict=True)
    return [DevilMasks(preset, index, frames=frames, size=size, reverse=back) for (preset, index), back in chosen]


@functools.cache
def _seeds(count: int) -> tuple[int, ...]:
    return tuple(int(seed) for seed in np.random.RandomState(0).randint(2**32, size=count, dtype=np.int64))


def _seed(index: int) -> int:
    """The seed of a preset's video: number ``index`` of one stream, whose beginning is published."""
    # whole thousands, so that few lists are remembered
    return _seeds(VIDEOS_PER_PRESET * (index // VIDEOS_PER_PRESET + 1))[index]


def _cover(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize to cover a size (nearest pixel; the rounding is Pillow's) and cut about the centre."""
    from PIL import Image

    (height, width), (rows, columns) = size, mask.shape
    ratio = max(width / columns, height / rows)
    inner_width, inner_height = math.ceil(columns * ratio), math.ceil(rows * ratio)
    left, top = (inner_width - width) // 2, (inner_height - height) // 2
    resized = np.array(Image.fromarray(mask).resize((inner_width, inner_height), Image.Resampling.NEAREST))
    return resized[top : top + height, left : left + width]
