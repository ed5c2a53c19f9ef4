"""What a configuration may name as ``data``: each source makes training samples and validation videos.

``data.name`` chooses the source; the source's section says which further keys there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ..core.config import check_known, parse_section
from .base import EvaluationDataset, TrainingDataset
from .clips import ClipSection
from .flow_sources import FLOW_SOURCES
from .inpainting_sources import INPAINTING_SOURCES
from .label_sources import LABEL_SOURCES
from .masks.training import TrainingMasks
from .sections import DataSection, DataSource, Positive, Probability
from .sr_sources import SR_SOURCES
from .style_sources import STYLE_SOURCES
from .transforms import TripletTransform

__all__ = ["SOURCES", "DataSection", "DataSource", "create_source", "parse_data"]


class CropSection(DataSection):
    """Keys of sources that cut augmented crops out of photographed frames."""

    crop: Positive | None = 224
    channel_flip: Probability = 0.5
    vertical_flip: Probability = 0.5
    horizontal_flip: Probability = 0.5
    time_reversal: Probability = 0.5
    rotation: Probability = 0.75
    half_scale: Probability = 0.0
    small: Literal["upscale", "error"] = "upscale"

    def transform(self) -> TripletTransform:
        """The augmentation that these keys describe."""
        return TripletTransform(
            self.crop,
            self.channel_flip,
            self.vertical_flip,
            self.horizontal_flip,
            self.time_reversal,
            self.rotation,
            self.half_scale,
            self.small,
        )


class ScenesSection(DataSection):
    """``data=scenes``: procedural scenes, endless and without downloads.

    ``settings`` are those of :class:`~framewright.datamodules.scenes.SceneSettings`. ``validation`` names the
    fixed set on which the run validates; null: no validation. ``crop`` is the side of a square, or
    ``[height, width]``. ``masks`` are those of inpainting, ``appearances`` those of the style domain; null: all.
    """

    crop: Positive | Annotated[list[Positive], Field(min_length=2, max_length=2)] = 112
    timestep: Literal["middle", "any"] = "middle"
    masks: TrainingMasks = TrainingMasks(kind="mixed", shares={"bezier": 1.0, "free_form": 1.0, "object": 1.0})
    settings: dict[str, Any] = {}
    appearances: list[str] | None = None
    validation: str | None = "scenes_val_v1"


class FolderSection(CropSection):
    """``data=folder``: your own videos and frame folders below ``root``.

    ``timestep`` belongs to interpolation. ``clip``, ``masks`` and ``size`` belong to inpainting: which frames make a
    clip (``steps`` apart where they are consecutive), their masks, and ``[height, width]`` to which whole frames are
    resized before the crop; null: as they are. Validation then has seeded masks.
    """

    root: str | None = None
    steps: list[Positive] = [1]
    timestep: Literal["middle", "any"] = "middle"
    scene_cut: Annotated[float, Field(gt=0, le=1)] | None = None
    exclude: list[str] | None = None
    clip: ClipSection = ClipSection(span=180)
    masks: TrainingMasks = TrainingMasks()
    size: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    validation_frames: Annotated[int, Field(ge=3)] = 9
    validation_size: Positive | None = 448
    validation_videos: Positive | None = 16


class Vimeo90KSection(CropSection):
    """``data=vimeo90k_triplet`` and ``data=vimeo90k_septuplet``: the published layouts below ``root``."""

    root: str | None = None
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 0.95
    check_size: bool = True
    validation_limit: Positive | None = 200


class ScenesSource(DataSource):
    """Procedural scenes for every task."""

    section_type = ScenesSection
    tasks = (
        "interpolation",
        "flow",
        "segmentation",
        "matting",
        "inpainting",
        "super_resolution",
        "stabilization",
        "style",
    )

    def __init__(self, section: ScenesSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .scenes import ScenesDataset

        section = self.section
        height, width = (section.crop, section.crop) if isinstance(section.crop, int) else section.crop
        return ScenesDataset(
            self.task,
            height=height,
            width=width,
            timestep=section.timestep,
            settings=section.settings,
            masks=section.masks if self.task == "inpainting" else None,
            appearances=section.appearances,
        )

    def validation(self) -> EvaluationDataset | None:
        from .scenes import ScenesEvaluation

        if self.section.validation is None:
            return None
        if self.task == "inpainting":
            from .scenes.inpainting import masked_scenes

            return masked_scenes(self.section.validation)
        return ScenesEvaluation(self.section.validation, task=self.task, appearances=self.section.appearances)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        return f"{'sr' if self.task == 'super_resolution' else self.task}_scenes", {}


class FolderSource(DataSource):
    """The user's own videos."""

    section_type = FolderSection
    tasks = ("interpolation", "inpainting")

    def __init__(self, section: FolderSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section
        self._excluded: dict[str, Any] = {} if section.exclude is None else {"exclude": section.exclude}

    def training(self) -> TrainingDataset:
        from .folder import FolderTriplets

        section = self.section
        if self.task == "inpainting":
            from .folder_clips import FolderClips

            return FolderClips(
                section.root,
                transform=section.transform(),
                clip=section.clip,
                masks=section.masks,
                size=None if section.size is None else (section.size[0], section.size[1]),
                steps=section.steps,
                scene_cut=section.scene_cut,
                on_error=section.on_error,
                **self._excluded,
            )
        return FolderTriplets(
            section.root,
            transform=section.transform(),
            steps=section.steps,
            timestep=section.timestep,
            scene_cut=section.scene_cut,
            on_error=section.on_error,
            **self._excluded,
        )

    def validation(self) -> EvaluationDataset | None:
        from .folder import FolderEvaluation

        section = self.section
        options: dict[str, Any] = {
            "max_frames": section.validation_frames,
            "max_size": section.validation_size,
            "max_videos": section.validation_videos,
            "on_error": section.on_error,
            **self._excluded,
        }
        if self.task == "inpainting":
            from .folder_clips import FolderClipsEvaluation
            from .masked_evaluation import MaskedEvaluation

            return MaskedEvaluation(FolderClipsEvaluation(section.root, "val", **options))
        return FolderEvaluation(section.root, "val", **options)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        section = self.section
        values = {"root": section.root, "split": "test", "max_size": section.validation_size}
        return f"{self.task}_folder", {**values, "on_error": section.on_error, **self._excluded}


class Vimeo90KTripletSource(DataSource):
    """Vimeo90K triplets."""

    section_type = Vimeo90KSection

    def __init__(self, section: Vimeo90KSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .vimeo90k import Vimeo90KTriplet

        section = self.section
        return Vimeo90KTriplet(section.root, section.transform(), section.train_fraction, section.check_size)

    def validation(self) -> EvaluationDataset | None:
        from .vimeo90k import Vimeo90KTripletEvaluation

        section = self.section
        return Vimeo90KTripletEvaluation(
            section.root, "val", section.validation_limit, section.train_fraction, section.check_size
        )

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        name = "interpolation_vimeo90k" + ("_septuplet" if self.section.name.endswith("septuplet") else "")
        return name, {"root": self.section.root, "check_size": self.section.check_size}


class Vimeo90KSeptupletSource(Vimeo90KTripletSource):
    """Vimeo90K septuplets: three of seven frames, any timestep."""

    def training(self) -> TrainingDataset:
        from .vimeo90k import Vimeo90KSeptuplet

        section = self.section
        return Vimeo90KSeptuplet(section.root, section.transform(), section.train_fraction, section.check_size)

    def validation(self) -> EvaluationDataset | None:
        from .vimeo90k import Vimeo90KSeptupletEvaluation

        section = self.section
        return Vimeo90KSeptupletEvaluation(
            section.root, "val", section.validation_limit, section.train_fraction, section.check_size
        )


SOURCES: dict[str, type[DataSource]] = {
    "scenes": ScenesSource,
    "folder": FolderSource,
    "vimeo90k_triplet": Vimeo90KTripletSource,
    "vimeo90k_septuplet": Vimeo90KSeptupletSource,
    **FLOW_SOURCES,
    **INPAINTING_SOURCES,
    **SR_SOURCES,
    **LABEL_SOURCES,
    **STYLE_SOURCES,
}


def parse_data(values: Mapping[str, Any]) -> DataSection:
    """Check the ``data`` section of a configuration.

    Raises:
        ConfigError: unknown source, unknown key, or value out of range.
    """
    name = str(values.get("name", ""))
    check_known(name, SOURCES, "data source")
    return parse_section(SOURCES[name].section_type, values, "data")


def create_source(section: DataSection, task: str) -> DataSource:
    """The data source of a checked section."""
    return SOURCES[section.name](section, task)
