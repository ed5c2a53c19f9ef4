"""Any folder of videos and frame folders as a data set for frame interpolation.

Timesteps count frames, not seconds: a video of variable frame rate is taken as if its frames were evenly
spaced. How the folder is split is told in ``folder_index``.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..video import open_video
from .base import EvaluationDataset, EvaluationVideo, TrainingDataset
from .folder_index import DEFAULT_EXCLUDE, FolderIndex, Segment, Split
from .readers import ReaderCache
from .transforms import Image, TripletTransform, images_to_tensor, limit_size, resize_image

_CUT_ATTEMPTS = 8
_CHUNK = 16
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class FolderTriplets(TrainingDataset):
    """Training triplets from all videos of a split; a video counts by its number of triplets.

    With frame step ``s`` the inputs are the frames ``i`` and ``i + 2 s``. The target is the frame in the
    middle (``timestep="middle"``, t = 1/2), or any frame between them (``"any"``, ``t = (j - i) / (2 s)``).
    An item is a start ``i`` at which the smallest step fits; the step is drawn from those that fit.

    Scene cuts: with ``scene_cut`` set, a triplet is refused when the mean absolute difference of luma
    (BT.601, in [0, 1], every 4th pixel) between two neighbouring frames of the three exceeds it; 0.15 to
    0.25 finds hard cuts and spares fast motion. Another start in the same video is drawn, at most 8 times,
    after which the calmest triplet seen is used.

    Args:
        root: see :class:`FolderIndex`.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        transform: augmentation; RIFE's by default.
        steps: frame steps to draw from.
        timestep: ``"middle"`` or ``"any"``.
        scene_cut: threshold in (0, 1], or ``None`` to take every triplet.
        exclude: see :class:`FolderIndex`.
        on_error: what to do about videos that cannot be opened, see :class:`FolderIndex`.
        open_readers: videos kept open by each loader worker.

    Raises:
        DataError: no such root, or nothing usable in the split.
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        split: Split = "train",
        transform: TripletTransform | None = None,
        steps: Sequence[int] = (1,),
        timestep: Literal["middle", "any"] = "middle",
        scene_cut: float | None = None,
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        on_error: Literal["raise", "skip"] = "raise",
        open_readers: int = 4,
    ) -> None:
        self.steps = tuple(sorted({int(step) for step in steps}))
        if not self.steps or self.steps[0] < 1:
            raise ConfigError(f"data=folder: steps={list(steps)} must be one or more whole numbers from 1")
        if timestep not in ("middle", "any"):
            raise ConfigError(f"data=folder: timestep={timestep!r}, expected 'middle' or 'any'")
        if scene_cut is not None and not 0.0 < scene_cut <= 1.0:
            raise ConfigError(f"data=folder: scene_cut={scene_cut} must lie in (0, 1], or be null")
        self.transform = TripletTransform() if transform is None else transform
        self.split = split
        self.timestep = timestep
        self.scene_cut = scene_cut
        self.index = FolderIndex(root, exclude, on_error)
        self._span = 2 * self.steps[0]
        self.segments = self.index.segments(split, shortest=self._span + 1)
        self._ends = list(accumulate(len(segment) - self._span for segment in self.segments))
        self._readers = ReaderCache(open_readers)

    def __len__(self) -> int:
        """Number of triplets of the smallest frame step."""
        return self._ends[-1]

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Triplet ``index``: ``image0``, ``target``, ``image1`` ``(3, h, w)`` and ``timestep`` ``()``.

        Raises:
            DataError: the video cannot be read (named in the message).
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        which = bisect_right(self._ends, index)
        segment = self.segments[which]
        start = segment.start + index - (self._ends[which - 1] if which else 0)
        images, timestep = self._read(segment, start, rng)
        if self.scene_cut is not None:
            images, timestep = self._avoid_cut(segment, images, timestep, rng)
        return self.transform(images, timestep, rng, str(segment.video.path))

    def describe(self) -> dict[str, Any]:
        """The folder's manifest and the settings, with the names of videos that the crop enlarges."""
        return {
            **self.index.describe(),
            "split": self.split,
            "triplets": len(self),
            "steps": list(self.steps),
            "timestep": self.timestep,
            "scene_cut": self.scene_cut,
            "transform": self.transform.describe(),
            "upscaled_to_crop": [
                segment.video.name
                for segment in self.segments
                if self.transform.enlarges(segment.video.height, segment.video.width)
            ],
        }

    def _read(self, segment: Segment, start: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], float]:
        fitting = [step for step in self.steps if start + 2 * step < segment.stop]
        span = 2 * fitting[int(rng.integers(len(fitting)))]
        offset = int(rng.integers(1, span)) if self.timestep == "any" else span // 2
        reader = self._readers.get(segment.video.path)
        return reader.get([start, start + offset, start + span]), offset / span

    def _avoid_cut(
        self, segment: Segment, images: npt.NDArray[np.uint8], timestep: float, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], float]:
        assert self.scene_cut is not None
        calmest, best = (images, timestep), luma_jump(images)
        for _ in range(_CUT_ATTEMPTS):
            if best <= self.scene_cut:
                break
            start = segment.start + int(rng.integers(len(segment) - self._span))
            candidate = self._read(segment, start, rng)
            jump = luma_jump(candidate[0])
            if jump < best:
                calmest, best = candidate, jump
        return calmest


def luma_jump(images: npt.NDArray[np.uint8]) -> float:
    """Largest mean absolute luma difference in [0, 1] of neighbours in ``(N, H, W, 3)`` uint8 frames."""
    luma = images[:, ::4, ::4].astype(np.float32) @ _LUMA / np.float32(255.0)
    return float(np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)).max())


class FolderEvaluation(EvaluationDataset):
    """Whole videos of a split: even frames are inputs, odd frames targets; their number is always odd.

    A video's id is its path relative to the root without the suffix.

    Args:
        root: see :class:`FolderIndex`.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        max_frames: at most so many frames from the start of each video's part in the split; ``None`` loads
            all (a minute of 1080p at 30 Hz takes 45 GB).
        max_size: longer side in pixels to which larger videos are shrunk (area average); ``None`` keeps all.
        step: every how many frames one is used.
        max_videos: use so many videos only, spread evenly over the sorted names.
        exclude: see :class:`FolderIndex`.
        on_error: what to do about videos that cannot be opened, see :class:`FolderIndex`.

    Raises:
        DataError: no such root, or nothing usable in the split.
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        split: Split = "val",
        max_frames: int | None = 65,
        max_size: int | None = None,
        step: int = 1,
        max_videos: int | None = None,
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        for option, value, lowest in (
            ("max_frames", max_frames, 3),
            ("max_size", max_size, 1),
            ("step", step, 1),
            ("max_videos", max_videos, 1),
        ):
            if value is not None and value < lowest:
                raise ConfigError(f"data=folder: {option}={value} must be at least {lowest}")
        self.split = split
        self.max_frames = max_frames
        self.max_size = max_size
        self.step = step
        self.index = FolderIndex(root, exclude, on_error)
        self.name = f"{Path(self.index.root).name}_{split}"
        segments = self.index.segments(split, shortest=self.shortest(step))
        if max_videos is not None and max_videos < len(segments):
            segments = [segments[i * len(segments) // max_videos] for i in range(max_videos)]
        self.segments = segments

    @staticmethod
    def shortest(step: int) -> int:
        """Frames that a video needs at least: two inputs and a target."""
        return 2 * step + 1

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.segments)

    def frames_of(self, index: int) -> range:
        """The frame numbers of video ``index`` that are used, odd in number."""
        segment = self.segments[index]
        frames = range(segment.start, segment.stop, self.step)
        if self.max_frames is not None:
            frames = frames[: self.max_frames]
        return frames[: len(frames) - 1 + len(frames) % 2]

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Video ``index``, frames ``(T, 3, H, W)``; raises ``DataError`` where it cannot be read."""
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        video = self.segments[index].video
        frames = self.frames_of(index)
        images: list[Image] = []
        with open_video(video.path, access="stream") as reader:
            for first in range(0, len(frames), _CHUNK):
                chunk = reader.get(list(frames[first : first + _CHUNK]))
                size = limit_size(chunk.shape[1], chunk.shape[2], self.max_size)
                images.extend(resize_image(image, *size) for image in chunk)
        if len({image.shape for image in images}) != 1:
            raise DataError(f"the frames of {str(video.path)!r} differ in size")
        return EvaluationVideo(video.id, images_to_tensor(np.stack(images)))

    def describe(self) -> dict[str, Any]:
        """The folder's manifest, the settings and the frames used of each video."""
        used = {}
        for index, segment in enumerate(self.segments):
            frames = self.frames_of(index)
            used[segment.video.id] = {"first": frames[0], "last": frames[-1], "frames": len(frames)}
        return {
            **self.index.describe(),
            "split": self.split,
            "max_frames": self.max_frames,
            "max_size": self.max_size,
            "step": self.step,
            "used": used,
        }
