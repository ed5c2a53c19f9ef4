"""Free-form strokes: thick zigzag lines that a hand might have wiped over a photograph.

Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019 (algorithm 1 of the supplement, with the
numbers of the authors' program). The test masks of the published inpainting tables were drawn once with it; those
files are the authors', and no seed gives them again.

Different from the authors' program: on frames that are not square it confuses width and height, so that strokes keep
to a part of the frame; here they reach all of it. Frames of fewer than 240 rows or columns get thinner strokes, with
the same share of the frame.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .wander import Cut, WanderingMasks, cut_out

if TYPE_CHECKING:
    from PIL import ImageDraw

_STROKES = (1, 3)
_VERTICES = (4, 11)
_MEAN_ANGLE, _ANGLE_RANGE = 2 * math.pi / 5, 2 * math.pi / 15
_BRUSH = (12.0, 40.0)
_FULL_BRUSH_FROM = 240


class FreeFormMasks(WanderingMasks):
    """One to three strokes of 4 to 11 turns, 12 to 40 pixels thick; they stand still unless ``moving`` says otherwise.

    Arguments and errors as :class:`WanderingMasks`.
    """

    generator = "free_form"

    def __init__(self, seed: int, *, frames: int, size: tuple[int, int], moving: float = 0.0) -> None:
        super().__init__(seed, frames=frames, size=size, moving=moving)

    def draw(self, rng: np.random.Generator) -> Cut:
        from PIL import Image
        from PIL.ImageDraw import Draw

        canvas = Image.new("1", (self.size[1], self.size[0]))
        pen = Draw(canvas)
        for _ in range(int(rng.integers(_STROKES[0], _STROKES[1] + 1))):
            self._stroke(rng, pen)
        return cut_out(np.array(canvas))

    def _stroke(self, rng: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
        height, width = self.size
        turns = int(rng.integers(_VERTICES[0], _VERTICES[1] + 1))
        least, most = _MEAN_ANGLE - _ANGLE_RANGE * rng.random(), _MEAN_ANGLE + _ANGLE_RANGE * rng.random()
        angles = rng.uniform(least, most, turns)
        angles[::2] = 2 * math.pi - angles[::2]
        reach = math.hypot(height, width) / 8
        lengths = np.clip(reach + (reach // 2) * rng.standard_normal(turns), 0, 2 * reach)
        chain = [(int(rng.integers(width)), int(rng.integers(height)))]
        for angle, length in zip(angles, lengths, strict=True):
            x = min(max(chain[-1][0] + length * math.cos(angle), 0), width)
            y = min(max(chain[-1][1] + length * math.sin(angle), 0), height)
            chain.append((int(x), int(y)))
        thinner = min(1.0, min(self.size) / _FULL_BRUSH_FROM)
        brush = max(1, int(rng.uniform(*_BRUSH) * thinner))
        pen.line(chain, fill=1, width=brush)
        radius = brush // 2
        for x, y in chain:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
