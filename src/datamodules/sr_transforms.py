"""From an image to a training sample of super-resolution: crop, reduction or degradation, flips, rotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..ops.resize import imresize
from .degradation import Photo, RealESRGANDegradation, sharpen
from .transforms import Image, images_to_tensor

Degradation = Literal["bicubic", "realesrgan"]

# how far the bicubic kernel reaches, in pixels of the low-resolution image
_REACH = 2
# pixels of the high-resolution image degraded around a crop, so that blurs see no edge that is none
_SURROUNDINGS = 32


@dataclass(frozen=True)
class ScaleTransform:
    """Makes ``lr`` and ``target`` of an image.

    Every random number of the geometry is drawn in every call, used or not, so that switching one part off leaves the
    others as they were.

    Attributes:
        crop: side of the target in pixels, a multiple of every scale; None: the whole image, cut to such a multiple.
        scales: factors. The largest makes ``lr``; with several there is ``lr_x2``, ``lr_x4`` ... for each, of the same
            target.
        degradation: ``bicubic``: exactly the crop of what MATLAB's ``imresize`` would make of the whole image;
            ``realesrgan``: see :class:`~framewright.datamodules.degradation.RealESRGANDegradation`.
        settings: changes to the degradation's parameters.
        sharpened: add ``sharp``, the target with unsharp masking, from which ``realesrgan`` then starts: what
            Real-ESRGAN compares its result with in all losses but the adversarial one.
        shrink: factors in (0, 1], one of which reduces the image before the crop (Real-ESRGAN's multi-scale set).
        horizontal_flip, vertical_flip, rotation: probabilities of mirroring and of a quarter turn.

    Raises:
        ConfigError: an option is out of range.
    """

    crop: int | None = 128
    scales: tuple[int, ...] = (4,)
    degradation: Degradation = "bicubic"
    settings: dict[str, Any] = field(default_factory=dict)
    sharpened: bool = False
    shrink: tuple[float, ...] = (1.0,)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.5
    rotation: float = 0.5

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1 or len(set(self.scales)) != len(self.scales):
            raise ConfigError(f"scales={list(self.scales)}: expected one or more different whole numbers from 1")
        if any(self.largest % scale for scale in self.scales):
            raise ConfigError(f"scales={list(self.scales)}: each must divide the largest")
        if self.crop is not None and (self.crop < 1 or self.crop % self.largest):
            raise ConfigError(f"crop={self.crop} must be a multiple of the scale {self.largest}")
        if not self.shrink or not all(0 < factor <= 1 for factor in self.shrink):
            raise ConfigError(f"shrink={list(self.shrink)}: factors must lie in (0, 1]")
        if self.settings and self.degradation != "realesrgan":
            raise ConfigError(f"degradation_settings belong to degradation=realesrgan, not to {self.degradation}")
        self._degrade()

    @property
    def largest(self) -> int:
        """The largest scale."""
        return max(self.scales)

    def __call__(self, hr: Image, lr: Image | None, rng: np.random.Generator, name: str) -> dict[str, Tensor]:
        """A sample: ``lr`` ``(3, h, w)``, ``target`` ``(3, s h, s w)``, and what the attributes add; float32 in [0, 1].

        Args:
            hr: high-resolution image, uint8 ``(H, W, 3)``.
            lr: given low-resolution image of the only scale; None: it is made.
            rng: source of randomness.
            name: of the image, for messages.

        Raises:
            DataError: the image is smaller than the crop, or ``lr`` does not fit to it.
        """
        factor = self.shrink[int(rng.integers(len(self.shrink)))]
        if lr is not None:
            self._check_given(hr, lr, name)
        elif factor < 1:
            hr = _reduced(hr, min(1.0, max(factor, (self.crop or 1) / min(hr.shape[:2]))))
        top, left, height, width = self._place(hr, rng, name)
        turn = _Turn.draw(rng, self.horizontal_flip, self.vertical_flip, self.rotation)
        target = hr[top : top + height, left : left + width]
        sample = {"target": turn(target)}
        source = hr
        if self.sharpened:
            region, (y, x) = _region(hr, top, left, height, width, _SURROUNDINGS * 2, self.largest)
            sharp = np.rint(sharpen(_unit(region)) * 255).astype(np.uint8)
            sample["sharp"] = turn(sharp[y : y + height, x : x + width])
            source, top, left = sharp, y, x
        for scale in self.scales:
            if lr is not None:
                part = lr[top // scale : (top + height) // scale, left // scale : (left + width) // scale]
            else:
                part = self._make(source, top, left, height, width, scale, rng)
            small = turn(part)
            if len(self.scales) > 1:
                sample[f"lr_x{scale}"] = small
            if scale == self.largest:
                sample["lr"] = small
        return sample

    def describe(self) -> dict[str, Any]:
        """All settings, for the manifest."""
        degrade = self._degrade()
        return {
            "crop": self.crop,
            "scales": list(self.scales),
            "degradation": {"kind": "bicubic"} if degrade is None else degrade.describe(),
            "sharpened": self.sharpened,
            "shrink": list(self.shrink),
            "horizontal_flip": self.horizontal_flip,
            "vertical_flip": self.vertical_flip,
            "rotation": self.rotation,
        }

    def _degrade(self) -> RealESRGANDegradation | None:
        return RealESRGANDegradation.from_mapping(self.settings) if self.degradation == "realesrgan" else None

    def _check_given(self, hr: Image, lr: Image, name: str) -> None:
        if len(self.scales) > 1 or self.sharpened or self.degradation != "bicubic" or self.shrink != (1.0,):
            raise ConfigError(
                "given low-resolution images go with one scale, degradation=bicubic, shrink=[1.0] and sharpened=false; "
                "data.lr=made ignores them"
            )
        scale = self.largest
        expected = hr.shape[0] // scale, hr.shape[1] // scale
        # sets differ in whether they cut the large image, or leave a fraction of a pixel
        if any(found - whole not in (0, 1) for found, whole in zip(lr.shape[:2], expected, strict=True)):
            raise DataError(
                f"{name}: the low-resolution image is {lr.shape[1]}x{lr.shape[0]}, expected "
                f"{expected[1]}x{expected[0]} (width x height) for a scale of {scale}"
            )

    def _place(self, hr: Image, rng: np.random.Generator, name: str) -> tuple[int, int, int, int]:
        """Top, left, height and width of the crop, on the grid of the largest scale."""
        grid = self.largest
        height, width = hr.shape[0] // grid * grid, hr.shape[1] // grid * grid
        rows, columns = (height, width) if self.crop is None else (self.crop, self.crop)
        if rows > height or columns > width or not (rows and columns):
            raise DataError(
                f"{name} is {hr.shape[1]}x{hr.shape[0]}, too small for a crop of {columns or grid}x{rows or grid}; set "
                "data.crop to a smaller one or leave the image out"
            )
        places = rng.random(2)
        top = int(places[0] * ((height - rows) // grid + 1)) * grid
        left = int(places[1] * ((width - columns) // grid + 1)) * grid
        return top, left, rows, columns

    def _make(
        self, hr: Image, top: int, left: int, height: int, width: int, scale: int, rng: np.random.Generator
    ) -> Image:
        """The low-resolution image of a crop, computed with its surroundings."""
        degrade = self._degrade()
        around = _REACH * scale if degrade is None else _SURROUNDINGS
        grid = self.largest
        whole = hr[: hr.shape[0] // grid * grid, : hr.shape[1] // grid * grid]
        region, (y, x) = _region(whole, top, left, height, width, around, grid)
        if degrade is None:
            made = imresize(_planes(region), 1 / scale).permute(1, 2, 0).numpy()
        else:
            made = degrade(_unit(region), scale, rng)
        return np.asarray(made[y // scale : (y + height) // scale, x // scale : (x + width) // scale])


@dataclass(frozen=True)
class _Turn:
    """One of the eight ways to lay a square."""

    horizontal: bool
    vertical: bool
    quarter: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, horizontal: float, vertical: float, quarter: float) -> _Turn:
        drawn = rng.random(3)
        return cls(*(bool(value < limit) for value, limit in zip(drawn, (horizontal, vertical, quarter), strict=True)))

    def __call__(self, image: Image) -> Tensor:
        if self.horizontal:
            image = image[:, ::-1]
        if self.vertical:
            image = image[::-1]
        if self.quarter:
            image = image.swapaxes(0, 1)
        return images_to_tensor(image)


def _region(
    image: Image, top: int, left: int, height: int, width: int, around: int, grid: int
) -> tuple[Image, tuple[int, int]]:
    """A crop with its surroundings, as far as there are any, and where the crop lies in it; all on the grid."""
    around = -(-around // grid) * grid
    first_row, first_column = max(0, top - around), max(0, left - around)
    region = image[first_row : top + height + around, first_column : left + width + around]
    rows, columns = (side // grid * grid for side in region.shape[:2])
    return region[:rows, :columns], (top - first_row, left - first_column)


def _planes(image: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _unit(image: Image) -> Photo:
    return image.astype(np.float32) / np.float32(255)


def _reduced(image: Image, factor: float) -> Image:
    if factor >= 1:
        return image
    size = max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))
    return imresize(_planes(image), size=size).permute(1, 2, 0).numpy()
