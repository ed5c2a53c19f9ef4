"""Losses of optical flow networks: over the levels of a pyramid, or over the iterations of a recurrent network.

All are sums over samples divided by the size of the batch, so that processes which share a batch get the loss of one
process. A batch holds ``flow`` ``(B, 2, H, W)`` in pixels and, where not all of it is known, ``valid`` ``(B, 1, H, W)``
with 1 = known; unknown flow never counts, whatever its value.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

PWCNET_WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)


def reduce_flow(flow: Tensor, valid: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The mean of the known flow below each pixel of a smaller image; lengths are not rescaled.

    Args:
        flow: ``(B, 2, H, W)``; may hold anything where it is unknown.
        valid: ``(B, 1, H, W)``, above one half where the flow is known; None: everywhere.
        size: height and width of the result.

    Returns:
        the flow ``(B, 2, h, w)``, 0 where nothing is known, and where something is: ``(B, 1, h, w)``, 0 or 1.
    """
    known = torch.ones_like(flow[:, :1]) if valid is None else (valid > 0.5).to(flow.dtype)
    flow = torch.where(known > 0, flow, torch.zeros_like(flow))
    share = F.adaptive_avg_pool2d(known, size)
    some = (share > 0).to(flow.dtype)
    return F.adaptive_avg_pool2d(flow, size) / torch.where(share > 0, share, torch.ones_like(share)), some


class PyramidFlowLoss(nn.Module):
    """What the losses over a pyramid of flows share: the true flow at every level, weights, the sum over pixels.

    The loss is ``1 / B * sum_l weights[l] * sum_x error_l(x)``, with a **sum** over the pixels of a level: the levels
    that have few pixels have the large weights, and the gradient stays large beside PWC-Net's weight decay (as a mean,
    the decay wins under Adam and the network ends at zero flow).

    The truth of a level is the mean over the known pixels below each of its pixels. The official layer weighs a
    neighbourhood twice as wide by a triangle; with dense flow both are the same but near the borders of motion.

    Args:
        weights: of the levels in the order of the network's outputs (for PWC-Net the finest first); 0 leaves one out.
        unit: pixels per unit of the network's flow.
        upsample: compare flows that are enlarged by this factor, bilinearly, instead of as they are.

    Raises:
        ConfigError: a value out of range.
        ValueError: when called, if the network gives another number of levels.
    """

    def __init__(self, weights: Sequence[float] = PWCNET_WEIGHTS, unit: float = 20.0, upsample: int = 1) -> None:
        super().__init__()
        if not weights or min(weights) < 0 or max(weights) == 0:
            raise ConfigError(f"weights must be 0 or positive, and one of them positive, got {list(weights)}")
        if unit <= 0:
            raise ConfigError(f"unit must be a positive number of pixels, got {unit}")
        if upsample < 1:
            raise ConfigError(f"upsample must be 1 or more, got {upsample}")
        self.weights, self.unit, self.upsample = tuple(weights), unit, upsample

    @abstractmethod
    def errors(self, difference: Tensor) -> Tensor:
        """The error of each pixel ``(B, h, w)`` from the difference of flows ``(B, 2, h, w)``."""

    def forward(self, outputs: Sequence[Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss of flows ``(B, 2, h, w)`` by level."""
        if len(outputs) != len(self.weights):
            raise ValueError(f"the network gives {len(outputs)} levels of flow, weights are for {len(self.weights)}")
        truth, valid = select.target(batch, "flow") / self.unit, batch.get("valid")
        loss = truth.new_zeros(())
        for weight, level in zip(self.weights, outputs, strict=True):
            if weight == 0:
                continue
            flow = select.full_precision(level)
            if self.upsample > 1:
                flow = F.interpolate(flow, scale_factor=self.upsample, mode="bilinear", align_corners=False)
            target, known = reduce_flow(truth, valid, (flow.shape[2], flow.shape[3]))
            loss = loss + weight * (self.errors(flow - target) * known[:, 0]).sum()
        return loss / truth.shape[0]


class MultiScaleEndPointLoss(PyramidFlowLoss):
    """The length of the error at every level, summed over pixels (Sun et al., PWC-Net, CVPR 2018, equation 1).

    The weights of the paper are those of FlowNet, the unit is 20 pixels. Arguments as for :class:`PyramidFlowLoss`.
    """

    def errors(self, difference: Tensor) -> Tensor:
        """The Euclidean length; its slope at 0 is 0."""
        length: Tensor = torch.linalg.vector_norm(difference, dim=1)
        return length


class MultiScaleRobustLoss(PyramidFlowLoss):
    """``(|du| + |dv| + epsilon)^q`` at every level, summed over pixels: less weight for outliers (same paper, eq. 2).

    Args:
        weights, unit, upsample: as for :class:`PyramidFlowLoss`.
        q: exponent, in (0, 1]; the paper has 0.4, PWC-Net+ 0.2 for KITTI.
        epsilon: in units of the network's flow.
    """

    def __init__(
        self,
        weights: Sequence[float] = PWCNET_WEIGHTS,
        unit: float = 20.0,
        upsample: int = 1,
        q: float = 0.4,
        epsilon: float = 0.01,
    ) -> None:
        super().__init__(weights, unit, upsample)
        if not 0 < q <= 1:
            raise ConfigError(f"q must be above 0 and at most 1, got {q}")
        if epsilon <= 0:
            raise ConfigError(f"epsilon must be positive, got {epsilon}")
        self.q, self.epsilon = q, epsilon

    def errors(self, difference: Tensor) -> Tensor:
        """The generalised Charbonnier-like error."""
        return (difference.abs().sum(1) + self.epsilon) ** self.q


class SequenceFlowLoss(nn.Module):
    """Mean absolute difference after every iteration, later iterations weighing more (Teed and Deng, RAFT, ECCV 2020).

    ``sum_i gamma^(N - 1 - i) * mean_x known(x) * |flow_i - truth|``: the mean is over all pixels and both channels,
    known or not, as in the authors' code (equation 7 of the paper).

    Args:
        gamma: weight of an iteration relative to the next one, in (0, 1].
        max_flow: longer true motion does not count, in pixels.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, gamma: float = 0.8, max_flow: float = 400.0) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise ConfigError(f"gamma must be above 0 and at most 1, got {gamma}")
        if max_flow <= 0:
            raise ConfigError(f"max_flow must be a positive number of pixels, got {max_flow}")
        self.gamma, self.max_flow = gamma, max_flow

    def forward(self, outputs: Sequence[Any], batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss of flows ``(B, 2, H, W)`` in pixels, by iteration."""
        truth, valid = select.target(batch, "flow"), batch.get("valid")
        known = torch.linalg.vector_norm(truth, dim=1, keepdim=True) < self.max_flow
        if valid is not None:
            known = known & (valid > 0.5)
        loss = truth.new_zeros(())
        for flow in outputs:
            difference = (select.full_precision(flow) - truth).abs()
            # not a product: unknown flow may be anything
            loss = self.gamma * loss + torch.where(known, difference, torch.zeros_like(difference)).mean()
        return loss
