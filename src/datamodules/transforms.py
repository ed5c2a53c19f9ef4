"""Augmentation of interpolation triplets, and the step from 8-bit images to tensors.

The recipe is RIFE's (Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation",
ECCV 2022, section 4.2 and the authors' training code): random crop, swapped colour channels, vertical and
horizontal flip, reversed time, rotation by a multiple of 90 degrees. The 2x downscale is an addition of
ours and off by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError

Image = npt.NDArray[np.uint8]


def images_to_tensor(images: npt.NDArray[np.uint8]) -> Tensor:
    """``(..., H, W, 3)`` uint8 to ``(..., 3, H, W)`` float32 in [0, 1]; the input is not kept."""
    channels_first = np.ascontiguousarray(np.moveaxis(images, -1, -3))
    return torch.from_numpy(channels_first).to(torch.float32).div_(255.0)


def resize_image(image: Image, height: int, width: int) -> Image:
    """Resize ``(H, W, 3)`` uint8: area average when shrinking, bicubic when growing."""
    if image.shape[:2] == (height, width):
        return image
    import cv2

    shrinks = height <= image.shape[0] and width <= image.shape[1]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=mode), np.uint8)


def limit_size(height: int, width: int, longest: int | None) -> tuple[int, int]:
    """The size with the same aspect ratio whose longer side is at most ``longest`` (``None``: unchanged)."""
    if longest is None or max(height, width) <= longest:
        return height, width
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True)
class TripletTransform:
    """Random crop, flips, rotation and time reversal of ``(image0, target, image1)``.

    Every random number is drawn in every call, used or not. So switching one part off leaves the crops and
    flips of the others as they were, which keeps ablations comparable.

    Attributes:
        crop: side of a square, or ``(height, width)``, in pixels; ``None`` keeps whole images.
        channel_flip: probability of swapping red and blue.
        vertical_flip: probability of turning upside down.
        horizontal_flip: probability of mirroring left and right.
        time_reversal: probability of swapping the two inputs, the timestep becoming ``1 - t``.
        rotation: probability of a rotation by 90, 180 or 270 degrees (equally likely). RIFE: 3/4. Needs a
            square crop, because images of one batch must agree in size.
        half_scale: probability of halving the resolution before the crop (area average), which shows more
            of the scene; not applied to images that would become smaller than the crop.
        small: images smaller than the crop are upscaled (bicubic, same aspect ratio, by the smallest
            factor that fits) or are an ``"error"``.

    Raises:
        ConfigError: on construction, for a value out of range or a rotation without a square crop.
    """

    crop: int | tuple[int, int] | None = 224
    channel_flip: float = 0.5
    vertical_flip: float = 0.5
    horizontal_flip: float = 0.5
    time_reversal: float = 0.5
    rotation: float = 0.75
    half_scale: float = 0.0
    small: Literal["upscale", "error"] = "upscale"

    def __post_init__(self) -> None:
        for name in (
            "channel_flip",
            "vertical_flip",
            "horizontal_flip",
            "time_reversal",
            "rotation",
            "half_scale",
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"transform {name}={getattr(self, name)} is not a probability (0 to 1)")
        if self.small not in ("upscale", "error"):
            raise ConfigError(f"transform small={self.small!r}: expected 'upscale' or 'error'")
        size = self.crop_size
        if size is not None and min(size) < 1:
            raise ConfigError(f"transform crop={self.crop}: both sides must be at least 1 pixel")
        if self.rotation > 0 and (size is None or size[0] != size[1]):
            raise ConfigError(
                f"transform rotation={self.rotation} needs a square crop, got crop={self.crop}; set rotation=0"
            )

    @classmethod
    def none(cls, crop: int | tuple[int, int] | None = None) -> TripletTransform:
        """No augmentation but, optionally, the random crop."""
        return cls(crop, 0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """``(height, width)`` of the crop, or ``None`` for whole images."""
        if self.crop is None:
            return None
        if isinstance(self.crop, int):
            return self.crop, self.crop
        height, width = self.crop
        return int(height), int(width)

    def enlarges(self, height: int, width: int) -> bool:
        """Whether images of this size are smaller than the crop."""
        size = self.crop_size
        return size is not None and (height < size[0] or width < size[1])

    def describe(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = asdict(self)
        values["crop"] = list(self.crop_size) if self.crop_size else None
        return values

    def __call__(
        self,
        images: Sequence[Image] | Image,
        timestep: float,
        rng: np.random.Generator,
        source: str = "the sample",
    ) -> dict[str, Tensor]:
        """Augment one triplet.

        Args:
            images: image0, target, image1: uint8 ``(H, W, 3)`` RGB, all of one size; not modified.
            timestep: where the target lies between image0 (0) and image1 (1).
            rng: the only source of randomness.
            source: names the files in errors.

        Returns:
            ``image0``, ``target``, ``image1``: ``(3, h, w)`` float32 in [0, 1]; ``timestep``: ``()`` float32.

        Raises:
            DataError: the images differ in size, are not RGB, or are smaller than the crop where that is
                an error.
        """
        _check_sizes(images, source, 3)
        block, reverse = self.augment(images, rng, source)
        if reverse:
            timestep = 1.0 - timestep
        tensor = images_to_tensor(block)
        # clones, so that one image that leaves the process does not carry the memory of all three
        image0, target, image1 = (image.clone() for image in tensor)
        return {
            "image0": image0,
            "target": target,
            "image1": image1,
            "timestep": torch.tensor(timestep, dtype=torch.float32),
        }

    def augment(
        self, images: Sequence[Image] | Image, rng: np.random.Generator, source: str = "the sample"
    ) -> tuple[Image, bool]:
        """The same augmentation of any number of frames.

        Args:
            images: uint8 ``(H, W, 3)`` RGB, all of one size; not modified.
            rng: the only source of randomness.
            source: names the files in errors.

        Returns:
            ``(T, h, w, 3)`` uint8, and whether time is reversed.

        Raises:
            DataError: as when called.
        """
        _check_sizes(images, source)
        scale, top, left, channel, vertical, horizontal, reverse, rotate, quarter = rng.random(9)
        block = self._crop(images, scale < self.half_scale, top, left, source)
        if channel < self.channel_flip:
            block = block[..., ::-1]
        if vertical < self.vertical_flip:
            block = block[:, ::-1]
        if horizontal < self.horizontal_flip:
            block = block[:, :, ::-1]
        if reverse < self.time_reversal:
            block = block[::-1]
        if rotate < self.rotation:
            block = np.rot90(block, k=1 + int(quarter * 3), axes=(1, 2))
        return block, bool(reverse < self.time_reversal)

    def _crop(self, images: Sequence[Image] | Image, halve: bool, top: float, left: float, source: str) -> Image:
        """``(T, h, w, 3)``: resized as the settings say, then cut at the given fractions of the free play."""
        height, width = images[0].shape[:2]
        crop_height, crop_width = self.crop_size or (1, 1)
        if self.enlarges(height, width):
            if self.small == "error":
                raise DataError(
                    f"{source}: {width}x{height} is smaller than the crop {crop_width}x{crop_height}; "
                    "choose a smaller crop, or small=upscale"
                )
            factor = max(crop_height / height, crop_width / width)
            height, width = max(crop_height, round(height * factor)), max(crop_width, round(width * factor))
        elif halve and height // 2 >= crop_height and width // 2 >= crop_width:
            height, width = height // 2, width // 2
        resized = [resize_image(image, height, width) for image in images]
        if self.crop is None:
            return np.stack(resized)
        y = int(top * (height - crop_height + 1))
        x = int(left * (width - crop_width + 1))
        return np.stack([image[y : y + crop_height, x : x + crop_width] for image in resized])


def _check_sizes(images: Sequence[Image] | Image, source: str, count: int | None = None) -> None:
    sizes = [tuple(image.shape) for image in images]
    wrong = count is not None and len(images) != count
    if wrong or len(set(sizes)) != 1 or len(sizes[0]) != 3 or sizes[0][2] != 3:
        number = "three " if count == 3 else ""
        raise DataError(f"{source}: expected {number}RGB images (H, W, 3) of one size, got {sizes}")
