"""Filling holes."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.config import Section
from ...inference.inpainting import InpaintingOptions
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...models.inpainting.contract import ClipInpainter
from ..stage import Chosen, MethodStage, Settings, along


class Inpaint(MethodStage):
    """What ``mask`` covers is filled from other times and from around; everything else stays as it is.

    Networks run in windows whose number does not grow with the video (``inference.mode=bounded``); with
    ``inference.mode=official`` the whole video is seen at once, and is one segment.
    """

    task = "inpainting"
    reads = frozenset({"mask"})
    section: MethodFields

    def choose(self) -> Chosen:
        chosen = Chosen(self.section, self.task, "flow_propagation", self.where)
        if not chosen.baseline:
            chosen.spec["inference"] = {"mode": "bounded", **self.section.inference}
        return chosen

    @property
    def back(self) -> int | None:
        if self.chosen.baseline:
            return self._reach()
        how = InpaintingOptions(**self.chosen.spec["inference"])
        if how.mode == "official":
            return None
        return how.references_before * how.reference_step + how.neighbours + how.stride

    @property
    def ahead(self) -> int:
        if self.chosen.baseline:
            return self._reach()
        how = InpaintingOptions(**self.chosen.spec["inference"])
        return 0 if how.mode == "official" else how.references_ahead * how.reference_step + how.neighbours + how.stride

    def _reach(self) -> int:
        net = self.chosen.load().net
        assert isinstance(net, ClipInpainter)
        return net.reach

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        return along(chunks, lambda inner: self.chosen.run(inner, settings))

    @classmethod
    def options(cls) -> type[Section]:
        return MethodFields
