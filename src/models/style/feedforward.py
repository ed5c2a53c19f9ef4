"""What the networks with one style share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ReflectConv(nn.Sequential):
    """A convolution on mirrored edges; odd kernels keep the size at stride 1."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.add_module("reflect", nn.ReflectionPad2d(kernel // 2))
        self.add_module("conv2d", nn.Conv2d(inner, outer, kernel, stride))


def at_least(frames: Tensor, side: int) -> Tensor:
    """Frames ``(N, 3, H, W)`` with edges repeated below and to the right up to ``side``: mirrors need some pixels."""
    bottom, right = (max(0, side - length) for length in frames.shape[2:])
    return F.pad(frames, (0, right, 0, bottom), mode="replicate") if bottom or right else frames
