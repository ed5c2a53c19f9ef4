"""Vimeo90K (Xue et al., "Video Enhancement with Task-Oriented Flow", IJCV 2019) for frame interpolation.

Published layouts, with ``data.root`` the unpacked folder or its parent::

    vimeo_triplet/tri_trainlist.txt, tri_testlist.txt, sequences/00001/0001/im1.png .. im3.png
    vimeo_septuplet/sep_trainlist.txt, sep_testlist.txt, sequences/00001/0001/im1.png .. im7.png

The split follows RIFE (Huang et al., ECCV 2022, training code): the first 95 % of the official training
list train, the last 5 % validate, the official test list tests.

Deviation: RIFEm draws three of the seven frames; here they are put in ascending order, so that the target
lies between its inputs. The reversed order comes from the time reversal of the transform.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..core.files import sha256_file
from ..video import read_image
from .base import EvaluationDataset, EvaluationVideo, TrainingDataset
from .layout import first_entries, require_root
from .layouts import FrameSequence, Layout, Member
from .transforms import Image, TripletTransform, images_to_tensor

_SIZE = (256, 448)
_ENTRY = re.compile(r"\d+/\d+")


@dataclass(frozen=True)
class _Layout:
    """How one of the two published sets lies on disk."""

    name: str
    folder: str
    prefix: str
    frames: int

    def list_name(self, split: str) -> str:
        return f"{self.prefix}_{'test' if split == 'test' else 'train'}list.txt"

    @property
    def expected(self) -> str:
        return (
            f"the unpacked {self.folder} folder, which holds {self.list_name('train')}, "
            f"{self.list_name('test')} and sequences/00001/0001/im1.png .. im{self.frames}.png"
        )


_TRIPLET = _Layout("Vimeo90K triplet", "vimeo_triplet", "tri", 3)
_SEPTUPLET = _Layout("Vimeo90K septuplet", "vimeo_septuplet", "sep", 7)


class _Sequences:
    """The sequences of one split: checks the layout, reads the official list, loads images."""

    def __init__(
        self,
        layout: _Layout,
        root: str | os.PathLike[str] | None,
        split: str,
        train_fraction: float,
        check_size: bool,
    ) -> None:
        if not 0.0 < train_fraction <= 1.0:
            raise ConfigError(f"train_fraction={train_fraction} must lie in (0, 1]")
        self.layout = layout
        self.check_size = check_size
        self.root = _find_root(layout, root)
        self.list_path = self.root / layout.list_name(split)
        names = _read_list(self.list_path, layout)
        cut = int(len(names) * train_fraction)
        self.names = {"train": names[:cut], "val": names[cut:], "test": names}[split]
        if not self.names:
            raise DataError(
                f"{layout.name}: the {split} split is empty: {str(self.list_path)!r} lists {len(names)} "
                f"sequences, of which the first {train_fraction:.0%} train and the rest validates"
            )
        for name in (self.names[0], self.names[-1]):
            if not (self.root / "sequences" / name).is_dir():
                raise DataError(
                    f"{layout.name}: {str(self.list_path)!r} lists {name!r}, but there is no folder "
                    f"{str(self.root / 'sequences' / name)!r}; sequences/ holds: "
                    f"{first_entries(self.root / 'sequences')}"
                )

    def load(self, name: str, numbers: Sequence[int]) -> list[Image]:
        """The images ``im<number>.png`` of a sequence, uint8 ``(256, 448, 3)``."""
        folder = self.root / "sequences" / name
        images = []
        for number in numbers:
            path = folder / f"im{number}.png"
            if not path.is_file():
                held = first_entries(folder, 8) if folder.is_dir() else "nothing: the folder does not exist"
                raise DataError(f"{self.layout.name}: missing image {str(path)!r}; its folder holds {held}")
            image = read_image(path)
            if self.check_size and image.shape[:2] != _SIZE:
                raise DataError(
                    f"{self.layout.name}: {str(path)!r} is {image.shape[1]}x{image.shape[0]}, expected "
                    f"{_SIZE[1]}x{_SIZE[0]}; set check_size=false to use a resized copy of the data set"
                )
            images.append(image)
        return images

    def describe(self, split: str) -> dict[str, Any]:
        return {
            "dataset": self.layout.name,
            "split": split,
            "list": self.list_path.name,
            "list_sha256": sha256_file(self.list_path),
            "sequences": len(self.names),
            "first": self.names[0],
            "last": self.names[-1],
        }


def _find_root(layout: _Layout, root: str | os.PathLike[str] | None) -> Path:
    path = require_root(root, layout.name, layout.expected)
    needed = ("sequences", layout.list_name("train"), layout.list_name("test"))
    for candidate in (path, path / layout.folder):
        if (candidate / "sequences").is_dir() and any((candidate / name).is_file() for name in needed[1:]):
            return candidate
    hint = ""
    for other in (_TRIPLET, _SEPTUPLET):
        if other is not layout and (path / other.list_name("train")).is_file():
            hint = f" This looks like the {other.name} data set."
    missing = [name for name in needed if not (path / name).exists()]
    raise DataError(
        f"{layout.name}: {str(path)!r} is not laid out as expected; data.root must be {layout.expected}. "
        f"Missing: {', '.join(missing)}. Found: {first_entries(path) if path.is_dir() else '(a file)'}.{hint}"
    )


def _read_list(path: Path, layout: _Layout) -> list[str]:
    if not path.is_file():
        raise DataError(
            f"{layout.name}: the list {str(path)!r} is missing; it is part of the published archive. "
            f"Its folder holds: {first_entries(path.parent)}"
        )
    names = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    names = [name for name in names if name]
    for number, name in enumerate(names, 1):
        if not _ENTRY.fullmatch(name):
            raise DataError(
                f"{layout.name}: entry {number} of {str(path)!r} is {name[:80]!r}, expected a sequence "
                "such as '00001/0389'"
            )
    if not names:
        raise DataError(f"{layout.name}: the list {str(path)!r} is empty")
    return names


def _every_sequence(layout: _Layout, root: Path) -> list[FrameSequence]:
    """The sequences of both official lists."""
    names = [name for split in ("train", "test") for name in _read_list(root / layout.list_name(split), layout)]
    return [
        FrameSequence(
            name,
            tuple(Member(f"sequences/{name}/im{number}.png", size=_SIZE) for number in range(1, layout.frames + 1)),
        )
        for name in dict.fromkeys(names)
    ]


def _published(layout: _Layout, name: str, sequences: int | None) -> Layout:
    return Layout(
        name=name,
        title=layout.name,
        expected=layout.expected,
        lists=(layout.list_name("train"), layout.list_name("test")),
        sequences=lambda root: _every_sequence(layout, root),
        published=sequences,
        homepage="http://toflow.csail.mit.edu/",
        evidence="training programs of RIFE and XVFI",
        locate=lambda root: _find_root(layout, root),
    )


TRIPLET_LAYOUT = _published(_TRIPLET, "vimeo90k_triplet", 51_313 + 3_782)
SEPTUPLET_LAYOUT = _published(_SEPTUPLET, "vimeo90k_septuplet", None)


class Vimeo90KTriplet(TrainingDataset):
    """Training triplets ``im1, im2, im3`` with timestep 1/2.

    Samples: ``image0``, ``target``, ``image1`` ``(3, h, w)`` and ``timestep`` ``()``.

    Args:
        root: the unpacked ``vimeo_triplet`` or its parent.
        transform: augmentation; RIFE's by default.
        train_fraction: leading part of the official training list that trains.
        check_size: whether an image other than 448x256 is an error.

    Raises:
        DataError: root, list or layout are not as published.
    """

    _layout: ClassVar[_Layout] = _TRIPLET

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        transform: TripletTransform | None = None,
        train_fraction: float = 0.95,
        check_size: bool = True,
    ) -> None:
        self.transform = TripletTransform() if transform is None else transform
        self.train_fraction = train_fraction
        self._sequences = _Sequences(self._layout, root, "train", train_fraction, check_size)

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self._sequences.names)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The triplet of sequence ``index``; raises ``DataError`` naming a missing or wrong image."""
        name = self._sequences.names[index]
        first, middle, last = self._choose(rng)
        images = self._sequences.load(name, (first, middle, last))
        timestep = (middle - first) / (last - first)
        return self.transform(images, timestep, rng, str(self._sequences.root / "sequences" / name))

    def _choose(self, rng: np.random.Generator) -> tuple[int, int, int]:
        return 1, 2, 3

    def describe(self) -> dict[str, Any]:
        """The list's hash, the number of sequences and the augmentation."""
        return {
            **self._sequences.describe("train"),
            "train_fraction": self.train_fraction,
            "transform": self.transform.describe(),
        }


class Vimeo90KSeptuplet(Vimeo90KTriplet):
    """Training triplets for any timestep: three of the seven frames ``i < j < k``, ``t = (j - i) / (k - i)``.

    All 35 choices are equally likely. Arguments, samples and errors as :class:`Vimeo90KTriplet`.
    """

    _layout = _SEPTUPLET

    def _choose(self, rng: np.random.Generator) -> tuple[int, int, int]:
        first, middle, last = sorted(int(n) for n in rng.choice(self._layout.frames, 3, replace=False) + 1)
        return first, middle, last


class Vimeo90KTripletEvaluation(EvaluationDataset):
    """Videos of 3 frames; the first and last are the inputs, the middle one the target.

    Args:
        root: as in :class:`Vimeo90KTriplet`.
        split: ``"test"``, the official test list, or ``"val"``, the end of the training list.
        limit: use so many sequences only, spread evenly over the list (for a quick validation).
        train_fraction: leading part of the training list that does not validate.
        check_size: whether an image other than 448x256 is an error.

    Raises:
        DataError: root, list or layout are not as published.
        ConfigError: unknown split, limit below 1.
    """

    _layout: ClassVar[_Layout] = _TRIPLET

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        split: Literal["test", "val"] = "test",
        limit: int | None = None,
        train_fraction: float = 0.95,
        check_size: bool = True,
    ) -> None:
        if split not in ("test", "val"):
            raise ConfigError(f"{self._layout.name}: split={split!r}, expected 'test' or 'val'")
        if limit is not None and limit < 1:
            raise ConfigError(f"{self._layout.name}: limit={limit} must be at least 1")
        self.name = f"{self._layout.folder.replace('vimeo', 'vimeo90k')}_{split}"
        self.split = split
        self._sequences = _Sequences(self._layout, root, split, train_fraction, check_size)
        names = self._sequences.names
        if limit is None or limit >= len(names):
            self.ids = list(names)
        else:
            self.ids = [names[i * len(names) // limit] for i in range(limit)]

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.ids)

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Sequence ``index``; its id is the list's entry, such as ``00001/0389``."""
        name = self.ids[index]
        images = self._sequences.load(name, range(1, self._layout.frames + 1))
        if len({image.shape for image in images}) != 1:
            raise DataError(f"{self._layout.name}: the images of sequence {name!r} differ in size")
        return EvaluationVideo(name, images_to_tensor(np.stack(images)))

    def describe(self) -> dict[str, Any]:
        """The list's hash and which sequences are used."""
        subset = {} if len(self.ids) == len(self._sequences.names) else {"subset": self.ids}
        return {**self._sequences.describe(self.split), **subset, "frames": self._layout.frames}


class Vimeo90KSeptupletEvaluation(Vimeo90KTripletEvaluation):
    """Videos of 7 frames; arguments and errors as :class:`Vimeo90KTripletEvaluation`."""

    _layout = _SEPTUPLET
