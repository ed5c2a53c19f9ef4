"""Thick strokes that drift, bend and hold together: the free-form video masks of DEVIL.

A stroke is a chain of control points, drawn as thick lines with a disc on every point. It is laid by a moving
head whose velocity changes at random (Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV
2019); over time its points move (Chang et al., "Free-form Video Inpainting with 3D Gated Convolution and
Temporal PatchGAN", ICCV 2019), and DEVIL adds a common push and a pull towards the centroid (Szeto and
Corso, "The DEVIL Is in the Details", CVPR 2022).

The order of the random draws, polar velocities, moves cut to whole pixels and sums in this order belong to the
published masks: another but equal formula gives other bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LARGEST_TURN = 3.0
_PUSH_CHANCE = 0.01


@dataclass(frozen=True)
class StrokeSettings:
    """How a stroke looks and moves; pixels and frames, pairs are least and largest.

    Attributes:
        vertices: number of control points.
        head_speed: distance of neighbouring points.
        head_acceleration: change of the head's velocity from point to point.
        brush: width of the lines.
        restless: share of the points that change their velocity in a frame.
        point_acceleration: largest such change.
        margin: width of the border that the first frame's points keep free.
        speed: of the whole stroke at the beginning.
        reach: distance from the centroid from which on points are pulled back; None: no pull.
        pull: acceleration per pixel beyond ``reach``.
        push: acceleration of the whole stroke, in one frame of a hundred.
    """

    vertices: tuple[int, int]
    head_speed: tuple[float, float]
    head_acceleration: tuple[float, float]
    brush: tuple[int, int]
    restless: float
    point_acceleration: float
    margin: int
    speed: tuple[float, float]
    reach: float | None
    pull: float
    push: tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """A stroke in motion.

    Attributes:
        points: ``(T, 2, N)`` x and y of the control points in each frame, in pixels.
        brush: width of the lines.
    """

    points: Floats
    brush: int

    def draw(self, frame: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """The mask ``(H, W)`` of a frame: True under the stroke.

        Drawn by Pillow, whose rasteriser is part of the definition of these masks.
        """
        from PIL import Image, ImageDraw

        height, width = size
        canvas = Image.new("1", (width, height))
        pen = ImageDraw.Draw(canvas)
        chain = [(float(x), float(y)) for x, y in self.points[frame].T]
        pen.line(chain, fill=1, width=self.brush)
        # one pixel short of the lines' half width, as published
        radius = self.brush // 2 - 1
        for x, y in chain:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
        return np.array(canvas)


def move_stroke(settings: StrokeSettings, seed: int, frames: int, size: tuple[int, int]) -> Stroke:
    """Lay a stroke at random on a canvas and move it.

    Args:
        settings: of the stroke.
        seed: 0 to 2**32 - 1; the stroke is a pure function of it and the other arguments.
        frames: length of the video; a longer video begins with the same frames.
        size: height and width of the canvas.
    """
    # the legacy generator: the published seeds are seeds of its stream, which NumPy keeps frozen
    rng = np.random.RandomState(seed)
    height, width = size
    limits = np.array([[width], [height]], np.float64)
    brush = int(rng.randint(settings.brush[0], settings.brush[1] + 1))
    start, speed, angle = _lay(settings, rng, limits)
    points = np.empty((frames, *start.shape))
    points[0] = start
    for frame in range(1, frames):
        points[frame], speed, angle = _move(settings, rng, limits, points[frame - 1], speed, angle)
    return Stroke(points, brush)


def _lay(settings: StrokeSettings, rng: np.random.RandomState, limits: Floats) -> tuple[Floats, Floats, Floats]:
    """Control points ``(2, N)`` of the first frame, and the speed and angle ``(N,)`` of each."""
    low, high = np.full_like(limits, settings.margin), limits - settings.margin
    head = np.array([[rng.randint(int(limit))] for limit in limits[:, 0]], np.float64)
    chain = [np.clip(head, low, high)]
    count = int(rng.randint(settings.vertices[0], settings.vertices[1] + 1))
    speed = np.asarray(rng.uniform(*settings.head_speed))
    angle = np.asarray(rng.uniform(0, 2 * math.pi))
    for _ in range(count - 1):
        boost, turn = rng.uniform(*settings.head_acceleration), rng.uniform(0, _LARGEST_TURN)
        speed, angle = _add(speed, angle, boost, turn + angle)
        speed = np.clip(speed, *settings.head_speed)
        step = np.array([[speed * np.cos(angle)], [speed * np.sin(angle)]])
        head, turned = _reflect(chain[-1] + step, low, high)
        angle = _turn(angle, turned[:, 0])
        chain.append(head)
    common, direction = rng.uniform(*settings.speed), rng.uniform(-math.pi, math.pi)
    return np.concatenate(chain, axis=1), np.full(count, common), np.full(count, direction)


def _move(
    settings: StrokeSettings, rng: np.random.RandomState, limits: Floats, points: Floats, speed: Floats, angle: Floats
) -> tuple[Floats, Floats, Floats]:
    """Points, speeds and angles one frame later."""
    # whole pixels: what a slow point would gain by fractions is lost
    step = np.trunc(np.stack([speed * np.cos(angle), speed * np.sin(angle)]))
    points, turned = _reflect(points + step, np.zeros_like(limits), limits)
    angle = _turn(angle, turned)
    speed = speed.copy()
    for index in range(len(speed)):
        if rng.uniform() < settings.restless:
            boost, direction = rng.uniform(0, settings.point_acceleration), rng.uniform(-math.pi, math.pi)
            speed[index], angle[index] = _add(speed[index], angle[index], boost, direction)
    if rng.uniform() < _PUSH_CHANCE:
        push, direction = rng.uniform(*settings.push), rng.uniform(-math.pi, math.pi)
        speed, angle = _add(speed, angle, push, direction)
    if settings.reach is not None:
        x, y = points - points.mean(1, keepdims=True)
        excess = settings.pull * (np.sqrt(x**2 + y**2) - settings.reach)
        speed, angle = _add(speed, angle, np.maximum(0, excess), -(math.pi - np.arctan2(y, x)))
    return points, speed, angle


def _add(
    speed: Floats, angle: Floats, other_speed: Floats | float, other_angle: Floats | float
) -> tuple[Floats, Floats]:
    """The sum of two velocities in polar form; the angle lies in [0, 2 pi)."""
    x = speed * np.cos(angle) + other_speed * np.cos(other_angle)
    y = speed * np.sin(angle) + other_speed * np.sin(other_angle)
    return np.sqrt(x**2 + y**2), (np.arctan2(y, x) + 2 * math.pi) % (2 * math.pi)


def _reflect(points: Floats, low: Floats, high: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Throw points that left the box back into it; with, per coordinate, whether its direction was turned round."""
    turned = np.zeros(points.shape, np.bool_)
    while (outside := (points < low) | (points > high)).any():
        points = np.where(points < low, low + (low - points), np.where(points > high, high - (points - high), points))
        turned ^= outside
    return points, turned


def _turn(angle: Floats, turned: npt.NDArray[np.bool_]) -> Floats:
    """The directions after reflection in x and y; ``turned``: ``(2, ...)``."""
    angle = np.where(turned[0], math.pi - angle, angle)
    return np.where(turned[1], -angle, angle)
