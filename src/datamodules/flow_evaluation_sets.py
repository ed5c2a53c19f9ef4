"""What a benchmark of optical flow may name as ``data``."""

from __future__ import annotations

from typing import Literal

from ..core.errors import ConfigError
from .base import EvaluationDataset
from .sections import EvaluationSection


def _require_flow(section: EvaluationSection, task: str) -> None:
    if task != "flow":
        raise ConfigError(f"data={section.name} has the truth of the task 'flow', not of {task!r}")


class FlyingChairsEvaluationSection(EvaluationSection):
    """FlyingChairs; ``val`` are the 640 pairs that the field reports on."""

    root: str | None = None
    split: Literal["train", "val", "all"] = "val"

    def build(self, task: str) -> EvaluationDataset:
        """The pairs of the split."""
        from .flow_layouts import FLYING_CHAIRS, chairs_pairs
        from .flow_sets import FlowEvaluation

        _require_flow(self, task)
        base = FLYING_CHAIRS.find(self.root)
        published = {"train": 22_232, "val": 640, "all": 22_872}[self.split]
        name = f"flying_chairs_{self.split}"
        return FlowEvaluation(FLYING_CHAIRS, name, base, chairs_pairs(base, self.split), published, self.videos)


class FlyingThingsEvaluationSection(EvaluationSection):
    """FlyingThings3D or its subset: one pass, left camera, forward in time."""

    root: str | None = None
    split: Literal["train", "test", "all"] = "test"
    pass_name: Literal["clean", "final"] = "clean"

    def build(self, task: str) -> EvaluationDataset:
        """The pairs of the split."""
        from .flow_layouts import FLYING_THINGS, things_pairs
        from .flow_sets import FlowEvaluation

        _require_flow(self, task)
        base = FLYING_THINGS.find(self.root)
        pairs = things_pairs(base, self.split, (self.pass_name,), ("left",), ("future",))
        name = f"flying_things_{self.split}_{self.pass_name}"
        return FlowEvaluation(FLYING_THINGS, name, base, pairs, None, self.videos)


class SintelEvaluationSection(EvaluationSection):
    """MPI Sintel, one pass; ``all`` is what papers call "Sintel train", ``test`` has no truth."""

    root: str | None = None
    split: Literal["all", "train", "val", "test"] = "all"
    pass_name: Literal["clean", "final"] = "clean"
    scenes: list[str] | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The pairs of the split."""
        from .flow_layouts import SINTEL, sintel_pairs
        from .flow_sets import FlowEvaluation

        _require_flow(self, task)
        base = SINTEL.find(self.root)
        pairs = sintel_pairs(base, self.split, (self.pass_name,), self.scenes)
        published = {"all": 1_041, "test": 552}.get(self.split)
        # chosen scenes are never the published set
        published = 1_041 if self.scenes is not None else published
        name = f"sintel_{self.pass_name}" + ("" if self.split == "all" else f"_{self.split}")
        return FlowEvaluation(SINTEL, name, base, pairs, published, self.videos)


class KITTIEvaluationSection(EvaluationSection):
    """KITTI 2012 or 2015, by the section's name; ``all`` is what papers call "KITTI train", ``test`` has no truth."""

    root: str | None = None
    split: Literal["all", "train", "val", "test"] = "all"

    def build(self, task: str) -> EvaluationDataset:
        """The pairs of the split."""
        from .flow_layouts import KITTI, kitti_pairs
        from .flow_sets import FlowEvaluation

        _require_flow(self, task)
        year = int(self.name.removeprefix("kitti"))
        base = KITTI[year].find(self.root)
        published = {"all": KITTI[year].published, "test": 195 if year == 2012 else 200}.get(self.split)
        name = self.name + ("" if self.split == "all" else f"_{self.split}")
        return FlowEvaluation(KITTI[year], name, base, kitti_pairs(base, year, self.split), published, self.videos)


class HD1KEvaluationSection(EvaluationSection):
    """HD1K."""

    root: str | None = None
    split: Literal["all", "train", "val"] = "all"

    def build(self, task: str) -> EvaluationDataset:
        """The pairs of the split."""
        from .flow_layouts import HD1K, hd1k_pairs
        from .flow_sets import FlowEvaluation

        _require_flow(self, task)
        base = HD1K.find(self.root)
        published = HD1K.published if self.split == "all" else None
        name = "hd1k" + ("" if self.split == "all" else f"_{self.split}")
        return FlowEvaluation(HD1K, name, base, hd1k_pairs(base, self.split), published, self.videos)


class MiddleburyFlowSection(EvaluationSection):
    """The eight pairs of Middlebury with public flow."""

    root: str | None = None

    def build(self, task: str) -> EvaluationDataset:
        """The pairs that are there."""
        from .flow_layouts import MIDDLEBURY_FLOW, middlebury_pairs
        from .flow_sets import FlowEvaluation

        _require_flow(self, task)
        base = MIDDLEBURY_FLOW.find(self.root)
        pairs, published = middlebury_pairs(base), MIDDLEBURY_FLOW.published
        return FlowEvaluation(MIDDLEBURY_FLOW, "middlebury_flow", base, pairs, published, self.videos)


FLOW_EVALUATION_SETS: dict[str, type[EvaluationSection]] = {
    "flying_chairs": FlyingChairsEvaluationSection,
    "flying_things": FlyingThingsEvaluationSection,
    "sintel": SintelEvaluationSection,
    "kitti2012": KITTIEvaluationSection,
    "kitti2015": KITTIEvaluationSection,
    "hd1k": HD1KEvaluationSection,
    "middlebury_flow": MiddleburyFlowSection,
}
