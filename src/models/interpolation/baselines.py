"""Interpolation without weights: the average of both frames, and classical flow-based interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.warp import warp
from ..card import ModelCard
from .contract import check_frames, timestep_column


class FrameAverage(nn.Module):
    """The cross-fade ``(1 - t) image0 + t image1``: what every interpolation method has to beat."""

    def forward(self, image0: Tensor, image1: Tensor, timestep: float | Tensor = 0.5) -> Tensor:
        """Frames ``(B, 3, H, W)`` in [0, 1] and a time in [0, 1], a number or ``(B,)``; ``(B, 3, H, W)``.

        Raises:
            ValueError: shapes or the time do not fit.
        """
        check_frames(image0, image1)
        return torch.lerp(image0, image1, timestep_column(timestep, image0))


class DISWarp(nn.Module):
    """Classical interpolation with DIS optical flow (Kroeger et al., ECCV 2016) of both directions.

    The motion of both frames is carried to time t by forward splatting, weighted towards points where both
    frames agree (Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011, section
    3.3.2); both frames are warped with it and blended. Where forward and backward flow disagree, the frame in
    which the point is visible takes over. The flow runs in OpenCV on the CPU; no gradient goes through it.

    Args:
        preset: OpenCV's effort: ``"ultrafast"``, ``"fast"`` or ``"medium"``.

    Raises:
        ConfigError: an unknown preset.
    """

    def __init__(self, preset: str = "medium") -> None:
        super().__init__()
        if preset not in ("ultrafast", "fast", "medium"):
            raise ConfigError(f"preset must be 'ultrafast', 'fast' or 'medium', got {preset!r}")
        self.preset = preset

    def forward(self, image0: Tensor, image1: Tensor, timestep: float | Tensor = 0.5) -> Tensor:
        """Frames ``(B, 3, H, W)`` in [0, 1] and a time in [0, 1], a number or ``(B,)``; ``(B, 3, H, W)``.

        Raises:
            ValueError: shapes or the time do not fit.
        """
        check_frames(image0, image1)
        time = timestep_column(timestep, image0)
        with torch.no_grad():
            flows = self._flow(image0, image1), self._flow(image1, image0)
        return interpolate_along(image0, image1, *flows, time)

    def _flow(self, first: Tensor, second: Tensor) -> Tensor:
        """DIS flow ``(B, 2, H, W)`` from ``first`` to ``second``, on their device."""
        height, width = first.shape[2:]
        gray0, gray1 = _gray(first), _gray(second)
        estimator = _create_dis(self.preset)
        flows = [estimator.calc(a, b, None) for a, b in zip(gray0, gray1, strict=True)]
        flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)[..., :height, :width]
        return flow.to(first)


def interpolate_along(
    image0: Tensor, image1: Tensor, forward: Tensor, backward: Tensor, timestep: float | Tensor
) -> Tensor:
    """The frame at a time between two frames whose flows are known, as :class:`DISWarp` makes it.

    Args:
        image0, image1: ``(B, 3, H, W)`` in [0, 1].
        forward, backward: flows ``(B, 2, H, W)`` in pixels, from image0 to image1 and back.
        timestep: in [0, 1], a number or ``(B,)``.

    Raises:
        ValueError: shapes or the time do not fit.
    """
    check_frames(image0, image1)
    time = timestep if isinstance(timestep, Tensor) and timestep.dim() == 4 else timestep_column(timestep, image0)
    with torch.no_grad():
        motion = _motion_at(image0, image1, forward, backward, time)
        to0, to1 = -time * motion, (1 - time) * motion
        hidden0 = warp(_inconsistency(forward, backward), to0)
        hidden1 = warp(_inconsistency(backward, forward), to1)
        # a point of frame 0 that has no partner is hidden in frame 1, so frame 0 must supply it
        weight0 = (1 - time) * (hidden0 + 0.05)
        weight1 = time * (hidden1 + 0.05)
        share1 = weight1 / (weight0 + weight1)
    return torch.lerp(warp(image0, to0), warp(image1, to1), share1)


# below this size the coarsest patches of DIS do not fit
_DIS_MINIMUM = 32


def _gray(images: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """8-bit luma ``(B, H, W)``, edges repeated up to the size that DIS needs."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    luma = (images.detach().float().cpu() * weights).sum(1, keepdim=True).clamp(0, 1)
    bottom = max(0, _DIS_MINIMUM - luma.shape[2])
    right = max(0, _DIS_MINIMUM - luma.shape[3])
    luma = F.pad(luma, (0, right, 0, bottom), mode="replicate")
    gray: np.ndarray[Any, np.dtype[np.uint8]] = (luma[:, 0] * 255).round().to(torch.uint8).numpy()
    return gray


def _create_dis(preset: str) -> Any:
    import cv2

    # OpenCV's own stubs lack this factory
    create: Any = getattr(cv2, "DISOpticalFlow_create")  # noqa: B009
    return create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))


def _inconsistency(flow: Tensor, reverse: Tensor) -> Tensor:
    """``(B, 1, H, W)`` in [0, 1]: how far ``flow`` followed by ``reverse`` ends from where it began.

    The tolerance grows with the motion (Sundaram et al., ECCV 2010, equation 5).
    """
    back = warp(reverse, flow)
    error = (flow + back).square().sum(1, keepdim=True)
    tolerance = 0.01 * (flow.square() + back.square()).sum(1, keepdim=True) + 0.5
    return error / (error + tolerance)


def _motion_at(image0: Tensor, image1: Tensor, forward: Tensor, backward: Tensor, time: Tensor) -> Tensor:
    """The motion 0 -> 1 ``(B, 2, H, W)`` of the points seen at ``time``; holes take the linear estimate."""
    agreement0 = _agreement(image0, warp(image1, forward))
    agreement1 = _agreement(image1, warp(image0, backward))
    splat = _splat(torch.cat((forward * agreement0, agreement0), 1) * (1 - time), time * forward)
    splat = splat + _splat(torch.cat((-backward * agreement1, agreement1), 1) * time, (1 - time) * backward)
    weight = splat[:, 2:]
    # an equal blend of both flows at the same position stands in where nothing landed
    fallback = (1 - time) * forward - time * backward
    return (splat[:, :2] + 1e-4 * fallback) / (weight + 1e-4)


def _agreement(image: Tensor, partner: Tensor) -> Tensor:
    """Weight in (0, 1] that falls steeply with the colour difference: points seen in both frames win."""
    return torch.exp(-20 * (image - partner).abs().mean(1, keepdim=True))


def _splat(values: Tensor, flow: Tensor) -> Tensor:
    """Sum of ``values`` ``(B, C, H, W)`` carried along ``flow``, spread bilinearly over four pixels."""
    batch, channels, height, width = values.shape
    columns = torch.arange(width, device=flow.device) + flow[:, 0]
    rows = torch.arange(height, device=flow.device).unsqueeze(1) + flow[:, 1]
    left, top = columns.floor(), rows.floor()
    result = values.new_zeros(batch, channels, height * width)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = left + dx, top + dy
            share = (1 - (columns - x).abs()) * (1 - (rows - y).abs())
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long()
            contribution = values * (share * inside).unsqueeze(1)
            result.scatter_add_(2, index.flatten(1).unsqueeze(1).expand(-1, channels, -1), contribution.flatten(2))
    return result.view(batch, channels, height, width)


CARDS = (
    ModelCard(
        name="frame_average",
        task="interpolation",
        build=FrameAverage,
        summary="cross-fade of both frames, weighted by time",
        baseline=True,
    ),
    ModelCard(
        name="dis_warp",
        task="interpolation",
        build=DISWarp,
        summary="DIS optical flow both ways, splatted to time t, occlusion-aware blend",
        paper="Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016, "
        "https://arxiv.org/abs/1603.03590",
        baseline=True,
    ),
)
