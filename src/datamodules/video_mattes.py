"""Clips with alpha composited over other clips and images on the fly: the training of Robust Video Matting.

Lin, Yang, Saleemi and Sengupta, WACV 2022 (https://arxiv.org/abs/2108.11515), section 4.1: both layers move
by themselves (translation, scale and rotation that begin and end gently), clips run backwards or faster, and each layer
has its own change of brightness, contrast and saturation. Left out of the paper's list: shear, hue, noise, blur and
pauses. The layout is that of VideoMatte240K (``fgr/<clip>/<frame>``, ``pha/<clip>/<frame>``); images with alpha
(``fgr/<image>``, ``pha/<image>``) become clips by their motion alone.
"""

from __future__ import annotations

import os
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
from ..video import read_image
from ..video.discover import IMAGE_SUFFIXES, list_frames
from .base import TrainingDataset
from .layout import first_entries, require_root

Float = npt.NDArray[np.float32]
_FRONT, _ALPHA = ("fgr", "fg"), ("pha", "alpha")
_SHIFT, _SCALE, _TURN = 0.1, 0.2, np.pi / 18
_COLOUR = 0.2


@dataclass(frozen=True)
class Layer:
    """Frames of a foreground or a background; ``alpha`` is empty for a background."""

    frames: tuple[Path, ...]
    alpha: tuple[Path, ...] = ()


def find_layers(base: Path) -> list[Layer]:
    """The clips and the images with alpha below a folder; raises ``DataError`` where frames and alphas differ."""
    fronts = next((base / name for name in _FRONT if (base / name).is_dir()), None)
    alphas = next((base / name for name in _ALPHA if (base / name).is_dir()), None)
    if fronts is None or alphas is None:
        return []
    layers = []
    single = {path.stem: path for path in list_frames(alphas)}
    for path in list_frames(fronts):
        if path.stem not in single:
            raise DataError(f"video_mattes: {str(path)!r} has no alpha in {str(alphas)!r}")
        layers.append(Layer((path,), (single[path.stem],)))
    for clip in sorted(path for path in fronts.iterdir() if path.is_dir()):
        frames = list_frames(clip)
        mattes = list_frames(alphas / clip.name) if (alphas / clip.name).is_dir() else []
        if [path.stem for path in frames] != [path.stem for path in mattes]:
            raise DataError(f"video_mattes: frames of {str(clip)!r} and of {str(alphas / clip.name)!r} differ")
        if frames:
            layers.append(Layer(tuple(frames), tuple(mattes)))
    return layers


def find_backgrounds(folder: Path) -> list[Layer]:
    """Each folder of images below a folder as a clip; images right in it one by one."""
    found = []
    for where, _, files in sorted(os.walk(folder, followlinks=True)):
        images = [name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        if images:
            frames = tuple(list_frames(where))
            found += [Layer((path,)) for path in frames] if Path(where) == folder else [Layer(frames)]
    return found


class CompositedClips(TrainingDataset):
    """Clips of foregrounds over random backgrounds.

    Samples: ``image``, ``foreground``, ``background`` ``(T, 3, crop, crop)``, ``alpha`` ``(T, 1, crop, crop)``; with
    ``high`` also ``high_image``, ``high_foreground`` and ``high_alpha`` of another clip, longer sides and fewer frames;
    with ``people`` also ``person`` ``(T, 3, crop, crop)``, independent images, and ``mask`` ``(T, 1, crop, crop)``.

    Args:
        root: holds ``fgr`` and ``pha``.
        backgrounds: a folder of images and of frame folders.
        frames: T.
        crop: side of the samples.
        high: side and number of frames of the large clips; None: none.
        people: labelled images, and which of their labels are people.

    Raises:
        DataError: something is missing.
        ConfigError: a number below 1.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        backgrounds: str | os.PathLike[str] | None,
        frames: int = 15,
        crop: int = 512,
        high: tuple[int, int] | None = None,
        people: tuple[TrainingDataset, tuple[int, ...]] | None = None,
    ) -> None:
        if min(frames, crop, *(high or (1, 1))) < 1:
            raise ConfigError(f"video_mattes: frames, crop and high must be at least 1: {frames}, {crop}, {high}")
        expected = "a folder with fgr/<clip>/<frame> and pha/<clip>/<frame> (or images in fgr and pha)"
        self.base = require_root(root, "video_mattes", expected)
        place = require_root(backgrounds, "video_mattes", "a folder of images or frame folders", "data.backgrounds")
        self.fronts, self.backs = find_layers(self.base), find_backgrounds(place)
        if not self.fronts or not self.backs:
            raise DataError(
                f"video_mattes: {len(self.fronts)} foregrounds and {len(self.backs)} backgrounds found; data.root must "
                f"be {expected}. It holds: {first_entries(self.base)}"
            )
        self.frames, self.crop, self.high, self.people = frames, crop, high, people
        # a clip is shown as often as it has samples without overlap
        self._starts = [
            (number, start) for number, layer in enumerate(self.fronts) for start in range(0, len(layer.frames), frames)
        ]

    def __len__(self) -> int:
        """Number of pieces of ``frames`` frames."""
        return len(self._starts)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A piece of a foreground over a random background; raises ``DataError`` naming a file that does not fit."""
        number, start = self._starts[index]
        sample = self._composite(self.fronts[number], start, self.frames, self.crop, rng)
        if self.high is not None:
            side, count = self.high
            front = self.fronts[int(rng.integers(len(self.fronts)))]
            large = self._composite(front, int(rng.integers(len(front.frames))), count, side, rng)
            sample |= {f"high_{name}": value for name, value in large.items() if name != "background"}
        if self.people is not None:
            data, classes = self.people
            drawn = [data.sample(int(rng.integers(len(data))), rng) for _ in range(self.frames)]
            sample["person"] = torch.stack([each["image"] for each in drawn])
            labels = torch.stack([each["labels"] for each in drawn])[:, None]
            sample["mask"] = torch.isin(labels, torch.tensor(classes)).float()
        return sample

    def _composite(
        self, front: Layer, start: int, count: int, side: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        back = self.backs[int(rng.integers(len(self.backs)))]
        colours, alpha = _render(front, start, count, side, rng)
        behind, _ = _render(back, int(rng.integers(len(back.frames))), count, side, rng)
        if rng.random() < 0.5:
            colours, alpha, behind = colours[..., ::-1], alpha[..., ::-1], behind[..., ::-1]
        fore, matte, behind_x = (torch.from_numpy(np.ascontiguousarray(x)) for x in (colours, alpha, behind))
        return {
            "image": behind_x + matte * (fore - behind_x),
            "foreground": fore,
            "background": behind_x,
            "alpha": matte,
        }

    def describe(self) -> dict[str, Any]:
        """Numbers and a hash of the names."""
        names = [[path.name for path in layer.frames] for layer in (*self.fronts, *self.backs)]
        return {
            "dataset": "video_mattes",
            "foregrounds": len(self.fronts),
            "backgrounds": len(self.backs),
            "frames": self.frames,
            "crop": self.crop,
            "high": self.high,
            "people": None if self.people is None else [self.people[0].describe(), list(self.people[1])],
            "names_sha256": sha256_json(names),
        }


def _render(layer: Layer, start: int, count: int, side: int, rng: np.random.Generator) -> tuple[Float, Float]:
    """Colours ``(T, 3, side, side)`` and alpha ``(T, 1, side, side)`` of a moving layer (alpha 1 for a background)."""
    step = int(rng.integers(1, 3)) * (1 if rng.random() < 0.5 else -1)
    numbers = [_bounced(start + step * place, len(layer.frames)) for place in range(count)]
    ends = rng.uniform(-1, 1, (2, 4))
    # begins and ends gently
    progress = (1 - np.cos(np.pi * np.arange(count) / max(1, count - 1))) / 2
    change = rng.uniform(1 - _COLOUR, 1 + _COLOUR, 3)
    colours, mattes = [], []
    for number, done in zip(numbers, progress, strict=True):
        image = _read(layer.frames[number])
        matte = _read(layer.alpha[number])[..., :1] if layer.alpha else np.ones((*image.shape[:2], 1), np.float32)
        if matte.shape[:2] != image.shape[:2]:
            raise DataError(f"{str(layer.frames[number])!r} and its alpha {str(layer.alpha[number])!r} differ in size")
        matrix = _matrix(image.shape[1], image.shape[0], side, ends[0] + (ends[1] - ends[0]) * done, bool(layer.alpha))
        # a foreground ends where its picture ends, a background is continued by its mirror
        border = cv2.BORDER_REPLICATE if layer.alpha else cv2.BORDER_REFLECT_101
        colours.append(_recoloured(_warped(image, matrix, side, border), change))
        outside = cv2.BORDER_CONSTANT if layer.alpha else cv2.BORDER_REFLECT_101
        mattes.append(_warped(matte, matrix, side, outside).reshape(side, side, 1))
    return np.stack(colours).transpose(0, 3, 1, 2), np.stack(mattes).transpose(0, 3, 1, 2)


def _bounced(number: int, length: int) -> int:
    """A frame number that runs back at both ends of a clip."""
    if length == 1:
        return 0
    place = number % (2 * length - 2)
    return min(place, 2 * length - 2 - place)


def _matrix(width: int, height: int, side: int, motion: npt.NDArray[np.float64], whole: bool) -> Float:
    """From the layer to the sample: centred, filling it (or whole, for a foreground), then moved."""
    factors = side / width, side / height
    scale = (min(factors) if whole else max(factors)) * float(np.exp(_SCALE * motion[2]))
    turn = _TURN * motion[3]
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    x, y = (0.5 + _SHIFT * motion[0]) * side, (0.5 + _SHIFT * motion[1]) * side
    linear = np.array([[cosine, -sine], [sine, cosine]])
    offset = np.array([x, y]) - linear @ np.array([width / 2, height / 2])
    return np.concatenate((linear, offset[:, None]), 1).astype(np.float32)


def _warped(image: Float, matrix: Float, side: int, border: int) -> Float:
    # reduced first, or fine detail would become noise
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 0.5:
        size = max(1, round(image.shape[1] * 2 * shrink)), max(1, round(image.shape[0] * 2 * shrink))
        factors = np.array([image.shape[1] / size[0], image.shape[0] / size[1], 1])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        matrix = (matrix * factors).astype(np.float32)
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border), np.float32
    )


def _recoloured(image: Float, change: npt.NDArray[np.float64]) -> Float:
    bright, contrast, saturation = (np.float32(value) for value in change)
    half = np.float32(0.5)
    x = (image * bright - half) * contrast + half
    grey = x.mean(2, keepdims=True)
    changed: Float = np.clip(grey + (x - grey) * saturation, 0, 1).astype(np.float32)
    return changed


def _read(path: Path) -> Float:
    scaled: Float = np.divide(read_image(path), np.float32(255), dtype=np.float32)
    return scaled
