"""Temporal losses of style transfer along known motion: ReCoNet's, on frames and on features.

Gao, Gu, Yang, "ReCoNet: Real-time Coherent Video Style Transfer Network", ACCV 2018 (https://arxiv.org/abs/1807.01197),
equations 2 and 3. The flow leads from each frame but the first to the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.warp import warp
from . import select

# relative luminance of ITU-R BT.709
_LUMINANCE = (0.2126, 0.7152, 0.0722)


class _AlongMotion(nn.Module):
    """Entries of the batch that temporal losses need."""

    def __init__(self, of: str, flow: str, occlusion: str | None) -> None:
        super().__init__()
        self.of, self.flow, self.occlusion = of, flow, occlusion

    def _motion(self, batch: Mapping[str, Tensor], frames: torch.Size) -> tuple[Tensor, Tensor]:
        """Flow ``(N, 2, H, W)`` and what is seen ``(N, 1, H, W)`` of all pairs of ``frames`` ``(B, T)``."""
        flow = select.target(batch, self.flow)
        pairs = (frames[0], frames[1] - 1)
        if flow.dim() != 5 or tuple(flow.shape[:3]) != (*pairs, 2) or pairs[1] < 1:
            raise ValueError(
                f"expected {self.flow!r} ({pairs[0]}, {pairs[1]}, 2, H, W) from each frame but the first to the one "
                f"before it, got {tuple(flow.shape)}"
            )
        if self.occlusion is None:
            seen = torch.ones_like(flow[:, :, :1])
        else:
            seen = 1 - select.target(batch, self.occlusion)
            if seen.shape != flow[:, :, :1].shape:
                raise ValueError(f"{self.occlusion!r} is {tuple(seen.shape)}, but the flow is {tuple(flow.shape)}")
        return flow.flatten(0, 1), seen.flatten(0, 1)


def _changes(video: Tensor, flow: Tensor) -> Tensor:
    """Each frame but the first less the one before it, brought onto it: ``(B (T - 1), C, H, W)``."""
    return video[:, 1:].flatten(0, 1) - warp(video[:, :-1].flatten(0, 1), flow)


class OutputTemporalLoss(_AlongMotion):
    """How much more a result changes along the motion than the luminance of its source does (equation 3).

    The mean over pixels and colours of ``M (o_t - W(o_t-1) - Y(x_t - W(x_t-1)))^2``, M = 1 where a pixel is seen in
    both frames, W the warp by the flow from t to t - 1, Y = 0.2126 R + 0.7152 G + 0.0722 B: a lamp that is switched on
    may lighten the result.

    Args:
        of: name of the output, a video ``(B, T, 3, H, W)``.
        source: name of the batch entry with the source, of the same shape.
        flow: name of the entry ``(B, T - 1, 2, H, W)`` with the flow from each frame but the first to the one before.
        occlusion: name of the entry ``(B, T - 1, 1, H, W)``, 1 = hidden in the frame before; None: all is seen.
        luminance: take the source's change into account; False: any change along the motion counts.
    """

    def __init__(
        self,
        of: str = "video",
        source: str = "source",
        flow: str = "flow_backward",
        occlusion: str | None = "occlusion_backward",
        luminance: bool = True,
    ) -> None:
        super().__init__(of, flow, occlusion)
        self.source, self.luminance = source, luminance
        self.register_buffer("weights", torch.tensor(_LUMINANCE).view(1, 3, 1, 1), persistent=False)
        self.weights: Tensor

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples and pairs.

        Raises:
            ConfigError: no such output or entry.
            ValueError: shapes do not fit, or a video of one frame.
        """
        made, source = select.pair(outputs, self.of, batch, self.source)
        flow, seen = self._motion(batch, made.shape[:2])
        change = _changes(made, flow)
        if self.luminance:
            change = change - (_changes(source, flow) * self.weights).sum(1, keepdim=True)
        return (seen * change.square()).mean()


class FeatureTemporalLoss(_AlongMotion):
    """How much features of an encoder change along the motion (equation 2).

    The mean of ``M (f_t - W(f_t-1))^2``; flow and mask are resized to the size of the features, the flow's values with
    them. A place counts as far as all that it stands for is seen.

    Args:
        of: name of the output, maps ``(B, T, C, h, w)``.
        flow, occlusion: as of :class:`OutputTemporalLoss`.
    """

    def __init__(
        self, of: str = "features", flow: str = "flow_backward", occlusion: str | None = "occlusion_backward"
    ) -> None:
        super().__init__(of, flow, occlusion)

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples and pairs.

        Raises:
            ConfigError: no such output or entry.
            ValueError: shapes do not fit, or a video of one frame.
        """
        maps = select.output(outputs, self.of)
        if maps.dim() != 5:
            raise ValueError(f"output {self.of!r} should be maps (B, T, C, h, w), got {tuple(maps.shape)}")
        flow, seen = self._motion(batch, maps.shape[:2])
        size = (int(maps.shape[3]), int(maps.shape[4]))
        ratio = flow.new_tensor((size[1] / flow.shape[3], size[0] / flow.shape[2])).view(1, 2, 1, 1)
        flow = F.interpolate(flow, size, mode="bilinear", align_corners=False) * ratio
        seen = F.interpolate(seen, size, mode="area")
        return (seen * _changes(maps, flow).square()).mean()
