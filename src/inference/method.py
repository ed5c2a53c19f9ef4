"""What every method is, be it a network, a baseline or a folder of somebody's results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ..models.card import PublishedResult
from ..ops.pad import PadRule

PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of one video.

    Attributes:
        start: index of the first frame. For the input of a method it counts frames of the source video,
            for its output it counts output frames.
        frames: ``(T, 3, H, W)`` RGB float32 in [0, 1], on the CPU.
        extras: what goes with the frames (masks, alpha, flow), each with the time axis first.
        final: the frames are as a benchmark shall score them and are not rounded again: read from 8-bit files, or
            rounded where the published procedure does it, and averaged afterwards.
    """

    start: int
    frames: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    final: bool = False

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3:
            raise ValueError(f"the frames of a chunk are (T, 3, H, W), got {tuple(self.frames.shape)}")
        for name, extra in self.extras.items():
            if extra.shape[:1] != self.frames.shape[:1]:
                raise ValueError(
                    f"extra {name!r} has {extra.shape[0] if extra.ndim else 0} frames, "
                    f"the chunk has {self.frames.shape[0]}"
                )

    def __len__(self) -> int:
        return int(self.frames.shape[0])


@dataclass(frozen=True)
class Context:
    """What a method is asked to do with a video.

    Attributes:
        task: one of :data:`framewright.models.card.TASKS`.
        timesteps: for interpolation, where between two frames the new frames lie; increasing, in (0, 1).
        video_id: identifies the video within its set; a results folder is searched for it.
        device: where networks run.
        precision: ``32-true``, or ``bf16-mixed`` for autocast.
        padding: how a network's input is padded (and its output cropped) before its own padding; None: not at all.
        scale: for super-resolution, how many times larger the result has to be; None: whatever the network gives.
        reference: for style, ``(S, 3, h, w)`` in the wanted style, of any size, where a method names none itself.

    Raises:
        ValueError: timesteps or precision out of range.
    """

    task: str
    timesteps: tuple[float, ...] = (0.5,)
    video_id: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "32-true"
    padding: PadRule | None = None
    scale: int | None = None
    reference: Tensor | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        steps = self.timesteps
        if not steps or list(steps) != sorted(set(steps)) or steps[0] <= 0 or steps[-1] >= 1:
            raise ValueError(f"timesteps must increase strictly within (0, 1), got {steps}")

    def output_frames(self, source_frames: int) -> int:
        """How many frames a method returns for a video of ``source_frames`` frames."""
        if self.task == "interpolation":
            return max(source_frames - 1, 0) * len(self.timesteps)
        if self.task == "flow":
            return max(source_frames - 1, 0)
        return source_frames


class Method(Protocol):
    """Something that turns a video into a result.

    Attributes:
        name: the row's name in a table.
        source: where it comes from, for people: a weight file, a run folder, ``baseline frame_average`` ...
        weights_sha256: of the weight file, None where there are no weights.
        parameters: number of its parameters, None where nobody can know.
        published: numbers from the literature that belong to exactly this method.
    """

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def weights_sha256(self) -> str | None: ...
    @property
    def parameters(self) -> int | None: ...
    @property
    def published(self) -> tuple[PublishedResult, ...]: ...

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Everything that the output depends on, JSON-able; None if unknown: then nothing is cached."""
        ...

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        """Consume the chunks of one video in order and yield the result's chunks in order."""
        ...


def chunked(
    frames: Tensor, size: int | None = None, *, start: int = 0, extras: Mapping[str, Tensor] | None = None
) -> Iterator[Chunk]:
    """Cut a video that is in memory into chunks of ``size`` frames (None: a single chunk).

    Args:
        frames: ``(T, 3, H, W)`` in [0, 1].
        size: frames per chunk, at least 1; the last chunk may be shorter.
        start: index of the first frame.
        extras: tensors with the same time axis, cut along.
    """
    if size is not None and size < 1:
        raise ValueError(f"a chunk holds at least one frame, got size {size}")
    total = int(frames.shape[0])
    for first in range(0, total, size or max(total, 1)):
        part = slice(first, first + size if size else total)
        yield Chunk(start + first, frames[part], {key: value[part] for key, value in (extras or {}).items()})
