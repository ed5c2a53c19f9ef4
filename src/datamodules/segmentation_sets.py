"""Images with label maps: PASCAL VOC 2012, Cityscapes, COCO with the classes of VOC, and any two folders.

Layouts as published: VOC's development kit (with ``SegmentationClassAug`` and ``train_aug.txt`` for the augmented
training list of 10,582 images), Cityscapes' ``leftImg8bit`` and ``gtFine`` archives. Neither archive was seen here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from .base import EvaluationDataset, EvaluationVideo, TrainingDataset
from .coco import coco_set
from .label_set import NO_LABEL, LabelledImage, Labels, LabelSet
from .layout import first_entries, require_root
from .layouts import read_lines

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

# of the 34 label ids of Cityscapes those that are trained, in the order of their training ids
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def voc_root(root: str | os.PathLike[str] | None) -> Path:
    """The folder of VOC 2012 that holds ``JPEGImages``; raises ``DataError`` where there is none."""
    expected = "the folder VOC2012 with JPEGImages, SegmentationClass and ImageSets/Segmentation (or one above it)"
    base = require_root(root, "PASCAL VOC 2012", expected)
    places = [base, base / "VOC2012", base / "VOCdevkit" / "VOC2012"]
    found = next((place for place in places if (place / "JPEGImages").is_dir()), None)
    if found is None:
        raise DataError(f"PASCAL VOC 2012: data.root must be {expected}. {str(base)!r} holds: {first_entries(base)}")
    return found


def voc(root: str | os.PathLike[str] | None, split: str) -> LabelSet:
    """PASCAL VOC 2012: ``train``, ``trainval``, ``val`` (1,449) or ``train_aug`` (10,582).

    Raises:
        DataError: the folder is not laid out as expected.
    """
    found = voc_root(root)
    names = read_lines(found, f"ImageSets/Segmentation/{split}.txt", "PASCAL VOC 2012")
    folder = "SegmentationClassAug" if split == "train_aug" else "SegmentationClass"
    items = tuple(LabelledImage(name, f"JPEGImages/{name}.jpg", f"{folder}/{name}.png") for name in names)
    return LabelSet(f"PASCAL VOC 2012 {split}", found, items, None, {"val": 1_449, "train_aug": 10_582}.get(split))


def cityscapes(root: str | os.PathLike[str] | None, split: str) -> LabelSet:
    """Cityscapes: ``train`` (2,975) or ``val`` (500), fine labels, 19 classes.

    Raises:
        DataError: the folder is not laid out as expected.
    """
    expected = "the folder that holds leftImg8bit and gtFine"
    base = require_root(root, "Cityscapes", expected)
    items = []
    for path in sorted((base / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")):
        name = f"{path.parent.name}/{path.name.removesuffix('_leftImg8bit.png')}"
        files = f"leftImg8bit/{split}/{name}_leftImg8bit.png", f"gtFine/{split}/{name}_gtFine_labelIds.png"
        items.append(LabelledImage(name, *files))
    if not items:
        raise DataError(f"Cityscapes: data.root must be {expected}. {str(base)!r} holds: {first_entries(base)}")
    table = np.full(256, NO_LABEL, np.uint8)
    table[list(_CITYSCAPES_IDS)] = np.arange(len(_CITYSCAPES_IDS))
    return LabelSet(f"Cityscapes {split}", base, tuple(items), table, {"train": 2_975, "val": 500}.get(split))


def label_folder(root: str | os.PathLike[str] | None, split: str) -> LabelSet:
    """``<root>/<split>/images`` and ``labels`` (or both right below the root), files of the same stem.

    Raises:
        DataError: nothing is found, or an image has no label map.
    """
    expected = f"a folder with {split}/images and {split}/labels (or images and labels), files of the same name"
    base = require_root(root, "the folder of labelled images", expected)
    place = base / split if (base / split / "images").is_dir() else base
    images = sorted(p for p in (place / "images").glob("*") if p.suffix.lower() in IMAGES)
    if not images:
        raise DataError(f"data.root must be {expected}. {str(place)!r} holds: {first_entries(place)}")
    missing = [p.name for p in images if not (place / "labels" / f"{p.stem}.png").is_file()]
    if missing:
        raise DataError(f"{len(missing)} images in {str(place)!r} have no labels/<name>.png: {', '.join(missing[:5])}")
    items = tuple(LabelledImage(p.stem, f"images/{p.name}", f"labels/{p.stem}.png") for p in images)
    return LabelSet(f"folder {place.name}", place, items)


def coco_voc(root: str | os.PathLike[str] | None, split: str) -> LabelSet:
    """COCO 2017 with the classes of VOC, see :mod:`.coco`: ``train`` or ``val`` (5,000).

    Raises:
        DataError: the folder is not laid out as expected.
    """
    return coco_set(require_root(root, "COCO", "the folder with train2017, val2017 and annotations"), split)


LABEL_SETS = {"voc": voc, "cityscapes": cityscapes, "coco_voc": coco_voc, "label_folder": label_folder}


@dataclass(frozen=True)
class LabelTransform:
    """Augmentation of DeepLab's recipes: random scale, random crop with padding, mirroring, colours.

    Attributes:
        crop: side in pixels; what lies outside of the image is its mean colour without a label.
        scale: smallest and largest factor.
        flip: probability of mirroring.
        jitter: strength of random brightness, contrast and saturation.
    """

    crop: int = 513
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    jitter: float = 0.0

    def __call__(self, image: npt.NDArray[np.uint8], labels: Labels, rng: np.random.Generator) -> dict[str, Tensor]:
        """``image`` ``(3, crop, crop)`` in [0, 1] and ``labels`` ``(crop, crop)`` int64."""
        factor = float(rng.uniform(*self.scale))
        height, width = (max(1, round(side * factor)) for side in labels.shape)
        if (height, width) != labels.shape:
            mode = cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA
            image = np.asarray(cv2.resize(image, (width, height), interpolation=mode), np.uint8)
            labels = np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        bottom, right = max(0, self.crop - height), max(0, self.crop - width)
        if bottom or right:
            colour = tuple(float(value) for value in image.mean((0, 1)))
            image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=colour))
            labels = np.pad(labels, ((0, bottom), (0, right)), constant_values=NO_LABEL)
        top = int(rng.integers(0, labels.shape[0] - self.crop + 1))
        left = int(rng.integers(0, labels.shape[1] - self.crop + 1))
        part = slice(top, top + self.crop), slice(left, left + self.crop)
        image, labels = image[part], labels[part]
        if rng.random() < self.flip:
            image, labels = image[:, ::-1], labels[:, ::-1]
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
        if self.jitter > 0:
            x = self._coloured(x, rng)
        return {"image": x, "labels": torch.from_numpy(np.ascontiguousarray(labels)).long()}

    def _coloured(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        bright, contrast, saturation = (float(v) for v in rng.uniform(1 - self.jitter, 1 + self.jitter, 3))
        x = (x * bright).clamp(0, 1)
        grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0, keepdim=True)
        x = (grey.mean() + (x - grey.mean()) * contrast).clamp(0, 1)
        return (grey + (x - grey) * saturation).clamp(0, 1)


class LabelledImages(TrainingDataset):
    """Augmented crops of a :class:`LabelSet`; samples hold ``image`` ``(3, H, W)`` and ``labels`` ``(H, W)`` int64."""

    def __init__(self, images: LabelSet, transform: LabelTransform) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images.items)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Image ``index``, augmented; raises ``DataError`` naming the file that cannot be used."""
        return self.transform(*self.images.load(self.images.items[index]), rng)

    def describe(self) -> dict[str, Any]:
        """The set and the augmentation."""
        return {**self.images.describe(), "transform": repr(self.transform)}


class LabelledEvaluation(EvaluationDataset):
    """Whole images as videos of one frame, with ``labels`` ``(1, H, W)`` int64.

    Args:
        images: the set.
        crop: the shorter side is resized to it and the centre cut out, as VainF's evaluation does; None: as it is.
        limit: use so many only, spread evenly.
        shorter: the shorter side is resized to it, without a cut, as torchvision's evaluation does; None: as it is.

    Raises:
        ConfigError: a number below 1, or both a crop and a shorter side.
    """

    def __init__(
        self, images: LabelSet, crop: int | None = None, limit: int | None = None, shorter: int | None = None
    ) -> None:
        if min(crop or 1, limit or 1, shorter or 1) < 1:
            raise ConfigError(
                f"{images.title}: crop, videos and shorter must be at least 1, got {crop}, {limit} and {shorter}"
            )
        if crop is not None and shorter is not None:
            raise ConfigError(f"{images.title}: set crop or shorter, not both")
        items: Sequence[LabelledImage] = images.items
        if limit is not None and limit < len(items):
            items = [items[index * len(items) // limit] for index in range(limit)]
        self.images, self.crop, self.shorter, self.items = images, crop, shorter, items
        self.name = images.title
        self.complete = images.published is None or len(items) == images.published

    def __len__(self) -> int:
        """Number of images."""
        return len(self.items)

    def frame_count(self, index: int) -> int:
        """One."""
        return 1

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Image ``index``; raises ``DataError`` naming the file that cannot be used."""
        item = self.items[index]
        image, labels = self.images.load(item)
        if self.crop is not None:
            image, labels = _centre(*_resized(image, labels, self.crop), self.crop)
        elif self.shorter is not None:
            image, labels = _resized(image, labels, self.shorter)
        frames = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        return EvaluationVideo(item.id, frames, {"labels": torch.from_numpy(labels.astype(np.int64))[None]})

    def describe(self) -> dict[str, Any]:
        """The set, what is done to its images, and the ids."""
        changes = {"crop": self.crop} | ({} if self.shorter is None else {"shorter": self.shorter})
        return {**self.images.describe(), **changes, "ids": [item.id for item in self.items]}


def _resized(image: npt.NDArray[np.uint8], labels: Labels, side: int) -> tuple[npt.NDArray[np.uint8], Labels]:
    from PIL import Image

    height, width = labels.shape
    # the longer side is truncated, as torchvision's Resize does
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    image = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    return image, np.array(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def _centre(image: npt.NDArray[np.uint8], labels: Labels, crop: int) -> tuple[npt.NDArray[np.uint8], Labels]:
    height, width = labels.shape
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    part = slice(top, top + crop), slice(left, left + crop)
    return image[part], labels[part]
