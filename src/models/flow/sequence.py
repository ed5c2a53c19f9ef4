"""The flow between the consecutive frames of a video."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# pixels of a batch, all pairs together: beyond this a larger batch costs memory and gains no speed
_PIXELS_PER_BATCH = 2**18


def video_flow(net: nn.Module, frames: Tensor, *, backward: bool = False, pairs_per_batch: int | None = None) -> Tensor:
    """The flow of every frame to the next one, without gradients and in float32.

    Works through the pairs in batches, so that beyond frames and result the memory does not grow with T.

    Args:
        net: a flow network; its mode is not changed.
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        backward: the flow of every frame but the first to the one before it.
        pairs_per_batch: None for as many as make a quarter of a million pixels, at least 1.

    Returns:
        ``(T - 1, 2, H, W)`` in pixels, on the device of ``frames``; entry t belongs to the frames t and t + 1.

    Raises:
        ValueError: frames of another shape, or a batch of less than one pair.
    """
    if frames.dim() != 4 or frames.shape[1] != 3:
        raise ValueError(f"the flow of a video needs frames (T, 3, H, W), got {tuple(frames.shape)}")
    if pairs_per_batch is None:
        pairs_per_batch = max(1, _PIXELS_PER_BATCH // max(1, frames.shape[2] * frames.shape[3]))
    if pairs_per_batch < 1:
        raise ValueError(f"pairs_per_batch must be at least 1, got {pairs_per_batch}")
    pairs = max(0, frames.shape[0] - 1)
    flow = torch.empty(pairs, 2, *frames.shape[2:], device=frames.device)
    with torch.no_grad(), torch.autocast(device_type=frames.device.type, enabled=False):
        for start in range(0, pairs, pairs_per_batch):
            stop = min(pairs, start + pairs_per_batch)
            first, second = frames[start:stop].float(), frames[start + 1 : stop + 1].float()
            flow[start:stop] = net(second, first) if backward else net(first, second)
    return flow
