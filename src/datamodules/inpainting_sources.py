"""What a configuration may name as ``data`` to train video inpainting, beside procedural scenes and folders."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ..core.errors import DataError
from .base import EvaluationDataset, TrainingDataset
from .clips import ClipSection
from .inpainting_evaluation_sets import Resample, Size
from .masks.training import TrainingMasks
from .sections import DataSection, DataSource, Positive, Probability

_log = logging.getLogger(__name__)


class VosSection(DataSection):
    """``data=youtube_vos`` and ``data=davis``.

    ``split``: the training list, or all videos that lie there; ``list_file``: a list of your own instead. ``size`` is
    ``[height, width]``, ``resample`` a filter of Pillow. ``held_out`` videos of the list (by the hash of their names)
    validate instead of training, with ``validation_frames`` frames each and drawn masks of seed 0; 0: all train, as in
    the published recipes, and nothing validates.
    """

    root: str | None = None
    split: Literal["train", "all"] = "train"
    list_file: str | None = None
    size: Size = [240, 432]
    resample: Resample = "bicubic"
    horizontal_flip: Probability = 0.5
    clip: ClipSection = ClipSection()
    masks: TrainingMasks = TrainingMasks()
    held_out: Annotated[int, Field(ge=0)] = 0
    validation_frames: Positive | None = 20


class VosSource(DataSource):
    """YouTube-VOS or DAVIS, by the section's name."""

    section_type = VosSection
    tasks = ("inpainting",)

    def __init__(self, section: VosSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section
        self._size = section.size[0], section.size[1]

    @cached_property
    def _parts(self) -> tuple[list[Any], list[Any]]:
        """Videos that train, and those that validate."""
        from .vos_layouts import VOS_SETS
        from .vos_sets import hold_out

        data, section = VOS_SETS[self.section.name], self.section
        root = data.find(section.root)
        videos, _ = data.videos(root, section.split, section.list_file)
        training, validation = hold_out(videos, section.held_out)
        self._report_overlap(root, {video.id for video in training})
        return training, validation

    def _report_overlap(self, root: Path, names: set[str]) -> None:
        from .vos_layouts import VOS_SETS

        data = VOS_SETS[self.section.name]
        try:
            tested = names & {video.id for video in data.videos(root, "test")[0]}
        except DataError:
            # no test videos here
            return
        if tested:
            _log.warning(
                "%s: %d of the %d training videos are test videos, such as %r: results on the test list mean nothing",
                data.title,
                len(tested),
                len(names),
                min(tested),
            )

    def training(self) -> TrainingDataset:
        from .vos_layouts import VOS_SETS
        from .vos_sets import VosClips

        section = self.section
        return VosClips(
            VOS_SETS[section.name],
            self._parts[0],
            section.clip,
            section.masks,
            self._size,
            section.resample,
            section.horizontal_flip,
        )

    def validation(self) -> EvaluationDataset | None:
        from .masked_evaluation import MaskedEvaluation
        from .vos_layouts import VOS_SETS
        from .vos_sets import VosVideos

        section = self.section
        if not self._parts[1]:
            return None
        name = f"{section.name}_held_out"
        videos = VosVideos(
            VOS_SETS[section.name], name, self._parts[1], self._size, section.resample, section.validation_frames
        )
        return MaskedEvaluation(videos)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        name = self.section.name.replace("_", "")
        return f"inpainting_{name}", {"root": self.section.root}


INPAINTING_SOURCES: dict[str, type[DataSource]] = {"youtube_vos": VosSource, "davis": VosSource}
