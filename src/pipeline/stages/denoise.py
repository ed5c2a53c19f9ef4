"""Less noise, by OpenCV's non-local means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...core.config import Section
from ...inference.method import Chunk
from ..stage import Settings, Stage, Used, single


class DenoiseSection(Section):
    """How much.

    Attributes:
        strength: of the filter on luma; what differs by more than about this, in 8-bit levels, is not averaged.
        colour: of the filter on chroma.
        window: side in pixels of the patches that are compared.
        search: side in pixels of the surroundings in which they are looked for.
    """

    strength: float = Field(default=4.0, gt=0, le=50)
    colour: float = Field(default=4.0, ge=0, le=50)
    window: int = Field(default=7, ge=3, le=15)
    search: int = Field(default=15, ge=5, le=35)


class Denoise(Stage):
    """Non-local means (Buades, Coll, Morel, CVPR 2005) of every frame, as OpenCV computes it, on the CPU."""

    section: DenoiseSection

    def used(self) -> list[Used]:
        return [Used(f"non-local means (strength={self.section.strength:g}, colour={self.section.colour:g})")]

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        for chunk in single(chunks):
            yield Chunk(chunk.start, self._cleaned(chunk.frames), chunk.extras)

    def _cleaned(self, frames: Tensor) -> Tensor:
        import cv2

        options = self.section
        levels = (frames[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        # OpenCV's own stubs want a destination
        denoise: Any = cv2.fastNlMeansDenoisingColored
        sides = (options.window | 1, options.search | 1)
        cleaned = denoise(levels[..., ::-1].copy(), None, options.strength, options.colour, *sides)[..., ::-1]
        return torch.from_numpy(np.ascontiguousarray(cleaned)).permute(2, 0, 1)[None].float() / 255

    @classmethod
    def options(cls) -> type[Section]:
        return DenoiseSection
