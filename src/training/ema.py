"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema(nn.Module):
    """A shadow copy of ``net`` whose parameters follow it: ``shadow = d * shadow + (1 - d) * live``.

    The decay warms up as ``min(decay, (1 + n) / (10 + n))`` over the updates ``n``, so that a short run is not
    dominated by its initial weights. Buffers (running statistics) are copied, not averaged. The copy takes part
    in checkpoints under ``ema.net.*`` and never receives gradients.

    Args:
        net: the network to follow.
        decay: final decay, in (0, 1).
    """

    updates: torch.Tensor

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 < decay < 1:
            raise ValueError(f"the EMA decay must lie in (0, 1), got {decay}")
        self.decay = decay
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move the average one step towards the live weights of ``net``."""
        count = int(self.updates)
        decay = min(self.decay, (1 + count) / (10 + count))
        shadow: list[torch.Tensor] = [parameter for parameter in self.net.parameters() if parameter.is_floating_point()]
        live: list[torch.Tensor] = [
            parameter.detach() for parameter in net.parameters() if parameter.is_floating_point()
        ]
        torch._foreach_lerp_(shadow, live, 1 - decay)
        for averaged, current in zip(self.net.buffers(), net.buffers(), strict=True):
            averaged.copy_(current)
        self.updates += 1

    def train(self, mode: bool = True) -> Ema:
        """Stay in evaluation mode: the average is only ever used for validation and inference."""
        return super().train(False)
