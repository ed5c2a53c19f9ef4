"""The second-order degradation of Real-ESRGAN: photographs made as bad as those that people want to enhance.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCV Workshops 2021,
section 3; the numbers are those of the authors' configuration. Two rounds of blur, resize, noise and JPEG, the second
ending with a sinc filter and JPEG in either order.

Deviations from the authors' code: each sample is degraded by itself, where theirs draws most choices once per batch and
keeps a pool of 180 to mix them; JPEG is OpenCV's encoder, theirs a differentiable imitation of it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ..core.errors import ConfigError, nearest
from .sr_kernels import Kernel, draw_kernel, sinc_kernel

Photo = npt.NDArray[np.float32]
Range = tuple[float, float]
_MODES = ("area", "bilinear", "bicubic")


@dataclass(frozen=True)
class Round:
    """The parameters of one round.

    Attributes:
        blur: probability of a blur at all.
        sigma, beta_generalized, beta_plateau: ranges, see :func:`~framewright.datamodules.sr_kernels.draw_kernel`.
        sinc: probability that the blur is a sinc filter.
        shapes: probabilities of the shapes of the blur, in the order of
            :data:`~framewright.datamodules.sr_kernels.SHAPES`.
        resize: probabilities of enlarging, shrinking, and neither.
        factor: range of the factor, around 1.
        gaussian: probability that the noise is Gaussian, else it is Poisson's.
        noise: range of the deviation of Gaussian noise, of 255.
        poisson: range of the scale of Poisson noise.
        gray: probability that the noise is the same in all colours.
        jpeg: range of the quality.
    """

    blur: float = 1.0
    sigma: Range = (0.2, 3.0)
    beta_generalized: Range = (0.5, 4.0)
    beta_plateau: Range = (1.0, 2.0)
    sinc: float = 0.1
    shapes: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)
    factor: Range = (0.15, 1.5)
    gaussian: float = 0.5
    noise: Range = (1.0, 30.0)
    poisson: Range = (0.05, 3.0)
    gray: float = 0.4
    jpeg: Range = (30.0, 95.0)


_SECOND = Round(
    blur=0.8,
    sigma=(0.2, 1.5),
    resize=(0.3, 0.4, 0.3),
    factor=(0.3, 1.2),
    noise=(1.0, 25.0),
    poisson=(0.05, 2.5),
)


@dataclass(frozen=True)
class RealESRGANDegradation:
    """Makes a low-resolution image of a high-resolution one.

    Attributes:
        first, second: the two rounds.
        sizes: smallest and largest side of blur kernels, odd.
        final_sinc: probability of the sinc filter at the end.

    Raises:
        ConfigError: an even size.
    """

    first: Round = field(default_factory=Round)
    second: Round = field(default_factory=lambda: _SECOND)
    sizes: tuple[int, int] = (7, 21)
    final_sinc: float = 0.8

    def __post_init__(self) -> None:
        if any(size < 1 or size % 2 == 0 for size in self.sizes):
            raise ConfigError(f"degradation_settings.sizes={list(self.sizes)}: sides of blur kernels are odd")

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> RealESRGANDegradation:
        """Change the published numbers: ``{"first": {"jpeg": [60, 95]}, "final_sinc": 0.5}``.

        Raises:
            ConfigError: an unknown name, or a value of the wrong form.
        """
        own = {key: value for key, value in values.items() if key not in ("first", "second")}
        rounds = {
            key: _changed(start, values.get(key, {}), f"degradation_settings.{key}")
            for key, start in (("first", Round()), ("second", _SECOND))
        }
        changed: RealESRGANDegradation = _changed(cls(), own, "degradation_settings")
        return cls(rounds["first"], rounds["second"], changed.sizes, changed.final_sinc)

    def describe(self) -> dict[str, Any]:
        """All parameters, for the manifest."""
        return {"kind": "realesrgan", **asdict(self)}

    def __call__(self, image: Photo, scale: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Degrade ``(H, W, 3)`` float32 RGB in [0, 1], sides multiples of ``scale``; ``(H / s, W / s, 3)`` uint8."""
        height, width = image.shape[0], image.shape[1]
        kernels = [self._kernel(part, rng) for part in (self.first, self.second)]
        last = self._final_kernel(rng)

        made = _filter(image, kernels[0])
        factor = _factor(self.first, rng)
        made = _resize(made, _size(height, factor), _size(width, factor), _mode(rng))
        made = _jpeg(_noise(made, self.first, rng), self.first.jpeg, rng)

        if rng.random() < self.second.blur:
            made = _filter(made, kernels[1])
        factor = _factor(self.second, rng) / scale
        made = _resize(made, _size(height, factor), _size(width, factor), _mode(rng))
        made = _noise(made, self.second, rng)

        sinc_first, mode = rng.random() < 0.5, _mode(rng)
        if not sinc_first:
            made = _jpeg(made, self.second.jpeg, rng)
        made = _filter(_resize(made, height // scale, width // scale, mode), last)
        if sinc_first:
            made = _jpeg(made, self.second.jpeg, rng)
        return np.asarray(np.rint(made.clip(0, 1) * 255), np.uint8)

    def _kernel(self, part: Round, rng: np.random.Generator) -> Kernel:
        return draw_kernel(
            rng, self.sizes, part.sigma, part.beta_generalized, part.beta_plateau, part.shapes, part.sinc
        )

    def _final_kernel(self, rng: np.random.Generator) -> Kernel:
        size = int(rng.choice(np.arange(self.sizes[0], self.sizes[1] + 1, 2)))
        kernel = sinc_kernel(size, float(rng.uniform(math.pi / 3, math.pi)))
        return kernel if rng.random() < self.final_sinc else np.ones((1, 1))


def sharpen(image: Photo, amount: float = 0.5, radius: int = 50, threshold: float = 10.0) -> Photo:
    """Unsharp masking where the image is not flat, as Real-ESRGAN sharpens its ground truth; ``(H, W, 3)`` in [0, 1].

    Args:
        image: RGB in [0, 1].
        amount: how much of the detail is added.
        radius: of the Gaussian in pixels; its size is the next odd number.
        threshold: smallest detail that is added, of 255.
    """
    import cv2

    size = radius + 1 - radius % 2
    blurred = cv2.GaussianBlur(image, (size, size), 0)
    detail = image - blurred
    mask = (np.abs(detail) * 255 > threshold).astype(np.float32)
    soft = cv2.GaussianBlur(mask, (size, size), 0)
    sharp = (image + amount * detail).clip(0, 1)
    return np.asarray(soft * sharp + (1 - soft) * image, np.float32)


def _filter(image: Photo, kernel: Kernel) -> Photo:
    import cv2

    if kernel.size == 1:
        return image
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _factor(part: Round, rng: np.random.Generator) -> float:
    kind, place = rng.random() * sum(part.resize), rng.random()
    up, down, _ = part.resize
    if kind < up:
        return 1 + place * (part.factor[1] - 1)
    return part.factor[0] + place * (1 - part.factor[0]) if kind < up + down else 1.0


def _size(length: int, factor: float) -> int:
    return max(1, int(length * factor))


def _mode(rng: np.random.Generator) -> str:
    return _MODES[int(rng.integers(len(_MODES)))]


def _resize(image: Photo, height: int, width: int, mode: str) -> Photo:
    if image.shape[:2] == (height, width):
        return image
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    corners = None if mode == "area" else False
    resized = F.interpolate(tensor, size=(height, width), mode=mode, align_corners=corners)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def _noise(image: Photo, part: Round, rng: np.random.Generator) -> Photo:
    gray = rng.random() < part.gray
    channels = 1 if gray else 3
    if rng.random() < part.gaussian:
        noise = rng.standard_normal((*image.shape[:2], channels)) * rng.uniform(*part.noise) / 255
    else:
        source = image.clip(0, 1)
        if gray:
            source = source @ np.array([[0.2989], [0.587], [0.114]], np.float32)
        source = np.rint(source * 255) / 255
        # as many photons as there are grey levels, to the next power of two
        levels = 2.0 ** math.ceil(math.log2(max(2, len(np.unique(source)))))
        noise = (rng.poisson(source * levels) / levels - source) * rng.uniform(*part.poisson)
    return np.asarray((image + noise).clip(0, 1), np.float32)


def _jpeg(image: Photo, quality: Range, rng: np.random.Generator) -> Photo:
    import cv2

    pixels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*quality))]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), options)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], np.float32) / np.float32(255)


def _changed(start: Any, values: dict[str, Any], where: str) -> Any:
    known = {item.name for item in fields(start)} - {"first", "second"}
    result = {item.name: getattr(start, item.name) for item in fields(start)}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}: there is no {key!r}{nearest(key, known)} (known: {', '.join(sorted(known))})")
        before = result[key]
        if isinstance(before, tuple):
            if not isinstance(value, list | tuple) or len(value) != len(before):
                raise ConfigError(f"{where}.{key}={value!r}: expected {len(before)} numbers")
            if len(before) == 2 and value[0] > value[1]:
                raise ConfigError(f"{where}.{key}={value!r}: the first number must not be larger than the second")
            result[key] = tuple(value)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"{where}.{key}={value!r}: expected a probability")
        else:
            result[key] = float(value)
    return type(start)(**result)
