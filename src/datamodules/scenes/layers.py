"""The layers of a scene: a textured background and textured objects, and how they are drawn at random."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .appearance import painted_name
from .motion import (
    Camera,
    Similarity,
    SmoothPath,
    camera_transform,
    displacement,
    integer,
    log_uniform,
    random_path,
    uniform,
)
from .sampling import FloatArray, Matrix, Region, Sampler
from .settings import SceneSettings
from .shapes import Shape, random_shape, rasterise
from .textures import LEVELS, load_texture, texture_file, texture_names


@dataclass(frozen=True)
class Surface:
    """A photograph laid over a layer, with its own contrast and tint.

    Attributes:
        name, level: the texture and which of its halvings is sampled.
        placement: layer coordinates to pixels of that level.
        flip: mirrored left to right.
        gain, bias: per channel; colour = gain * photograph + bias (in 0..1), which never leaves [0, 1].
    """

    name: str
    level: int
    placement: Similarity
    flip: bool
    gain: FloatArray
    bias: FloatArray

    def draw(self, sampler: Sampler, layer_from_frame: Similarity, region: Region) -> FloatArray:
        """Colours ``(h, w, 3)`` in [0, 1] of a region of the frame."""
        matrix = self.placement.after(layer_from_frame).matrix()
        if self.flip:
            matrix[0] *= -1
            matrix[0, 2] += load_texture(self.name)[self.level].shape[1] - 1
        colours = sampler.texture(self.name, self.level, matrix, region)
        colours *= self.gain / np.float32(255)
        colours += self.bias
        # gain + bias is at most one, but its rounding can exceed one by a last bit
        return np.minimum(colours, np.float32(1), out=colours)

    def painted(self, appearance: str) -> Surface:
        """The same photograph in another appearance, whose colours no tint changes."""
        gain, bias = (np.full(3, part.mean(), np.float32) for part in (self.gain, self.bias))
        return dataclasses.replace(self, name=painted_name(self.name, appearance), gain=gain, bias=bias)

    def parameters(self) -> dict[str, Any]:
        """JSON-able parameters, rounded to 1e-6."""
        z, w = self.placement
        return {
            "texture": self.name,
            "level": self.level,
            "placement": [round(number, 6) for number in (z.real, z.imag, w.real, w.imag)],
            "flip": self.flip,
            "gain": np.round(self.gain.astype(np.float64), 6).tolist(),
            "bias": np.round(self.bias.astype(np.float64), 6).tolist(),
        }


@dataclass(frozen=True)
class MovingObject:
    """A shape with a surface that moves through the world.

    Attributes:
        shape: the outline.
        radius: of the shape's unit disc, pixels at scale 1.
        surface: its photograph.
        path: pose of the object in the world at any time.
        alpha: the rasterised outline, ``(n, n)`` uint8.
        density: mask pixels per pixel.
    """

    shape: Shape
    radius: float
    surface: Surface
    path: SmoothPath
    alpha: npt.NDArray[np.uint8]
    density: float

    @property
    def reach(self) -> float:
        """No part of the object is farther than this from its centre, pixels at scale 1."""
        return len(self.alpha) / (2 * self.density)

    def mask_from_object(self) -> Similarity:
        """Object coordinates to mask pixels."""
        centre = (len(self.alpha) - 1) / 2
        return Similarity(complex(self.density), complex(centre, centre))

    def region(self, frame_from_object: Similarity, height: int, width: int) -> Region | None:
        """The part of the frame that the object may cover; None when it is out of sight."""
        extent = self.reach * abs(frame_from_object.z) + 1
        centre = frame_from_object.w
        top, bottom = (
            max(0, math.floor(centre.imag - extent)),
            min(height, math.ceil(centre.imag + extent) + 1),
        )
        left, right = (
            max(0, math.floor(centre.real - extent)),
            min(width, math.ceil(centre.real + extent) + 1),
        )
        return Region(top, left, bottom, right) if top < bottom and left < right else None

    def mask_matrix(self, object_from_frame: Similarity) -> Matrix:
        """Frame coordinates to mask pixels."""
        return self.mask_from_object().after(object_from_frame).matrix()

    def parameters(self) -> dict[str, Any]:
        """JSON-able parameters that determine the object."""
        return {
            "shape": self.shape.parameters(),
            "radius": round(self.radius, 6),
            "surface": self.surface.parameters(),
            "path": self.path.parameters(),
            "mask_pixels": len(self.alpha),
        }


def random_surface(rng: np.random.Generator, settings: SceneSettings, exclude: tuple[str, ...] = ()) -> Surface:
    """A random photograph other than those excluded, at a random place, angle and scale."""
    names = [name for name in texture_names(settings.textures) if name not in exclude]
    name = names[integer(rng, 0, len(names) - 1)]
    density = log_uniform(rng, *settings.texture_density)
    # sample a halving with 0.8 to 1.6 of its pixels per frame pixel: hardly any aliasing or extra blur
    level = max(0, min(LEVELS - 1, math.floor(math.log2(density) + 0.3)))
    height, width = load_texture(name)[level].shape[:2]
    angle = uniform(rng, -math.pi / 6, math.pi / 6) + math.pi / 2 * integer(rng, 0, 3)
    z = complex(math.cos(angle), math.sin(angle)) * density / 2**level
    place = complex(uniform(rng, 0.2, 0.8) * width, uniform(rng, 0.2, 0.8) * height)
    flip = float(rng.random()) < 0.5
    contrast, brightness, tints = uniform(rng, 0.75, 1.0), float(rng.random()), rng.random(3)
    tint = 0.3 if texture_file(name).gray else 0.1
    gain = contrast * (1 - tint * tints)
    return Surface(
        name,
        level,
        Similarity(z, place),
        flip,
        gain.astype(np.float32),
        (brightness * (1 - gain)).astype(np.float32),
    )


def random_object(
    rng: np.random.Generator,
    settings: SceneSettings,
    camera: Camera,
    density: float,
    background: str,
    foreground: bool,
) -> MovingObject:
    """A random object that is in sight at the middle of the clip."""
    height, width = settings.height, settings.width
    size = settings.foreground_size if foreground else settings.object_size
    radius = min(height, width) * log_uniform(rng, *size)
    shape = random_shape(rng, settings.hair, settings.softness, radius, solid=foreground)
    surface = random_surface(rng, settings, exclude=(background,))
    # the foreground is seen well inside the frame, others may be cut by its border
    margin = 0.25 if foreground else -0.05
    seen = complex(uniform(rng, margin, 1 - margin) * width, uniform(rng, margin, 1 - margin) * height)
    middle = (settings.frames - 1) / 2
    place = camera_transform(camera.smooth(middle), height, width).inverse()
    speed = displacement(rng, settings.object_motion, settings.max_motion) / 2
    path = random_path(rng, speed, settings.spin, settings.zoom, settings.frames, place.z * seen + place.w)
    return MovingObject(shape, radius, surface, path, rasterise(shape, radius, density), density)
