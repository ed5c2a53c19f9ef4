"""What a random scene may look like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ...core.errors import ConfigError, nearest
from .textures import Split

Quality = Literal["fast", "exact"]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


@dataclass(frozen=True)
class SceneSettings:
    """Settings of a random scene; a scene is a pure function of these and a random generator.

    Time is in frames, lengths in pixels. "Per two frames" is the motion between the outer frames of an
    interpolation triplet, the pair that flow and interpolation are evaluated on.

    Attributes:
        height, width: size of the frames, at least 16.
        frames: length of the clip; it fixes the middle, where objects are placed and speeds are stated.
            A scene can be rendered at any other time too.
        textures: ``train`` or ``eval``; the two share no photograph.
        objects: least and largest number of moving objects.
        object_size: least and largest radius as a fraction of the frame's shorter side.
        foreground_size: the same for the topmost object, which matting and inpainting are about; it is
            always a solid shape.
        camera_motion: mean translation of the camera per two frames, exponentially distributed.
        object_motion: the same for each object relative to the background.
        max_motion: bound on each of those translations.
        spin: largest rotation of an object, radians per frame; the camera has a fifth of it.
        zoom: largest change of an object's log scale per frame; the camera has half of it.
        texture_density: least and largest number of photograph pixels per frame pixel.
        hair: probability that a solid object has hair-like, semi-transparent edges.
        softness: largest blur of object edges (standard deviation).
        shake: standard deviation of the camera shake; 0 = none.
        quality: ``fast`` or ``exact``, see :class:`~.sampling.FastSampler` and
            :class:`~.sampling.ExactSampler`.

    Raises:
        ConfigError: a value is out of range, or unknown.
    """

    height: int = 112
    width: int = 112
    frames: int = 3
    textures: Split = "train"
    objects: tuple[int, int] = (2, 5)
    object_size: tuple[float, float] = (0.12, 0.34)
    foreground_size: tuple[float, float] = (0.2, 0.42)
    camera_motion: float = 7.5
    object_motion: float = 8.0
    max_motion: float = 24.0
    spin: float = 0.05
    zoom: float = 0.015
    texture_density: tuple[float, float] = (1.0, 2.5)
    hair: float = 0.2
    softness: float = 1.5
    shake: float = 0.0
    quality: Quality = "fast"

    def __post_init__(self) -> None:
        for name in ("objects", "object_size", "foreground_size", "texture_density"):
            value = getattr(self, name)
            try:
                low, high = value
            except (TypeError, ValueError):
                raise ConfigError(f"scenes: {name}={value!r} should be two numbers, least and largest") from None
            if not (_is_number(low) and _is_number(high) and 0 < low <= high):
                raise ConfigError(f"scenes: {name}={value!r} should be two positive numbers, the smaller first")
            # YAML gives lists; a tuple keeps the settings hashable
            object.__setattr__(self, name, (low, high))
        if not all(isinstance(number, int) for number in self.objects):
            raise ConfigError(f"scenes: objects={self.objects!r} should be two whole numbers")
        for name in ("height", "width", "frames"):
            if not isinstance(getattr(self, name), int):
                raise ConfigError(f"scenes: {name}={getattr(self, name)!r} should be a whole number")
        if self.height < 16 or self.width < 16:
            raise ConfigError(f"scenes: height={self.height}, width={self.width} should be at least 16")
        if self.frames < 1:
            raise ConfigError(f"scenes: frames={self.frames} should be at least 1")
        for name in ("camera_motion", "object_motion", "max_motion", "spin", "zoom", "softness", "shake"):
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise ConfigError(f"scenes: {name}={value!r} should be a number, zero or more")
        if not (_is_number(self.hair) and 0 <= self.hair <= 1):
            raise ConfigError(f"scenes: hair={self.hair!r} should be a probability from 0 to 1")
        if self.textures not in ("train", "eval"):
            raise ConfigError(f"scenes: textures={self.textures!r} should be 'train' or 'eval'")
        if self.quality not in ("fast", "exact"):
            raise ConfigError(f"scenes: quality={self.quality!r} should be 'fast' or 'exact'")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SceneSettings:
        """Settings from a mapping (a configuration); unknown names are a :class:`ConfigError`."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(f"scenes: unknown setting {name!r}{nearest(name, known)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings as a JSON-able dictionary."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
