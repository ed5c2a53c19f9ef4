"""Optical flow over a stream of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ..core.config import Section
from .method import Chunk, Context
from .pairs import batches, consecutive


def flow_chunks(
    net: nn.Module,
    chunks: Iterable[Chunk],
    context: Context,
    *,
    name: str,
    pixel_budget: int,
    options: Section | None = None,
) -> Iterator[Chunk]:
    """Yield the flow from each frame to the next: T frames give T - 1 flows.

    A chunk of the result holds the first frames of its pairs, and beside them as ``extras["flow"]`` the flow
    ``(K, 2, H, W)`` float32 in pixels, on the CPU. What is computed together depends on the position in the video and
    on the pixel budget, never on how the video was cut into chunks, so the result does not either.

    Args:
        net: flow network on ``context.device``, in eval mode; it pads its input itself.
        chunks: the frames, all of one size.
        context: device, precision and, where a protocol prescribes it, padding.
        name: of the method, for messages.
        pixel_budget: upper bound of ``B*H*W`` in one forward pass (a single pair always runs).
        options: there are none.

    Raises:
        ValueError: the network did not return ``(B, 2, H, W)``, or two frames differ in size.
    """
    position = 0
    for pairs in batches(consecutive(chunks), pixel_budget, lambda pair: pair[0]):
        first = torch.stack([pair[0] for pair in pairs])
        second = torch.stack([pair[1] for pair in pairs])
        flow = _forward(net, first, second, context, name)
        yield Chunk(position, first, {"flow": flow})
        position += len(pairs)


def _forward(net: nn.Module, first: Tensor, second: Tensor, context: Context, name: str) -> Tensor:
    device = context.device
    image1, image2 = first.to(device, torch.float32), second.to(device, torch.float32)
    if context.padding is not None:
        (image1, crop), (image2, _) = context.padding.pad(image1), context.padding.pad(image2)
    # Not inference_mode: a network may keep tensors (sampling grids) that training later needs in autograd.
    with (
        torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=context.precision == "bf16-mixed"),
    ):
        flow: Tensor = net(image1, image2)
    if context.padding is not None:
        flow = crop(flow)
    expected = (first.shape[0], 2, *first.shape[2:])
    if tuple(flow.shape) != expected:
        raise ValueError(f"method {name!r} returned a flow of shape {tuple(flow.shape)}, expected {expected}")
    return flow.float().cpu()
