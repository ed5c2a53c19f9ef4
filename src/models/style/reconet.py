"""ReCoNet: one style, trained so that moving things keep their look.

Gao, Gu, Yang, "ReCoNet: Real-time Coherent Video Style Transfer Network", ACCV 2018
(https://arxiv.org/abs/1807.01197), as in the PyTorch code safwankdb/ReCoNet-PyTorch, whose names the parameters have.
Every frame is computed for itself; the coherence comes from the losses of training
(:mod:`framewright.losses.coherence`).

Deviation: any size is accepted. Results of sizes that are no multiples of 4 are cut below and to the right.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import CheckpointLayout, ModelCard
from .contract import FrameStyle
from .feedforward import ReflectConv, at_least

_BLOCKS = 5
_SMALLEST = 8


class _ConvNormRelu(ReflectConv):
    """Convolution, instance normalisation and ReLU, after an enlargement that repeats pixels."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, enlarge: int = 1) -> None:
        super().__init__(inner, outer, kernel, stride)
        self.enlarge = enlarge
        self.add_module("instance", nn.InstanceNorm2d(outer, affine=True))

    def forward(self, x: Tensor) -> Tensor:
        if self.enlarge > 1:
            x = F.interpolate(x, scale_factor=self.enlarge, mode="nearest")
        for layer in self:
            x = layer(x)
        return x.relu()


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.in1 = ReflectConv(width, width, 3), nn.InstanceNorm2d(width, affine=True)
        self.conv2, self.in2 = ReflectConv(width, width, 3), nn.InstanceNorm2d(width, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.in2(self.conv2(self.in1(self.conv1(x)).relu()))
        return x + changed


class ReCoNet(FrameStyle):
    """Two halvings, five residual blocks, two doublings (1,679,235 parameters).

    Args:
        width: channels of the first convolution.

    Raises:
        ConfigError: ``width`` below 1.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"width must be at least 1, got {width}")
        self.conv1 = _ConvNormRelu(3, width, 9)
        self.conv2 = _ConvNormRelu(width, 2 * width, 3, 2)
        self.conv3 = _ConvNormRelu(2 * width, 4 * width, 3, 2)
        for place in range(1, _BLOCKS + 1):
            self.add_module(f"res{place}", _Residual(4 * width))
        self.deconv1 = _ConvNormRelu(4 * width, 2 * width, 3, enlarge=2)
        self.deconv2 = _ConvNormRelu(2 * width, width, 3, enlarge=2)
        self.deconv3 = ReflectConv(width, 3, 9)

    def stylise(self, frames: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [0, 1] -> the same."""
        made = self.decode(self.encode(frames))
        return made[..., : frames.shape[2], : frames.shape[3]].clamp(0, 1)

    def encode(self, frames: Tensor) -> Tensor:
        """Features ``(N, 4 width, ceil(H / 4), ceil(W / 4))``, which the feature temporal loss compares."""
        x: Tensor = self.conv3(self.conv2(self.conv1(at_least(frames, _SMALLEST) * 255)))
        for place in range(1, _BLOCKS + 1):
            x = getattr(self, f"res{place}")(x)
        return x

    def decode(self, features: Tensor) -> Tensor:
        """Frames four times as large as features; a tanh that reaches beyond [0, 1] by a twelfth."""
        made: Tensor = self.deconv3(self.deconv2(self.deconv1(features)))
        return (torch.tanh(made / 255) * 150 + 255 / 2) / 255


def _is_official(keys: set[str]) -> bool:
    return {"conv1.conv2d.weight", "res1.in1.weight", "deconv3.conv2d.bias"} <= keys


CARD = ModelCard(
    name="reconet",
    task="style",
    build=ReCoNet,
    summary="one style per network, frame by frame, trained with temporal losses",
    paper="Gao, Gu, Yang: ReCoNet: Real-time Coherent Video Style Transfer Network, ACCV 2018, "
    "https://arxiv.org/abs/1807.01197",
    tiny={"width": 4},
    licence="none stated (safwankdb/ReCoNet-PyTorch)",
    layouts=(CheckpointLayout("safwankdb", _is_official, dict),),
    options_of=lambda state: {"width": state["conv1.conv2d.weight"].shape[0]},
    proven=("parity", "official weights never seen"),
)
