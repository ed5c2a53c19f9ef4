"""Colours and occlusion of the augmentation of image pairs with flow; see :mod:`.flow_transforms` for the recipes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .flow_geometry import check, check_probabilities

Colours = npt.NDArray[np.float32]


class Photometry(Protocol):
    """Changes the colours of two images."""

    def apply(self, images: Colours, rng: np.random.Generator) -> Colours:
        """``(2, h, w, 3)`` float32 in [0, 1] in and out; the input may be overwritten."""
        ...


@dataclass(frozen=True)
class Jitter:
    """RAFT's colour jitter: brightness, contrast, saturation and hue in random order.

    Attributes:
        brightness, contrast, saturation: factors are uniform in 1 plus and minus this.
        hue: largest turn of the hue, as a fraction of the whole circle.
        asymmetric: probability that each image gets a jitter of its own.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.5 / 3.14
    asymmetric: float = 0.2

    def __post_init__(self) -> None:
        check_probabilities(self, "asymmetric", "brightness", "contrast", "saturation")
        check(0 <= self.hue <= 0.5, f"hue={self.hue} is not between 0 and 0.5")

    def apply(self, images: Colours, rng: np.random.Generator) -> Colours:
        """See :class:`Photometry`."""
        if rng.random() < self.asymmetric:
            return np.concatenate([self._jitter(images[:1], rng), self._jitter(images[1:], rng)])
        return self._jitter(images, rng)

    def _jitter(self, images: Colours, rng: np.random.Generator) -> Colours:
        order = rng.permutation(4)
        brightness, contrast, saturation = 1 + rng.uniform(-1, 1, 3) * (self.brightness, self.contrast, self.saturation)
        hue = rng.uniform(-self.hue, self.hue)
        for step in order:
            if step == 0:
                images = images * np.float32(brightness)
            elif step == 1:
                mean = np.float32(_grey(images).mean())
                images = mean + (images - mean) * np.float32(contrast)
            elif step == 2:
                grey = _grey(images)[..., None]
                images = grey + (images - grey) * np.float32(saturation)
            else:
                images = _turn_hue(images, hue)
            images = images.clip(0, 1)
        return images


@dataclass(frozen=True)
class Chromatic:
    """FlowNet's colour changes: gamma, colour, contrast, brightness and noise.

    Attributes:
        gamma: exponent, least and largest.
        colour: factor of each channel, least and largest (uniform in its logarithm).
        contrast: added to the factor 1, least and largest.
        brightness: standard deviation of what is added.
        noise: largest standard deviation of the noise, its own for every pixel of both images.
        relative: standard deviation of the second image's own gamma, colour, contrast and brightness.
    """

    gamma: tuple[float, float] = (0.7, 1.5)
    colour: tuple[float, float] = (0.5, 2.0)
    contrast: tuple[float, float] = (-0.8, 0.4)
    brightness: float = 0.2
    noise: float = 0.04
    relative: float = 0.02

    def __post_init__(self) -> None:
        for name in ("gamma", "colour", "contrast"):
            low, high = getattr(self, name)
            least = -1.0 if name == "contrast" else 1e-3
            check(least <= low <= high, f"{name}={getattr(self, name)} is not (least, largest) from {least}")
            object.__setattr__(self, name, (low, high))
        for name in ("brightness", "noise", "relative"):
            check(getattr(self, name) >= 0, f"{name}={getattr(self, name)} is negative")

    def apply(self, images: Colours, rng: np.random.Generator) -> Colours:
        """See :class:`Photometry`."""
        gamma, contrast = rng.uniform(*self.gamma), 1 + rng.uniform(*self.contrast)
        colour = np.exp(rng.uniform(math.log(self.colour[0]), math.log(self.colour[1]), 3))
        brightness = rng.normal(0, self.brightness)
        own = rng.standard_normal(6) * self.relative
        first = self._change(images[0], gamma, colour, contrast, brightness)
        second = self._change(
            images[1],
            gamma * math.exp(own[0]),
            colour * np.exp(own[1:4]),
            contrast * math.exp(own[4]),
            brightness + own[5],
        )
        changed = np.stack([first, second])
        deviation = np.float32(rng.uniform(0, self.noise))
        changed += deviation * rng.standard_normal(changed.shape, dtype=np.float32)
        return changed.clip(0, 1)

    def _change(
        self, image: Colours, gamma: float, colour: npt.NDArray[np.float64], contrast: float, brightness: float
    ) -> Colours:
        changed = np.power(image, np.float32(gamma))
        # colours change, the mean brightness does not
        coloured = changed * colour.astype(np.float32)
        coloured *= np.float32((changed.mean() + 1e-6) / (coloured.mean() + 1e-6))
        mean = np.float32(coloured.mean())
        return np.asarray(mean + (coloured - mean) * np.float32(contrast) + np.float32(brightness), np.float32)


@dataclass(frozen=True)
class Eraser:
    """RAFT's occlusion: one or two rectangles of the second image get its mean colour; the flow stays.

    Attributes:
        probability: that there are any.
        least, most: their sides are drawn from ``least`` to ``most - 1`` pixels.
    """

    probability: float = 0.5
    least: int = 50
    most: int = 100

    def __post_init__(self) -> None:
        check_probabilities(self, "probability")
        check(1 <= self.least < self.most, f"least={self.least}, most={self.most}: expected 1 <= least < most")

    def apply(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """``(H, W, 3)`` uint8; the input is not modified."""
        draw, count = rng.random(), int(rng.integers(1, 3))
        corners, sides = rng.random((2, 2)), rng.integers(self.least, self.most, (2, 2))
        if draw >= self.probability:
            return image
        erased = image.copy()
        mean = image.reshape(-1, 3).mean(axis=0)
        for corner, side in zip(corners[:count], sides, strict=False):
            top, left = (int(share * limit) for share, limit in zip(corner, image.shape, strict=False))
            erased[top : top + side[0], left : left + side[1]] = mean
        return erased


def _grey(images: Colours) -> Colours:
    return np.asarray(images @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _turn_hue(images: Colours, turn: float) -> Colours:
    import cv2

    turned = []
    for image in images:
        hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
        turned.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return np.asarray(np.stack(turned), np.float32)
