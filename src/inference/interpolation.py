"""Frame interpolation over a stream of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.config import Section
from ..core.errors import ConfigError
from .method import Chunk, Context
from .pairs import batches
from .shots import starts_of


class InterpolationSplit(NamedTuple):
    """A video taken apart: sources ``(N, 3, H, W)``, targets ``((N-1)*(stride-1), 3, H, W)``, their times."""

    sources: Tensor
    targets: Tensor
    timesteps: tuple[float, ...]


def split_frames(frames: Tensor, stride: int = 2) -> InterpolationSplit:
    """Use every ``stride``-th frame as input and those in between as targets.

    Frames after the last input have no right neighbour and are left out (with stride 2: the last frame of
    a video with an even number of frames).

    Args:
        frames: ``(T, 3, H, W)`` with ``T > stride``.
        stride: distance of two inputs; 2 gives the triplets of the usual benchmarks, 4 three targets per gap.

    Raises:
        ValueError: stride below 2 or too few frames.
    """
    if stride < 2:
        raise ValueError(f"stride must be at least 2, got {stride}")
    gaps = (int(frames.shape[0]) - 1) // stride
    if gaps < 1:
        raise ValueError(f"interpolation with stride {stride} needs {stride + 1} frames, got {frames.shape[0]}")
    used = frames[: gaps * stride + 1]
    between = torch.arange(used.shape[0]) % stride != 0
    return InterpolationSplit(used[::stride], used[between], tuple(i / stride for i in range(1, stride)))


def interpolate_chunks(
    net: nn.Module,
    chunks: Iterable[Chunk],
    context: Context,
    *,
    name: str,
    pixel_budget: int,
    options: Section | None = None,
) -> Iterator[Chunk]:
    """Yield the frames at ``context.timesteps`` between each two consecutive frames.

    One frame is kept over the border of two chunks. What is computed together depends on the position in the
    video and on the pixel budget, never on how the video was cut into chunks, so the result does not either. Between
    two shots (see :func:`framewright.inference.mark_shots`) the nearer frame is repeated.

    Args:
        net: interpolation network on ``context.device``, in eval mode.
        chunks: the source frames, all of one size.
        context: timesteps, device and precision.
        name: of the method, for messages.
        pixel_budget: upper bound of ``B*H*W`` in one forward pass (a single pair always runs).
        options: there are none.

    Raises:
        ConfigError: the network refuses the timesteps (a network for the middle only).
    """
    position = 0
    for pairs in batches(_pairs(chunks, context.timesteps), pixel_budget, lambda pair: pair[0]):
        frames = _forward(net, pairs, context, name)
        for place, pair in enumerate(pairs):
            # computed all the same, so that what shares a batch does not depend on cuts
            if pair[3]:
                frames[place] = pair[0] if pair[2] < 0.5 else pair[1]
        yield Chunk(position, frames)
        position += len(pairs)


Pair = tuple[Tensor, Tensor, float, bool]


def _pairs(chunks: Iterable[Chunk], timesteps: tuple[float, ...]) -> Iterator[Pair]:
    left: Tensor | None = None
    for chunk in chunks:
        for right, starts in zip(chunk.frames, starts_of(chunk), strict=True):
            if left is not None:
                for timestep in timesteps:
                    yield left, right, timestep, starts
            left = right


def _forward(net: nn.Module, pairs: list[Pair], context: Context, name: str) -> Tensor:
    device = context.device
    image0 = torch.stack([pair[0] for pair in pairs]).to(device, torch.float32)
    image1 = torch.stack([pair[1] for pair in pairs]).to(device, torch.float32)
    if context.padding is not None:
        (image0, crop), (image1, _) = context.padding.pad(image0), context.padding.pad(image1)
    timestep: float | Tensor = context.timesteps[0]
    if len(context.timesteps) > 1:
        timestep = torch.tensor([pair[2] for pair in pairs], device=device, dtype=torch.float32)
    # Not inference_mode: a network may keep tensors (sampling grids) that training later needs in autograd.
    with (
        torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=context.precision == "bf16-mixed"),
    ):
        try:
            output: Tensor = net(image0, image1, timestep=timestep)
        except ValueError as error:
            if context.timesteps == (0.5,):
                raise
            steps = ", ".join(f"{step:g}" for step in context.timesteps)
            raise ConfigError(f"method {name!r} cannot interpolate at t = {steps}: {error}") from error
    if context.padding is not None:
        output = crop(output)
    return output.float().clamp(0, 1).cpu()
