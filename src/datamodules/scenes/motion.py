"""Smooth motion in continuous time: similarity transforms, object and camera paths, camera shake."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Pose = npt.NDArray[np.float64]
"""``(4,)``: dx, dy in pixels, angle in radians (positive turns x towards y), natural log of the scale."""


class Similarity(NamedTuple):
    """The map ``p -> z * p + w`` of points written as complex numbers ``x + iy``.

    Rotation and scale are one complex factor, so composing and inverting is exact and cheap.
    """

    z: complex
    w: complex

    @classmethod
    def from_pose(cls, pose: Pose) -> Similarity:
        """Scale and rotate about the origin, then shift."""
        dx, dy, angle, log_scale = (float(value) for value in pose)
        return cls(cmath.exp(complex(log_scale, angle)), complex(dx, dy))

    def after(self, first: Similarity) -> Similarity:
        """The map that applies ``first`` and then this one."""
        return Similarity(self.z * first.z, self.z * first.w + self.w)

    def inverse(self) -> Similarity:
        """The map that undoes this one."""
        return Similarity(1 / self.z, -self.w / self.z)

    def matrix(self) -> npt.NDArray[np.float64]:
        """The same map as a ``(2, 3)`` affine matrix on column vectors ``(x, y, 1)``."""
        z, w = self.z, self.w
        return np.array([[z.real, -z.imag, w.real], [z.imag, z.real, w.imag]])


def camera_transform(pose: Pose, height: int, width: int) -> Similarity:
    """The map from world to pixel coordinates of a camera pose.

    A world point ``q`` (pixels, origin where pose zero shows the frame's centre) appears at
    ``c + exp(log_scale) * R(angle) q + (dx, dy)`` with ``c = ((width - 1) / 2, (height - 1) / 2)``.
    """
    z, w = Similarity.from_pose(pose)
    return Similarity(z, w + complex((width - 1) / 2, (height - 1) / 2))


@dataclass(frozen=True)
class SmoothPath:
    """A pose that is quadratic in time: constant acceleration in all four components.

    Attributes:
        value: pose at time ``origin``.
        velocity: change per frame at ``origin``.
        acceleration: change of the velocity per frame.
        origin: time in frames.
    """

    value: Pose
    velocity: Pose
    acceleration: Pose
    origin: float

    def at(self, time: float) -> Pose:
        """The pose ``(4,)`` at any real time (frames)."""
        elapsed = time - self.origin
        return self.value + elapsed * (self.velocity + 0.5 * elapsed * self.acceleration)

    def parameters(self) -> dict[str, Any]:
        """JSON-able parameters, rounded to 1e-6."""
        return {
            "value": np.round(self.value, 6).tolist(),
            "velocity": np.round(self.velocity, 6).tolist(),
            "acceleration": np.round(self.acceleration, 6).tolist(),
            "origin": self.origin,
        }


@dataclass(frozen=True)
class ShakePath:
    """Hand shake: a band-limited sum of sinusoids in every pose component, defined at any real time.

    Attributes:
        amplitude: ``(N, 4)`` pose units.
        frequency: ``(N, 4)`` cycles per frame, at most 0.45 so that frames sample the shake properly.
        phase: ``(N, 4)`` radians.
    """

    amplitude: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.float64]
    phase: npt.NDArray[np.float64]

    def at(self, time: float) -> Pose:
        """The pose offset ``(4,)`` at any real time (frames)."""
        angle = 2 * math.pi * self.frequency * time + self.phase
        offset: Pose = (self.amplitude * np.sin(angle)).sum(0)
        return offset

    def parameters(self) -> dict[str, Any]:
        """JSON-able parameters, rounded to 1e-6."""
        return {
            "amplitude": np.round(self.amplitude, 6).tolist(),
            "frequency": np.round(self.frequency, 6).tolist(),
            "phase": np.round(self.phase, 6).tolist(),
        }


@dataclass(frozen=True)
class Camera:
    """A smooth camera path and, added to it component by component, an optional shake."""

    path: SmoothPath
    shake: ShakePath | None

    def smooth(self, time: float) -> Pose:
        """The intended pose ``(4,)``; zero at time 0."""
        return self.path.at(time) - self.path.at(0.0)

    def pose(self, time: float) -> Pose:
        """The pose ``(4,)`` that the frames are seen from: smooth plus shake."""
        pose = self.smooth(time)
        return pose if self.shake is None else pose + self.shake.at(time)


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A uniform number. Scenes draw through ``rng.random`` only, whose stream NumPy keeps stable."""
    return low + (high - low) * float(rng.random())


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform (``0 < low <= high``)."""
    return math.exp(uniform(rng, math.log(low), math.log(high)))


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``, both included."""
    return min(high, low + int(float(rng.random()) * (high - low + 1)))


def displacement(rng: np.random.Generator, mean: float, maximum: float) -> float:
    """A length from the exponential distribution of the given mean, truncated at ``maximum``.

    Heavy-tailed like motion in real video: most is small, some is large, none is above the bound.
    """
    draw = float(rng.random())
    if mean <= 0 or maximum <= 0:
        return 0.0
    return -mean * math.log(1 - draw * (1 - math.exp(-maximum / mean)))


def random_path(
    rng: np.random.Generator, speed: float, spin: float, zoom: float, frames: int, position: complex = 0j
) -> SmoothPath:
    """A smooth path through ``position`` at the middle of a clip.

    Args:
        rng: source of the random numbers.
        speed: length of the translation per frame at the middle, in pixels; its direction is random.
        spin: largest rotation per frame, radians.
        zoom: largest change of the log scale per frame.
        frames: length of the clip; accelerations shrink with it, so that speeds change by at most 60 %.
        position: the place at the middle of the clip, ``x + iy``.
    """
    middle = (frames - 1) / 2
    velocity = cmath.rect(speed, uniform(rng, -math.pi, math.pi))
    bend = min(0.15, 0.6 / max(1.0, middle))
    acceleration = cmath.rect(speed * bend * float(rng.random()), uniform(rng, -math.pi, math.pi))
    turn, grow = uniform(rng, -spin, spin), uniform(rng, -zoom, zoom)
    return SmoothPath(
        value=np.array([position.real, position.imag, 0.0, 0.0]),
        velocity=np.array([velocity.real, velocity.imag, turn, grow]),
        acceleration=np.array(
            [
                acceleration.real,
                acceleration.imag,
                turn * uniform(rng, -bend, bend),
                grow * uniform(rng, -bend, bend),
            ]
        ),
        origin=middle,
    )


def random_shake(rng: np.random.Generator, strength: float) -> ShakePath:
    """Shake whose translation has a standard deviation of ``strength`` pixels per axis.

    Rotation and scale follow in proportion (1.5 mrad and 0.1 % per pixel of strength).
    """
    count = 5
    draws = rng.random((3, count, 4))
    frequency = 0.03 + 0.42 * draws[0]
    weight = (0.5 + draws[1]) / np.sqrt(frequency)
    weight *= math.sqrt(2) / np.sqrt((weight**2).sum(0))
    unit = strength * np.array([1.0, 1.0, 0.0015, 0.001])
    return ShakePath(weight * unit, frequency, 2 * math.pi * draws[2])
