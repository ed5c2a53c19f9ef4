"""The evaluation sets of frame interpolation, in the layouts in which they are published.

Layouts and what is measured follow the evaluation programs of the methods that report on these sets:
RIFE (github.com/hzwer/ECCV2022-RIFE at 5d8adbd, folder ``benchmark``) for UCF101, Middlebury and HD, and
EMA-VFI, VFIMamba and AMT for SNU-FILM, XVFI and EMA-VFI for X-TEST. The archives themselves were not seen;
every layout below says what it was taken from.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..video import read_image
from .base import EvaluationDataset, EvaluationVideo
from .layouts import FrameSequence, Layout, Member, fixed, folders, read_lines
from .transforms import Image, images_to_tensor
from .yuv import count_frames, read_frames

UCF101 = Layout(
    name="ucf101",
    title="UCF101 (interpolation test)",
    expected="the unpacked ucf101_interp_ours folder, which holds 1/frame_00.png, frame_01_gt.png, frame_02.png, ...",
    needed=("*/frame_01_gt.png",),
    within=("ucf101_interp_ours", "UCF101/ucf101_interp_ours"),
    sequences=folders("*", ("frame_00.png", "frame_01_gt.png", "frame_02.png")),
    published=379,
    homepage="https://liuziwei7.github.io/projects/VoxelFlow",
    evidence="evaluation programs of RIFE, EMA-VFI and AMT",
)

_MIDDLEBURY_SCENES = (
    *("Beanbags", "Dimetrodon", "DogDance", "Grove2", "Grove3", "Hydrangea"),
    *("MiniCooper", "RubberWhale", "Urban2", "Urban3", "Venus", "Walking"),
)

MIDDLEBURY = Layout(
    name="middlebury_other",
    title="Middlebury OTHER",
    expected="the folder that holds other-data/Beanbags/frame10.png, frame11.png, ... and "
    "other-gt-interp/Beanbags/frame10i11.png, ...",
    needed=("other-data", "other-gt-interp"),
    sequences=fixed(
        FrameSequence(
            scene,
            (
                Member(f"other-data/{scene}/frame10.png"),
                Member(f"other-gt-interp/{scene}/frame10i11.png"),
                Member(f"other-data/{scene}/frame11.png"),
            ),
        )
        for scene in _MIDDLEBURY_SCENES
    ),
    published=12,
    homepage="https://vision.middlebury.edu/flow/data/ (other-color-twoframes.zip and other-gt-interp.zip)",
    evidence="evaluation programs of RIFE and EMA-VFI",
)

SNU_FILM_SPLITS = ("easy", "medium", "hard", "extreme")
_SNU_FILM_TRIPLETS = 310


def snu_film_triplets(root: Path, split: str) -> list[FrameSequence]:
    """The triplets of one official list; ids such as ``GOPRO_test/GOPR0384_11_00/000002`` name the middle frame.

    The lists give each image with the folders of the authors in front; the last three parts count.

    Raises:
        DataError: the list is missing, or a line is not three images.
    """
    name = f"test-{split}.txt"
    base = "test/" if (root / "test").is_dir() else ""
    triplets = []
    for number, line in enumerate(read_lines(root, name, SNU_FILM.title), 1):
        parts = [entry.replace("\\", "/").split("/") for entry in line.split()]
        if len(parts) != 3 or any(len(part) < 3 or ".." in part[-3:] for part in parts):
            raise DataError(
                f"{SNU_FILM.title}: line {number} of {str(root / name)!r} is {line[:120]!r}, expected three images "
                "such as 'data/SNU-FILM/test/GOPRO_test/<clip>/000001.png'"
            )
        paths = ["/".join(part[-3:]) for part in parts]
        triplets.append(FrameSequence(os.path.splitext(paths[1])[0], tuple(Member(base + path) for path in paths)))
    return triplets


def _all_snu_film(root: Path) -> list[FrameSequence]:
    return [
        FrameSequence(f"{split}/{triplet.id}", triplet.members)
        for split in SNU_FILM_SPLITS
        for triplet in snu_film_triplets(root, split)
    ]


SNU_FILM = Layout(
    name="snu_film",
    title="SNU-FILM",
    expected="the folder that holds test-easy.txt, test-medium.txt, test-hard.txt, test-extreme.txt and the images "
    "in test/GOPRO_test and test/YouTube_test (or in GOPRO_test and YouTube_test)",
    needed=tuple(f"test-{split}.txt" for split in SNU_FILM_SPLITS),
    within=("SNU-FILM", "SNU_FILM"),
    lists=tuple(f"test-{split}.txt" for split in SNU_FILM_SPLITS),
    sequences=_all_snu_film,
    published=len(SNU_FILM_SPLITS) * _SNU_FILM_TRIPLETS,
    homepage="https://myungsub.github.io/CAIN/",
    evidence="data loader of CAIN (its authors), evaluation programs of AMT and VFIMamba; the number of triplets "
    "from a third party's inventory",
)

_HD_CLIPS: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "720p": ((720, 1280), ("parkrun_1280x720_50", "shields_1280x720_60", "stockholm_1280x720_60")),
    "1080p": (
        (1080, 1920),
        ("BlueSky", "Kimono1_1920x1080_24", "ParkScene_1920x1080_24", "sunflower_1080p25"),
    ),
    "544p": (
        (544, 1280),
        (
            *("Sintel_Alley2_1280x544", "Sintel_Market5_1280x544"),
            *("Sintel_Temple1_1280x544", "Sintel_Temple2_1280x544"),
        ),
    ),
}

HD_RESOLUTIONS = tuple(_HD_CLIPS)

HD = Layout(
    name="hd",
    title="HD",
    expected="the unpacked HD_dataset folder, which holds HD720p_GT/parkrun_1280x720_50.yuv, HD1080p_GT/BlueSky.yuv, "
    "HD544p_GT/Sintel_Alley2_1280x544.yuv, ...",
    needed=("HD*_GT",),
    within=("HD_dataset",),
    sequences=fixed(
        FrameSequence(f"{resolution}/{clip}", (Member(f"HD{resolution}_GT/{clip}.yuv", "yuv420", size),))
        for resolution, (size, clips) in _HD_CLIPS.items()
        for clip in clips
    ),
    published=11,
    homepage="https://github.com/baowenbo/MEMC-Net",
    evidence="evaluation programs of RIFE and EMA-VFI",
)

_X_TEST_FRAMES = 33
_X_TEST_SIZE = (2160, 4096)

X_TEST = Layout(
    name="x_test",
    title="X4K1000FPS X-TEST",
    expected="the test folder of X4K1000FPS decoded to PNG, which holds Type1/TEST01_.../0000.png .. 0032.png, "
    "Type2/..., Type3/...",
    needed=("Type*/*/0000.png",),
    within=("test", "X4K1000FPS/test"),
    sequences=folders("Type*/*", [f"{index:04d}.png" for index in range(_X_TEST_FRAMES)], _X_TEST_SIZE),
    published=15,
    homepage="https://github.com/JihyongOh/XVFI",
    evidence="README and data loader of XVFI (its authors)",
)


class LayoutEvaluation(EvaluationDataset):
    """The sequences of a :class:`~framewright.datamodules.layouts.Layout` as evaluation videos.

    Args:
        layout: how the data set lies on disk.
        name: of the data set in results.
        root: the folder that the user gave.
        sequences: those to use.
        published: their number in the whole published set.
        limit: use so many only, spread evenly.

    Attributes:
        complete: whether it is the whole published set.

    Raises:
        DataError: a file of a sequence does not exist; the message names the first one and their number.
        ConfigError: limit below 1.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        root: Path,
        sequences: Sequence[FrameSequence],
        published: int | None,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"{layout.title}: videos={limit} must be at least 1")
        self.layout = layout
        self.name = name
        self.root = root
        total = len(sequences)
        if limit is not None and limit < total:
            sequences = [sequences[index * total // limit] for index in range(limit)]
        self.sequences = list(sequences)
        if not self.sequences:
            raise DataError(f"{layout.title}: {str(root)!r} holds no sequence; expected {layout.expected}")
        self.complete = published is None or len(self.sequences) == published
        self._files_sha256 = self._hash_names()

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.sequences)

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Sequence ``index``; raises ``DataError`` naming a file that cannot be read or differs in size."""
        sequence = self.sequences[index]
        return EvaluationVideo(sequence.id, self.load(sequence))

    @abstractmethod
    def load(self, sequence: FrameSequence) -> Tensor:
        """The frames ``(T, 3, H, W)`` of a sequence, RGB float32 in [0, 1]."""

    def describe(self) -> dict[str, Any]:
        """Ids, and a hash over names and sizes (in bytes) of all files; no absolute paths."""
        return {
            "dataset": self.layout.title,
            "name": self.name,
            "complete": self.complete,
            "sequences": [sequence.id for sequence in self.sequences],
            "sha256": self._files_sha256,
            "hashed": "names",
        }

    def images(self, members: Sequence[Member], check_size: bool = True) -> list[Image]:
        """The images of some members, all of one size and, with ``check_size``, of the declared one.

        Raises:
            DataError: an image cannot be read or is of another size.
        """
        images: list[Image] = []
        for member in members:
            image = read_image(self.root / member.path)
            size = member.size if check_size and member.size is not None else (images or [image])[0].shape[:2]
            if image.shape[:2] != tuple(size):
                raise DataError(
                    f"{self.layout.title}: {str(self.root / member.path)!r} is {image.shape[1]}x{image.shape[0]}, "
                    f"expected {size[1]}x{size[0]} (width x height)"
                )
            images.append(image)
        return images

    def _hash_names(self) -> str:
        digest = hashlib.sha256()
        missing = []
        for member in (member for sequence in self.sequences for member in sequence.members):
            try:
                size = (self.root / member.path).stat().st_size
            except OSError:
                missing.append(str(self.root / member.path))
                continue
            digest.update(os.fsencode(member.path) + b"\0" + str(size).encode() + b"\0")
        if missing:
            more = f" and {len(missing) - 1} other files" if len(missing) > 1 else ""
            raise DataError(f"{self.layout.title}: {missing[0]!r}{more} cannot be found in {str(self.root)!r}")
        return digest.hexdigest()


class TripletEvaluation(LayoutEvaluation):
    """Image triplets: the first and last frame are the inputs, the middle one the target."""

    def load(self, sequence: FrameSequence) -> Tensor:
        """Frames ``(3, 3, H, W)``."""
        return images_to_tensor(np.stack(self.images(sequence.members)))


class UCF101Evaluation(TripletEvaluation):
    """The 379 triplets chosen from UCF101 by Liu et al. ("Video Frame Synthesis using Deep Voxel Flow", ICCV 2017).

    Args:
        root: ``ucf101_interp_ours`` or a folder that holds it.
        limit: use so many triplets only.

    Raises:
        DataError: the layout is not as published.
    """

    def __init__(self, root: str | os.PathLike[str] | None, limit: int | None = None) -> None:
        base = UCF101.find(root)
        super().__init__(UCF101, "ucf101", base, UCF101.sequences(base), UCF101.published, limit)


class MiddleburyOtherEvaluation(TripletEvaluation):
    """The 12 triplets with interpolation truth of Middlebury OTHER (Baker et al., IJCV 2011).

    Args and errors as :class:`UCF101Evaluation`; the root holds ``other-data`` and ``other-gt-interp``.
    """

    def __init__(self, root: str | os.PathLike[str] | None, limit: int | None = None) -> None:
        base = MIDDLEBURY.find(root)
        super().__init__(MIDDLEBURY, "middlebury_other", base, MIDDLEBURY.sequences(base), MIDDLEBURY.published, limit)


class SNUFilmEvaluation(TripletEvaluation):
    """One split of SNU-FILM (Choi et al., "Channel Attention Is All You Need for Video Frame Interpolation", AAAI
    2020): 310 triplets each, with growing motion.

    Args:
        root: the folder with the lists.
        split: ``easy``, ``medium``, ``hard`` or ``extreme``.
        limit: use so many triplets only.

    Raises:
        DataError: the layout is not as published.
        ConfigError: unknown split.
    """

    def __init__(self, root: str | os.PathLike[str] | None, split: str = "easy", limit: int | None = None) -> None:
        if split not in SNU_FILM_SPLITS:
            raise ConfigError(f"SNU-FILM: split={split!r}, expected one of {', '.join(SNU_FILM_SPLITS)}")
        base = SNU_FILM.find(root)
        self.split = split
        triplets = snu_film_triplets(base, split)
        super().__init__(SNU_FILM, f"snu_film_{split}", base, triplets, _SNU_FILM_TRIPLETS, limit)


class HDEvaluation(LayoutEvaluation):
    """The HD benchmark (Bao et al., MEMC-Net): 11 raw clips in three resolutions, frames 0 to 100 of each.

    A clip of 1080p takes 2.5 GB as float32.

    Args:
        root: ``HD_dataset`` or its parent.
        resolution: ``720p``, ``1080p``, ``544p``, or None for all.
        frames: how many frames from the start are used, at most.
        limit: use so many clips only.

    Raises:
        DataError: a clip is missing, or its length is no whole number of frames.
        ConfigError: unknown resolution, too few frames.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        resolution: str | None = None,
        frames: int = 101,
        limit: int | None = None,
    ) -> None:
        if resolution is not None and resolution not in HD_RESOLUTIONS:
            raise ConfigError(f"HD: resolution={resolution!r}, expected one of {', '.join(HD_RESOLUTIONS)}, or null")
        if frames < 3:
            raise ConfigError(f"HD: frames={frames} must be at least 3")
        base = HD.find(root)
        self.frames = frames
        clips = [s for s in HD.sequences(base) if resolution is None or s.id.startswith(f"{resolution}/")]
        name = "hd" if resolution is None else f"hd_{resolution}"
        super().__init__(HD, name, base, clips, len(clips), limit)
        self.complete = self.complete and frames == 101

    def load(self, sequence: FrameSequence) -> Tensor:
        """Frames ``(T, 3, H, W)``, T at most ``frames``."""
        (member,) = sequence.members
        assert member.size is not None
        path = self.root / member.path
        count = min(count_frames(path, member.size), self.frames)
        return images_to_tensor(read_frames(path, member.size, range(count)))

    def describe(self) -> dict[str, Any]:
        """As for every layout, and the number of frames."""
        return {**super().describe(), "frames": self.frames}


class XTestEvaluation(LayoutEvaluation):
    """X-TEST of X4K1000FPS (Sim et al., "XVFI", ICCV 2021): 15 clips of 33 frames, of which the first and the last
    are the inputs.

    Only the frames 0, 32/``multiple``, ..., 32 are loaded, so the protocol's stride is ``multiple``.

    Args:
        root: the decoded ``test`` folder or its parent.
        multiple: 2, 4, 8, 16 or 32; 8 is the published one.
        size: ``"4k"``, or ``"2k"``: every frame at half the size (area average, not rounded to 8 bits), as in
            EMA-VFI's evaluation.
        check_size: whether an image other than 4096x2160 is an error.
        limit: use so many clips only.

    Raises:
        DataError: the layout is not as published.
        ConfigError: another ``multiple`` or ``size``.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        multiple: int = 8,
        size: Literal["4k", "2k"] = "4k",
        check_size: bool = True,
        limit: int | None = None,
    ) -> None:
        if multiple not in (2, 4, 8, 16, 32):
            raise ConfigError(f"X-TEST: multiple={multiple}, expected 2, 4, 8, 16 or 32")
        if size not in ("4k", "2k"):
            raise ConfigError(f"X-TEST: size={size!r}, expected '4k' or '2k'")
        base = X_TEST.find(root)
        self.multiple = multiple
        self.size = size
        self.check_size = check_size
        super().__init__(X_TEST, f"x_test_{size}", base, X_TEST.sequences(base), X_TEST.published, limit)
        self.complete = self.complete and multiple == 8

    def load(self, sequence: FrameSequence) -> Tensor:
        """Frames ``(multiple + 1, 3, H, W)``."""
        step = (_X_TEST_FRAMES - 1) // self.multiple
        images = self.images(sequence.members[::step], self.check_size)
        if self.size == "4k":
            return images_to_tensor(np.stack(images))
        return torch.stack([_half(image) for image in images])

    def describe(self) -> dict[str, Any]:
        """As for every layout, and the settings."""
        return {**super().describe(), "multiple": self.multiple, "size": self.size}


def _half(image: Image) -> Tensor:
    import cv2

    height, width = image.shape[0] // 2, image.shape[1] // 2
    small = cv2.resize(image.astype(np.float32) / 255, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(small, -1, 0)))
