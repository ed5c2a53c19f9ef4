"""Temporal consistency of stylised clips: what moves with the scene must keep its looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from ..models.registry import create_model
from ..ops.occlusion import occluded
from ..ops.synthetic_motion import SyntheticMotion
from ..ops.warp import warp
from . import select


class TemporalWarpLoss(nn.Module):
    """Mean absolute difference of each frame and the one before it, moved along the motion of the source.

    Pixels that are hidden in the frame before do not count; the mean is over those that count, in the whole batch
    (Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, section 3.2, without its soft mask).

    Args:
        of: name of the output ``(B, T, 3, H, W)``.
        video: name of the batch entry with the source, for ``flow``.
        flow: ``"batch"``: the batch holds ``flow`` ``(B, T - 1, 2, H, W)``, from each frame but the first to the one
            before, and ``occlusion`` ``(B, T - 1, 1, H, W)``, as procedural scenes do. Otherwise a flow method by its
            registered name; occlusion then is where its flow forth and back disagree or changes abruptly.
        weights: of that flow method: None, a path or a tag.

    Raises:
        ConfigError: no such flow method; when called: no such output or entry.
        WeightsError: the weights cannot be had or do not fit.
    """

    def __init__(self, of: str = "fake_b", video: str = "a", flow: str = "batch", weights: str | None = None) -> None:
        super().__init__()
        self.of, self.video = of, video
        self.flow_net: nn.Module | None = None
        if flow != "batch":
            # building draws random numbers, and a loss must not change what a training run draws next
            with torch.random.fork_rng(devices=[]):
                self.flow_net = create_model(flow, weights).requires_grad_(False)

    def train(self, mode: bool = True) -> TemporalWarpLoss:
        """The flow network stays as it is."""
        return super().train(False)

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; 0 for clips of one frame."""
        made = select.output(outputs, self.of)
        if made.shape[1] < 2:
            return made.sum() * 0
        flow, hidden = self._motion(batch)
        before = warp(made[:, :-1].flatten(0, 1), flow)
        counts = (1 - hidden).to(made.dtype)
        difference = (made[:, 1:].flatten(0, 1) - before).abs().mean(1, keepdim=True)
        return (difference * counts).sum() / counts.sum().clamp(min=1)

    def _motion(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        if self.flow_net is None:
            if "flow" not in batch:
                raise ConfigError(
                    "the temporal loss finds no flow in the batch, which only procedural scenes have; name a flow "
                    "method: loss.temporal.flow=farneback"
                )
            return batch["flow"].flatten(0, 1), select.target(batch, "occlusion").flatten(0, 1)
        video = select.target(batch, self.video)
        with torch.no_grad():
            earlier, later = video[:, :-1].flatten(0, 1), video[:, 1:].flatten(0, 1)
            back, forth = self.flow_net(later, earlier), self.flow_net(earlier, later)
        return back, occluded(back, forth).to(video.dtype)


class SyntheticWarpLoss(nn.Module):
    """Mean absolute difference of what is made of a moved frame and what was made of the frame, moved.

    It needs no flow of the video: the motion is drawn (Wang et al., TIP 2020, equation 5; Wang et al., AAAI 2022). Only
    pixels that come from inside of the frame count.

    Args:
        of: name of the output ``(B, T, 3, H, W)`` whose last frame is moved.
        moved: name of the output ``(B, 3, H, W)``.
        noise, shift, cell, blur: see :class:`~framewright.ops.synthetic_motion.SyntheticMotion`.

    Raises:
        ConfigError: a value out of range; when called: no such output.
    """

    def __init__(
        self,
        of: str = "fake_b",
        moved: str = "moved_b",
        noise: float = 8.0,
        shift: float = 10.0,
        cell: int = 100,
        blur: int = 100,
    ) -> None:
        super().__init__()
        self.of, self.moved = of, moved
        #: what the training draws
        self.motion = SyntheticMotion(noise, shift, cell, blur)
        self.reads = (of, moved)

    def forward(self, outputs: Any, batch: Any = None) -> Tensor:
        """The scalar loss."""
        still, made, motion = (select.output(outputs, name) for name in (self.of, self.moved, "motion"))
        last = still[:, -1]
        expected = warp(last, motion)
        inside = (warp(torch.ones_like(last[:, :1]), motion, padding="zeros") > 0.999).to(last.dtype)
        return ((made - expected).abs().mean(1, keepdim=True) * inside).sum() / inside.sum().clamp(min=1)
