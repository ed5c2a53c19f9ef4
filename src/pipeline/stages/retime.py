"""More frames per second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from ...core.config import Section
from ...core.errors import ConfigError
from ...inference.cuts import MotionCutDetector
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...models.interpolation.baselines import interpolate_along
from ..stage import TIME, Chosen, MethodStage, Settings, Used, single


class RetimeSection(MethodFields):
    """The method, DIS flow and warping by default.

    Attributes:
        factor: frames out for each in. n frames become ``factor * (n - 1) + 1``: the last one has no successor to move
            towards, and is shown as long as before, so that the video lasts as long as its source.
        cuts: across a cut frames are repeated, not mixed.
        motion: frames are moved along the flows that an earlier stage gives (``motion``), and no method runs.
    """

    factor: int = Field(default=2, ge=2, le=16)
    cuts: bool = True
    motion: bool = False


class _Frame(NamedTuple):
    """A frame ``(3, H, W)``, its number and time, and whether a scene begins with it."""

    number: int
    image: Tensor
    time: float
    starts: bool


class Retime(MethodStage):
    """New frames between each two frames; those of the source stay as they are, at their times."""

    task = "interpolation"
    keeps = False
    section: RetimeSection

    def choose(self) -> Chosen:
        self.factor = self.section.factor
        if self.section.motion:
            self.reads = frozenset({"flow", "flow_back"})
        return Chosen(self.section, self.task, "dis_warp", self.where)

    @property
    def ahead(self) -> int:
        return 1

    def check(self, frames: int, size: tuple[int, int]) -> None:
        if frames < 2:
            raise ConfigError(f"{self.where}: there is nothing between the frames of a video that has {frames}")

    def used(self) -> list[Used]:
        return (
            [Used("frames warped along the flows of the stage before", baseline=False)]
            if self.section.motion
            else super().used()
        )

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        waiting: deque[_Frame] = deque()
        detector = MotionCutDetector() if self.section.cuts else None

        def noted() -> Iterator[Chunk]:
            for chunk in chunks:
                for place, shown in enumerate(chunk.extras[TIME].tolist()):
                    frame = chunk.frames[place]
                    cut = detector is not None and detector.push(frame)
                    waiting.append(_Frame(chunk.start + place, frame, shown, cut))
                yield chunk

        steps = [step / self.factor for step in range(1, self.factor)]
        between: list[Tensor] = []
        made_by = along_motion if self.section.motion else self._by_method
        for made in made_by(noted(), steps, settings):
            for frame in made.frames:
                between.append(frame)
                if len(between) == len(steps):
                    yield self._pair(waiting.popleft(), waiting[0], between, steps)
                    between = []
        for last in waiting:
            shown = torch.tensor([last.time], dtype=torch.float64)
            yield Chunk(last.number * self.factor, last.image[None], {TIME: shown})

    def _by_method(self, chunks: Iterator[Chunk], steps: list[float], settings: Settings) -> Iterator[Chunk]:
        return self.chosen.run(chunks, settings, timesteps=tuple(steps))

    def _pair(self, first: _Frame, second: _Frame, between: list[Tensor], steps: list[float]) -> Chunk:
        """A frame and those up to the next one."""
        if second.starts:
            between = [first.image if step <= 0.5 else second.image for step in steps]
        times = [first.time, *(first.time + step * (second.time - first.time) for step in steps)]
        shown = torch.tensor(times, dtype=torch.float64)
        return Chunk(first.number * self.factor, torch.stack([first.image, *between]), {TIME: shown})

    @classmethod
    def options(cls) -> type[Section]:
        return RetimeSection


def along_motion(chunks: Iterator[Chunk], steps: list[float], settings: Settings) -> Iterator[Chunk]:
    """The frames at ``steps`` between each two frames, from ``flow`` to the next frame and ``flow_back`` from it."""
    before: Chunk | None = None
    for chunk in single(chunks):
        if before is not None:
            first, second = (part.frames.to(settings.device) for part in (before, chunk))
            forward, backward = (before.extras[key].to(settings.device) for key in ("flow", "flow_back"))
            made = [interpolate_along(first, second, forward, backward, step) for step in steps]
            yield Chunk(before.start, torch.cat(made).clamp(0, 1).cpu())
        before = chunk
