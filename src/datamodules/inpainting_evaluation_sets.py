"""What a benchmark of video inpainting may name as ``data``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..core.errors import ConfigError
from .base import EvaluationDataset
from .masked_evaluation import MaskedEvaluation, MaskKind, VideoSet
from .sections import EvaluationSection, Positive

Size = Annotated[list[Positive], Field(min_length=2, max_length=2)]
Resample = Literal["bicubic", "bilinear", "lanczos", "nearest"]


class MaskedSection(EvaluationSection):
    """Keys of sets that can be had with holes.

    ``masks``: drawn from ``mask_seed``, or those of the set: ``files``, ``object``, ``own_object``. ``dilation``: steps
    of a 3x3 cross by which they grow; the official evaluation programs take 4. Only inpainting looks at these.
    """

    masks: MaskKind = "stationary_free_form"
    mask_seed: Annotated[int, Field(ge=0)] = 0
    dilation: Annotated[int, Field(ge=0)] = 4

    def with_masks(self, videos: VideoSet) -> MaskedEvaluation:
        """The videos with the masks that these keys describe."""
        return MaskedEvaluation(videos, self.masks, self.mask_seed, self.dilation)


class VosEvaluationSection(MaskedSection):
    """DAVIS or YouTube-VOS, by the section's name.

    ``split``: the published test list, the training list, or all videos that lie there; ``list_file``: a list of your
    own instead. ``size`` (null: as they are) and ``resample``, a filter of Pillow, are those of the published tables.
    ``masks_root`` holds the masks of ``masks=files``. ``masks=object``: the annotated object of another video;
    ``own_object``: the video's own, behind which the truth shows the object.
    """

    root: str | None = None
    split: Literal["test", "train", "all"] = "test"
    list_file: str | None = None
    size: Size | None = [240, 432]
    resample: Resample = "bicubic"
    max_frames: Positive | None = None
    masks_root: str | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The videos of the split with holes."""
        from .vos_layouts import VOS_SETS
        from .vos_sets import VosVideos

        if task != "inpainting":
            raise ConfigError(f"data.name={self.name} is a set for inpainting, not for the task {task!r}")
        if self.masks_root is not None and self.masks != "files":
            raise ConfigError(f"data.masks_root belongs to data.masks=files, but data.masks={self.masks}")
        data = VOS_SETS[self.name]
        root = data.find(self.root)
        videos, sources = data.videos(root, self.split, self.list_file)
        own = self.list_file is not None
        published = None if own else data.published.get(self.split)
        name = self.name + ("_list" if own else "" if self.split == "test" else f"_{self.split}")
        size = None if self.size is None else (self.size[0], self.size[1])
        return self.with_masks(
            VosVideos(
                data,
                name,
                videos,
                size,
                self.resample,
                self.max_frames,
                published,
                self.videos,
                self.masks_root,
                sources,
            )
        )


INPAINTING_EVALUATION_SETS: dict[str, type[EvaluationSection]] = {
    "davis": VosEvaluationSection,
    "youtube_vos": VosEvaluationSection,
}
