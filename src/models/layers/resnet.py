"""ResNet with bottlenecks, whose last stages can be dilated instead of strided.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (https://arxiv.org/abs/1512.03385),
with the stride in the 3x3 convolution. Parameters are named as in torchvision, without the classifier.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
EXPANSION = 4


class Stages(NamedTuple):
    """Feature maps: the stem at half resolution, then the four stages."""

    stem: Tensor
    layer1: Tensor
    layer2: Tensor
    layer3: Tensor
    layer4: Tensor


class ResNet(nn.Module):
    """The convolutional part of a ResNet.

    Stages that would exceed ``output_stride`` keep their resolution: their first block has the dilation of the stage
    before, all others twice that, as in torchvision.

    Args:
        name: a key of :data:`BLOCKS`.
        output_stride: of the last stage.
        width: channels of the stem; stages give 4, 8, 16 and 32 times as many.
    """

    def __init__(self, name: str, output_stride: Literal[8, 16, 32] = 32, width: int = 64) -> None:
        super().__init__()
        self.channels = (width, *(EXPANSION * width * 2**i for i in range(4)))
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stride, dilation, channels = 4, 1, width
        for index, count in enumerate(BLOCKS[name]):
            step, before = (1 if index == 0 else 2), dilation
            if stride * step > output_stride:
                step, dilation = 1, dilation * step
            stride *= step
            planes = width * 2**index
            blocks = []
            for position in range(count):
                first = position == 0
                blocks.append(_Bottleneck(channels, planes, step if first else 1, before if first else dilation))
                channels = planes * EXPANSION
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Stages:
        """All feature maps of normalised images ``(B, 3, H, W)``."""
        stem = self.bn1(self.conv1(x)).relu_()
        x, found = F.max_pool2d(stem, 3, 2, 1), []
        for index in range(1, 5):
            x = getattr(self, f"layer{index}")(x)
            found.append(x)
        return Stages(stem, *found)


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        out = planes * EXPANSION
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        out: Tensor = y.relu_()
        return out
