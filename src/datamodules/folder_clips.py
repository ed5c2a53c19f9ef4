"""Any folder of videos and frame folders as a data set for video inpainting. How it is split: see ``folder_index``."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..video.discover import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from .base import TrainingDataset
from .clips import ClipSection
from .folder import FolderEvaluation, luma_jump
from .folder_index import DEFAULT_EXCLUDE, FolderIndex, Segment, Split
from .frame_store import resize_frames
from .masked_evaluation import VideoSet
from .masks.base import MaskVideo
from .masks.stored import MaskFiles
from .masks.training import TrainingMasks, draw_masks, mask_stack
from .readers import ReaderCache
from .transforms import Image, TripletTransform, images_to_tensor, limit_size

_CUT_ATTEMPTS = 8


class FolderClips(TrainingDataset):
    """Clips with random masks from all videos of a split; a video counts by its number of frames.

    An item is a frame; the clip is drawn from the stretch of ``clip.span`` frames around it. Consecutive frames are
    one of ``steps`` apart, drawn from those that fit. The true clip is augmented, its masks are not.

    Args:
        root: see :class:`FolderIndex`.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        transform: crop and augmentation of the frames.
        clip: which frames; videos with fewer are left out.
        masks: ``bezier``, ``free_form`` or both mixed.
        size: height and width to which whole frames are resized (Pillow's bicubic) before the crop; None: as they are.
        steps: frame steps to draw from, for consecutive frames.
        scene_cut: as in :class:`~framewright.datamodules.folder.FolderTriplets`, for consecutive frames.
        exclude: see :class:`FolderIndex`.
        on_error: what to do about videos that cannot be opened, see :class:`FolderIndex`.
        open_readers: videos kept open by each loader worker.

    Raises:
        DataError: no such root, or nothing usable in the split.
        ConfigError: an option is out of range, or masks of annotated objects, which a folder does not have.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        split: Split = "train",
        transform: TripletTransform | None = None,
        clip: ClipSection | None = None,
        masks: TrainingMasks | None = None,
        size: tuple[int, int] | None = None,
        steps: Sequence[int] = (1,),
        scene_cut: float | None = None,
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        on_error: Literal["raise", "skip"] = "raise",
        open_readers: int = 4,
    ) -> None:
        self.steps = tuple(sorted({int(step) for step in steps}))
        if not self.steps or self.steps[0] < 1:
            raise ConfigError(f"data=folder: steps={list(steps)} must be one or more whole numbers from 1")
        self.masks = TrainingMasks() if masks is None else masks
        if "object" in self.masks.kinds:
            raise ConfigError(
                "data=folder has no annotated objects for data.masks.kind=object; use bezier, free_form, or mixed with "
                "shares of these two"
            )
        self.transform = TripletTransform() if transform is None else transform
        self.clip = ClipSection(span=180) if clip is None else clip
        if self.clip.span is not None and self.clip.span < self.clip.total:
            raise ConfigError(
                f"data.clip.span={self.clip.span} is shorter than a clip, which has {self.clip.total} frames"
            )
        self.split = split
        self.size = size
        self.scene_cut = scene_cut
        self.index = FolderIndex(root, exclude, on_error)
        self.segments = self.index.segments(split, shortest=self.clip.total)
        self._ends = list(accumulate(len(segment) for segment in self.segments))
        self._readers = ReaderCache(open_readers)

    def __len__(self) -> int:
        """Number of frames."""
        return self._ends[-1]

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A clip from around frame ``index``: ``target`` (T, 3, h, w) and ``mask`` (T, 1, h, w), 1 = hole.

        Raises:
            DataError: the video cannot be read (named in the message).
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        which = bisect_right(self._ends, index)
        segment = self.segments[which]
        place = index - (self._ends[which - 1] if which else 0)
        first, length = self._stretch(segment, place)
        numbers, images = self._read(segment, first, length, rng)
        block, reverse = self.transform.augment(resize_frames(images, self.size), rng, str(segment.video.path))
        masks = draw_masks(self.masks.choose(rng), rng, length, block.shape[1:3], self.masks.moving)
        order = numbers[::-1] if reverse else numbers
        return {
            "target": images_to_tensor(block),
            "mask": torch.from_numpy(mask_stack(masks, [number - first for number in order])),
        }

    def describe(self) -> dict[str, Any]:
        """The folder's manifest and the settings."""
        return {
            **self.index.describe(),
            "split": self.split,
            "frames": len(self),
            "clip": self.clip.model_dump(mode="json"),
            "masks": self.masks.describe(),
            "size": None if self.size is None else list(self.size),
            "steps": list(self.steps),
            "scene_cut": self.scene_cut,
            "transform": self.transform.describe(),
        }

    def _stretch(self, segment: Segment, place: int) -> tuple[int, int]:
        """First frame and length of the stretch around a frame of a segment."""
        length = len(segment) if self.clip.span is None else min(self.clip.span, len(segment))
        start = min(max(place - length // 2, 0), len(segment) - length)
        return segment.start + start, length

    def _read(
        self, segment: Segment, first: int, length: int, rng: np.random.Generator
    ) -> tuple[list[int], list[Image]]:
        """Frame numbers and frames of a clip; with ``scene_cut`` the calmest of a few that are consecutive."""
        reader = self._readers.get(segment.video.path)
        best: tuple[float, list[int], list[Image]] | None = None
        for _ in range(1 + _CUT_ATTEMPTS):
            numbers, close = self._numbers(rng, length)
            numbers = [first + number for number in numbers]
            images = reader.get(numbers)
            jump = luma_jump(images) if self.scene_cut is not None and close and len(images) > 1 else 0.0
            if best is None or jump < best[0]:
                best = jump, numbers, list(images)
            if self.scene_cut is None or best[0] <= self.scene_cut:
                break
        assert best is not None
        return best[1], best[2]

    def _numbers(self, rng: np.random.Generator, length: int) -> tuple[list[int], bool]:
        """Frame numbers within the stretch, and whether they are close to each other."""
        numbers = self.clip.choose(rng, length)
        own = numbers[: self.clip.frames]
        close = not self.clip.references and own == list(range(own[0], own[0] + len(own)))
        fitting = [step for step in self.steps if (len(own) - 1) * step < length]
        step = fitting[int(rng.integers(len(fitting)))] if fitting else 1
        if not close or step == 1:
            return numbers, close
        start = int(rng.integers(length - (len(own) - 1) * step))
        return list(range(start, start + len(own) * step, step)), True


class FolderClipsEvaluation(FolderEvaluation, VideoSet):
    """Whole videos of a split, with any number of frames; arguments and errors as :class:`FolderEvaluation`."""

    given = ("files",)

    @staticmethod
    def shortest(step: int) -> int:
        """One frame."""
        return 1

    def frames_of(self, index: int) -> range:
        """The frame numbers of video ``index`` that are used."""
        segment = self.segments[index]
        frames = range(segment.start, segment.stop, self.step)
        return frames if self.max_frames is None else frames[: self.max_frames]

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        return len(self.frames_of(index))

    def frame_size(self, index: int) -> tuple[int, int]:
        """Height and width of video ``index``."""
        video = self.segments[index].video
        return limit_size(video.height, video.width, self.max_size)

    def video_id(self, index: int) -> str:
        """The path of video ``index`` relative to the root, without its suffix."""
        return self.segments[index].video.id

    def given_masks(self, index: int, kind: str) -> MaskVideo:
        """``files``: the masks that lie beside a video, see :func:`find_masks`."""
        video = self.segments[index].video
        alone = sum(other.video.path.parent == video.path.parent for other in self.segments) == 1
        path = find_masks(video.path, alone)
        return MaskFiles(path, video.id, video.frames, self.frame_size(index), self.frames_of(index))


def find_masks(video: Path, alone: bool) -> Path:
    """Where the masks of a video or frame folder lie: beside it, as ``<name>_masks`` or ``<name>_mask``.

    Each may be a folder, a zip, an image for all frames or a video. Where the video is the only one in its folder,
    ``masks`` or ``mask`` beside it will do.

    Raises:
        DataError: there are none.
    """
    stem = video.stem if video.is_file() else video.name
    names = [f"{stem}_masks", f"{stem}_mask", *(("masks", "mask") if alone else ())]
    for name in names:
        for suffix in ("", ".zip", *sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES)):
            path = video.parent / f"{name}{suffix}"
            if path.exists():
                return path
    raise DataError(
        f"there are no masks for the video {str(video)!r}: expected {' or '.join(names)} beside it (a folder, a zip, "
        "an image or a video), or data.masks=stationary_free_form for drawn ones"
    )
