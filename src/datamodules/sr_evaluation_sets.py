"""What a benchmark of super-resolution may name as ``data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..core.errors import ConfigError
from .base import EvaluationDataset
from .layout import require_root
from .sections import EvaluationSection

Scale = Annotated[int, Field(ge=1, le=16)]


class _ScaledSection(EvaluationSection):
    """Keys of every set: ``scale`` says which low-resolution files belong to it."""

    root: str | None = None
    scale: Scale = 4

    def require_super_resolution(self, task: str) -> None:
        """Raise ``ConfigError`` for another task."""
        if task != "super_resolution":
            raise ConfigError(f"data={self.name} has the truth of the task 'super_resolution', not of {task!r}")


class SRBenchmarkSection(_ScaledSection):
    """``set5``, ``set14``, ``bsd100``, ``urban100`` and ``manga109``."""

    def build(self, task: str) -> EvaluationDataset:
        """The images, sorted by name."""
        from .sr_layouts import BENCHMARK_LAYOUTS, benchmark_images
        from .sr_sets import SuperResolutionEvaluation

        self.require_super_resolution(task)
        layout = BENCHMARK_LAYOUTS[self.name]
        base = layout.find(self.root)
        files = benchmark_images(base, self.scale)
        return SuperResolutionEvaluation(layout, self.name, base, files, self.scale, layout.published, self.videos)


class DIV2KEvaluationSection(_ScaledSection):
    """DIV2K; ``val`` are the 100 images that the field reports on."""

    split: Literal["train", "val", "all"] = "val"

    def build(self, task: str) -> EvaluationDataset:
        """The images of the split."""
        from .sr_layouts import DIV2K, div2k_images
        from .sr_sets import SuperResolutionEvaluation

        self.require_super_resolution(task)
        base = DIV2K.find(self.root)
        published = {"train": 800, "val": 100, "all": 900}[self.split]
        files = div2k_images(base, self.split, self.scale)
        name = f"div2k_{self.split}"
        return SuperResolutionEvaluation(DIV2K, name, base, files, self.scale, published, self.videos)


class REDSEvaluationSection(_ScaledSection):
    """REDS; ``reds4`` are the clips 000, 011, 015 and 020 of the training set, ``val`` the official 30."""

    split: Literal["train", "val", "reds4"] = "reds4"

    def build(self, task: str) -> EvaluationDataset:
        """The clips of the split."""
        from .sr_layouts import REDS, reds_clips
        from .sr_sets import SuperResolutionEvaluation

        self.require_super_resolution(task)
        base = REDS.find(self.root)
        published = {"train": 236, "val": 30, "reds4": 4}[self.split]
        files = reds_clips(base, self.split, self.scale)
        name = f"reds_{self.split}"
        return SuperResolutionEvaluation(REDS, name, base, files, self.scale, published, self.videos)


class Vid4EvaluationSection(_ScaledSection):
    """Vid4; ``BI`` is MATLAB's bicubic reduction, ``BD`` blurred and decimated."""

    degradation: Literal["BI", "BD"] = "BI"

    def build(self, task: str) -> EvaluationDataset:
        """The four clips."""
        from .sr_layouts import VID4, vid4_clips
        from .sr_sets import SuperResolutionEvaluation

        self.require_super_resolution(task)
        base = VID4.find(self.root)
        files = vid4_clips(base, self.scale, self.degradation)
        name = f"vid4_{self.degradation.lower()}"
        return SuperResolutionEvaluation(VID4, name, base, files, self.scale, VID4.published, self.videos)


class ImagesEvaluationSection(_ScaledSection):
    """Your own images at any depth below ``root``; ``lr_root`` holds low-resolution ones of the same names."""

    lr_root: str | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The images, sorted by path."""
        from .sr_layouts import IMAGES, folder_images
        from .sr_sets import SuperResolutionEvaluation

        self.require_super_resolution(task)
        base = require_root(self.root, IMAGES.title, IMAGES.expected)
        small: Path | None = None
        if self.lr_root is not None:
            small = require_root(self.lr_root, IMAGES.title, "the folder of low-resolution images", "data.lr_root")
        files = folder_images(base, small, self.scale)
        return SuperResolutionEvaluation(IMAGES, base.name, base, files, self.scale, None, self.videos)


class PhotographsEvaluationSection(EvaluationSection):
    """The photographs inside scikit-image that training never sees, colour ones only unless ``gray``."""

    gray: bool = False

    def build(self, task: str) -> EvaluationDataset:
        """The photographs, sorted by name."""
        from .photographs import PhotographEvaluation

        if task != "super_resolution":
            raise ConfigError(f"data={self.name} serves the task 'super_resolution', not {task!r}")
        return PhotographEvaluation(self.gray, self.videos)


SR_EVALUATION_SETS: dict[str, type[EvaluationSection]] = {
    **dict.fromkeys(("set5", "set14", "bsd100", "urban100", "manga109"), SRBenchmarkSection),
    "div2k": DIV2KEvaluationSection,
    "reds": REDSEvaluationSection,
    "vid4": Vid4EvaluationSection,
    "images": ImagesEvaluationSection,
    "photographs": PhotographsEvaluationSection,
}
