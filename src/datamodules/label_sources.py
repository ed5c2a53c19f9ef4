"""What a configuration may name as ``data`` to train segmentation and matting, and to evaluate them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..core.config import Section
from ..core.errors import ConfigError
from .base import EvaluationDataset, TrainingDataset
from .sections import DataSection, DataSource, EvaluationSection, Positive, Probability

Scale = Annotated[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], Field()]


class LabelSection(DataSection):
    """``data=voc``, ``cityscapes``, ``coco_voc`` and ``label_folder``: images with label maps below ``root``.

    Samples are ``crop`` pixels square, after scaling by a factor from ``scale``, with ``flip`` mirrored, and with
    colours changed by ``jitter``. Validation uses ``validation_videos`` images of ``validation_split``, cut to
    ``validation_crop`` (null: whole images); null: none.
    """

    root: str | None = None
    split: str = "train"
    crop: Positive = 513
    scale: Scale = (0.5, 2.0)
    flip: Probability = 0.5
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validation_split: str | None = "val"
    validation_crop: Positive | None = None
    validation_videos: Positive | None = 100

    @model_validator(mode="after")
    def _ordered(self) -> LabelSection:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must go from small to large, got {list(self.scale)}")
        return self


class LabelSource(DataSource):
    """Images with label maps."""

    section_type = LabelSection
    tasks = ("segmentation",)

    def __init__(self, section: LabelSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .segmentation_sets import LABEL_SETS, LabelledImages, LabelTransform

        section = self.section
        transform = LabelTransform(section.crop, section.scale, section.flip, section.jitter)
        return LabelledImages(LABEL_SETS[section.name](section.root, section.split), transform)

    def validation(self) -> EvaluationDataset | None:
        from .segmentation_sets import LABEL_SETS, LabelledEvaluation

        section = self.section
        if section.validation_split is None:
            return None
        images = LABEL_SETS[section.name](section.root, section.validation_split)
        return LabelledEvaluation(images, section.validation_crop, section.validation_videos)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        name = {"voc": "voc_val", "cityscapes": "cityscapes_val", "coco_voc": "coco_voc_val"}.get(self.section.name)
        values = {"root": self.section.root} | ({} if name else {"split": "val"})
        return f"segmentation_{name or 'folder'}", values


class MattingCompositesSection(DataSection):
    """``data=matting_composites``: foregrounds in ``root``/fg and /alpha over the images of ``backgrounds``.

    ``validation`` is a folder of images with alpha and trimaps (null: no validation).
    """

    root: str | None = None
    backgrounds: str | None = None
    crop: Positive = 320
    repeats: Positive = 100
    validation: str | None = None
    validation_videos: Positive | None = 50


class MattingCompositesSource(DataSource):
    """Foregrounds with alpha, composited on the fly."""

    section_type = MattingCompositesSection
    tasks = ("matting",)

    def __init__(self, section: MattingCompositesSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .matting_sets import CompositedForegrounds

        section = self.section
        return CompositedForegrounds(section.root, section.backgrounds, section.crop, section.repeats)

    def validation(self) -> EvaluationDataset | None:
        from .matting_sets import MattingEvaluation

        if self.section.validation is None:
            return None
        return MattingEvaluation(self.section.validation, self.section.validation_videos)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        if self.section.validation is None:
            return "matting_scenes", {}
        return "matting_folder", {"root": self.section.validation}


class PeopleSection(Section):
    """Labelled images beside the clips: ``name`` (``coco_voc``, ``voc`` or ``label_folder``), ``root``, ``split``, and
    which ``classes`` are people."""

    name: Literal["coco_voc", "voc", "label_folder"]
    root: str | None = None
    split: str = "train"
    classes: Annotated[tuple[int, ...], Field(min_length=1)] = (15,)


class HighSection(Section):
    """Large clips beside the others: their side ``crop`` and their number of ``frames``."""

    crop: Positive
    frames: Positive


class VideoMattesSection(DataSection):
    """``data=video_mattes``: clips (or images) with alpha in ``root``/fgr and /pha over those of ``backgrounds``.

    ``validation`` is a folder of clips with alpha (null: no validation). ``people`` adds labelled images for the
    segmentation that is learned alongside, ``high`` large clips for the refinement.
    """

    root: str | None = None
    backgrounds: str | None = None
    frames: Positive = 15
    crop: Positive = 512
    high: HighSection | None = None
    people: PeopleSection | None = None
    validation: str | None = None
    validation_videos: Positive | None = 20


class VideoMattesSource(DataSource):
    """Clips with alpha, composited on the fly."""

    section_type = VideoMattesSection
    tasks = ("matting",)

    def __init__(self, section: VideoMattesSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .segmentation_sets import LABEL_SETS, LabelledImages, LabelTransform
        from .video_mattes import CompositedClips

        section, people = self.section, None
        if section.people is not None:
            images = LABEL_SETS[section.people.name](section.people.root, section.people.split)
            people = LabelledImages(images, LabelTransform(section.crop)), section.people.classes
        high = None if section.high is None else (section.high.crop, section.high.frames)
        return CompositedClips(section.root, section.backgrounds, section.frames, section.crop, high, people)

    def validation(self) -> EvaluationDataset | None:
        from .matting_sets import MattingEvaluation

        if self.section.validation is None:
            return None
        return MattingEvaluation(self.section.validation, self.section.validation_videos, title="videomatte")

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        if self.section.validation is None:
            return "matting_scenes", {}
        return "matting_videomatte", {"root": self.section.validation}


def _require(section: EvaluationSection, task: str, served: str) -> None:
    if task != served:
        raise ConfigError(f"data={section.name} has the truth of the task {served!r}, not of {task!r}")


class LabelEvaluationSection(EvaluationSection):
    """Images with label maps: whole, with the shorter side resized to ``shorter``, or also cut to ``crop``."""

    root: str | None = None
    split: str = "val"
    crop: Positive | None = None
    shorter: Positive | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The images of the split."""
        from .segmentation_sets import LABEL_SETS, LabelledEvaluation

        _require(self, task, "segmentation")
        images = LABEL_SETS[self.name](self.root, self.split)
        return LabelledEvaluation(images, self.crop, self.videos, self.shorter)


class MattingEvaluationSection(EvaluationSection):
    """Folders of images or clips with alpha, by the section's name."""

    root: str | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The images or clips."""
        from .matting_sets import MattingEvaluation

        _require(self, task, "matting")
        published = 1_000 if self.name == "composition1k" else None
        return MattingEvaluation(self.root, self.videos, published, self.name)


LABEL_SOURCES: dict[str, type[DataSource]] = {
    **dict.fromkeys(("voc", "cityscapes", "coco_voc", "label_folder"), LabelSource),
    "matting_composites": MattingCompositesSource,
    "video_mattes": VideoMattesSource,
}
LABEL_EVALUATION_SETS: dict[str, type[EvaluationSection]] = {
    **dict.fromkeys(("voc", "cityscapes", "coco_voc", "label_folder"), LabelEvaluationSection),
    **dict.fromkeys(("composition1k", "matting_folder", "videomatte"), MattingEvaluationSection),
}
