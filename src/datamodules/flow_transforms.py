"""Augmentation of image pairs with optical flow: geometry, colour and occlusion, all from one random generator.

Two published recipes:

* ``raft``: Teed and Deng, "RAFT" (ECCV 2020), the authors' training code: scale and stretch, flips, crop; colour
  jitter, mostly the same for both images; rectangles of the second image filled with its mean colour.
* ``pwcnet``: the augmentation of FlowNet (Dosovitskiy et al., ICCV 2015, section 4.2) with the ranges of PWC-Net's
  published prototxt: one affine map for both images and a small one more for the second; gamma, brightness, contrast,
  colour and noise.

Geometry is a pair of affine maps from a pixel of the crop to a pixel of each image, so image, flow and validity go
through one resampling, and the flow between the maps follows exactly. Sparse flow (KITTI, HD1K) is never
interpolated: every known pixel is carried to the nearest pixel of the crop.

Deviations: colours change after the crop instead of before, which costs less (the mean that contrast refers to is
that of the crop); PWC-Net's chromatic transform in the eigenspace of colours is replaced by FlowNet's published ranges
per channel; sparse pixels follow the half-pixel convention of the resized image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError, nearest
from .flow_geometry import FlowPair, apply_maps, check, check_probabilities, crop_map, flip_map, inside, resize_map
from .flow_photometry import Chromatic, Eraser, Jitter
from .transforms import images_to_tensor

Size = tuple[int, int]


class Maps(NamedTuple):
    """Affine maps (3, 3) from the crop to image 1 and image 2, and the crop's height and width."""

    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    size: Size


class Geometry(Protocol):
    """Draws where a crop comes from."""

    def draw(self, size: Size, crop: Size | None, rng: np.random.Generator) -> Maps:
        """The maps for images of ``size`` (height, width)."""
        ...


@dataclass(frozen=True)
class ScaleGeometry:
    """RAFT's geometry: scale, stretch, flips and crop, the same for both images.

    Attributes:
        probability: of any scaling at all.
        min_scale, max_scale: base-2 logarithm of the factor, uniform between.
        stretch: probability that width and height get a further factor each.
        max_stretch: base-2 logarithm of the largest such factor.
        horizontal_flip, vertical_flip: probabilities.
        margin: pixels (y, x) that the crop's place is drawn beyond the image before it is moved back inside, so that
            borders are seen as often as the rest. RAFT: (20, 50) for sparse flow.
    """

    probability: float = 0.8
    min_scale: float = -0.2
    max_scale: float = 0.5
    stretch: float = 0.8
    max_stretch: float = 0.2
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.1
    margin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        check_probabilities(self, "probability", "stretch", "horizontal_flip", "vertical_flip")
        check(self.min_scale <= self.max_scale, f"min_scale={self.min_scale} exceeds max_scale={self.max_scale}")
        check(self.max_stretch >= 0, f"max_stretch={self.max_stretch} is negative")
        check(len(self.margin) == 2 and min(self.margin) >= 0, f"margin={self.margin} is not (y, x), zero or more")
        object.__setattr__(self, "margin", tuple(self.margin))

    def draw(self, size: Size, crop: Size | None, rng: np.random.Generator) -> Maps:
        """See :class:`Geometry`; images smaller than the crop are enlarged as far as needed."""
        any_scale, stretched, horizontal, vertical, place_y, place_x = rng.random(6)
        factors = np.full(2, 2.0 ** rng.uniform(self.min_scale, self.max_scale))
        stretch = 2.0 ** rng.uniform(-self.max_stretch, self.max_stretch, 2)
        if stretched < self.stretch:
            factors *= stretch
        if any_scale >= self.probability:
            factors[:] = 1.0
        new = [max(1, round(side * factor)) for side, factor in zip(size, factors, strict=True)]
        if crop is not None:
            new = [max(side, least) for side, least in zip(new, crop, strict=True)]
        out = crop or (new[0], new[1])
        top = _place(place_y, new[0] - out[0], self.margin[0])
        left = _place(place_x, new[1] - out[1], self.margin[1])
        mapping = resize_map(size, (new[0], new[1]))
        mapping = mapping @ flip_map(new, vertical < self.vertical_flip, horizontal < self.horizontal_flip)
        mapping = mapping @ crop_map(top, left)
        return Maps(mapping, mapping, out)


@dataclass(frozen=True)
class AffineGeometry:
    """FlowNet's geometry: translation, rotation, zoom and squeeze of both images, and a little more of the second.

    Drawn again until the crop lies within both images; after ``attempts`` it is a plain random crop.

    Attributes:
        translate: largest shift as a fraction of the crop, uniform.
        rotate: largest angle in radians, uniform.
        zoom, zoom_mean: logarithm of the zoom, uniform in ``zoom_mean`` plus and minus ``zoom``.
        squeeze: logarithm of the largest factor by which width grows and height shrinks, or the reverse.
        relative_translate, relative_rotate, relative_zoom: standard deviations of the second image's own map, in the
            same units.
        horizontal_flip, vertical_flip: probabilities; FlowNet has none.
        attempts: number of draws.
    """

    translate: float = 0.4
    rotate: float = 0.4
    zoom_mean: float = 0.2
    zoom: float = 0.4
    squeeze: float = 0.3
    relative_translate: float = 0.03
    relative_rotate: float = 0.03
    relative_zoom: float = 0.03
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    attempts: int = 50

    def __post_init__(self) -> None:
        check_probabilities(self, "horizontal_flip", "vertical_flip")
        for field in fields(self):
            if field.name not in ("zoom_mean", "horizontal_flip", "vertical_flip"):
                check(getattr(self, field.name) >= 0, f"{field.name}={getattr(self, field.name)} is negative")

    def draw(self, size: Size, crop: Size | None, rng: np.random.Generator) -> Maps:
        """See :class:`Geometry`."""
        out = crop or size
        horizontal, vertical = rng.random(2) < (self.horizontal_flip, self.vertical_flip)
        flip = flip_map(out, bool(vertical), bool(horizontal))
        for _ in range(self.attempts):
            first, second = self._maps(size, out, rng)
            if inside(first, size, out) and inside(second, size, out):
                return Maps(first @ flip, second @ flip, out)
        plain = ScaleGeometry(probability=0, horizontal_flip=0, vertical_flip=0).draw(size, out, rng)
        return Maps(plain.first @ flip, plain.second @ flip, out)

    def _maps(self, size: Size, out: Size, rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], ...]:
        height, width = out
        to_centre = crop_map(-(height - 1) / 2, -(width - 1) / 2)
        from_centre = crop_map((size[0] - 1) / 2, (size[1] - 1) / 2)
        x, y, angle, zoom, squeeze = rng.uniform(-1, 1, 5)
        zoom, squeeze = math.exp(self.zoom_mean + zoom * self.zoom), math.exp(squeeze * self.squeeze)
        shift = (y * self.translate * height, x * self.translate * width)
        common = _affine(angle * self.rotate, zoom * squeeze, zoom / squeeze, shift)
        x, y, angle, zoom = rng.standard_normal(4)
        zoom = math.exp(zoom * self.relative_zoom)
        shift = (y * self.relative_translate * height, x * self.relative_translate * width)
        relative = _affine(angle * self.relative_rotate, zoom, zoom, shift)
        return from_centre @ common @ to_centre, from_centre @ common @ relative @ to_centre


@dataclass(frozen=True)
class FlowTransform:
    """Augments a pair of images with its flow.

    Attributes:
        crop: side of a square, or ``(height, width)``; None: the whole image (batches need one size).
        geometry: None: no augmentation but the random crop.
        photometry: None: colours stay.
        eraser: None: nothing is erased.
    """

    crop: int | Size | None = None
    geometry: ScaleGeometry | AffineGeometry | None = None
    photometry: Jitter | Chromatic | None = None
    eraser: Eraser | None = None

    def __post_init__(self) -> None:
        if isinstance(self.crop, int):
            object.__setattr__(self, "crop", (self.crop, self.crop))
        elif self.crop is not None:
            height, width = self.crop
            object.__setattr__(self, "crop", (int(height), int(width)))
        size = self.crop_size
        check(size is None or min(size) >= 1, f"crop={self.crop}: both sides must be at least 1 pixel")

    @property
    def crop_size(self) -> Size | None:
        """``(height, width)`` of the crop, or None for whole images."""
        return None if self.crop is None or isinstance(self.crop, int) else self.crop

    def describe(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        parts = {"geometry": self.geometry, "photometry": self.photometry, "eraser": self.eraser}
        described = {
            name: None if part is None else {"kind": type(part).__name__, **asdict(part)}
            for name, part in parts.items()
        }
        return {"crop": None if self.crop_size is None else list(self.crop_size), **described}

    def __call__(self, pair: FlowPair, rng: np.random.Generator, source: str = "the sample") -> dict[str, Tensor]:
        """Augment one pair.

        Args:
            pair: images, flow and validity, all of one size; not modified.
            rng: the only source of randomness.
            source: names the files in errors.

        Returns:
            ``image1``, ``image2`` ``(3, h, w)`` float32 in [0, 1]; ``flow`` ``(2, h, w)`` in pixels, 0 where unknown;
            ``valid`` ``(1, h, w)`` float32, 1 = known.

        Raises:
            DataError: images, flow and validity differ in size.
        """
        sizes = [tuple(part.shape[:2]) for part in pair[:4]]
        if len(set(sizes)) != 1:
            names = ", ".join(
                f"{name} {width}x{height}"
                for name, (height, width) in zip(("image 1", "image 2", "flow", "valid"), sizes, strict=True)
            )
            raise DataError(f"{source}: images and flow differ in size (width x height): {names}")
        geometry = self.geometry or ScaleGeometry(probability=0, horizontal_flip=0, vertical_flip=0)
        if self.eraser is not None:
            pair = pair._replace(image2=self.eraser.apply(pair.image2, rng))
        mapped = apply_maps(pair, *geometry.draw(sizes[0], self.crop_size, rng))
        if self.photometry is None:
            images = images_to_tensor(np.stack([mapped.image1, mapped.image2]))
        else:
            colours = np.stack([mapped.image1, mapped.image2]).astype(np.float32) / np.float32(255)
            changed = self.photometry.apply(colours, rng)
            images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(changed, -1, 1), np.float32))
        return _sample(images, mapped)


def _sample(images: Tensor, mapped: FlowPair) -> dict[str, Tensor]:
    # clones, so that one image that leaves the process does not carry the memory of both
    return {
        "image1": images[0].clone(),
        "image2": images[1].clone(),
        "flow": torch.from_numpy(np.ascontiguousarray(np.moveaxis(mapped.flow, -1, 0))),
        "valid": torch.from_numpy(mapped.valid.astype(np.float32))[None],
    }


RECIPES = ("raft", "pwcnet", "none")

# scales of RAFT's training stages, by data set; KITTI as in its own stage, which does not flip
_RAFT_SCALES: dict[str, dict[str, Any]] = {
    "flying_chairs": {"min_scale": -0.1, "max_scale": 1.0},
    "flying_things": {"min_scale": -0.4, "max_scale": 0.8},
    "sintel": {"min_scale": -0.2, "max_scale": 0.6},
    "kitti2012": {"min_scale": -0.2, "max_scale": 0.4, "horizontal_flip": 0.0},
    "kitti2015": {"min_scale": -0.2, "max_scale": 0.4, "horizontal_flip": 0.0},
    "hd1k": {"min_scale": -0.5, "max_scale": 0.2},
}


def recipe(
    name: str,
    dataset: str = "",
    crop: int | Size | None = None,
    sparse: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> FlowTransform:
    """A published augmentation.

    Args:
        name: ``raft``, ``pwcnet``, or ``none`` (only the random crop).
        dataset: whose scales RAFT's recipe takes.
        crop: see :class:`FlowTransform`.
        sparse: RAFT treats sparse flow otherwise: no stretch, no vertical flip, a weaker jitter, the same for both.
        settings: changes by part, such as ``{"geometry": {"max_scale": 1.0}, "eraser": {"probability": 0}}``.

    Raises:
        ConfigError: unknown recipe, part or setting, or a value out of range.
    """
    if name == "raft":
        geometry = replace(ScaleGeometry(), **_RAFT_SCALES.get(dataset, {}))
        jitter = Jitter()
        if sparse:
            geometry = replace(geometry, stretch=0.0, vertical_flip=0.0, margin=(20, 50))
            jitter = Jitter(0.3, 0.3, 0.3, 0.3 / 3.14, asymmetric=0.0)
        transform = FlowTransform(crop, geometry, jitter, Eraser())
    elif name == "pwcnet":
        transform = FlowTransform(crop, AffineGeometry(), Chromatic())
    elif name == "none":
        transform = FlowTransform(crop)
    else:
        raise ConfigError(f"augmentation={name!r}: expected one of {', '.join(RECIPES)}{nearest(name, RECIPES)}")
    return _changed(transform, name, settings or {})


def _changed(transform: FlowTransform, name: str, settings: Mapping[str, Mapping[str, Any]]) -> FlowTransform:
    parts = [part for part in ("geometry", "photometry", "eraser") if getattr(transform, part) is not None]
    changed: dict[str, Any] = {}
    for part, values in settings.items():
        if part not in parts:
            known = ", ".join(parts) or "nothing to set"
            raise ConfigError(f"augmentation={name}: no part {part!r}{nearest(part, parts)} (it has {known})")
        if not isinstance(values, Mapping):
            raise ConfigError(f"augmentation={name}: {part}={values!r} is not usable: settings by name are expected")
        current = getattr(transform, part)
        known_values = [field.name for field in fields(current)]
        for key in values:
            if key not in known_values:
                raise ConfigError(
                    f"augmentation={name}: {part} has no setting {key!r}{nearest(key, known_values)} "
                    f"(known: {', '.join(known_values)})"
                )
        try:
            changed[part] = replace(current, **values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"augmentation={name}: {part}={dict(values)!r} is not usable: {error}") from None
    return replace(transform, **changed)


def _place(share: float, room: int, margin: int) -> int:
    """Where a crop starts: uniform over the free room widened by the margin on both sides, moved back inside."""
    place = math.floor(share * (room + 2 * margin + 1)) - margin
    return min(max(place, 0), room)


def _affine(angle: float, zoom_x: float, zoom_y: float, shift: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Coordinates relative to the centre: turned, shifted by (y, x), and divided by the zoom."""
    sine, cosine = math.sin(angle), math.cos(angle)
    rows = [[cosine / zoom_x, -sine / zoom_x, shift[1] / zoom_x], [sine / zoom_y, cosine / zoom_y, shift[0] / zoom_y]]
    return np.array([*rows, [0, 0, 1]], np.float64)
