"""Style transfer between two folders of videos that have nothing to do with each other: clips to train on, and videos
with references to evaluate on."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..core.errors import ConfigError
from .base import EvaluationDataset, EvaluationVideo, TrainingDataset
from .folder import luma_jump
from .folder_clips import FolderClipsEvaluation
from .folder_index import DEFAULT_EXCLUDE, FolderIndex, Segment, Split
from .frame_store import resize_frames
from .readers import ReaderCache
from .transforms import TripletTransform, images_to_tensor

_CUT_ATTEMPTS = 8

OnError = Literal["raise", "skip"]


class _Clips:
    """Consecutive frames, ``step`` apart, of all videos of a split."""

    def __init__(
        self, root: str | os.PathLike[str] | None, split: Split, frames: int, step: int, index: dict[str, Any]
    ) -> None:
        self.index = FolderIndex(root, **index)
        self.frames, self.step = frames, step
        self._reach = (frames - 1) * step
        self._segments = self.index.segments(split, shortest=self._reach + 1)
        self._ends = list(accumulate(len(segment) - self._reach for segment in self._segments))
        self._readers = ReaderCache()

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int, rng: np.random.Generator, scene_cut: float | None) -> tuple[npt.NDArray[np.uint8], str]:
        """Clip ``index``, or with a cut in it another one of the same video; and where it comes from."""
        which = bisect_right(self._ends, index)
        segment = self._segments[which]
        start = segment.start + index - (self._ends[which - 1] if which else 0)
        images = self._get(segment, start)
        jump = luma_jump(images) if scene_cut is not None and self.frames > 1 else 0.0
        for _ in range(_CUT_ATTEMPTS):
            if scene_cut is None or jump <= scene_cut:
                break
            other = self._get(segment, segment.start + int(rng.integers(len(segment) - self._reach)))
            if luma_jump(other) < jump:
                images, jump = other, luma_jump(other)
        return images, str(segment.video.path)

    def _get(self, segment: Segment, start: int) -> npt.NDArray[np.uint8]:
        numbers = range(start, start + self._reach + 1, self.step)
        return np.stack(list(self._readers.get(segment.video.path).get(list(numbers))))


class UnpairedClips(TrainingDataset):
    """A clip of the content folder beside a random clip of the style folder, each with one crop for all its frames.

    Args:
        content, style: folders of videos and frame folders, see
            :class:`~framewright.datamodules.folder_index.FolderIndex`.
        split: of both.
        frames: of a clip; Recycle-GAN learns from 3.
        step: every how many frames of a video one is used.
        size: height and width to which whole frames are resized before the crop, whatever their aspect ratio (286 in
            the official scripts of Recycle-GAN); None: as they are.
        transform: crop and augmentation, drawn for each of the two clips.
        scene_cut: clips with a larger change of brightness are avoided, see
            :class:`~framewright.datamodules.folder.FolderTriplets`; None: not looked at.
        exclude, on_error: see :class:`~framewright.datamodules.folder_index.FolderIndex`.

    Raises:
        DataError: no such folder, or nothing usable in the split.
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        content: str | os.PathLike[str] | None,
        style: str | os.PathLike[str] | None,
        split: Split = "train",
        frames: int = 3,
        step: int = 1,
        size: tuple[int, int] | None = None,
        transform: TripletTransform | None = None,
        scene_cut: float | None = None,
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        on_error: OnError = "raise",
    ) -> None:
        if frames < 1 or step < 1:
            raise ConfigError(f"data=style_folders: frames={frames} and step={step} must be at least 1")
        index = {"exclude": exclude, "on_error": on_error}
        self.content = _Clips(content, split, frames, step, index)
        self.style = _Clips(style, split, frames, step, index)
        self.split, self.size, self.scene_cut = split, size, scene_cut
        self.transform = TripletTransform.none(256) if transform is None else transform

    def __len__(self) -> int:
        """Number of clips of the content folder."""
        return len(self.content)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """``a``, clip ``index`` of the content, and ``b``, any clip of the style: ``(T, 3, h, w)``.

        Raises:
            DataError: a video cannot be read (named in the message).
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        places = {"a": (self.content, index), "b": (self.style, int(rng.integers(len(self.style))))}
        sample = {}
        for name, (clips, place) in places.items():
            images, source = clips.read(place, rng, self.scene_cut)
            block, _ = self.transform.augment(resize_frames(list(images), self.size), rng, source)
            sample[name] = images_to_tensor(block)
        return sample

    def describe(self) -> dict[str, Any]:
        """The manifests of both folders and the settings."""
        return {
            "dataset": "style_folders",
            "content": self.content.index.describe(),
            "style": self.style.index.describe(),
            "split": self.split,
            "frames": self.content.frames,
            "step": self.content.step,
            "size": None if self.size is None else list(self.size),
            "scene_cut": self.scene_cut,
            "transform": self.transform.describe(),
        }


class ReferencedVideos(EvaluationDataset):
    """Whole videos of the content folder, each with a clip of the style folder as its reference.

    ``truth["reference"]`` is ``(S, 3, h, w)``, of the style video's own size and length; content videos get the style
    videos in turn.

    Args:
        content, style: see :class:`UnpairedClips`.
        split: of both.
        max_frames: at most so many frames of a video.
        max_size: longer side to which larger frames are shrunk, of videos and references.
        reference_frames: at most so many frames of a reference.
        videos: at most so many videos.
        exclude, on_error: see :class:`UnpairedClips`.

    Raises:
        DataError: no such folder, or nothing usable in the split.
    """

    def __init__(
        self,
        content: str | os.PathLike[str] | None,
        style: str | os.PathLike[str] | None,
        split: Split = "val",
        max_frames: int | None = 65,
        max_size: int | None = None,
        reference_frames: int = 3,
        videos: int | None = None,
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        on_error: OnError = "raise",
    ) -> None:
        index: dict[str, Any] = {"max_size": max_size, "exclude": exclude, "on_error": on_error}
        self.content = FolderClipsEvaluation(content, split, max_frames, max_videos=videos, **index)
        self.style = FolderClipsEvaluation(style, split, max(3, reference_frames), **index)
        self.reference_frames = reference_frames
        self.name = f"{self.content.name}_as_{self.style.name}"

    def __len__(self) -> int:
        """Number of content videos."""
        return len(self.content)

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Video ``index`` with its reference; raises ``DataError`` where one cannot be read."""
        video = self.content[index]
        reference = self.style[index % len(self.style)].frames[: self.reference_frames]
        return EvaluationVideo(video.id, video.frames, {"reference": reference})

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        return self.content.frame_count(index)

    def describe(self) -> dict[str, Any]:
        """The manifests of both folders and the settings."""
        return {
            "dataset": "style_folders",
            "content": self.content.describe(),
            "style": self.style.describe(),
            "reference_frames": self.reference_frames,
        }
