"""Where something is: from files, from classes of a segmentation network, tracked from a box, or by what moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from ...core.config import Section
from ...core.errors import ConfigError, nearest
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...ops.trimap import temporal_median
from ...video import read_image, write_image
from ..other_video import Pictures
from ..stage import Chosen, Settings, Stage, Used, along, single
from .tracking import BoxTracker

#: the classes of PASCAL VOC, by number
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_MOG2 = "mog2"


class MaskSection(MethodFields):
    """What is meant, by one of ``path``, ``subject`` and ``box``; without them, what moves before a still camera.

    Attributes:
        path: a picture for all frames, a folder of pictures, or a video: one mask for each frame. Everything that is
            not black is meant.
        subject: a class of the segmentation network that ``network`` and ``weights`` (or ``run``) name: a name of
            PASCAL VOC's, or a number.
        box: x, y, width and height in pixels on the first frame. GrabCut finds the object in it, ``flow`` carries it to
            the next frame, and GrabCut corrects its edge there.
        flow: the method that tracks, DIS by default.
        grow: by so many pixels, so that edges and their shadows are inside.
        smooth: a pixel is inside where it is in most of the masks of so many frames before and after.
    """

    path: str | None = None
    subject: str | int | None = None
    box: Annotated[list[int], Field(min_length=4, max_length=4)] | None = None
    flow: MethodFields = MethodFields()
    grow: int = Field(default=0, ge=0, le=200)
    smooth: int = Field(default=0, ge=0, le=15)

    @model_validator(mode="after")
    def _one(self) -> MaskSection:
        given = [key for key in ("path", "subject", "box") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of path, subject and box, got {' and '.join(given)}")
        if self.box is not None and (min(self.box) < 0 or min(self.box[2:]) < 1):
            raise ValueError(f"box is x, y, width and height in pixels, got {self.box}")
        return self


class Mask(Stage):
    """Gives ``mask`` ``(T, 1, H, W)``, 1 inside."""

    gives = frozenset({"mask"})
    helper = True
    task = "segmentation"
    section: MaskSection

    def __init__(self, name: str, section: MaskSection) -> None:
        super().__init__(name, section)
        self.source: Literal["path", "subject", "box", "motion"] = "motion"
        if section.path is not None:
            self.source = "path"
            self.pictures = Pictures(section.path, f"{self.where}.path")
        elif section.subject is not None:
            self.source = "subject"
            self.chosen = self._segmentation(section)
        elif section.box is not None:
            self.source = "box"
            self.chosen = Chosen(section.flow, "flow", "dis", f"{self.where}.flow")
        else:
            self.chosen = Chosen(MethodFields(baseline=_MOG2), "matting", _MOG2, self.where)
        self.prepares = self.source in ("box", "motion")
        self._folder: Path | None = None

    def _segmentation(self, section: MaskSection) -> Chosen:
        if not any((section.network, section.run, section.weights, section.baseline)):
            raise ConfigError(
                f"{self.where}: a subject needs a segmentation network, there is none without weights: give "
                f"{self.where}.network=deeplabv3plus {self.where}.weights=<file> (or {self.where}.run=<folder>), or a "
                "box or masks instead"
            )
        subject = section.subject
        if isinstance(subject, str):
            if subject not in VOC[1:]:
                known = ", ".join(VOC[1:])
                raise ConfigError(f"{self.where}: unknown subject {subject!r}{nearest(subject, VOC)} (known: {known})")
            subject = VOC.index(subject)
        how = {**section.inference, "classes": [subject]}
        spec = section.model_copy(update={"inference": how})
        return Chosen(spec, self.task, "constant_class", self.where)

    @property
    def back(self) -> int | None:
        return self.section.smooth

    @property
    def ahead(self) -> int:
        return self.section.smooth

    def used(self) -> list[Used]:
        if self.source == "path":
            return [Used(f"masks of {self.pictures.path}", baseline=False)]
        if self.source == "subject":
            return [self.chosen.used()]
        if self.source == "box":
            return [Used(f"GrabCut in the box {self.section.box}"), self.chosen.used()]
        return [Used("what moves before a still camera: mog2")]

    def files(self) -> list[Path]:
        return [self.pictures.path] if self.source == "path" else self.chosen.files()

    def check(self, frames: int, size: tuple[int, int]) -> None:
        if self.source == "path":
            if not self.pictures.is_still and len(self.pictures) != frames:
                raise ConfigError(
                    f"{self.where}: {str(self.pictures.path)!r} has {len(self.pictures)} masks, the video has {frames} "
                    "frames"
                )
            if self.pictures.size != size:
                (height, width), (rows, columns) = self.pictures.size, size
                raise ConfigError(
                    f"{self.where}: the masks in {str(self.pictures.path)!r} are {width}x{height}, the video is "
                    f"{columns}x{rows} (width x height)"
                )
        if self.section.box is not None:
            x, y, _, _ = self.section.box
            if x >= size[1] or y >= size[0]:
                raise ConfigError(
                    f"{self.where}: the box {self.section.box} lies outside of {size[1]}x{size[0]} pixels"
                )

    def load(self, settings: Settings) -> None:
        if self.source != "path":
            self.chosen.load(settings)

    def prepare(self, chunks: Iterator[Chunk], folder: Path, settings: Settings) -> None:
        """One picture for every frame."""
        if self.source == "box":
            assert self.section.box is not None
            tracker = BoxTracker(self.chosen.load(settings).net.to(settings.device), self.section.box)
            masks = (tracker.push(frame.to(settings.device)) for chunk in chunks for frame in chunk.frames)
        else:
            made = self.chosen.run(chunks, settings)
            masks = (alpha[0] > 0.5 for chunk in made for alpha in chunk.extras["alpha"])
        for number, mask in enumerate(masks):
            levels = mask.to(torch.uint8).mul(255).cpu().numpy()
            write_image(folder / f"{number:06d}.png", np.repeat(levels[..., None], 3, 2))

    def prepared(self, folder: Path) -> None:
        self._folder = folder

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        if self.source == "subject":
            found = along(chunks, lambda inner: self.chosen.run(inner, settings))
            masks = (_with(chunk, (chunk.extras["probability"] > 0.5).float()) for chunk in found)
        else:
            masks = (_with(chunk, self._stored(chunk.start)[None]) for chunk in single(chunks))
        for chunk in self._smoothed(masks):
            yield _with(chunk, grown(chunk.extras["mask"], self.section.grow))

    def _stored(self, number: int) -> Tensor:
        """The mask ``(1, H, W)`` of a frame."""
        if self.source == "path":
            # compressed videos are never quite black
            level = 0.25 if self.pictures.path.is_file() and not self.pictures.is_still else 0
            return (self.pictures.frame(number // self.rate).amax(0, keepdim=True) > level).float()
        assert self._folder is not None
        return torch.from_numpy(read_image(self._folder / f"{number:06d}.png")[..., 0] > 0)[None].float()

    def _smoothed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Frame by frame, with the median over the frames around."""
        radius = self.section.smooth
        near: deque[Chunk] = deque()
        place = 0

        def ready() -> Chunk:
            masks = torch.cat([chunk.extras["mask"] for chunk in near])
            median = temporal_median(masks, radius)[place : place + 1] if radius else masks[place : place + 1]
            return _with(near[place], median)

        for chunk in single(chunks):
            near.append(chunk)
            if len(near) > place + radius:
                yield ready()
                place += 1
                while place > radius:
                    near.popleft()
                    place -= 1
        while place < len(near):
            yield ready()
            place += 1

    @classmethod
    def options(cls) -> type[Section]:
        return MaskSection


def grown(mask: Tensor, pixels: int) -> Tensor:
    """A mask ``(T, 1, H, W)`` and all within so many pixels of it (in a disc)."""
    if pixels == 0:
        return mask
    y, x = torch.meshgrid(*[torch.arange(-pixels, pixels + 1)] * 2, indexing="ij")
    disc = (x.square() + y.square() <= pixels**2).to(mask)
    return (F.conv2d(mask, disc[None, None], padding=pixels) > 0.5).to(mask.dtype)


def _with(chunk: Chunk, mask: Tensor) -> Chunk:
    return Chunk(chunk.start, chunk.frames, {**chunk.extras, "mask": mask})
