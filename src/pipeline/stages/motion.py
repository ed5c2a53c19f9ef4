"""How everything moves, and moving a video as another one moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from ...core.config import Section
from ...core.errors import ConfigError
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...ops.trajectories import chain_flows, followed, grid_points
from ...ops.warp import warp
from ..other_video import Pictures, cover
from ..stage import Chosen, MethodStage, Settings, along, single


class MotionSection(MethodFields):
    """The flow method, DIS by default.

    Attributes:
        trajectories: so many frames before and after each frame its points are followed; 0: flows only.
        step: distance of these points in pixels.
    """

    trajectories: int = Field(default=0, ge=0, le=60)
    step: int = Field(default=16, ge=1)


class Motion(MethodStage):
    """Gives ``flow`` to the next frame and ``flow_back`` from it, both ``(T, 2, H, W)``; zero at the last frame.

    With ``trajectories`` = L also ``points`` ``(T, 2 L + 1, N, 2)``, where the points of each frame's grid are in the
    frames around it, chained along the flows of both directions, and ``visible`` ``(T, 2 L + 1, N)``, 1 where they are
    seen. Beyond the ends of the video they stay, unseen.
    """

    task = "flow"
    gives = frozenset({"flow", "flow_back", "points", "visible"})
    helper = True
    section: MotionSection

    def choose(self) -> Chosen:
        if not self.section.trajectories:
            self.gives = frozenset({"flow", "flow_back"})
        return Chosen(self.section, self.task, "dis", self.where)

    @property
    def back(self) -> int | None:
        return self.section.trajectories

    @property
    def ahead(self) -> int:
        return self.section.trajectories + 1

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        net = self.chosen.load(settings).net.to(settings.device)
        known = self._with_flows(chunks, net, settings)
        return self._with_points(known) if self.section.trajectories else known

    def _with_flows(self, chunks: Iterator[Chunk], net: torch.nn.Module, settings: Settings) -> Iterator[Chunk]:
        before: Chunk | None = None
        for chunk in single(chunks):
            if before is not None:
                flows = both_flows(net, before.frames, chunk.frames, settings)
                yield _more(before, flow=flows[:1], flow_back=flows[1:])
            before = chunk
        if before is not None:
            nothing = torch.zeros(1, 2, *before.frames.shape[2:])
            yield _more(before, flow=nothing, flow_back=nothing)

    def _with_points(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        length = self.section.trajectories
        near: deque[Chunk] = deque()
        place = 0
        ended = False
        while True:
            while not ended and len(near) <= place + length:
                chunk = next(chunks, None)
                ended = chunk is None
                if chunk is not None:
                    near.append(chunk)
            if place >= len(near):
                return
            yield self._followed(list(near), place)
            place += 1
            if place > length:
                near.popleft()
                place -= 1

    def _followed(self, near: list[Chunk], place: int) -> Chunk:
        length = self.section.trajectories
        height, width = (int(side) for side in near[place].frames.shape[2:])
        grid = grid_points(height, width, self.section.step)
        later = near[place : min(place + length, len(near) - 1)]
        earlier = near[max(0, place - length) : place][::-1]
        after = chain_flows([x.extras["flow"][0] for x in later], [x.extras["flow_back"][0] for x in later], grid)
        before = chain_flows([x.extras["flow_back"][0] for x in earlier], [x.extras["flow"][0] for x in earlier], grid)
        points = torch.cat((_padded(before[0], length).flip(0), _padded(after[0], length)[1:]))
        seen = torch.cat((_padded(before[1].float(), length, 0).flip(0), _padded(after[1].float(), length, 0)[1:]))
        return _more(near[place], points=points[None], visible=seen[None])

    @classmethod
    def options(cls) -> type[Section]:
        return MotionSection


class TransferSection(MethodFields):
    """The flow method that follows the other video, DIS by default.

    Attributes:
        motion_of: the video whose motion is taken; it has at least as many frames.
        strength: of the motion; 1: as it is.
    """

    motion_of: str | None = None
    strength: float = Field(default=1.0, ge=0, le=4)


class TransferMotion(MethodStage):
    """Every frame is moved as the other video has moved since its first frame.

    The flows of the other video from each frame to the one before are chained, so that each point knows where it was in
    the first frame; the frame is read there. What has no past repeats the edge. Every frame counts on, so the video is
    one segment.
    """

    task = "flow"
    keeps = False
    section: TransferSection

    def choose(self) -> Chosen:
        if self.section.motion_of is None:
            raise ConfigError(f"{self.where} needs {self.where}.motion_of=<video>")
        self.pictures = Pictures(self.section.motion_of, f"{self.where}.motion_of")
        return Chosen(self.section, self.task, "dis", self.where)

    @property
    def back(self) -> int | None:
        return None

    def check(self, frames: int, size: tuple[int, int]) -> None:
        if len(self.pictures) < frames:
            raise ConfigError(
                f"{self.where}: {str(self.pictures.path)!r} has {len(self.pictures)} frames, the video to be "
                f"moved has {frames}"
            )

    def files(self) -> list[Path]:
        return [*super().files(), self.pictures.path]

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        return along(chunks, lambda inner: self._moved(inner, settings), self.keeps)

    def _moved(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        net = self.chosen.load(settings).net.to(settings.device)
        before: Tensor | None = None
        path: Tensor | None = None
        for chunk in single(chunks):
            now = cover(
                self.pictures.frame(chunk.start // self.rate), (int(chunk.frames.shape[2]), int(chunk.frames.shape[3]))
            )[None]
            if before is None or path is None:
                path = torch.zeros(2, *now.shape[2:])
            else:
                path = followed(path, both_flows(net, before, now, settings)[1])
            before = now
            yield Chunk(chunk.start, warp(chunk.frames, self.section.strength * path[None]))

    @classmethod
    def options(cls) -> type[Section]:
        return TransferSection


def both_flows(net: torch.nn.Module, first: Tensor, second: Tensor, settings: Settings) -> Tensor:
    """The flows ``(2, 2, H, W)`` from a frame ``(1, 3, H, W)`` to another one and back, on the CPU."""
    images = torch.cat((first, second)).to(settings.device, torch.float32)
    reduced = settings.precision == "bf16-mixed"
    with torch.no_grad(), torch.autocast(settings.device.type, torch.bfloat16, enabled=reduced):
        flows: Tensor = net(images, images.flip(0))
    return flows.float().cpu()


def _padded(values: Tensor, length: int, fill: float | None = None) -> Tensor:
    """``(L + 1, ...)`` up to ``length + 1`` by repeating the last one, or a number."""
    missing = length + 1 - len(values)
    last = values[-1:] if fill is None else torch.full_like(values[-1:], fill)
    return torch.cat((values, last.expand(missing, *values.shape[1:])))


def _more(chunk: Chunk, **extras: Tensor) -> Chunk:
    return Chunk(chunk.start, chunk.frames, {**chunk.extras, **extras})
