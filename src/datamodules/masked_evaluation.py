"""Whole videos with holes to evaluate video inpainting on: any videos, with masks from files or drawn from a seed."""

from __future__ import annotations

import functools
import hashlib
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch

from ..core.errors import ConfigError, nearest
from .base import EvaluationDataset, EvaluationVideo
from .masks.base import MaskVideo
from .masks.bezier import BezierMasks
from .masks.free_form import FreeFormMasks
from .masks.stored import DilatedMasks

MaskKind = Literal[
    "stationary_free_form", "moving_free_form", "stationary_blobs", "moving_blobs", "files", "object", "own_object"
]

_DRAWN: dict[str, tuple[type[BezierMasks] | type[FreeFormMasks], float]] = {
    "stationary_free_form": (FreeFormMasks, 0.0),
    "moving_free_form": (FreeFormMasks, 1.0),
    "stationary_blobs": (BezierMasks, 0.0),
    "moving_blobs": (BezierMasks, 1.0),
}
DRAWN = tuple(_DRAWN)


class VideoSet(EvaluationDataset):
    """Videos whose length and size are known without loading them.

    Attributes:
        given: kinds of masks that the set has itself: ``files``, ``object``, ``own_object``.
    """

    given: ClassVar[tuple[MaskKind, ...]] = ()

    @abstractmethod
    def video_id(self, index: int) -> str:
        """The id of video ``index``."""

    @abstractmethod
    def frame_size(self, index: int) -> tuple[int, int]:
        """Height and width of video ``index`` as it is loaded."""

    def given_masks(self, index: int, kind: str) -> MaskVideo:
        """Masks of video ``index`` that are not drawn, of a kind in :attr:`given`.

        Raises:
            DataError: there are none for this video.
        """
        raise NotImplementedError(f"{type(self).__name__} has no masks of its own")


class MaskedEvaluation(EvaluationDataset):
    """Videos with holes: ``truth["mask"]`` ``(T, 1, H, W)``, 1 = hole; ``frames`` are the truth behind the holes.

    Drawn masks depend on the seed and on a video's id, length and size alone, so that a part of a set has the masks of
    the whole. The manifest holds the seed and the SHA-256 of every video's masks.

    Args:
        videos: the videos.
        kind: drawn (:data:`DRAWN`), or what the set has itself: ``files``, ``object``, ``own_object``.
        seed: of drawn masks.
        dilation: steps of a 3x3 cross by which all masks grow; the official evaluation programs: 4.

    Raises:
        ConfigError: unknown kind, or one that the set does not have.
    """

    def __init__(self, videos: VideoSet, kind: str = "stationary_free_form", seed: int = 0, dilation: int = 4) -> None:
        known = (*DRAWN, *videos.given)
        if kind not in known:
            raise ConfigError(
                f"the data set {videos.name!r} has no masks {kind!r}; data.masks is one of {', '.join(known)}"
                f"{nearest(kind, known)}"
            )
        if seed < 0 or dilation < 0:
            raise ConfigError(f"data.mask_seed={seed} and data.dilation={dilation} must not be negative")
        self.videos, self.kind, self.seed, self.dilation = videos, kind, seed, dilation
        self.name = videos.name
        self.complete = videos.complete

    def __len__(self) -> int:
        return len(self.videos)

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        return self.videos.frame_count(index)

    def masks(self, index: int) -> MaskVideo:
        """The masks of video ``index``.

        Raises:
            DataError: masks in files are missing or do not fit.
        """
        found = self._drawn(index) if self.kind in _DRAWN else self.videos.given_masks(index, self.kind)
        return DilatedMasks(found, self.dilation) if self.dilation else found

    def _drawn(self, index: int) -> MaskVideo:
        generator, moving = _DRAWN[self.kind]
        key = hashlib.sha256(f"{self.seed}:{self.videos.video_id(index)}".encode("utf-8", "backslashreplace")).digest()
        seed = int.from_bytes(key[:8], "big")
        frames, size = self.videos.frame_count(index), self.videos.frame_size(index)
        return generator(seed, frames=frames, size=size, moving=moving)

    def __getitem__(self, index: int) -> EvaluationVideo:
        video = self.videos[index]
        mask = torch.from_numpy(self.masks(index).stack()).float()
        return EvaluationVideo(video.id, video.frames, {"mask": mask})

    def describe(self) -> dict[str, Any]:
        """The videos' manifest, with the kind, seed and hashes of the masks."""
        masks = {"kind": self.kind, "seed": self.seed, "dilation": self.dilation, "sha256": self._hashes}
        return {**self.videos.describe(), "masks": masks}

    @functools.cached_property
    def _hashes(self) -> dict[str, str]:
        return {self.videos.video_id(index): self.masks(index).sha256() for index in range(len(self))}
