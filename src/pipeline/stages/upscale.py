"""Larger frames."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from ...core.config import Section
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ..stage import Chosen, MethodStage, Settings, along


class UpscaleSection(MethodFields):
    """The method, bicubic by default.

    Attributes:
        scale: how many times larger; null: what the network gives, 2 without a network.
    """

    scale: int | None = Field(default=None, ge=1, le=8)


class Upscale(MethodStage):
    """Super-resolution, frame by frame."""

    task = "super_resolution"
    keeps = False
    section: UpscaleSection

    def choose(self) -> Chosen:
        # every baseline of this task has a scale
        baseline = self.section.network or self.section.baseline or "bicubic"
        return Chosen(self.section, self.task, baseline, self.where, {"scale": self.section.scale or 2})

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        scale = self.section.scale
        return along(chunks, lambda inner: self.chosen.run(inner, settings, scale=scale), self.keeps)

    @classmethod
    def options(cls) -> type[Section]:
        return UpscaleSection
