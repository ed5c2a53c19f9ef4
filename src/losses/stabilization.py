"""Losses of a camera path that need no true path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

_RADIAN = 200.0  # pixels that a radian, and a unit of log scale, count as


def _in_pixels(path: Tensor) -> Tensor:
    return path * path.new_tensor([1.0, 1.0, _RADIAN, _RADIAN])


class SteadyMotionLoss(nn.Module):
    """Charbonnier difference of each steady frame and the one before it, moved on at the speed that it came with.

    Along the true flow any two frames of one scene agree, however the camera is shaken, so that the usual photometric
    loss says nothing about a path; along the motion that the planned path had one frame earlier they agree only where
    it moves evenly. Pixels that the flow says are hidden, move by themselves or are border do not count.

    Args:
        epsilon: of Charbonnier's function, in units of [0, 1].
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        if epsilon <= 0:
            raise ConfigError(f"epsilon must be above 0, got {epsilon}")
        self.epsilon = epsilon

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Reads the outputs ``steady``, ``expected`` ``(B, K, 3, H, W)`` and ``counted`` ``(B, K, 1, H, W)``."""
        steady, expected = select.output(outputs, "steady"), select.output(outputs, "expected")
        counted = select.output(outputs, "counted")
        difference = ((steady - expected).square() + self.epsilon**2).sqrt().mean(2, keepdim=True)
        return (difference * counted).sum() / counted.sum().clamp(min=1.0)


class PathAccelerationLoss(nn.Module):
    """Mean absolute second difference of the smooth path, in pixels (a radian counts as 200)."""

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Reads the output ``smooth`` ``(B, T, 4)``."""
        return _in_pixels(select.output(outputs, "smooth")).diff(dim=1).diff(dim=1).abs().mean()


class PathDistanceLoss(nn.Module):
    """Mean absolute distance of the smooth path from the path as filmed, in pixels (a radian counts as 200): without
    it the best camera does not move at all."""

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Reads the outputs ``smooth`` and ``path`` ``(B, T, 4)``."""
        return _in_pixels(select.output(outputs, "smooth") - select.output(outputs, "path")).abs().mean()


class CycleLoss(nn.Module):
    """Mean absolute difference of the frames and what they become when they are steadied and shaken again.

    It grows with what leaves the frame and with what interpolation blurs.
    """

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Reads the output ``restored`` and the batch's ``video`` ``(B, T, 3, H, W)``."""
        return (select.output(outputs, "restored") - select.target(batch, "video")).abs().mean()
