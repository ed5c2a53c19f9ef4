"""Procedural videos with holes to fill."""

from __future__ import annotations

from typing import Any

from ..base import EvaluationDataset, EvaluationVideo
from ..masked_evaluation import MaskedEvaluation, VideoSet
from .evaluation import ScenesEvaluation


class SceneVideos(VideoSet):
    """The videos of a versioned set with all their objects; arguments and errors as :class:`ScenesEvaluation`."""

    def __init__(self, version: str = "scenes_eval_v1", videos: int | None = None) -> None:
        self._scenes = ScenesEvaluation(version, "interpolation", videos)
        self.name = version

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> EvaluationVideo:
        return self._scenes[index]

    def video_id(self, index: int) -> str:
        """``scene_00``, ``scene_01``, ..."""
        return f"scene_{index:02d}"

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        return self._scenes.version.settings.frames

    def frame_size(self, index: int) -> tuple[int, int]:
        """Height and width of every video."""
        settings = self._scenes.version.settings
        return settings.height, settings.width

    def describe(self) -> dict[str, Any]:
        """The set's manifest."""
        return self._scenes.describe() | {"task": "inpainting"}


class SceneRemoval(ScenesEvaluation):
    """The nearest object of every video is the hole, and the scene without it the truth: an object removal with truth.

    ``frames`` are without the object; ``truth["mask"]`` ``(T, 1, H, W)``, 1 = hole. Arguments and errors as
    :class:`ScenesEvaluation`.
    """

    def __init__(self, version: str = "scenes_eval_v1", videos: int | None = None) -> None:
        super().__init__(version, "inpainting", videos)

    def __getitem__(self, index: int) -> EvaluationVideo:
        video = super().__getitem__(index)
        return EvaluationVideo(video.id, video.truth["target"], {"mask": video.truth["mask"]})

    def frame_count(self, index: int) -> int:
        """Number of frames of every video."""
        return self.version.settings.frames

    def describe(self) -> dict[str, Any]:
        """The set's manifest."""
        return super().describe() | {"masks": {"kind": "object"}}


def masked_scenes(
    version: str = "scenes_eval_v1",
    kind: str = "stationary_free_form",
    seed: int = 0,
    dilation: int = 4,
    videos: int | None = None,
) -> EvaluationDataset:
    """A versioned set of procedural videos with holes; ``kind=object``: :class:`SceneRemoval`, whose masks are exact.

    Raises:
        ConfigError: unknown version or kind of masks, or more videos than the set has.
    """
    if kind == "object":
        return SceneRemoval(version, videos)
    return MaskedEvaluation(SceneVideos(version, videos), kind, seed, dilation)
