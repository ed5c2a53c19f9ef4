"""What a protocol asks of a method for one video, task by task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..datamodules.base import EvaluationVideo
from ..inference import Chunk, Context, chunked, split_frames
from .protocol import Protocol

CHUNK_FRAMES = 16


@dataclass(frozen=True)
class Problem:
    """One video, ready for a method and for the metrics.

    Attributes:
        sources: ``(N, 3, H, W)`` frames that the method sees.
        targets: ``(M, 3, H, W)`` frames that its output is compared with.
        context: what it is asked to do.
    """

    sources: Tensor
    targets: Tensor
    context: Context

    def chunks(self) -> Iterator[Chunk]:
        """The sources as a stream."""
        return chunked(self.sources, CHUNK_FRAMES)

    def preview(self, index: int) -> Tensor:
        """What there was to see for output frame ``index``, ``(3, H, W)``: for interpolation the two input
        frames laid over each other."""
        if self.context.task == "interpolation":
            left = index // len(self.context.timesteps)
            return (self.sources[left] + self.sources[left + 1]) / 2
        return self.sources[index]

    def playback(self, outputs: Tensor) -> Tensor:
        """The result as it would be watched: for interpolation woven between the input frames it belongs to.

        Args:
            outputs: the first K output frames or their targets, ``(K, 3, H, W)``.
        """
        if self.context.task != "interpolation":
            return outputs
        steps = len(self.context.timesteps)
        frames: list[Tensor] = []
        for index, output in enumerate(outputs):
            if index % steps == 0:
                frames.append(self.sources[index // steps])
            frames.append(output)
        if len(outputs) % steps == 0:
            frames.append(self.sources[len(outputs) // steps])
        return torch.stack(frames)


def _interpolation(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    padding = None if protocol.padding is None else protocol.padding.rule()
    try:
        split = split_frames(video.frames, protocol.stride)
        if padding is not None:
            padding.padded_size(int(video.frames.shape[-2]), int(video.frames.shape[-1]))
    except ValueError as error:
        raise DataError(f"the video {video.id!r} cannot be used: {error}") from None
    context = Context("interpolation", split.timesteps, video.id, device, precision, padding)
    return Problem(split.sources, split.targets, context)


_MAKERS: dict[str, Callable[[EvaluationVideo, Protocol, torch.device, str], Problem]] = {
    "interpolation": _interpolation
}


def make_problem(
    video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str = "32-true"
) -> Problem:
    """Apply a protocol to a video.

    Raises:
        ConfigError: no benchmark exists for the protocol's task.
        DataError: the video does not suit the protocol; the message names it.
    """
    if protocol.task not in _MAKERS:
        raise ConfigError(
            f"protocol {protocol.name!r}: no benchmark for the task {protocol.task!r} (possible: {', '.join(_MAKERS)})"
        )
    return _MAKERS[protocol.task](video, protocol, device, precision)
