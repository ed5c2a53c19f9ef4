"""The training masks of STTN: one round blob with dents per video, still or wandering.

STTN (Zeng et al., ECCV 2020), DSTT, FuseFormer, E2FGVI and ProPainter train on them. Their programs draw the blob with
matplotlib, one figure per sample; here the same curve is filled as a polygon. The statistics are theirs, the bits are
not: theirs come from two random generators that no seed of a sample controls.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .base import Mask
from .wander import Cut, WanderingMasks, cut_out

_EDGES = (6, 8)
_RATIOS = (0.6, 0.7, 0.8)
# what matplotlib leaves for the axes of a figure, and how much wider than the points their limits are
_AXES_WIDTH, _AXES_HEIGHT, _MARGIN = 0.775, 0.77, 1.1
_POINTS_PER_CURVE = 16


class BezierMasks(WanderingMasks):
    """A closed chain of 6 to 8 cubic Bezier curves around a point.

    The blob is drawn for a box of a random third to the whole of the frame along each side; it fills 0.70 of the box
    (0.775 by 0.77 of it is the official figure's drawing area, less a margin of 10 %), and its place is random.
    """

    generator = "bezier"

    def draw(self, rng: np.random.Generator) -> Cut:
        height, width = (self._extent(rng, side) for side in self.size)
        x, y = outline(rng)
        low, high = min(x.min(), y.min()) * _MARGIN, max(x.max(), y.max()) * _MARGIN
        curve_x, curve_y = smooth(x), smooth(y)
        shape = _fill(
            (curve_x - curve_x.min()) * (_AXES_WIDTH * width / (high - low)),
            (curve_y - curve_y.min()) * (_AXES_HEIGHT * height / (high - low)),
            self.size,
        )
        rows, columns = self.size[0] - shape.shape[0], self.size[1] - shape.shape[1]
        return shape, int(rng.integers(rows + 1)), int(rng.integers(columns + 1))

    @staticmethod
    def _extent(rng: np.random.Generator, side: int) -> int:
        low = max(1, side // 3)
        return int(rng.integers(low, max(low, side - 1) + 1))


def outline(rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """x and y of the control points, ``(3 n + 1,)`` for n curves: at even angles, each at a random radius.

    The radius is uniform in ``[1 - ratio, 1 + ratio]``, where the ratio of the blob is 0.6, 0.7 or 0.8. The angles
    grow and no curve spans half a turn, so the outline never crosses itself.
    """
    curves = int(rng.integers(_EDGES[0], _EDGES[1] + 1))
    ratio = _RATIOS[int(rng.integers(len(_RATIOS)))]
    angles = np.linspace(0, 2 * math.pi, 3 * curves + 1)
    radii = 1 - ratio + 2 * ratio * rng.random(len(angles))
    radii[-1] = radii[0]
    return np.cos(angles) * radii, np.sin(angles) * radii


def smooth(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One coordinate along the curves that ``3 n + 1`` control points describe, 16 points each."""
    start, first, second, end = points[:-1:3], points[1::3], points[2::3], points[3::3]
    t = np.arange(_POINTS_PER_CURVE)[:, None] / _POINTS_PER_CURVE
    u = 1 - t
    curve: npt.NDArray[np.float64] = u**3 * start + 3 * u**2 * t * first + 3 * u * t**2 * second + t**3 * end
    return curve.T.reshape(-1)


def _fill(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """The polygon as a mask of its own bounding box, at least one pixel and at most ``size``."""
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (min(size[1], int(x.max()) + 1), min(size[0], int(y.max()) + 1)))
    ImageDraw.Draw(canvas).polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=1)
    shape, _, _ = cut_out(np.array(canvas))
    return shape if shape.size else np.ones((1, 1), np.bool_)
