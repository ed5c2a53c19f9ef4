"""COCO with the classes of VOC, as torchvision trains its segmentation networks.

Of the 80 categories the 20 of VOC are kept; a pixel that two objects claim has no label; images to train on have more
than 1000 pixels of objects that are kept (torchvision's reference scripts; Lin et al., "Microsoft COCO: Common Objects
in Context", ECCV 2014). A pixel belongs to a polygon if its centre lies inside, where the authors' tool rounds edges a
little differently. The archive was not seen; the format of its annotations is documented at cocodataset.org.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..video import read_image
from .label_set import NO_LABEL, LabelledImage, Labels, LabelSet
from .layout import first_entries

#: of each VOC class from 1 on the number of the COCO category
CATEGORIES = (5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
_SMALLEST = 1000
_CLASS_OF = {category: number for number, category in enumerate(CATEGORIES, 1)}


@dataclass(frozen=True)
class CocoObject:
    """One object: its VOC class, and polygons ``(N, 2)`` of x and y, or the run lengths of a mask by columns."""

    label: int
    polygons: tuple[npt.NDArray[np.float32], ...] = ()
    runs: npt.NDArray[np.int64] | None = None

    def mask(self, size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Where the object is, ``(H, W)``; raises ``ValueError`` if the runs belong to another size."""
        from skimage.draw import polygon

        found = np.zeros(size, np.bool_)
        if self.runs is not None:
            if int(self.runs.sum()) != found.size:
                raise ValueError(f"a mask of {int(self.runs.sum())} pixels in an image of {size[1]}x{size[0]}")
            inside = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs)
            return inside.reshape(size[::-1]).T
        for points in self.polygons:
            # pixel i spans i to i + 1
            rows, columns = polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, size)  # type: ignore[no-untyped-call]
            found[rows, columns] = True
        return found


@dataclass(frozen=True)
class CocoSet(LabelSet):
    """Labelled images whose labels are drawn from the objects of an annotation file, by image id."""

    objects: Mapping[str, tuple[CocoObject, ...]] = field(default_factory=dict, repr=False)

    def load(self, item: LabelledImage) -> tuple[npt.NDArray[np.uint8], Labels]:
        """Image ``(H, W, 3)`` and labels ``(H, W)``; raises ``DataError`` naming a file that does not fit."""
        image = read_image(self.root / item.image)
        labels, claims = np.zeros(image.shape[:2], np.uint8), np.zeros(image.shape[:2], np.uint8)
        for thing in self.objects.get(item.id, ()):
            try:
                mask = thing.mask(labels.shape)
            except ValueError as error:
                raise DataError(f"{self.title}: {item.labels} has {error} for {item.image!r}") from error
            labels[mask] = thing.label
            claims += mask
        labels[claims > 1] = NO_LABEL
        return image, labels


def coco_set(base: Path, split: str) -> CocoSet:
    """COCO 2017, ``train`` or ``val``, below a folder with ``train2017``, ``val2017`` and ``annotations``.

    Raises:
        DataError: the annotations are missing or are not those of COCO's instances.
    """
    title, name = f"COCO {split} with the classes of VOC", f"annotations/instances_{split}2017.json"
    try:
        found: dict[str, Any] = json.loads((base / name).read_bytes())
        files = {int(image["id"]): str(image["file_name"]) for image in found["images"]}
        objects, areas = _objects(found["annotations"])
    except FileNotFoundError:
        raise DataError(f"{title}: there is no {name}; {str(base)!r} holds: {first_entries(base)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{title}: cannot read the annotations {str(base / name)!r}: {error!r}") from error
    kept = [number for number in sorted(files) if split != "train" or areas.get(number, 0) > _SMALLEST]
    items = tuple(LabelledImage(Path(files[number]).stem, f"{split}2017/{files[number]}", name) for number in kept)
    drawn = {Path(files[number]).stem: tuple(objects.get(number, ())) for number in kept}
    return CocoSet(title, base, items, None, 5_000 if split == "val" else None, drawn)


def _objects(annotations: list[dict[str, Any]]) -> tuple[dict[int, list[CocoObject]], dict[int, float]]:
    """Objects and the sum of their areas by image."""
    objects: dict[int, list[CocoObject]] = {}
    areas: dict[int, float] = {}
    for annotation in annotations:
        label = _CLASS_OF.get(int(annotation["category_id"]))
        if label is None:
            continue
        number, shape = int(annotation["image_id"]), annotation["segmentation"]
        areas[number] = areas.get(number, 0.0) + float(annotation["area"])
        if isinstance(shape, dict):
            thing = CocoObject(label, runs=np.array(shape["counts"], np.int64))
        else:
            thing = CocoObject(label, tuple(np.array(points, np.float32).reshape(-1, 2) for points in shape))
        objects.setdefault(number, []).append(thing)
    return objects, areas
