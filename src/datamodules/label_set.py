"""A set of labelled images that was found on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..core.files import sha256_json
from ..video import read_image, read_labels

NO_LABEL = 255
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledImage:
    """Files below a root; ``id`` is unique and usable as a relative path of a results folder."""

    id: str
    image: str
    labels: str


@dataclass(frozen=True)
class LabelSet:
    """A set of labelled images that was found.

    Attributes:
        title: for people.
        root: folder to which paths are relative.
        items: the images.
        table: ``(256,)``, from stored to trained labels; None: as they are.
        published: number of images in the published set; None: any number is right.
    """

    title: str
    root: Path
    items: tuple[LabelledImage, ...]
    table: Labels | None = None
    published: int | None = None

    def load(self, item: LabelledImage) -> tuple[npt.NDArray[np.uint8], Labels]:
        """Image ``(H, W, 3)`` and labels ``(H, W)``; raises ``DataError`` naming a file that does not fit."""
        image, labels = read_image(self.root / item.image), read_labels(self.root / item.labels)
        if labels.shape != image.shape[:2]:
            raise DataError(
                f"{self.title}: {str(self.root / item.labels)!r} is {labels.shape[1]}x{labels.shape[0]}, its image is "
                f"{image.shape[1]}x{image.shape[0]} (width x height)"
            )
        return image, labels if self.table is None else self.table[labels]

    def describe(self) -> dict[str, Any]:
        """Number of images and a hash of their names."""
        return {
            "dataset": self.title,
            "images": len(self.items),
            "ids_sha256": sha256_json([item.id for item in self.items]),
        }
