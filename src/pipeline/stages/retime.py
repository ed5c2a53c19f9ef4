"""More frames per second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...core.config import Section
from ...core.errors import ConfigError
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...models.interpolation.baselines import interpolate_along
from ..stage import TIME, Chosen, MethodStage, Settings, Used, single

# PySceneDetect's threshold of a cut, on its scale of 0 to 255
_CUT = 27.0


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
        return [Used("frames warped along the flows of the stage before")] if self.section.motion else super().used()

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        waiting: deque[tuple[int, Tensor, float]] = deque()

        def noted() -> Iterator[Chunk]:
            for chunk in chunks:
                for place, shown in enumerate(chunk.extras[TIME].tolist()):
                    waiting.append((chunk.start + place, chunk.frames[place], shown))
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
        for start, frame, shown in waiting:
            yield Chunk(start * self.factor, frame[None], {TIME: torch.tensor([shown], dtype=torch.float64)})

    def _by_method(self, chunks: Iterator[Chunk], steps: list[float], settings: Settings) -> Iterator[Chunk]:
        return self.chosen.run(chunks, settings, timesteps=tuple(steps))

    def _pair(
        self,
        first: tuple[int, Tensor, float],
        second: tuple[int, Tensor, float],
        between: list[Tensor],
        steps: list[float],
    ) -> Chunk:
        """A frame and those up to the next one."""
        start, left, begin = first
        _, right, end = second
        if self.section.cuts and is_cut(left, right):
            between = [left if step <= 0.5 else right for step in steps]
        times = [begin, *(begin + step * (end - begin) for step in steps)]
        return Chunk(
            start * self.factor, torch.stack([left, *between]), {TIME: torch.tensor(times, dtype=torch.float64)}
        )

    @classmethod
    def options(cls) -> type[Section]:
        return RetimeSection


def along_motion(chunks: Iterator[Chunk], steps: list[float], settings: Settings) -> Iterator[Chunk]:
    """The frames at ``steps`` between each two frames, from ``flow`` to the next frame and ``flow_back`` from it."""
    before: Chunk | None = None
    for chunk in single(chunks):
        if before is not None:
            images = (before.frames.to(settings.device), chunk.frames.to(settings.device))
            flows = (before.extras[key].to(settings.device) for key in ("flow", "flow_back"))
            known = (*images, *flows)
            made = [interpolate_along(*known, step) for step in steps]
            yield Chunk(before.start, torch.cat(made).clamp(0, 1).cpu())
        before = chunk


def is_cut(before: Tensor, after: Tensor) -> bool:
    """Whether two frames ``(3, H, W)`` belong to different shots: mean change of hue, saturation and value."""
    import cv2

    def values(frame: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
        levels = (frame.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        factor = min(1.0, 256 / max(levels.shape[:2]))
        small = cv2.resize(levels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else levels
        return cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.int16)

    change = np.abs(values(after) - values(before))
    return float(change.mean((0, 1)).mean()) > _CUT
