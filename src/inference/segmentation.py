"""Semantic segmentation over a stream of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError
from .method import Chunk, Context
from .pairs import batches


class SegmentationOptions(Section):
    """How a network is run over a video.

    Attributes:
        scales: the network sees each frame at these sizes (1 = its own); probabilities are averaged.
        flip: and mirrored too.
        classes: also give how probable these classes are together, as ``extras["probability"]``.
        logits: also give all logits (logarithms of averaged probabilities with several views).
    """

    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    flip: bool = False
    classes: tuple[Annotated[int, Field(ge=0)], ...] = ()
    logits: bool = False


def segment_chunks(
    net: nn.Module, chunks: Iterable[Chunk], context: Context, *, name: str, pixel_budget: int, options: Section
) -> Iterator[Chunk]:
    """Yield the frames with ``extras["labels"]`` ``(T, H, W)`` int64, the most probable class of each pixel.

    With the options of that name also ``extras["probability"]`` ``(T, 1, H, W)`` and ``extras["logits"]``
    ``(T, K, H, W)`` float32. What is computed together depends on the position in the video and on the pixel budget,
    never on how the video was cut into chunks.

    Args:
        net: segmentation network on ``context.device``, in eval mode; it takes any size.
        chunks: the frames, all of one size.
        context: device and precision.
        name: of the method, for messages.
        pixel_budget: upper bound of ``B*H*W`` in one forward pass (a single frame always runs).
        options: a :class:`SegmentationOptions`.

    Raises:
        ConfigError: ``classes`` names one that the network does not have.
        ValueError: the network did not return ``(B, K, H, W)``.
    """
    assert isinstance(options, SegmentationOptions)
    position = 0
    frames = (frame for chunk in chunks for frame in chunk.frames)
    for batch in batches(frames, pixel_budget, lambda frame: frame):
        images = torch.stack(batch)
        logits = _logits(net, images.to(context.device, torch.float32), context, name, options)
        missing = [index for index in options.classes if index >= logits.shape[1]]
        if missing:
            raise ConfigError(f"method {name!r} has {logits.shape[1]} classes (from 0); there is no class {missing[0]}")
        extras = {"labels": logits.argmax(1).cpu()}
        if options.classes:
            extras["probability"] = logits.softmax(1)[:, list(options.classes)].sum(1, keepdim=True).cpu()
        if options.logits:
            extras["logits"] = logits.cpu()
        yield Chunk(position, images, extras)
        position += len(batch)


def _logits(net: nn.Module, images: Tensor, context: Context, name: str, options: SegmentationOptions) -> Tensor:
    size = images.shape[2:]
    sides = (False, True) if options.flip else (False,)
    views = [(scale, mirrored) for scale in options.scales for mirrored in sides]
    total: Tensor | None = None
    for scale, mirrored in views:
        view = images
        if scale != 1:
            scaled = [max(1, round(side * scale)) for side in size]
            view = F.interpolate(images, scaled, mode="bilinear", align_corners=False, antialias=scale < 1)
        with (
            torch.no_grad(),
            torch.autocast(context.device.type, torch.bfloat16, enabled=context.precision == "bf16-mixed"),
        ):
            found: Tensor = net(view.flip(3) if mirrored else view)
        if found.dim() != 4 or found.shape[0] != len(images) or found.shape[2:] != view.shape[2:]:
            raise ValueError(
                f"method {name!r} returned {tuple(found.shape)} for frames {tuple(view.shape)}, expected logits "
                "(B, K, H, W)"
            )
        found = found.float()
        if len(views) == 1:
            return found if scale == 1 else F.interpolate(found, size, mode="bilinear", align_corners=False)
        probability = (found.flip(3) if mirrored else found).softmax(1)
        probability = F.interpolate(probability, size, mode="bilinear", align_corners=False)
        total = probability if total is None else total + probability
    assert total is not None
    return (total / len(views)).clamp(min=1e-12).log()
