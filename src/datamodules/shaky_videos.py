"""Shaky videos to stabilise: the NUS set in its published layout, or any folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ConfigError, DataError, nearest
from ..core.files import sha256_file
from ..video import open_video
from ..video.discover import find_videos, is_video_file
from .base import EvaluationDataset, EvaluationVideo
from .layout import first_entries, require_root
from .transforms import images_to_tensor, limit_size, resize_image

NUS_CATEGORIES = ("Regular", "QuickRotation", "Zooming", "Parallax", "Crowd", "Running")
"""The six folders of the set of Liu et al., Bundled Camera Paths for Video Stabilization, SIGGRAPH 2013."""

_CHUNK = 16


class ShakyVideos(EvaluationDataset):
    """Whole videos without ground truth; an id is the path below the root without the suffix.

    Args:
        root: folder of videos and frame folders. With categories, of one folder for each of them; case does not matter.
        name: of the set.
        categories: names of the folders that make up the set; empty: everything below the root.
        category: only one of them.
        max_frames: at most so many frames from the start of each video.
        max_size: longer side in pixels to which larger videos are shrunk.
        videos: use only so many videos from the start.

    Raises:
        ConfigError: an unknown category.
        DataError: no such root, or a folder is missing or holds no videos.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        name: str = "shaky_videos",
        categories: tuple[str, ...] = (),
        category: str | None = None,
        max_frames: int | None = None,
        max_size: int | None = None,
        videos: int | None = None,
    ) -> None:
        self.name, self.max_frames, self.max_size = name, max_frames, max_size
        if category is not None and category not in categories:
            known = ", ".join(categories) or "this set has none"
            raise ConfigError(f"data.category={category!r} is no category{nearest(category, categories)} ({known})")
        expected = f"the folders {', '.join(categories)}" if categories else "a folder of videos or frame folders"
        self.root = require_root(root, name, expected)
        wanted = categories if category is None else (category,)
        folders = [self._folder(each) for each in wanted] if categories else [self.root]
        self._videos = [video for folder in folders for video in self._found(folder)][:videos]
        # the published set is all six categories of whole videos
        self.complete = bool(categories) and category is None and videos is None and max_frames is None

    def _folder(self, category: str) -> Path:
        matches = [entry for entry in self.root.iterdir() if entry.name.lower() == category.lower() and entry.is_dir()]
        if not matches:
            raise DataError(
                f"{self.name}: {str(self.root)!r} has no folder {category!r}; it holds {first_entries(self.root)}. "
                "Set data.category to one that is there."
            )
        return matches[0]

    def _found(self, folder: Path) -> list[Path]:
        found = find_videos(folder)
        if not found:
            raise DataError(f"{self.name}: {str(folder)!r} holds no videos; it holds {first_entries(folder)}")
        return found

    def __len__(self) -> int:
        """Number of videos."""
        return len(self._videos)

    def _id(self, path: Path) -> str:
        relative = path.relative_to(self.root) if path != self.root else Path(path.name)
        return (relative.with_suffix("") if is_video_file(path) else relative).as_posix()

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Video ``index``; raises ``DataError`` where it cannot be read."""
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        path = self._videos[index]
        with open_video(path, access="stream") as reader:
            size, count = limit_size(*reader.size, self.max_size), self._count(len(reader))
            parts = []
            for first in range(0, count, _CHUNK):
                frames = reader.get(range(first, min(first + _CHUNK, count)))
                parts.append(np.stack([resize_image(frame, *size) for frame in frames]))
        return EvaluationVideo(self._id(path), images_to_tensor(np.concatenate(parts)))

    def _count(self, frames: int) -> int:
        return frames if self.max_frames is None else min(frames, self.max_frames)

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        with open_video(self._videos[index]) as reader:
            return self._count(len(reader))

    def describe(self) -> dict[str, Any]:
        """Ids, frame counts, hashes, and what is used of each video."""
        videos: dict[str, Any] = {}
        for index, path in enumerate(self._videos):
            videos[self._id(path)] = {"frames": self.frame_count(index)}
            if path.is_file():
                videos[self._id(path)]["sha256"] = sha256_file(path)
            else:
                videos[self._id(path)]["files"] = sorted(entry.name for entry in path.iterdir())
        return {"dataset": self.name, "max_frames": self.max_frames, "max_size": self.max_size, "videos": videos}
