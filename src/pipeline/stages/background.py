"""Another background, or the subject in another video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...core.config import Section
from ...core.errors import ConfigError
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...ops.composite import Space, composite
from ...ops.trimap import trimap_from_probability
from ..other_video import Pictures, cover
from ..stage import Chosen, MethodStage, Settings, Stage, Used, along

Level = Annotated[int, Field(ge=0, le=255)]


class BackgroundSection(MethodFields):
    """The matting method, closed-form matting by default.

    Attributes:
        background: a picture, a video (which begins again after its end), or a colour: red, green, blue from 0 to 255.
        band: how far from the edge of the mask the true edge may lie, as a part of the diagonal of the object's box.
        space: in which both are mixed: ``srgb`` or ``linear`` light.
    """

    background: str | Annotated[list[Level], Field(min_length=3, max_length=3)] | None = None
    band: float = Field(default=0.03, ge=0, le=0.5)
    space: Space = "srgb"


class ReplaceBackground(MethodStage):
    """Matting: mask to trimap, trimap to alpha and the colours of the foreground, and these over another background.

    A recurrent network (rvm) needs no mask, and sees the whole video as one segment.
    """

    task = "matting"
    gives = frozenset({"alpha"})
    section: BackgroundSection

    def choose(self) -> Chosen:
        """The matting method; with it the background is opened, and what the stage reads is settled."""
        if self.section.background is None:
            raise ConfigError(f"{self.where} needs a background: a picture, a video, or a colour as [r,g,b]")
        if isinstance(self.section.background, str):
            self.pictures = Pictures(self.section.background, f"{self.where}.background")
        # a fifth of the time of 300, and nearly the same errors (docs/segmentation_matting.md)
        chosen = Chosen(self.section, self.task, "closed_form", self.where, {"iterations": 60})
        self._recurrent = chosen.card is not None and chosen.card.recurrent
        self.reads = frozenset() if self._recurrent else frozenset({"mask"})
        if not self._recurrent:
            chosen.spec["inference"] = {"foreground": True, **self.section.inference}
        return chosen

    @property
    def back(self) -> int | None:
        return None if self._recurrent else 0

    def files(self) -> list[Path]:
        own = [self.pictures.path] if isinstance(self.section.background, str) else []
        return [*super().files(), *own]

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        given = chunks if self._recurrent else self._with_trimaps(chunks)
        for chunk in along(given, lambda inner: self.chosen.run(inner, settings)):
            alpha, front = chunk.extras["alpha"], chunk.extras["foreground"]
            behind = torch.stack([self._behind(chunk.start + place, front[place]) for place in range(len(chunk))])
            extras = {key: x for key, x in chunk.extras.items() if key not in ("foreground", "trimap")}
            yield Chunk(chunk.start, composite(front, alpha, behind, self.section.space).clamp(0, 1), extras)

    def _with_trimaps(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            trimap = trimap_from_probability(chunk.extras["mask"], band=self.section.band)
            yield Chunk(chunk.start, chunk.frames, {**chunk.extras, "trimap": trimap})

    def _behind(self, number: int, like: Tensor) -> Tensor:
        background = self.section.background
        if isinstance(background, list):
            return (torch.tensor(background, dtype=torch.float32) / 255).view(3, 1, 1).expand_as(like)
        return cover(self.pictures.frame(number // self.rate), (int(like.shape[1]), int(like.shape[2])))

    @classmethod
    def options(cls) -> type[Section]:
        return BackgroundSection


class FuseSection(Section):
    """Where the subject goes.

    Attributes:
        other: the video or picture into which the subject is put.
        feather: width in pixels of the soft edge.
        match: share by which mean and spread of the subject's colours are brought to those of the other video.
    """

    other: str | None = None
    feather: int = Field(default=3, ge=0, le=100)
    match: float = Field(default=0.0, ge=0, le=1)


class Fuse(Stage):
    """The subject of the video, which ``mask`` covers, in the frames of another video; its place and size are kept."""

    reads = frozenset({"mask"})
    section: FuseSection

    def __init__(self, name: str, section: FuseSection) -> None:
        super().__init__(name, section)
        if section.other is None:
            raise ConfigError(f"{self.where} needs the other video: other=<video>, or {self.where}=false")
        self.pictures = Pictures(section.other, f"{self.where}.other")

    def used(self) -> list[Used]:
        return [Used(f"soft mask over {self.pictures.path}", baseline=False)]

    def files(self) -> list[Path]:
        return [self.pictures.path]

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        """Each frame in front of the background's frame of the same number, mixed by the soft mask."""
        for chunk in chunks:
            size = (int(chunk.frames.shape[2]), int(chunk.frames.shape[3]))
            others = torch.stack(
                [cover(self.pictures.frame((chunk.start + i) // self.rate), size) for i in range(len(chunk))]
            )
            mask = chunk.extras["mask"]
            front = self._matched(chunk.frames, mask, others)
            yield Chunk(chunk.start, composite(front, softened(mask, self.section.feather), others), chunk.extras)

    def _matched(self, frames: Tensor, mask: Tensor, others: Tensor) -> Tensor:
        if self.section.match == 0 or not bool(mask.any()):
            return frames
        count = mask.sum((2, 3), keepdim=True).clamp(min=1)
        mean = (frames * mask).sum((2, 3), keepdim=True) / count
        spread = (((frames - mean) * mask).square().sum((2, 3), keepdim=True) / count).sqrt()
        wanted = others.std((2, 3), keepdim=True) / spread.clamp(min=0.02)
        moved = (frames - mean) * wanted.clamp(0.5, 2) + others.mean((2, 3), keepdim=True)
        return torch.lerp(frames, moved.clamp(0, 1), self.section.match)

    @classmethod
    def options(cls) -> type[Section]:
        return FuseSection


def softened(mask: Tensor, width: int) -> Tensor:
    """A mask ``(T, 1, H, W)`` whose edge rises over so many pixels."""
    if width == 0:
        return mask
    side = 2 * width + 1
    padded = F.pad(mask, (width,) * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1)
