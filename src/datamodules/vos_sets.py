"""Training clips with masks, and videos to evaluate inpainting on, from DAVIS and YouTube-VOS."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..core.files import sha256_file, sha256_json
from ..video.discover import IMAGE_SUFFIXES
from .base import EvaluationVideo, TrainingDataset
from .clips import ClipSection
from .folder_index import name_fraction
from .frame_store import FrameStore, resize_frames
from .layout import require_root
from .masked_evaluation import VideoSet
from .masks.base import MaskVideo
from .masks.stored import MaskFiles, ObjectMasks
from .masks.training import Kind, TrainingMasks, draw_masks, mask_stack
from .transforms import images_to_tensor
from .vos_layouts import VosSet, VosVideo

_log = logging.getLogger(__name__)

TABLE_SIZE = (240, 432)


def hold_out(videos: Sequence[VosVideo], count: int) -> tuple[list[VosVideo], list[VosVideo]]:
    """Part videos into those that train and ``count`` that validate, chosen by the hash of their names.

    Raises:
        ConfigError: fewer videos than that, or none left to train on.
    """
    if not 0 <= count < len(videos):
        raise ConfigError(
            f"data.held_out={count}: expected from 0 to {len(videos) - 1}, there are {len(videos)} videos"
        )
    held = {video.id for video in sorted(videos, key=lambda video: name_fraction(video.id))[:count]}
    return [v for v in videos if v.id not in held], [v for v in videos if v.id in held]


class VosClips(TrainingDataset):
    """Clips of annotated videos with random masks, as STTN and its successors train on them.

    Frames are resized, then mirrored with probability ``horizontal_flip``; masks are drawn for the whole video, of
    which the clip's frames see theirs, and are not mirrored.

    Args:
        data: which set.
        videos: those to use; shorter ones than a clip are left out (logged, in the manifest).
        clip: which frames.
        masks: which masks; ``object`` needs videos with annotations.
        size: height and width of the samples.
        resample: filter of Pillow; the official programs: ``bicubic``.
        horizontal_flip: probability.

    Raises:
        DataError: no video is long enough, or none has annotations where masks need them.
    """

    def __init__(
        self,
        data: VosSet,
        videos: Sequence[VosVideo],
        clip: ClipSection,
        masks: TrainingMasks,
        size: tuple[int, int] = TABLE_SIZE,
        resample: str = "bicubic",
        horizontal_flip: float = 0.5,
    ) -> None:
        self.data, self.clip, self.masks = data, clip, masks
        self.size, self.resample, self.horizontal_flip = size, resample, horizontal_flip
        lengths = {video.id: video.listed or len(FrameStore(video.frames)) for video in videos}
        self.videos = [video for video in videos if lengths[video.id] >= clip.total]
        self.too_short = [video.id for video in videos if lengths[video.id] < clip.total]
        self.frames = sum(lengths[video.id] for video in self.videos)
        if not self.videos:
            raise DataError(f"{data.title}: none of the {len(videos)} videos has the {clip.total} frames of a clip")
        if self.too_short:
            _log.warning("%s: left out %d videos of fewer than %d frames", data.title, len(self.too_short), clip.total)
        self._annotated = [video for video in self.videos if video.annotations is not None]
        if "object" in masks.kinds and not self._annotated:
            raise DataError(
                f"{data.title}: data.masks asks for annotated objects, but no video has a folder of annotations; "
                "expected Annotations beside JPEGImages"
            )

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A clip of video ``index``: ``target`` (T, 3, H, W) and ``mask`` (T, 1, H, W), 1 = hole.

        Raises:
            DataError: frames or annotations cannot be read (named in the message).
        """
        video = self.videos[index]
        store = FrameStore(video.frames)
        length = len(store)
        if length < self.clip.total:
            raise DataError(
                f"{self.data.title}: {str(video.frames)!r} has {length} frames, the list says {video.listed} and a "
                f"clip needs {self.clip.total}"
            )
        numbers = self.clip.choose(rng, length)
        frames = np.stack(resize_frames(list(store.read_array(numbers)), self.size, self.resample))
        if rng.random() < self.horizontal_flip:
            frames = frames[:, :, ::-1]
        masks = self._masks(self.masks.choose(rng), video, length, rng)
        return {"target": images_to_tensor(frames), "mask": torch.from_numpy(mask_stack(masks, numbers))}

    def _masks(self, kind: Kind, video: VosVideo, length: int, rng: np.random.Generator) -> MaskVideo:
        if kind != "object":
            return draw_masks(kind, rng, length, self.size, self.masks.moving)
        own = rng.random() < self.masks.own and video.annotations is not None
        others = [other for other in self._annotated if other.id != video.id] or self._annotated
        chosen = video if own else others[int(rng.integers(len(others)))]
        assert chosen.annotations is not None
        masks = ObjectMasks(FrameStore(chosen.annotations), length, self.size, self.masks.grow)
        if not own:
            masks.start = int(rng.integers(masks.length))
        return masks

    def describe(self) -> dict[str, Any]:
        """The number of videos, a hash of their names, and the settings."""
        return {
            "dataset": self.data.title,
            "videos": len(self.videos),
            "frames": self.frames,
            "ids_sha256": sha256_json([video.id for video in self.videos]),
            "too_short": self.too_short,
            "clip": self.clip.model_dump(mode="json"),
            "masks": self.masks.describe(),
            "size": list(self.size),
            "resample": self.resample,
            "horizontal_flip": self.horizontal_flip,
        }


class VosVideos(VideoSet):
    """Whole videos of DAVIS or YouTube-VOS at the size of the published tables.

    Args:
        data: which set.
        name: of the set in results.
        videos: those to use.
        size: height and width to which frames are resized; None: as they are.
        resample: filter of Pillow; the official programs: ``bicubic``.
        max_frames: at most so many of each video, from the first; None: all.
        published: numbers of videos and frames in the published tables; None: unknown.
        limit: use so many videos only, spread evenly.
        masks_root: folder of the masks of ``files``: ``<video>/00000.png``, ..., ``<video>.zip`` or ``<video>.png``.
        sources: the list files, for the manifest.

    Raises:
        ConfigError: an option is out of range.
        DataError: no video.
    """

    given = ("files", "object", "own_object")

    def __init__(
        self,
        data: VosSet,
        name: str,
        videos: Sequence[VosVideo],
        size: tuple[int, int] | None = TABLE_SIZE,
        resample: str = "bicubic",
        max_frames: int | None = None,
        published: tuple[int, int] | None = None,
        limit: int | None = None,
        masks_root: str | None = None,
        sources: Sequence[Path] = (),
    ) -> None:
        if not videos:
            raise DataError(f"{data.title}: there is no video to evaluate on")
        total = len(videos)
        # of the whole list, so that a part of it has the same masks
        self._next = {video.id: videos[(index + 1) % total] for index, video in enumerate(videos)}
        if limit is not None and limit < total:
            videos = [videos[index * total // limit] for index in range(limit)]
        self.data, self.name, self.videos = data, name, list(videos)
        self.size, self.resample, self.max_frames = size, resample, max_frames
        self.masks_root, self.sources = masks_root, list(sources)
        self._stores = [FrameStore(video.frames) for video in self.videos]
        self._check_counts(published, whole=len(videos) == total)

    def _check_counts(self, published: tuple[int, int] | None, whole: bool) -> None:
        """Compare with the list and with the published numbers; say where they differ."""
        counts = [len(store) for store in self._stores]
        unlike = [
            f"{video.id}: {count} frames, listed {video.listed}"
            for video, count in zip(self.videos, counts, strict=True)
            if video.listed not in (None, count)
        ]
        if unlike:
            _log.warning("%s: %d videos differ from the list; %s", self.data.title, len(unlike), unlike[0])
        found = (len(counts), sum(counts))
        if whole and published is not None and found != published:
            _log.warning(
                "%s: %d videos with %d frames; the published tables have %d with %d", self.name, *found, *published
            )
        usual = self.size == TABLE_SIZE and self.resample == "bicubic" and self.max_frames is None
        self.complete = whole and usual and found == published

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def video_id(self, index: int) -> str:
        """The name of video ``index``."""
        return self.videos[index].id

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index`` that are used."""
        count = len(self._stores[index])
        return count if self.max_frames is None else min(count, self.max_frames)

    def frame_size(self, index: int) -> tuple[int, int]:
        """Height and width of video ``index``."""
        if self.size is not None:
            return self.size
        height, width = self._stores[index].read([0])[0].shape[:2]
        return height, width

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Video ``index``; raises ``DataError`` naming an image that cannot be read."""
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        frames = self._stores[index].read_array(range(self.frame_count(index)))
        resized = resize_frames(list(frames), self.size, self.resample)
        return EvaluationVideo(self.video_id(index), images_to_tensor(np.stack(resized)))

    def given_masks(self, index: int, kind: str) -> MaskVideo:
        """``files`` of ``masks_root``; ``own_object``: the video's own annotation; ``object``: the next video's."""
        video, size, frames = self.videos[index], self.frame_size(index), self.frame_count(index)
        if kind == "files":
            path = self._mask_path(video.id)
            return MaskFiles(path, video.id, len(self._stores[index]), size, range(frames), any_aspect=True)
        chosen = video if kind == "own_object" else self._next[video.id]
        if chosen.annotations is None:
            raise DataError(
                f"{self.data.title}: the video {chosen.id!r} has no annotations for data.masks={kind}; expected them "
                f"in {' or '.join(self.data.annotations)}"
            )
        return ObjectMasks(FrameStore(chosen.annotations), frames, size, grow=0)

    @cached_property
    def _mask_folder(self) -> Path:
        wanted = "the folder with the masks of every video: <video>/00000.png, ..., <video>.zip or <video>.png"
        return require_root(self.masks_root, f"{self.data.title} with data.masks=files", wanted, "data.masks_root")

    def _mask_path(self, name: str) -> Path:
        base = self._mask_folder / name
        for path in (base, *(base.with_name(name + suffix) for suffix in (".zip", *sorted(IMAGE_SUFFIXES)))):
            if path.exists():
                return path
        raise DataError(
            f"{self.data.title}: there are no masks for the video {name!r}: expected {base}, {base}.zip or {base}.png"
        )

    def describe(self) -> dict[str, Any]:
        """Ids, frame counts, the lists' hashes, and a hash over names and sizes (in bytes) of all frames' files."""
        digest = hashlib.sha256()
        for video, store in zip(self.videos, self._stores, strict=True):
            paths = [video.frames] if store.zipped else [video.frames / name for name in store.names]
            for path in paths:
                digest.update(f"{video.id}/{path.name}\0{path.stat().st_size}\n".encode("utf-8", "backslashreplace"))
        return {
            "dataset": self.data.title,
            "name": self.name,
            "complete": self.complete,
            "size": None if self.size is None else list(self.size),
            "resample": self.resample,
            "videos": {self.video_id(index): self.frame_count(index) for index in range(len(self))},
            "lists": {path.name: sha256_file(path) for path in self.sources},
            "sha256": digest.hexdigest(),
            "hashed": "names",
        }
