"""What a protocol asks of a method for one video, task by task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

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
        mask: ``(M, 1, H, W)``, 1 = hole; the method sees it beside the sources. None where there are none.
        given: ground truth for metrics, by name.
        composite: known pixels of the result are taken from the targets.
        quantise: ``round`` or ``truncate``: the result is compared as 8-bit frames.
        pairs_before: see :class:`framewright.metrics.VideoPair`.
    """

    sources: Tensor
    targets: Tensor
    context: Context
    mask: Tensor | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)
    composite: bool = False
    quantise: str | None = None
    pairs_before: int = 0

    def chunks(self) -> Iterator[Chunk]:
        """The sources as a stream, with the mask where there is one."""
        extras = {} if self.mask is None else {"mask": self.mask}
        return chunked(self.sources, CHUNK_FRAMES, extras=extras)

    def scored(self, frames: Tensor, position: int) -> Tensor:
        """Output frames from ``position`` as the protocol compares them, ``(K, 3, H, W)``."""
        if self.quantise is not None:
            scaled = frames.clamp(0, 1) * 255
            # a value such as 7 / 255 * 255 may fall just below 7
            frames = (scaled.round() if self.quantise == "round" else (scaled + 1e-4).floor()) / 255
        if self.composite and self.mask is not None:
            part = slice(position, position + len(frames))
            frames = torch.where(self.mask[part] > 0, frames, self.targets[part])
        return frames

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
    return Problem(split.sources, split.targets, context, quantise=protocol.quantise)


def _inpainting(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    if "mask" not in video.truth:
        raise DataError(f"the video {video.id!r} has no masks of holes, which the protocol {protocol.name!r} needs")
    problem = _any(video, protocol, device, precision)
    assert problem.mask is not None
    # a method must not see what it is asked to guess
    return replace(problem, sources=video.frames * (1 - problem.mask))


def _any(video: EvaluationVideo, protocol: Protocol, device: torch.device, precision: str) -> Problem:
    mask = video.truth.get("mask")
    if protocol.composite and mask is None:
        raise DataError(
            f"the video {video.id!r} has no masks of holes; the protocol {protocol.name!r} composites with them"
        )
    context = Context(protocol.task, video_id=video.id, device=device, precision=precision)
    given = {name: value for name, value in video.truth.items() if name != "mask"}
    return Problem(video.frames, video.frames, context, mask, given, protocol.composite, protocol.quantise)


_MAKERS: dict[str, Callable[[EvaluationVideo, Protocol, torch.device, str], Problem]] = {
    "interpolation": _interpolation,
    "inpainting": _inpainting,
    "any": _any,
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
