"""Outlines of moving objects and their rasterisation to soft alpha masks."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .motion import integer, log_uniform, uniform

CLASSES = ("background", "ellipse", "polygon", "blob", "ring", "bar")
"""Names of the label values 0, 1, 2 ... of segmentation."""

# the classes that are large and solid enough to be a foreground to matte or to remove
SOLID = ("ellipse", "polygon", "blob")

Contour = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """An outline in unit coordinates (the largest distance from the origin is 1).

    Attributes:
        kind: index into :data:`CLASSES`.
        contours: closed polylines ``(N, 2)``; a second one inside the first cuts a hole.
        softness: standard deviation of the edge's blur, pixels at scale 1.
        strands: open polylines ``(N, K, 2)`` of hair, drawn half transparent.
    """

    kind: int
    contours: tuple[Contour, ...]
    softness: float
    strands: npt.NDArray[np.float64] | None = None

    def parameters(self) -> dict[str, Any]:
        """JSON-able parameters, rounded to 1e-5."""
        return {
            "kind": CLASSES[self.kind],
            "contours": [np.round(contour, 5).tolist() for contour in self.contours],
            "softness": round(self.softness, 6),
            "strands": None if self.strands is None else np.round(self.strands, 5).tolist(),
        }


@functools.cache
def _circle(count: int) -> Contour:
    angle = np.arange(count) * (2 * math.pi / count)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _ellipse(rng: np.random.Generator) -> tuple[Contour, ...]:
    return (_circle(72) * [1.0, uniform(rng, 0.45, 1.0)],)


def _polygon(rng: np.random.Generator) -> tuple[Contour, ...]:
    """A star-shaped polygon of 3 to 7 corners, rounded by Chaikin's corner cutting."""
    count = integer(rng, 3, 7)
    jitter = rng.random((2, count))
    angle = (np.arange(count) + 0.6 * (jitter[0] - 0.5)) * (2 * math.pi / count)
    radius = 0.6 + 0.4 * jitter[1]
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
    cut = uniform(rng, 0.08, 0.25)
    for _ in range(3):
        after = np.roll(points, -1, 0)
        points = np.stack([points + cut * (after - points), after + cut * (points - after)], 1).reshape(-1, 2)
    return (points,)


def _blob(rng: np.random.Generator) -> tuple[Contour, ...]:
    """A circle whose radius varies with the angle by a few low frequencies."""
    angle = np.arange(96) * (2 * math.pi / 96)
    radius = np.ones(96)
    for frequency in range(2, 6):
        amplitude, phase = uniform(rng, 0, 0.55) / frequency, uniform(rng, 0, 2 * math.pi)
        radius += amplitude * np.cos(frequency * angle + phase)
    return (_circle(96) * radius[:, None],)


def _ring(rng: np.random.Generator) -> tuple[Contour, ...]:
    outer = _circle(72) * [1.0, uniform(rng, 0.6, 1.0)]
    return outer, outer * (1 - uniform(rng, 0.12, 0.4))


def _bar(rng: np.random.Generator) -> tuple[Contour, ...]:
    """A thin bar with round ends, straight or bent into an arc."""
    thickness = log_uniform(rng, 0.04, 0.2)
    bend = uniform(rng, -1.2, 1.2)
    along = np.linspace(-1, 1, 25)
    cap = np.linspace(-math.pi / 2, math.pi / 2, 9)[1:-1]
    x = np.concatenate([along, 1 + thickness * np.cos(cap), along[::-1], -1 - thickness * np.cos(cap)])
    y = np.concatenate(
        [np.full(25, -thickness), thickness * np.sin(cap), np.full(25, thickness), -thickness * np.sin(cap)]
    )
    return (np.stack([x, y + bend * 0.5 * (x**2 - 0.4)], 1),)


_MAKERS = {"ellipse": _ellipse, "polygon": _polygon, "blob": _blob, "ring": _ring, "bar": _bar}


def random_shape(rng: np.random.Generator, hair: float, softness: float, radius: float, solid: bool = False) -> Shape:
    """A random outline.

    Args:
        rng: source of the random numbers.
        hair: probability that a solid shape grows hair.
        softness: largest blur of the edge, pixels.
        radius: size in pixels that it will be drawn at; decides the number of hairs.
        solid: only ellipses, polygons and blobs.
    """
    kinds = SOLID if solid else CLASSES[1:]
    name = kinds[integer(rng, 0, len(kinds) - 1)]
    contours = _MAKERS[name](rng)
    largest = max(float(np.sqrt((contour**2).sum(1).max())) for contour in contours)
    contours = tuple(contour / largest for contour in contours)
    # half of the edges are as sharp as the pixel grid allows, the others out of focus by some amount
    blur = max(0.0, uniform(rng, -softness, softness))
    hairy = float(rng.random()) < hair
    strands = None
    if hairy and name in SOLID:
        contours = tuple(0.78 * contour for contour in contours)
        strands = _strands(rng, contours[0], max(24, min(200, int(3 * radius))))
    return Shape(CLASSES.index(name), contours, blur, strands)


def _strands(rng: np.random.Generator, contour: Contour, count: int) -> npt.NDArray[np.float64]:
    """``count`` curved hairs that start on the outline, grow outwards and stay within the unit disc."""
    draws = rng.random((4, count))
    root = contour[np.minimum((draws[0] * len(contour)).astype(int), len(contour) - 1)]
    distance = np.maximum(np.sqrt((root**2).sum(1)), 1e-3)
    direction = np.arctan2(root[:, 1], root[:, 0]) + 0.9 * (draws[1] - 0.5)
    curl = 3.0 * (draws[2] - 0.5)
    length = np.minimum(0.08 + 0.35 * draws[3], 0.97 - distance)
    steps = np.linspace(-0.15, 1.0, 6)
    angle = direction[:, None] + curl[:, None] * steps
    return np.stack(
        [
            root[:, :1] + length[:, None] * steps * np.cos(angle),
            root[:, 1:] + length[:, None] * steps * np.sin(angle),
        ],
        -1,
    )


def rasterise(shape: Shape, radius: float, density: float, oversampling: int = 4) -> npt.NDArray[np.uint8]:
    """The shape's alpha as a square ``(n, n)`` uint8 mask, 255 = opaque, zero along its border.

    The unit disc has a radius of ``radius * density`` mask pixels and is centred on the mask. Coverage is
    the average of ``oversampling`` squared samples per mask pixel.
    """
    half = math.ceil(radius * density + 3 * shape.softness * density) + 2
    size = 2 * half + 1
    canvas = np.zeros((size * oversampling, size * oversampling), np.uint8)
    # OpenCV's fixed-point vertices: 4 fractional bits; sample (i + 0.5) / oversampling - 0.5 is mask pixel i
    scale, centre = radius * density * oversampling, (half + 0.5) * oversampling - 0.5
    fixed = [np.rint((contour * scale + centre) * 16).astype(np.int32) for contour in shape.contours]
    cv2.fillPoly(canvas, fixed, 255, lineType=cv2.LINE_8, shift=4)
    if shape.strands is not None:
        hairs = np.rint((shape.strands * scale + centre) * 16).astype(np.int32)
        thickness = max(1, round(0.7 * density * oversampling))
        cv2.polylines(canvas, list(hairs), False, 255, thickness, cv2.LINE_8, shift=4)
    mask = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    if shape.softness * density > 0.2:
        mask = cv2.GaussianBlur(mask, (0, 0), shape.softness * density)
        mask[[0, -1]] = 0
        mask[:, [0, -1]] = 0
    return np.asarray(mask, dtype=np.uint8)
