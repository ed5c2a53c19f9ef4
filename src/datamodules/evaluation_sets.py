"""What a benchmark may name as ``data``: each section builds one evaluation set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ..core.config import check_known, parse_section
from .base import EvaluationDataset
from .flow_evaluation_sets import FLOW_EVALUATION_SETS
from .inpainting_evaluation_sets import INPAINTING_EVALUATION_SETS, MaskedSection
from .label_sources import LABEL_EVALUATION_SETS
from .sections import EvaluationSection, Positive
from .sr_evaluation_sets import SR_EVALUATION_SETS
from .style_evaluation_sets import STYLE_EVALUATION_SETS, ReferenceSection

__all__ = ["EVALUATION_SETS", "EvaluationSection", "create_evaluation_set"]


class ScenesEvaluationSection(MaskedSection):
    """A versioned set of procedural videos; ``masks=object``: the nearest object is to be removed; ``appearances``: for
    style transfer, those of the references, null: all."""

    version: str = "scenes_eval_v1"
    appearances: list[str] | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The set with the truth of ``task``."""
        from .scenes import ScenesEvaluation

        if task == "inpainting":
            from .scenes.inpainting import masked_scenes

            return masked_scenes(self.version, self.masks, self.mask_seed, self.dilation, self.videos)
        return ScenesEvaluation(self.version, task=task, videos=self.videos, appearances=self.appearances)


class FolderEvaluationSection(MaskedSection, ReferenceSection):
    """Any folder of videos and frame folders; ``split`` as in training with ``data=folder``.

    ``masks=files``: those that lie beside each video, see :func:`~framewright.datamodules.folder_clips.find_masks`.
    ``reference``: for style transfer, an image or video that all videos are to look like.
    """

    root: str | None = None
    split: Literal["train", "val", "test", "all"] = "all"
    max_frames: Annotated[int, Field(ge=3)] | None = 65
    max_size: Positive | None = None
    step: Positive = 1
    exclude: list[str] | None = None
    on_error: Literal["raise", "skip"] = "raise"

    def build(self, task: str) -> EvaluationDataset:
        """The videos of the split."""
        from .folder import FolderEvaluation
        from .folder_clips import FolderClipsEvaluation

        excluded: dict[str, Any] = {} if self.exclude is None else {"exclude": self.exclude}
        kind = FolderClipsEvaluation if task in ("inpainting", "style") else FolderEvaluation
        videos = kind(
            self.root,
            self.split,
            self.max_frames,
            self.max_size,
            self.step,
            self.videos,
            on_error=self.on_error,
            **excluded,
        )
        if isinstance(videos, FolderClipsEvaluation) and task == "inpainting":
            return self.with_masks(videos)
        return self.with_reference(videos, task)


class FolderPairsSection(EvaluationSection):
    """Folders of ground truth and masks, for results that lie in folders too."""

    gt: str | None = None
    masks: str | None = None
    flows: str | None = None
    hole: Literal["auto", "white", "black"] = "auto"
    max_frames: Positive | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The videos of the folder."""
        from .folder_pairs import FolderPairs

        return FolderPairs(self.gt, self.masks, self.flows, self.hole, self.max_frames, self.videos)


class Vimeo90KEvaluationSection(EvaluationSection):
    """The published test list (or the last 5 % of the training list, ``val``) of Vimeo90K."""

    root: str | None = None
    split: Literal["test", "val"] = "test"
    check_size: bool = True

    def build(self, task: str) -> EvaluationDataset:
        """Triplets or septuplets, by the section's name."""
        from . import vimeo90k

        triplet = self.name == "vimeo90k_triplet"
        kind = vimeo90k.Vimeo90KTripletEvaluation if triplet else vimeo90k.Vimeo90KSeptupletEvaluation
        return kind(self.root, self.split, self.videos, check_size=self.check_size)


class UCF101Section(EvaluationSection):
    """The 379 triplets of UCF101."""

    root: str | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The triplets."""
        from .interpolation_sets import UCF101Evaluation

        return UCF101Evaluation(self.root, self.videos)


class MiddleburyOtherSection(EvaluationSection):
    """The 12 triplets of Middlebury OTHER."""

    root: str | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The triplets."""
        from .interpolation_sets import MiddleburyOtherEvaluation

        return MiddleburyOtherEvaluation(self.root, self.videos)


class SNUFilmSection(EvaluationSection):
    """One of the four splits of SNU-FILM."""

    root: str | None = None
    split: Literal["easy", "medium", "hard", "extreme"] = "easy"

    def build(self, task: str) -> EvaluationDataset:
        """The triplets of the split."""
        from .interpolation_sets import SNUFilmEvaluation

        return SNUFilmEvaluation(self.root, self.split, self.videos)


class HDSection(EvaluationSection):
    """The raw clips of the HD benchmark; ``resolution`` null: all three resolutions."""

    root: str | None = None
    resolution: Literal["544p", "720p", "1080p"] | None = None
    frames: Annotated[int, Field(ge=3)] = 101

    def build(self, task: str) -> EvaluationDataset:
        """The clips."""
        from .interpolation_sets import HDEvaluation

        return HDEvaluation(self.root, self.resolution, self.frames, self.videos)


class XTestSection(EvaluationSection):
    """X-TEST of X4K1000FPS; the protocol's stride must be ``multiple``."""

    root: str | None = None
    multiple: Literal[2, 4, 8, 16, 32] = 8
    size: Literal["4k", "2k"] = "4k"
    check_size: bool = True

    def build(self, task: str) -> EvaluationDataset:
        """The clips."""
        from .interpolation_sets import XTestEvaluation

        return XTestEvaluation(self.root, self.multiple, self.size, self.check_size, self.videos)


class ShakyVideosSection(EvaluationSection):
    """``nus``: the clips of the NUS set by category; ``shaky_videos``: any folder of videos."""

    root: str | None = None
    category: str | None = None
    max_frames: Annotated[int, Field(ge=2)] | None = None
    max_size: Positive | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The videos, by the section's name."""
        from .shaky_videos import NUS_CATEGORIES, ShakyVideos

        categories = NUS_CATEGORIES if self.name == "nus" else ()
        return ShakyVideos(self.root, self.name, categories, self.category, self.max_frames, self.max_size, self.videos)


EVALUATION_SETS: dict[str, type[EvaluationSection]] = {
    "scenes": ScenesEvaluationSection,
    "folder": FolderEvaluationSection,
    "folders": FolderPairsSection,
    "vimeo90k_triplet": Vimeo90KEvaluationSection,
    "vimeo90k_septuplet": Vimeo90KEvaluationSection,
    "ucf101": UCF101Section,
    "middlebury_other": MiddleburyOtherSection,
    "snu_film": SNUFilmSection,
    "hd": HDSection,
    "x_test": XTestSection,
    "nus": ShakyVideosSection,
    "shaky_videos": ShakyVideosSection,
    **FLOW_EVALUATION_SETS,
    **INPAINTING_EVALUATION_SETS,
    **SR_EVALUATION_SETS,
    **LABEL_EVALUATION_SETS,
    **STYLE_EVALUATION_SETS,
}


def create_evaluation_set(values: Mapping[str, Any], task: str) -> EvaluationDataset:
    """Build the evaluation set of a benchmark's ``data`` section.

    Raises:
        ConfigError: unknown set or key, value out of range.
        DataError: no root, or the layout below it is not the expected one.
    """
    name = str(values.get("name", ""))
    check_known(name, EVALUATION_SETS, "evaluation set")
    return parse_section(EVALUATION_SETS[name], values, "data").build(task)
