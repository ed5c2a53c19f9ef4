"""Inpainting over a stream of frames with holes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError
from ..models.inpainting.contract import ClipInpainter
from .masked import MaskedStream, union
from .method import Chunk, Context
from .windows import (
    BoundedPlan,
    Cropping,
    FixedRegion,
    HoleRegion,
    OfficialPlan,
    Plan,
    Predictor,
    WholeFrame,
    fill_windows,
)


class InpaintingOptions(Section):
    """How a network is run over a video with holes.

    ``official`` is the procedure of the published tables and therefore the default: benchmarks then compare like with
    like. It holds the whole video in memory, and its cost per frame grows with the length. ``bounded`` is for long
    videos: it streams, and memory does not depend on the length.

    Attributes:
        mode: ``official`` or ``bounded``.
        stride: distance of two windows, in frames.
        neighbours: so many frames before and after the middle of a window are filled together.
        reference_step: distance of two reference frames.
        num_ref: ``official`` only: limits references to ``reference_step * (num_ref // 2)`` frames before and after
            the middle of the window; -1: the whole video.
        references_before: ``bounded`` only: references before a window.
        references_ahead: ``bounded`` only: references after it; a video is read so much ahead.
        crop: run the network on the region of the holes only (``official``: of the whole video; ``bounded``: of a
            window, kept as long as it fits), and paste the result back.
        context: with ``crop``: what is seen around the holes: pixels (an integer), or a share of the longer side of
            the holes' box (a number with a point).
        dilate: so many times holes first grow by one pixel above, below, left and right; the data sets of the
            published tables have that done (4 times) already.
    """

    mode: Literal["official", "bounded"] = "official"
    stride: int = Field(default=5, ge=1)
    neighbours: int = Field(default=5, ge=0)
    reference_step: int = Field(default=10, ge=1)
    num_ref: int = Field(default=-1, ge=-1)
    references_before: int = Field(default=4, ge=0)
    references_ahead: int = Field(default=2, ge=0)
    crop: bool = False
    context: int | float = 1.0
    dilate: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fitting(self) -> InpaintingOptions:
        if self.stride > self.neighbours + 1:
            raise ValueError(
                f"windows {self.stride} frames apart with {self.neighbours} neighbours on each side leave frames out; "
                f"stride can be at most {self.neighbours + 1}"
            )
        if self.context < 0:
            raise ValueError(f"context must not be negative, got {self.context}")
        other = {"official": ("references_before", "references_ahead"), "bounded": ("num_ref",)}[self.mode]
        useless = [key for key in other if key in self.model_fields_set]
        if useless:
            raise ValueError(f"{' and '.join(useless)} mean nothing with mode={self.mode}")
        if "context" in self.model_fields_set and not self.crop:
            raise ValueError("context means nothing without crop=true")
        return self

    def plan(self) -> Plan:
        """The windows."""
        if self.mode == "official":
            return OfficialPlan(self.stride, self.neighbours, self.reference_step, self.num_ref)
        return BoundedPlan(
            self.stride, self.neighbours, self.reference_step, self.references_before, self.references_ahead
        )


# what a baseline that looks at whole clips has a use for
_FOR_CLIPS = {"crop", "context", "dilate"}


def inpaint_chunks(
    net: nn.Module, chunks: Iterable[Chunk], context: Context, *, name: str, pixel_budget: int, options: Section
) -> Iterator[Chunk]:
    """Yield all frames with their holes filled; known pixels are those of the input.

    Chunks carry ``extras["mask"]`` ``(T, 1, H, W)``; every value above 0 is a hole. What a frame holds inside its
    holes is never looked at. A video, or a part of it, without holes is returned without running the network; a video
    that is all hole gives a warning. The result does not depend on how the video was cut into chunks.

    Args:
        net: inpainting network on ``context.device``, in eval mode. Networks of this package encode every frame once;
            of others the whole window is computed; a :class:`~framewright.models.inpainting.contract.ClipInpainter`
            decides itself what it looks at.
        chunks: the frames, all of one size.
        context: device and precision.
        name: of the method, for messages.
        pixel_budget: bound of the pixels that are encoded or decoded at once; windows are not divided.
        options: an :class:`InpaintingOptions`.

    Raises:
        ConfigError: options that the method cannot follow.
        DataError: masks are missing, or sizes differ.
    """
    assert isinstance(options, InpaintingOptions)
    stream = MaskedStream(chunks, context.video_id, options.dilate)
    if isinstance(net, ClipInpainter):
        _check_options(name, options)
        parts = _fill_clips(net, stream, context, _cropping(options, 1))
    else:
        cropping = _cropping(options, getattr(net, "multiple", 1))
        if options.mode == "official" and options.crop:
            stream.read_to(None)
            holes = union(frame.box for frame in stream.frames.values())
            # one region for the whole video, as if the user had cut it out
            cropping = cropping if holes is None else FixedRegion(cropping.choose(None, holes, stream.size))
        predictor = Predictor(net, stream, context, pixel_budget, cropping)
        parts = fill_windows(stream, predictor, options.plan())
    position = 0
    for frames in parts:
        yield Chunk(position, torch.stack(frames))
        position += len(frames)


def _cropping(options: InpaintingOptions, multiple: int) -> Cropping:
    return HoleRegion(options.context, multiple) if options.crop else WholeFrame()


def _check_options(name: str, options: InpaintingOptions) -> None:
    useless = sorted(options.model_fields_set - _FOR_CLIPS)
    if useless:
        raise ConfigError(
            f"method {name!r} decides itself which frames it looks at; {', '.join(useless)} cannot be set for it "
            f"(possible: {', '.join(sorted(_FOR_CLIPS))})"
        )


def _fill_clips(
    net: ClipInpainter, stream: MaskedStream, context: Context, cropping: Cropping
) -> Iterator[list[Tensor]]:
    """Frames filled ``net.step`` at a time, each from ``net.reach`` frames on both sides; those without holes never."""
    start = 0
    while stream.read_to(start):
        stream.read_to(start + net.step - 1 + net.reach)
        wanted = range(start, min(stream.length, start + net.step))
        first, last = max(0, start - net.reach), min(stream.length, wanted.stop + net.reach)
        frames = [stream.frames[index] for index in wanted]
        holes = union(frame.box for frame in frames)
        filled: list[Tensor | None] = [None] * len(frames)
        if holes is not None:
            box = cropping.choose(None, holes, stream.size)
            clip = [stream.frames[index] for index in range(first, last)]
            video = torch.stack([box.cut(frame.image) for frame in clip]).to(context.device, torch.float32)
            masks = torch.stack([box.cut(frame.hole)[None] for frame in clip]).to(context.device, torch.float32)
            with torch.no_grad():
                made = net.fill(video, masks, range(start - first, wanted.stop - first)).cpu()
            filled = [new[:, box.cut(frame.hole)] for new, frame in zip(made, frames, strict=True)]
        yield [frame.filled(values) for frame, values in zip(frames, filled, strict=True)]
        start = wanted.stop
        stream.forget(functools.partial(operator.le, start - net.reach))
