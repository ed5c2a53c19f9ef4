"""Super-resolution data sets to train on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ..core.config import check_known
from ..core.errors import DataError
from ..core.files import sha256_json
from ..video import read_image
from .base import TrainingDataset
from .layouts import Layout
from .photographs import read_photograph, training_photographs
from .scenes.textures import texture_file
from .sr_layouts import ScaledFiles
from .sr_transforms import ScaleTransform

Low = Literal["auto", "given", "made"]


class SuperResolutionFiles(TrainingDataset):
    """Images, or the frames of clips, as pairs of two resolutions.

    Samples: ``lr`` ``(3, h, w)``, ``target`` ``(3, s h, s w)``, and what the transform adds.

    Args:
        layout: of the data set.
        root: as the layout found it.
        files: images or clips; every frame is an item.
        transform: crop, degradation, augmentation.
        lr: ``auto``: low-resolution files where there are any and the transform can use them, else they are made;
            ``given``: they must be there; ``made``: they are never used.

    Raises:
        DataError: there is nothing, or low-resolution files are asked for and absent.
    """

    def __init__(
        self, layout: Layout, root: Path, files: Sequence[ScaledFiles], transform: ScaleTransform, lr: Low = "auto"
    ) -> None:
        if not files:
            raise DataError(
                f"{layout.title}: {str(root)!r} holds nothing of the kind that is asked for; expected {layout.expected}"
            )
        without = [item.id for item in files if not item.lr]
        if lr == "given" and without:
            raise DataError(
                f"{layout.title}: {len(without)} of {len(files)} images in {str(root)!r} have no low-resolution file "
                f"for a scale of {transform.largest}, the first is {without[0]!r}; data.lr=made makes them"
            )
        plain = transform.degradation == "bicubic" and len(transform.scales) == 1 and not transform.sharpened
        self.uses_given = lr == "given" or (lr == "auto" and not without and plain and transform.shrink == (1.0,))
        self.layout, self.root, self.files, self.transform = layout, root, list(files), transform
        self._ends = list(accumulate(len(item.hr) for item in self.files))

    def __len__(self) -> int:
        """Number of images or frames."""
        return self._ends[-1]

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Image ``index``, cut and augmented; raises ``DataError`` naming the file that cannot be used."""
        which = bisect_right(self._ends, index)
        item = self.files[which]
        frame = index - (self._ends[which - 1] if which else 0)
        path = self.root / item.hr[frame]
        lr = read_image(self.root / item.lr[frame]) if self.uses_given else None
        return self.transform(read_image(path), lr, rng, str(path))

    def describe(self) -> dict[str, Any]:
        """The number of images, a hash of their names, and the transform."""
        return {
            "dataset": self.layout.title,
            "images": len(self),
            "first": self.files[0].id,
            "last": self.files[-1].id,
            "ids_sha256": sha256_json([item.id for item in self.files]),
            "low_resolution": "given" if self.uses_given else "made",
            "transform": self.transform.describe(),
        }


class PhotographSamples(TrainingDataset):
    """Crops of the photographs inside scikit-image that are not held out; endless.

    All photographs are equally likely, not all places: the two largest, of stars and of an eye, hold most of the pixels
    and little detail. Samples as of :class:`SuperResolutionFiles`.

    Args:
        transform: crop, degradation, augmentation; photographs smaller than its crop are left out.
        names: only these; None: all of :func:`~framewright.datamodules.photographs.training_photographs`.
        length: what ``len`` says.

    Raises:
        ConfigError: a name that is not one of those.
        DataError: no photograph is as large as the crop.
    """

    def __init__(self, transform: ScaleTransform, names: Sequence[str] | None = None, length: int = 100_000) -> None:
        for name in names or ():
            check_known(name, training_photographs(), "training photograph")
        chosen = training_photographs() if names is None else tuple(sorted(set(names)))
        least = transform.crop or transform.largest
        sizes = {name: read_photograph(name).shape[:2] for name in chosen}
        self.names = tuple(name for name, size in sizes.items() if min(size) >= least)
        if not self.names:
            raise DataError(f"data=photographs: no photograph is as large as crop={transform.crop}")
        self.transform, self.length = transform, length

    def __len__(self) -> int:
        return self.length

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A crop, drawn with ``rng`` alone."""
        name = self.names[int(rng.integers(len(self.names)))]
        return self.transform(read_photograph(name), None, rng, f"the photograph {name!r}")

    def describe(self) -> dict[str, Any]:
        """Names and hashes of the photographs, and the transform."""
        return {
            "dataset": "photographs",
            "photographs": {name: texture_file(name).sha256 for name in self.names},
            "transform": self.transform.describe(),
        }
