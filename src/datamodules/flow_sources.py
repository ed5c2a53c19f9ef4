"""What a configuration may name as ``data`` to train optical flow."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from .base import EvaluationDataset, TrainingDataset
from .flow_transforms import FlowTransform, recipe
from .sections import DataSection, DataSource, Positive, parse_part

Crop = Annotated[list[Positive], Field(min_length=2, max_length=2)] | Positive | None
Augmentation = Literal["raft", "pwcnet", "none"]
Settings = dict[str, dict[str, Any]]


class FlowSection(DataSection):
    """Keys of every set of image pairs with flow.

    ``crop`` is ``[height, width]``; null: whole images. ``augmentation`` names a published recipe, ``settings`` changes
    it by part (:func:`~framewright.datamodules.flow_transforms.recipe`). ``validation`` is an evaluation set as a
    benchmark's ``data`` section names it; a missing ``root`` is that of this section. Null: no validation.
    """

    root: str | None = None
    crop: Crop = None
    augmentation: Augmentation = "raft"
    settings: Settings = {}
    validation: dict[str, Any] | None = None

    sparse: ClassVar[bool] = False

    def transform(self) -> FlowTransform:
        """The augmentation that these keys describe."""
        crop = self.crop if self.crop is None or isinstance(self.crop, int) else (self.crop[0], self.crop[1])
        return recipe(self.augmentation, self.name, crop, self.sparse, self.settings)


class FlyingChairsSection(FlowSection):
    """``data=flying_chairs``."""

    crop: Crop = [368, 496]
    split: Literal["train", "val", "all"] = "train"
    validation: dict[str, Any] | None = {"name": "flying_chairs", "videos": 100}


class FlyingThingsSection(FlowSection):
    """``data=flying_things``: the whole set or its subset.

    ``reject_unknown``: a flow file with values that are not numbers makes the sample an error, so that with
    ``on_error=skip`` (the default here) another one takes its place; false: those pixels do not count.
    ``exclude_unused`` leaves out what the authors did not train on either.
    """

    on_error: Literal["raise", "skip"] = "skip"
    crop: Crop = [400, 720]
    split: Literal["train", "test", "all"] = "train"
    pass_name: Literal["clean", "final", "both"] = "both"
    camera: Literal["left", "right", "both"] = "left"
    direction: Literal["future", "past", "both"] = "both"
    exclude_unused: bool = False
    reject_unknown: bool = True


class SintelSection(FlowSection):
    """``data=sintel``; ``split=train`` leaves out the scenes of ``val``."""

    crop: Crop = [368, 768]
    split: Literal["all", "train", "val"] = "all"
    pass_name: Literal["clean", "final", "both"] = "both"
    scenes: list[str] | None = None


class KITTISection(FlowSection):
    """``data=kitti2012`` and ``data=kitti2015``; ``split=train`` leaves out every fifth pair."""

    sparse: ClassVar[bool] = True
    crop: Crop = [288, 960]
    split: Literal["all", "train", "val"] = "all"


class HD1KSection(FlowSection):
    """``data=hd1k``; ``split=train`` leaves out every fifth sequence."""

    sparse: ClassVar[bool] = True
    crop: Crop = [368, 768]
    split: Literal["all", "train", "val"] = "all"


class MiddleburyFlowTrainingSection(FlowSection):
    """``data=middlebury_flow``: eight pairs, to overfit on."""

    crop: Crop = [320, 448]


class FlowMixSection(DataSection):
    """``data=flow_mix``: several sets at once, as in the fine-tuning stages.

    ``parts`` are the sections of the sets, each with ``repeats``, how often an epoch shows each of its pairs (default
    1). ``crop`` and ``augmentation`` are those of all parts, because a batch has one size; a part's own ``settings``
    stay. ``batch_size``, ``workers``, ``on_error`` and ``validation`` are the mixture's.
    """

    on_error: Literal["raise", "skip"] = "skip"
    crop: Annotated[list[Positive], Field(min_length=2, max_length=2)] | Positive = [368, 768]
    augmentation: Augmentation = "raft"
    parts: Annotated[list[dict[str, Any]], Field(min_length=1)]
    validation: dict[str, Any] | None = None

    @field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for index, part in enumerate(parts):
            _parse_part(part, index)
        return parts

    def part_sections(self) -> list[tuple[FlowSection, int]]:
        """The checked section of every part with its repetitions."""
        common = {"crop": self.crop, "augmentation": self.augmentation}
        return [_parse_part(part | common, index) for index, part in enumerate(self.parts)]


def _parse_part(values: Mapping[str, Any], index: int) -> tuple[FlowSection, int]:
    return parse_part(values, index, "flow_mix", FLOW_PARTS, FlowSection)


def _validation(values: Mapping[str, Any] | None, root: str | None) -> EvaluationDataset | None:
    from .evaluation_sets import create_evaluation_set

    if values is None:
        return None
    inherits = values.get("name") in FLOW_SOURCES and "root" not in values and root is not None
    return create_evaluation_set({**values, "root": root} if inherits else values, "flow")


def _either(value: str, both: tuple[str, ...]) -> tuple[str, ...]:
    return both if value == "both" else (value,)


class FlowSource(DataSource):
    """A set of image pairs with flow."""

    tasks = ("flow",)
    benchmark_name: ClassVar[str] = "flow_scenes"

    def __init__(self, section: FlowSection, task: str) -> None:
        super().__init__(section, task)
        self.base_section = section
        section.transform()

    @abstractmethod
    def training(self) -> TrainingDataset: ...

    def validation(self) -> EvaluationDataset | None:
        return _validation(self.base_section.validation, self.base_section.root)

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        own = self.benchmark_name != "flow_scenes"
        return self.benchmark_name, {"root": self.base_section.root} if own else {}


class FlyingChairsSource(FlowSource):
    """FlyingChairs."""

    section_type = FlyingChairsSection
    benchmark_name = "flow_chairs"

    def __init__(self, section: FlyingChairsSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .flow_layouts import FLYING_CHAIRS, chairs_pairs
        from .flow_sets import FlowPairs

        base = FLYING_CHAIRS.find(self.section.root)
        return FlowPairs(FLYING_CHAIRS, base, chairs_pairs(base, self.section.split), self.section.transform())


class FlyingThingsSource(FlowSource):
    """FlyingThings3D."""

    section_type = FlyingThingsSection
    benchmark_name = "flow_things"

    def __init__(self, section: FlyingThingsSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .flow_layouts import FLYING_THINGS, things_pairs
        from .flow_sets import FlowPairs

        section = self.section
        base = FLYING_THINGS.find(section.root)
        pairs = things_pairs(
            base,
            section.split,
            _either(section.pass_name, ("clean", "final")),
            _either(section.camera, ("left", "right")),
            _either(section.direction, ("future", "past")),
            section.exclude_unused,
        )
        return FlowPairs(FLYING_THINGS, base, pairs, section.transform(), reject_unknown=section.reject_unknown)


class SintelSource(FlowSource):
    """MPI Sintel."""

    section_type = SintelSection
    benchmark_name = "flow_sintel_clean"

    def __init__(self, section: SintelSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .flow_layouts import SINTEL, sintel_pairs
        from .flow_sets import FlowPairs

        section = self.section
        base = SINTEL.find(section.root)
        passes = _either(section.pass_name, ("clean", "final"))
        return FlowPairs(SINTEL, base, sintel_pairs(base, section.split, passes, section.scenes), section.transform())


class KITTI2015Source(FlowSource):
    """KITTI 2015."""

    section_type = KITTISection
    benchmark_name = "flow_kitti2015"
    year: ClassVar[int] = 2015

    def __init__(self, section: KITTISection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .flow_layouts import KITTI, kitti_pairs
        from .flow_sets import FlowPairs

        section, layout = self.section, KITTI[self.year]
        base = layout.find(section.root)
        return FlowPairs(layout, base, kitti_pairs(base, self.year, section.split), section.transform(), sparse=True)


class KITTI2012Source(KITTI2015Source):
    """KITTI 2012."""

    benchmark_name = "flow_kitti2012"
    year = 2012


class HD1KSource(FlowSource):
    """HD1K."""

    section_type = HD1KSection
    benchmark_name = "flow_hd1k"

    def __init__(self, section: HD1KSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section

    def training(self) -> TrainingDataset:
        from .flow_layouts import HD1K, hd1k_pairs
        from .flow_sets import FlowPairs

        base = HD1K.find(self.section.root)
        return FlowPairs(HD1K, base, hd1k_pairs(base, self.section.split), self.section.transform(), sparse=True)


class MiddleburyFlowSource(FlowSource):
    """Middlebury."""

    section_type = MiddleburyFlowTrainingSection
    benchmark_name = "flow_middlebury"

    def training(self) -> TrainingDataset:
        from .flow_layouts import MIDDLEBURY_FLOW, middlebury_pairs
        from .flow_sets import FlowPairs

        section = self.base_section
        base = MIDDLEBURY_FLOW.find(section.root)
        return FlowPairs(MIDDLEBURY_FLOW, base, middlebury_pairs(base), section.transform())


class FlowMixSource(DataSource):
    """Several sets of image pairs with flow."""

    section_type = FlowMixSection
    tasks = ("flow",)

    def __init__(self, section: FlowMixSection, task: str) -> None:
        super().__init__(section, task)
        self.section = section
        self._parts = [(FLOW_PARTS[part.name](part, task), repeats) for part, repeats in section.part_sections()]

    def training(self) -> TrainingDataset:
        from .mixture import Mixture

        return Mixture("flow_mix", [(source.training(), repeats) for source, repeats in self._parts])

    def validation(self) -> EvaluationDataset | None:
        values = self.section.validation
        roots = {part.name: part.root for part, _ in self.section.part_sections()}
        return _validation(values, None if values is None else roots.get(str(values.get("name", ""))))

    def benchmark(self) -> tuple[str, dict[str, Any]]:
        return "flow_scenes", {}


FLOW_PARTS: dict[str, type[DataSource]] = {
    "flying_chairs": FlyingChairsSource,
    "flying_things": FlyingThingsSource,
    "sintel": SintelSource,
    "kitti2012": KITTI2012Source,
    "kitti2015": KITTI2015Source,
    "hd1k": HD1KSource,
    "middlebury_flow": MiddleburyFlowSource,
}

FLOW_SOURCES: dict[str, type[DataSource]] = {**FLOW_PARTS, "flow_mix": FlowMixSource}
