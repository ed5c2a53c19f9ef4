"""What a configuration may name as ``data`` to train super-resolution."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from ..core.errors import ConfigError
from .base import EvaluationDataset, TrainingDataset
from .layout import require_root
from .sections import DataSection, DataSource, Positive, Probability, parse_part
from .sr_transforms import ScaleTransform

Factor = Annotated[float, Field(gt=0, le=1)]
Scales = Annotated[list[Annotated[int, Field(ge=1, le=16)]], Field(min_length=1)]
_OF_ALL_PARTS = ("crop", "scales", "degradation", "degradation_settings", "sharpened")
_PHOTOGRAPHS: dict[str, Any] = {"name": "photographs"}


class SRSection(DataSection):
    """Keys of every set of images.

    ``crop`` is the side of the target; ``scales`` the factors (the largest makes ``lr``). ``degradation``,
    ``degradation_settings``, ``sharpened``, ``shrink`` and the probabilities are those of
    :class:`~framewright.datamodules.sr_transforms.ScaleTransform`. ``lr`` says whether low-resolution files are used:
    ``auto`` (where there are any), ``given`` or ``made``. ``validation`` is an evaluation set as a benchmark's ``data``
    section names it; a missing ``root`` is that of this section. Null: no validation.
    """

    root: str | None = None
    crop: Positive | None = 128
    scales: Scales = [4]
    lr: Literal["auto", "given", "made"] = "auto"
    degradation: Literal["bicubic", "realesrgan"] = "bicubic"
    degradation_settings: dict[str, Any] = {}
    sharpened: bool = False
    shrink: Annotated[list[Factor], Field(min_length=1)] = [1.0]
    horizontal_flip: Probability = 0.5
    vertical_flip: Probability = 0.5
    rotation: Probability = 0.5
    validation: dict[str, Any] | None = _PHOTOGRAPHS

    def transform(self) -> ScaleTransform:
        """The crop, degradation and augmentation that these keys describe."""
        return ScaleTransform(
            self.crop,
            tuple(self.scales),
            self.degradation,
            self.degradation_settings,
            self.sharpened,
            tuple(self.shrink),
            self.horizontal_flip,
            self.vertical_flip,
            self.rotation,
        )


class PhotographsSection(SRSection):
    """``data=photographs``: those inside scikit-image; ``root`` and ``lr`` mean nothing here.

    ``photographs`` names those to use; null: all that are not held out.
    """

    crop: Positive | None = 96
    photographs: Annotated[list[str], Field(min_length=1)] | None = None


class DIV2KSection(SRSection):
    """``data=div2k``; ``sub``: the parts of 480x480 that are quick to read. Validation: the 100 official images."""

    split: Literal["train", "all"] = "train"
    sub: bool = False
    validation: dict[str, Any] | None = {"name": "div2k", "videos": 10}


class Flickr2KSection(SRSection):
    """``data=flickr2k``; ``sub``: the parts of 480x480 that are quick to read."""

    sub: bool = False


class REDSSection(SRSection):
    """``data=reds``; ``train`` leaves out the clips of REDS4, on which is validated."""

    split: Literal["train", "all"] = "train"
    validation: dict[str, Any] | None = {"name": "reds", "split": "reds4"}


class ImagesSection(SRSection):
    """``data=images``: your own images at any depth; ``lr_root`` holds low-resolution ones of the same names.

    All of them train, so the validation must be another folder.
    """

    lr_root: str | None = None


class SRMixSection(DataSection):
    """``data=sr_mix``: several sets at once, such as DIV2K, Flickr2K and OST.

    ``parts`` are the sections of the sets, each with ``repeats``, how often an epoch shows each of its images (default
    1). ``crop``, ``scales``, ``degradation``, ``degradation_settings`` and ``sharpened`` are those of all parts.
    ``batch_size``, ``workers``, ``on_error`` and ``validation`` are the mixture's.
    """

    crop: Positive = 128
    scales: Scales = [4]
    degradation: Literal["bicubic", "realesrgan"] = "bicubic"
    degradation_settings: dict[str, Any] = {}
    sharpened: bool = False
    parts: Annotated[list[dict[str, Any]], Field(min_length=1)]
    validation: dict[str, Any] | None = _PHOTOGRAPHS

    @field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for index, part in enumerate(parts):
            _parse_part(part, index)
        return parts

    def part_sections(self) -> list[tuple[SRSection, int]]:
        """The checked section of every part with its repetitions."""
        common = {key: getattr(self, key) for key in _OF_ALL_PARTS}
        return [_parse_part(part | common, index) for index, part in enumerate(self.parts)]


def _parse_part(values: Mapping[str, Any], index: int) -> tuple[SRSection, int]:
    return parse_part(values, index, "sr_mix", SR_PARTS, SRSection)


def _validation(
    values: Mapping[str, Any] | None, roots: Mapping[str, str | None], scale: int
) -> EvaluationDataset | None:
    """The evaluation set of a section; one of the same name as a training set lies below the same root."""
    from .evaluation_sets import EVALUATION_SETS, create_evaluation_set

    if values is None:
        return None
    chosen = dict(values)
    name = str(chosen.get("name", ""))
    if "root" not in chosen and roots.get(name) is not None:
        chosen["root"] = roots[name]
    known = EVALUATION_SETS.get(name)
    if known is not None and "scale" in known.model_fields:
        chosen.setdefault("scale", scale)
    return create_evaluation_set(chosen, "super_resolution")


class SRSource(DataSource):
    """A set of images in two resolutions."""

    tasks = ("super_resolution",)
    benchmark_name: ClassVar[str] = "sr_photographs"

    def __init__(self, section: SRSection, task: str) -> None:
        super().__init__(section, task)
        self.base_section = section
        self.transform = section.transform()

    @abstractmethod
    def training(self) -> TrainingDataset: ...

    def validation(self) -> EvaluationDataset | None:
        section = self.base_section
        return _validation(section.validation, {section.name: section.root}, self.transform.largest)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        own = self.benchmark_name != "sr_photographs"
        return self.benchmark_name, {"root": self.base_section.root} if own else {}


class PhotographsSource(SRSource):
    """The photographs inside scikit-image."""

    section_type = PhotographsSection

    def __init__(self, section: PhotographsSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .sr_training import PhotographSamples

        if self.section.root is not None or self.section.lr == "given":
            raise ConfigError("data=photographs has no files: data.root and data.lr=given mean nothing here")
        return PhotographSamples(self.transform, self.section.photographs)


class DIV2KSource(SRSource):
    """DIV2K."""

    section_type = DIV2KSection
    benchmark_name = "sr_div2k"

    def __init__(self, section: DIV2KSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .sr_layouts import DIV2K, div2k_images
        from .sr_training import SuperResolutionFiles

        section = self.section
        base = DIV2K.find(section.root)
        files = div2k_images(base, section.split, self.transform.largest, section.sub)
        return SuperResolutionFiles(DIV2K, base, files, self.transform, section.lr)


class Flickr2KSource(SRSource):
    """Flickr2K."""

    section_type = Flickr2KSection

    def __init__(self, section: Flickr2KSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .sr_layouts import FLICKR2K, flickr2k_images
        from .sr_training import SuperResolutionFiles

        section = self.section
        base = FLICKR2K.find(section.root)
        files = flickr2k_images(base, self.transform.largest, section.sub)
        return SuperResolutionFiles(FLICKR2K, base, files, self.transform, section.lr)


class OSTSource(SRSource):
    """OutdoorSceneTraining; low resolution is always made."""

    section_type = SRSection

    def training(self) -> TrainingDataset:
        from .sr_layouts import OST, ost_images
        from .sr_training import SuperResolutionFiles

        base = OST.find(self.base_section.root)
        return SuperResolutionFiles(OST, base, ost_images(base), self.transform, self.base_section.lr)


class REDSSource(SRSource):
    """REDS, frame by frame."""

    section_type = REDSSection
    benchmark_name = "sr_reds4"

    def __init__(self, section: REDSSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .sr_layouts import REDS, reds_clips
        from .sr_training import SuperResolutionFiles

        section = self.section
        base = REDS.find(section.root)
        files = reds_clips(base, section.split, self.transform.largest)
        return SuperResolutionFiles(REDS, base, files, self.transform, section.lr)


class ImagesSource(SRSource):
    """The user's own images."""

    section_type = ImagesSection

    def __init__(self, section: ImagesSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .sr_layouts import IMAGES, folder_images
        from .sr_training import SuperResolutionFiles

        section = self.section
        base = require_root(section.root, IMAGES.title, IMAGES.expected)
        small: Path | None = None
        if section.lr_root is not None:
            small = require_root(section.lr_root, IMAGES.title, "the folder of low-resolution images", "data.lr_root")
        files = folder_images(base, small, self.transform.largest)
        return SuperResolutionFiles(IMAGES, base, files, self.transform, section.lr)


class SRMixSource(DataSource):
    """Several sets of images."""

    section_type = SRMixSection
    tasks = ("super_resolution",)

    def __init__(self, section: SRMixSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section
        self._parts = [(SR_PARTS[part.name](part, task), repeats) for part, repeats in section.part_sections()]

    def training(self) -> TrainingDataset:
        from .mixture import Mixture

        return Mixture("sr_mix", [(source.training(), repeats) for source, repeats in self._parts])

    def validation(self) -> EvaluationDataset | None:
        roots = {part.name: part.root for part, _ in self.section.part_sections()}
        return _validation(self.section.validation, roots, max(self.section.scales))

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        return "sr_photographs", {}


SR_PARTS: dict[str, type[DataSource]] = {
    "photographs": PhotographsSource,
    "div2k": DIV2KSource,
    "flickr2k": Flickr2KSource,
    "ost": OSTSource,
    "reds": REDSSource,
    "images": ImagesSource,
}

SR_SOURCES: dict[str, type[DataSource]] = {**SR_PARTS, "sr_mix": SRMixSource}
