"""Matting over a stream of frames: with a trimap frame by frame, or recurrent without one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError, DataError
from ..ops.foreground import estimate_foreground
from .method import Chunk, Context
from .pairs import batches
from .shots import starts_of


class MattingOptions(Section):
    """How a network is run over a video.

    Attributes:
        keep_known: alpha is 0 and 1 where the trimap says so, whatever the network gives.
        foreground: give foreground colours too (recurrent networks always do).
        downsample_ratio: recurrent networks only: by which frames are reduced; null: the network decides.
    """

    keep_known: bool = True
    foreground: bool = False
    downsample_ratio: Annotated[float, Field(gt=0, le=1)] | None = None


def matte_chunks(
    net: nn.Module, chunks: Iterable[Chunk], context: Context, *, name: str, pixel_budget: int, options: Section
) -> Iterator[Chunk]:
    """Yield the frames with ``extras["alpha"]`` ``(T, 1, H, W)`` float32 and perhaps ``extras["foreground"]``.

    A network that takes a trimap needs ``extras["trimap"]`` ``(T, 1, H, W)`` of the chunks: 0 background, 1
    foreground, anything between unknown; a frame without unknown pixels is not computed. A recurrent network keeps its
    state over the whole video, or from one marked shot (:func:`framewright.inference.mark_shots`) to the next. The
    result does not depend on how the video was cut into chunks.

    Args:
        net: matting network on ``context.device``, in eval mode; it takes any size.
        chunks: the frames, all of one size.
        context: device and precision.
        name: of the method, for messages.
        pixel_budget: upper bound of ``B*H*W`` in one forward pass (a single frame always runs).
        options: a :class:`MattingOptions`.

    Raises:
        ConfigError: options that the method cannot follow.
        DataError: a trimap is missing or of another size.
    """
    assert isinstance(options, MattingOptions)
    if getattr(net, "recurrent", False):
        yield from _recurrent(net, chunks, context, pixel_budget, options)
        return
    if options.downsample_ratio is not None:
        raise ConfigError(f"method {name!r} takes a trimap and is not recurrent; downsample_ratio cannot be set for it")
    position = 0
    frames = (pair for chunk in chunks for pair in _with_trimap(chunk, context, name))
    for batch in batches(frames, pixel_budget, lambda pair: pair[0]):
        images, trimaps = (torch.stack(part) for part in zip(*batch, strict=True))
        alpha = _matte(net, images, trimaps, context, name, options.keep_known)
        extras = {"alpha": alpha}
        if options.foreground:
            extras["foreground"] = estimate_foreground(images.to(context.device), alpha.to(context.device))[0].cpu()
        yield Chunk(position, images, extras)
        position += len(batch)


def _with_trimap(chunk: Chunk, context: Context, name: str) -> Iterator[tuple[Tensor, Tensor]]:
    trimap = chunk.extras.get("trimap")
    if trimap is None:
        raise DataError(
            f"the video {context.video_id!r} has no trimap at frame {chunk.start}; method {name!r} needs one "
            "(framewright.ops.trimap makes trimaps from segmentation)"
        )
    expected = (len(chunk), 1, *chunk.frames.shape[2:])
    if tuple(trimap.shape) != expected:
        raise DataError(
            f"the trimap of the video {context.video_id!r} at frame {chunk.start} is {tuple(trimap.shape)}, expected "
            f"{expected} as its frames"
        )
    yield from zip(chunk.frames, trimap.float(), strict=True)


def _matte(net: nn.Module, images: Tensor, trimaps: Tensor, context: Context, name: str, keep: bool) -> Tensor:
    background, foreground = trimaps <= 0, trimaps >= 1
    wanted = (~(background | foreground)).flatten(1).any(1) if keep else torch.ones(len(images), dtype=torch.bool)
    alpha = foreground.float()
    if bool(wanted.any()):
        with (
            torch.no_grad(),
            torch.autocast(context.device.type, torch.bfloat16, enabled=context.precision == "bf16-mixed"),
        ):
            made: Tensor = net(*(x[wanted].to(context.device, torch.float32) for x in (images, trimaps)))
        expected = (int(wanted.sum()), 1, *images.shape[2:])
        if tuple(made.shape) != expected:
            raise ValueError(f"method {name!r} returned an alpha of shape {tuple(made.shape)}, expected {expected}")
        alpha[wanted] = made.float().cpu().clamp(0, 1)
    if keep:
        alpha = torch.where(background, 0.0, torch.where(foreground, 1.0, alpha))
    return alpha


def _recurrent(
    net: nn.Module, chunks: Iterable[Chunk], context: Context, pixel_budget: int, options: MattingOptions
) -> Iterator[Chunk]:
    position, state = 0, None
    frames = (pair for chunk in chunks for pair in zip(chunk.frames, starts_of(chunk), strict=True))
    for batch in _within_shots(batches(frames, pixel_budget, lambda pair: pair[0])):
        images = torch.stack([frame for frame, _ in batch])
        if batch[0][1]:
            state = None
        with (
            torch.no_grad(),
            torch.autocast(context.device.type, torch.bfloat16, enabled=context.precision == "bf16-mixed"),
        ):
            video = images[None].to(context.device, torch.float32)
            matte = net(video, state, downsample_ratio=options.downsample_ratio)
        state = matte.state
        extras = {"alpha": matte.alpha[0].float().cpu(), "foreground": matte.foreground[0].float().cpu()}
        yield Chunk(position, images, extras)
        position += len(batch)


def _within_shots(groups: Iterable[list[tuple[Tensor, bool]]]) -> Iterator[list[tuple[Tensor, bool]]]:
    """Each batch, divided where a shot begins."""
    for group in groups:
        borders = [place for place, (_, starts) in enumerate(group) if starts and place > 0]
        for first, last in pairwise([0, *borders, len(group)]):
            yield group[first:last]
