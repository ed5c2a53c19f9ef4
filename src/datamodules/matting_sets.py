"""Mattes: folders of images with alpha to evaluate on, and foregrounds composited over any images to train on.

Folders are recognised by any of the names that data sets use: Composition-1k as mmagic prepares it (``merged``,
``alpha``, ``trimaps``), AIM-500 (``original``, ``mask``, ``trimap``), clips of VideoMatte as the evaluation of Robust
Video Matting has them (``com``, ``pha``).
"""

from __future__ import annotations

import os
import re
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
from ..core.files import sha256_json
from ..ops.trimap import random_trimap
from ..video import read_image
from .base import EvaluationDataset, EvaluationVideo, TrainingDataset
from .layout import first_entries, require_root

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_NAMES = {
    "image": ("merged", "image", "images", "original", "com"),
    "alpha": ("alpha", "alphas", "mask", "pha"),
    "trimap": ("trimaps", "trimap"),
    "foreground": ("fg", "foreground", "fgr"),
    "background": ("bg", "background", "backgrounds"),
}
Float = npt.NDArray[np.float32]


def _files(base: Path, kind: str) -> dict[str, Path]:
    """Images by stem in the first folder below ``base`` that has a name of that kind."""
    folder = next((base / name for name in _NAMES[kind] if (base / name).is_dir()), None)
    if folder is None:
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES}


def _match(files: dict[str, Path], stem: str) -> Path | None:
    """The file of that stem, or of the stem without the number that Composition-1k adds to a foreground's name."""
    return files.get(stem) or files.get(re.sub(r"_\d+$", "", stem))


def _tensor(path: Path, channels: int) -> Tensor:
    image = read_image(path)[..., :channels]
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255


@dataclass(frozen=True)
class _Clip:
    id: str
    frames: tuple[tuple[Path, Path, Path | None], ...]


class MattingEvaluation(EvaluationDataset):
    """Images, or clips of frames, with ``alpha`` and, where the data have them, ``trimap`` ``(T, 1, H, W)``.

    Args:
        root: holds the folders of images, alphas and trimaps; or, for clips, such folders in each of its subfolders.
        videos: use so many only, spread evenly.
        published: number of images of the whole published set; None: any number is right.
        title: of the set.

    Raises:
        DataError: nothing is found, or an image has no alpha.
        ConfigError: ``videos`` below 1.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        videos: int | None = None,
        published: int | None = None,
        title: str = "matting_folder",
    ) -> None:
        if videos is not None and videos < 1:
            raise ConfigError(f"{title}: videos={videos} must be at least 1")
        expected = (
            f"a folder with images ({', '.join(_NAMES['image'])}), alphas ({', '.join(_NAMES['alpha'])}) and perhaps "
            f"trimaps ({', '.join(_NAMES['trimap'])}), or of clips that each have such folders"
        )
        self.base = require_root(root, title, expected)
        clips: Sequence[_Clip] = self._single() or self._clips()
        if not clips:
            raise DataError(f"{title}: data.root must be {expected}. It holds: {first_entries(self.base)}")
        if videos is not None and videos < len(clips):
            clips = [clips[index * len(clips) // videos] for index in range(videos)]
        self.clips, self.name = clips, title
        self.complete = published is None or len(clips) == published

    def __len__(self) -> int:
        """Number of images or clips."""
        return len(self.clips)

    def frame_count(self, index: int) -> int:
        """Number of frames; 1 for images."""
        return len(self.clips[index].frames)

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Image or clip ``index``; raises ``DataError`` naming a file that cannot be used."""
        clip = self.clips[index]
        parts: dict[str, list[Tensor]] = {"image": [], "alpha": [], "trimap": []}
        for image, alpha, trimap in clip.frames:
            parts["image"].append(_tensor(image, 3))
            parts["alpha"].append(_tensor(alpha, 1))
            if trimap is not None:
                parts["trimap"].append(_tensor(trimap, 1))
            sizes = {name: tuple(values[-1].shape[1:]) for name, values in parts.items() if values}
            if len(set(sizes.values())) > 1:
                shown = ", ".join(f"{name} {width}x{height}" for name, (height, width) in sizes.items())
                raise DataError(f"{self.name}: {str(image)!r} and what belongs to it differ in size: {shown}")
        truth = {name: torch.stack(values) for name, values in parts.items() if values and name != "image"}
        return EvaluationVideo(clip.id, torch.stack(parts["image"]), truth)

    def describe(self) -> dict[str, Any]:
        """Ids, numbers of frames, and a hash over names."""
        names = [[path.name for frame in clip.frames for path in frame if path is not None] for clip in self.clips]
        return {
            "dataset": self.name,
            "complete": self.complete,
            "videos": {clip.id: len(clip.frames) for clip in self.clips},
            "names_sha256": sha256_json(names),
        }

    def _frames(self, base: Path) -> list[tuple[str, tuple[Path, Path, Path | None]]]:
        alphas, trimaps = _files(base, "alpha"), _files(base, "trimap")
        frames = []
        for stem, image in _files(base, "image").items():
            alpha = _match(alphas, stem)
            if alpha is None:
                raise DataError(f"the image {str(image)!r} has no alpha of that name")
            trimap = _match(trimaps, stem)
            if trimaps and trimap is None:
                raise DataError(f"the image {str(image)!r} has no trimap of that name")
            frames.append((stem, (image, alpha, trimap)))
        return frames

    def _single(self) -> list[_Clip]:
        return [_Clip(stem, (files,)) for stem, files in self._frames(self.base)]

    def _clips(self) -> list[_Clip]:
        found = []
        for folder in sorted(path for path in self.base.rglob("*") if path.is_dir()):
            frames = self._frames(folder)
            if frames:
                found.append(_Clip(folder.relative_to(self.base).as_posix(), tuple(files for _, files in frames)))
        return found


class CompositedForegrounds(TrainingDataset):
    """Foregrounds with alpha over random backgrounds, cut around an unknown pixel: the training of Deep Image Matting.

    Samples: ``image``, ``foreground``, ``background`` ``(3, crop, crop)``, ``alpha``, ``trimap`` ``(1, crop, crop)``.

    Args:
        root: holds foregrounds (``fg``), their ``alpha`` and backgrounds (``bg``).
        backgrounds: another folder of background images.
        crop: side of the samples; cuts have 1, 1.5 or 2 times that side and are resized.
        repeats: how often an epoch shows each foreground.

    Raises:
        DataError: something is missing.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        backgrounds: str | os.PathLike[str] | None = None,
        crop: int = 320,
        repeats: int = 100,
    ) -> None:
        expected = "a folder with foregrounds in fg, their mattes in alpha and, unless data.backgrounds is set, bg"
        self.base = require_root(root, "matting_composites", expected)
        fronts, alphas = _files(self.base, "foreground"), _files(self.base, "alpha")
        self.pairs = [(front, alphas[stem]) for stem, front in fronts.items() if stem in alphas]
        if backgrounds is None:
            self.backgrounds = list(_files(self.base, "background").values())
        else:
            place = require_root(backgrounds, "matting_composites", "a folder of images", "data.backgrounds")
            self.backgrounds = sorted(path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not self.pairs or not self.backgrounds:
            raise DataError(
                f"matting_composites: {len(self.pairs)} foregrounds with alpha and {len(self.backgrounds)} backgrounds "
                f"found; data.root must be {expected}. It holds: {first_entries(self.base)}"
            )
        self.crop, self.repeats = crop, repeats

    def __len__(self) -> int:
        """Number of foregrounds times repetitions."""
        return len(self.pairs) * self.repeats

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Foreground ``index`` over a random background; raises ``DataError`` naming a file that cannot be read."""
        front_path, alpha_path = self.pairs[index % len(self.pairs)]
        front, alpha = _floats(front_path), _floats(alpha_path)[..., :1]
        if front.shape[:2] != alpha.shape[:2]:
            raise DataError(f"{str(front_path)!r} and its alpha {str(alpha_path)!r} differ in size")
        back = _cover(_floats(self.backgrounds[int(rng.integers(len(self.backgrounds)))]), front.shape[:2])
        stack = np.concatenate((front, back, alpha), 2)
        side = round(self.crop * float(rng.choice((1.0, 1.5, 2.0))))
        stack = _cut(stack, side, rng)
        if side != self.crop:
            stack = np.dstack([_resized(part, self.crop) for part in np.split(stack, (3, 6), axis=2)])
        if rng.random() < 0.5:
            stack = stack[:, ::-1]
        x = torch.from_numpy(np.ascontiguousarray(stack)).permute(2, 0, 1).clamp_(0, 1)
        front_x, back_x, alpha_x = x[:3], x[3:6], x[6:]
        return {
            "image": back_x + alpha_x * (front_x - back_x),
            "foreground": front_x,
            "background": back_x,
            "alpha": alpha_x,
            "trimap": random_trimap(alpha_x, rng),
        }

    def describe(self) -> dict[str, Any]:
        """Numbers and a hash of the names."""
        return {
            "dataset": "matting_composites",
            "foregrounds": len(self.pairs),
            "backgrounds": len(self.backgrounds),
            "crop": self.crop,
            "repeats": self.repeats,
            "names_sha256": sha256_json([[a.name for a, _ in self.pairs], [b.name for b in self.backgrounds]]),
        }


def _floats(path: Path) -> Float:
    scaled: Float = np.divide(read_image(path), np.float32(255), dtype=np.float32)
    return scaled


def _resized(image: Float, side: int) -> Float:
    # OpenCV resizes at most four channels at a time
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _cover(image: Float, size: tuple[int, ...]) -> Float:
    """Resized until it covers ``size``, then cut to it."""
    factor = max(size[0] / image.shape[0], size[1] / image.shape[1])
    wanted = max(size[1], round(image.shape[1] * factor)), max(size[0], round(image.shape[0] * factor))
    image = np.asarray(cv2.resize(image, wanted, interpolation=cv2.INTER_LINEAR), np.float32)
    return image[: size[0], : size[1]]


def _cut(stack: Float, side: int, rng: np.random.Generator) -> Float:
    """A square around a pixel of fractional alpha (any pixel where there is none); edges are repeated."""
    bottom, right = max(0, side - stack.shape[0]), max(0, side - stack.shape[1])
    stack = np.asarray(np.pad(stack, ((0, bottom), (0, right), (0, 0)), mode="edge"), np.float32)
    rows, columns = ((stack[..., 6] > 0) & (stack[..., 6] < 1)).nonzero()
    height, width = stack.shape[:2]
    if len(rows):
        choice = int(rng.integers(len(rows)))
        centre = int(rows[choice]), int(columns[choice])
    else:
        centre = int(rng.integers(height)), int(rng.integers(width))
    top, left = min(max(0, centre[0] - side // 2), height - side), min(max(0, centre[1] - side // 2), width - side)
    return stack[top : top + side, left : left + side]
