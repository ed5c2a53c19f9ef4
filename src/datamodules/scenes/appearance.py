"""Other appearances of procedural scenes: the same photographs, painted.

A painted photograph has its brightness mapped to a palette, more contrast, flattened areas and strokes in one
direction. Paint lies on the photographs, not on the frames, so that strokes move with what they are on: the painted
scene is what a perfect style transfer would make of the plain one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import ConfigError, nearest
from ...core.seeding import position_rng

SEPARATOR = "~"
"""Between the name of a photograph and that of its appearance."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MEAN_LUMA = 0.45


@dataclass(frozen=True)
class Appearance:
    """How photographs are painted.

    Attributes:
        palette: colours (RGB, 0 to 255) of brightness from black to white, evenly spaced.
        contrast: factor of brightness around its middle, before the palette.
        colour: how much of the photograph's own colour (its differences from grey) is left.
        flatten: side of the median filter in pixels, odd.
        stroke: length of strokes in pixels.
        angle: their direction in degrees, counter-clockwise from the right.
        ink: how much strokes change brightness, relative to the range.
    """

    palette: tuple[tuple[int, int, int], ...]
    contrast: float
    colour: float
    flatten: int
    stroke: int
    angle: float
    ink: float


APPEARANCES: dict[str, Appearance] = {
    "dusk": Appearance(
        ((24, 16, 66), (92, 34, 112), (206, 74, 88), (250, 158, 78), (255, 236, 190)), 1.25, 0.15, 5, 19, 40.0, 0.16
    ),
    "meadow": Appearance(
        ((6, 40, 34), (14, 92, 74), (66, 152, 84), (168, 204, 92), (250, 246, 180)), 1.15, 0.2, 5, 15, -35.0, 0.16
    ),
    "ink": Appearance(
        ((14, 18, 34), (44, 62, 98), (112, 136, 164), (190, 206, 216), (248, 248, 240)), 1.5, 0.0, 3, 27, 60.0, 0.24
    ),
    "ember": Appearance(
        ((16, 6, 10), (96, 14, 22), (188, 48, 20), (240, 128, 30), (255, 228, 120)), 1.35, 0.1, 7, 23, 5.0, 0.18
    ),
}


def painted_name(texture: str, appearance: str) -> str:
    """The name under which :func:`~.textures.load_texture` has a painted photograph.

    Raises:
        ConfigError: there is no such appearance.
    """
    if appearance not in APPEARANCES:
        raise ConfigError(
            f"scenes: unknown appearance {appearance!r}; expected one of {', '.join(APPEARANCES)}"
            f"{nearest(appearance, APPEARANCES)}"
        )
    return f"{texture}{SEPARATOR}{appearance}"


def paint(image: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    """A photograph ``(H, W, 3)`` uint8 RGB in an appearance; the same on every call."""
    import cv2

    look = APPEARANCES[name]
    flat = np.asarray(cv2.medianBlur(np.ascontiguousarray(image), look.flatten), np.float32)
    luma = flat @ _LUMA
    tone = _MEAN_LUMA + look.contrast * (luma / np.float32(255) - _MEAN_LUMA)
    tone = np.clip(tone + look.ink * _strokes(luma.shape, look, name), 0, 1)
    stops = np.linspace(0, 1, len(look.palette))
    colours = np.stack([np.interp(tone, stops, channel) for channel in zip(*look.palette, strict=True)], -1)
    painted = colours + look.colour * (flat - luma[..., None])
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


def _strokes(shape: tuple[int, ...], look: Appearance, name: str) -> npt.NDArray[np.float32]:
    """Noise smeared along the direction of the strokes, with mean 0 and deviation 1/2, within -1 and 1."""
    import cv2

    noise = position_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    half = look.stroke // 2
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    steps = np.linspace(-half, half, 4 * half + 1)
    x, y = steps * np.cos(np.deg2rad(look.angle)), -steps * np.sin(np.deg2rad(look.angle))
    np.add.at(kernel, (np.rint(y).astype(int) + half, np.rint(x).astype(int) + half), 1)
    kernel = np.asarray(cv2.GaussianBlur(kernel, (0, 0), 0.8))
    smeared = np.asarray(cv2.filter2D(noise, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101))
    smeared -= smeared.mean()
    strokes: npt.NDArray[np.float32] = np.clip(smeared / (2 * smeared.std()), -1, 1)
    return strokes


def known_appearances(names: Sequence[str] | None) -> tuple[str, ...]:
    """The names as given, all of them for None.

    Raises:
        ConfigError: there are none, or one is unknown.
    """
    if names is None:
        return tuple(APPEARANCES)
    if not names:
        raise ConfigError("scenes: appearances is empty; name at least one, or null for all")
    for name in names:
        painted_name("", name)
    return tuple(names)


def describe_appearances(names: tuple[str, ...]) -> dict[str, Any]:
    """The appearances as JSON-able dictionaries."""
    return {name: asdict(APPEARANCES[name]) for name in names}
