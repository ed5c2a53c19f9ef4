"""A steady camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...core.config import Section, parse_section
from ...core.files import atomic_path
from ...inference.camera_plan import Planned
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ...inference.stabilization import StabilizationOptions, move_frames, plan_frames
from ..stage import Chosen, MethodStage, Settings, Used, along

# frames that a made-up border can show traces of
_BORDER_REACH = 30


class Stabilize(MethodStage):
    """The video is looked through once, the whole path of the camera is smoothed, and frames are moved onto it.

    ``inference`` holds :class:`framewright.inference.StabilizationOptions` (zoom, border, flow, model ...).
    """

    task = "stabilization"
    keeps = False
    prepares = True
    section: MethodFields

    def choose(self) -> Chosen:
        self.how = parse_section(StabilizationOptions, self.section.inference, f"{self.where}.inference")
        return Chosen(self.section, self.task, "kalman_rts", self.where)

    @property
    def back(self) -> int | None:
        return _BORDER_REACH if self.how.border in ("previous", "inpaint") else 0

    @property
    def ahead(self) -> int:
        return _BORDER_REACH if self.how.border == "inpaint" else 0

    def used(self) -> list[Used]:
        return [*super().used(), Used(f"camera motion by {self.how.flow}, {self.how.model}; zoom {self.how.zoom}")]

    def prepare(self, chunks: Iterator[Chunk], folder: Path, settings: Settings) -> None:
        """Plan every frame; kept are the plans, a few numbers for each."""
        net = self.chosen.load(settings).net.to(settings.device)
        frames = (frame for chunk in chunks for frame in chunk.frames)
        plans = list(plan_frames(net, frames, settings.context(self.task), self.how))
        columns = {field.name: [getattr(plan, field.name) for plan in plans] for field in fields(Planned)}
        arrays = {key: np.stack([np.asarray(value) for value in values]) for key, values in columns.items()}
        with atomic_path(folder / "plans.npz") as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **arrays)  # type: ignore[arg-type]

    def prepared(self, folder: Path) -> None:
        with np.load(folder / "plans.npz") as arrays:
            stored = {key: arrays[key] for key in arrays.files}
        self._plans = [
            Planned(
                seen=torch.from_numpy(stored["seen"][place]),
                smooth=torch.from_numpy(stored["smooth"][place]),
                correction=torch.from_numpy(stored["correction"][place]),
                zoom=float(stored["zoom"][place]),
                starts=bool(stored["starts"][place]),
            )
            for place in range(len(stored["zoom"]))
        ]

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        def moved(inner: Iterator[Chunk]) -> Iterator[Chunk]:
            return move_frames(self._planned(inner), settings.context(self.task), self.how, self.name)

        return along(chunks, moved, self.keeps)

    def _planned(self, chunks: Iterator[Chunk]) -> Iterator[tuple[Tensor, Planned]]:
        for chunk in chunks:
            for place, frame in enumerate(chunk.frames):
                yield frame, self._plans[chunk.start + place]

    @classmethod
    def options(cls) -> type[Section]:
        return MethodFields
