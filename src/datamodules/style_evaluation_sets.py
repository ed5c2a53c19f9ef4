"""What a benchmark of video style transfer may name as ``data``, and videos that share one reference."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from ..core.errors import ConfigError
from ..video.reference import read_reference
from .base import EvaluationDataset, EvaluationVideo
from .sections import EvaluationSection, Positive


class WithReference(EvaluationDataset):
    """Videos that are all to look like one image or clip: ``truth["reference"]`` ``(S, 3, h, w)`` of its own size.

    Args:
        videos: the videos.
        reference: image, video or folder of frames, see :func:`framewright.video.reference.read_reference`.
        frames: at most so many of a clip.
        size: longer side to which larger references are shrunk.

    Raises:
        DataError, VideoError: the reference cannot be read.
    """

    def __init__(self, videos: EvaluationDataset, reference: str, frames: int = 8, size: int | None = 512) -> None:
        self.videos, self.path = videos, reference
        self.reference: Tensor = read_reference(reference, frames, size)
        self.name, self.complete = videos.name, videos.complete

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> EvaluationVideo:
        video = self.videos[index]
        return EvaluationVideo(video.id, video.frames, {**video.truth, "reference": self.reference})

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        return self.videos.frame_count(index)

    def describe(self) -> dict[str, Any]:
        """The videos' manifest, with the shape and the hash of the reference."""
        values = {
            "shape": list(self.reference.shape),
            "sha256": hashlib.sha256(self.reference.numpy().tobytes()).hexdigest(),
        }
        return {**self.videos.describe(), "reference": values}


class ReferenceSection(EvaluationSection):
    """Keys of sets that can be had with one reference for all videos.

    ``reference`` is an image, a video or a folder of frames; without it methods have to name theirs
    (``methods.x.inference.reference``), and networks with a style of their own have none to be compared with.
    """

    reference: str | None = None
    reference_frames: Positive = 8
    reference_size: Annotated[int, Field(ge=16)] | None = 512

    def with_reference(self, videos: EvaluationDataset, task: str) -> EvaluationDataset:
        """The videos with the reference where there is one.

        Raises:
            ConfigError: a reference for another task.
        """
        if self.reference is None:
            return videos
        if task != "style":
            raise ConfigError(f"data.reference belongs to style transfer, this benchmark is about {task}")
        return WithReference(videos, self.reference, self.reference_frames, self.reference_size)


class StyleFoldersEvaluationSection(EvaluationSection):
    """Two folders of videos: those of ``content`` are to look like those of ``style``, in turn."""

    content: str | None = None
    style: str | None = None
    split: Literal["train", "val", "test", "all"] = "all"
    max_frames: Annotated[int, Field(ge=3)] | None = 65
    max_size: Positive | None = None
    reference_frames: Positive = 3
    exclude: list[str] | None = None
    on_error: Literal["raise", "skip"] = "raise"

    def build(self, task: str) -> EvaluationDataset:
        """The content videos with references."""
        from .style_sets import ReferencedVideos

        if task != "style":
            raise ConfigError(f"data.name=style_folders is for style transfer, this benchmark is about {task}")
        excluded: dict[str, Any] = {} if self.exclude is None else {"exclude": self.exclude}
        return ReferencedVideos(
            self.content,
            self.style,
            self.split,
            self.max_frames,
            self.max_size,
            self.reference_frames,
            self.videos,
            on_error=self.on_error,
            **excluded,
        )


STYLE_EVALUATION_SETS: dict[str, type[EvaluationSection]] = {"style_folders": StyleFoldersEvaluationSection}
