"""Consecutive frames of a stream, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from .method import Chunk

Item = TypeVar("Item")


def pixel_budget_for(device: torch.device) -> int:
    """Pixels in one forward pass where nobody says otherwise.

    For an accelerator about 18 Vimeo frames (256x448), or one frame of full HD; for the CPU 2 Vimeo frames, because
    what stays in its caches is faster and takes less memory (``perf/passes.py``).
    """
    return 2**18 if device.type == "cpu" else 2**21


def consecutive(chunks: Iterable[Chunk]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each frame ``(3, H, W)`` with its successor; one frame is kept over the border of two chunks."""
    previous: Tensor | None = None
    for chunk in chunks:
        for frame in chunk.frames:
            if previous is not None:
                yield previous, frame
            previous = frame


def batches(items: Iterable[Item], pixel_budget: int, frame: Callable[[Item], Tensor]) -> Iterator[list[Item]]:
    """Lists of items whose pixels together stay within a budget; a single item always makes one.

    Args:
        items: what is computed together.
        pixel_budget: upper bound of ``B*H*W``.
        frame: the frame of an item whose size counts.
    """
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        height, width = frame(item).shape[-2:]
        if (len(batch) + 1) * height * width > pixel_budget:
            yield batch
            batch = []
    if batch:
        yield batch
