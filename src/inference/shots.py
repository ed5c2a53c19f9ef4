"""Marking in a stream of chunks where shots begin, once, for all engines that must not look across a cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..ops.resize import to_8bit
from ..ops.shots import CutDetector
from .method import Chunk

SHOT_START = "shot_start"
"""Name of the extra ``(T,)`` bool: this frame begins a shot (the first one of a video is not marked)."""


def mark_shots(chunks: Iterable[Chunk], detector: CutDetector) -> Iterator[Chunk]:
    """The same chunks with ``extras["shot_start"]``.

    Engines that interpolate between frames or carry a state from frame to frame heed it: interpolation, matting and
    stabilization. A chunk is held back until the detector has decided about its last frame.

    Args:
        chunks: of one video, from its first frame on.
        detector: a new one, which has seen no frame.
    """
    waiting: deque[Chunk] = deque()
    cuts: set[int] = set()
    seen = done = 0
    for chunk in chunks:
        waiting.append(chunk)
        for frame in to_8bit(chunk.frames).permute(0, 2, 3, 1).contiguous().cpu().numpy():
            cuts.update(detector.push(frame))
        seen += len(chunk)
        while waiting and done + len(waiting[0]) <= seen - detector.look_ahead:
            done += len(waiting[0])
            yield _marked(waiting.popleft(), done, cuts)
    while waiting:
        done += len(waiting[0])
        yield _marked(waiting.popleft(), done, cuts)


def _marked(chunk: Chunk, stop: int, cuts: set[int]) -> Chunk:
    starts = torch.tensor([number in cuts for number in range(stop - len(chunk), stop)], dtype=torch.bool)
    cuts -= {number for number in cuts if number < stop}
    return replace(chunk, extras={**chunk.extras, SHOT_START: starts})


def starts_of(chunk: Chunk) -> list[bool]:
    """For each frame of a chunk whether it is marked as the first of a shot; never, where nothing is marked."""
    starts: Tensor | None = chunk.extras.get(SHOT_START)
    return [False] * len(chunk) if starts is None else [bool(start) for start in starts]
