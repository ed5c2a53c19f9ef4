"""MobileNetV2 and MobileNetV3-Large, with dilation in place of the last strides.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018 (https://arxiv.org/abs/1801.04381);
Howard et al., "Searching for MobileNetV3", ICCV 2019 (https://arxiv.org/abs/1905.02244).
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

# expansion, channels, number of blocks, stride
_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
V2_LOW = 4
"""So many blocks of :func:`mobilenet_v2` give the features at a quarter of the resolution."""

# kernel, expanded channels, channels, squeeze and excite, hard swish, stride, dilation
_V3 = (
    (3, 16, 16, False, False, 1, 1),
    (3, 64, 24, False, False, 2, 1),
    (3, 72, 24, False, False, 1, 1),
    (5, 72, 40, True, False, 2, 1),
    (5, 120, 40, True, False, 1, 1),
    (5, 120, 40, True, False, 1, 1),
    (3, 240, 80, False, True, 2, 1),
    (3, 200, 80, False, True, 1, 1),
    (3, 184, 80, False, True, 1, 1),
    (3, 184, 80, False, True, 1, 1),
    (3, 480, 112, True, True, 1, 1),
    (3, 672, 112, True, True, 1, 1),
    (5, 672, 160, True, True, 1, 2),
    (5, 960, 160, True, True, 1, 2),
    (5, 960, 160, True, True, 1, 2),
)
# blocks after which the resolution has been halved 1, 2, 3 and 4 times
_V3_TAPS = (1, 3, 6, 16)


def divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, never more than 10 % below."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def mobilenet_v2(output_stride: int = 16, width: float = 1.0) -> tuple[list[nn.Module], int, int]:
    """The blocks 0 to 17 of MobileNetV2 as the DeepLab checkpoints of VainF have them.

    These pad a block's input before the expansion instead of the expanded map, so that the border is what the expansion
    makes of zeros, and do not pad in the first convolution; weights trained so need it so.

    Args:
        output_stride: 8, 16 or 32: strides beyond it become dilation.
        width: factor of all channels.

    Returns:
        The blocks, and the channels of block 3 (quarter resolution) and of the last one.
    """

    def scaled(channels: int) -> int:
        return divisible(channels * width)

    channels, stride, dilation = scaled(32), 2, 1
    blocks: list[nn.Module] = [_V2Conv(3, channels, 3, 2)]
    found = []
    for expansion, planes, count, step in _V2:
        before = dilation
        if stride == output_stride:
            step, dilation = 1, dilation * step
        stride *= step
        for position in range(count):
            first = position == 0
            block = _V2Block(channels, scaled(planes), expansion, step if first else 1, before if first else dilation)
            blocks.append(block)
            channels = scaled(planes)
        found.append(channels)
    return blocks, found[1], found[-1]


class _V2Conv(nn.Sequential):
    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1):
        super().__init__(
            nn.Conv2d(channels, out, kernel, stride, 0, dilation, groups, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU6(inplace=True),
        )


class _V2Block(nn.Module):
    def __init__(self, channels: int, out: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.padding = dilation
        self.residual = stride == 1 and channels == out
        expand = [] if expansion == 1 else [_V2Conv(channels, hidden, 1)]
        self.conv = nn.Sequential(
            *expand,
            _V2Conv(hidden, hidden, 3, stride, dilation, hidden),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.pad(x, [self.padding] * 4))
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    """MobileNetV3-Large with the last stage dilated: maps at 1/2, 1/4, 1/8 and twice 1/16.

    Args:
        width: factor of all channels.

    Attributes:
        channels: of the four maps.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = divisible(16 * width)
        layers: list[nn.Module] = [_v3_conv(3, channels, 3, 2, act=nn.Hardswish)]
        sizes = []
        for position, (kernel, hidden, out, squeeze, swish, stride, dilation) in enumerate(_V3, 1):
            planes = divisible(out * width)
            layers.append(
                _V3Block(channels, divisible(hidden * width), planes, kernel, squeeze, swish, stride, dilation)
            )
            channels = planes
            if position in _V3_TAPS:
                sizes.append(channels)
        layers.append(_v3_conv(channels, 6 * channels, 1, act=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.channels = (*sizes, 6 * channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four maps of normalised images ``(B, 3, H, W)``."""
        found = []
        for position, layer in enumerate(self.features):
            x = layer(x)
            if position in _V3_TAPS:
                found.append(x)
        return found[0], found[1], found[2], found[3]


def _v3_conv(
    channels: int,
    out: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    act: Callable[..., nn.Module] | None = None,
) -> nn.Sequential:
    padding = (kernel - 1) // 2 * dilation
    conv = nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False)
    # the constants of the paper's training, which torchvision's weights have
    norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
    return nn.Sequential(conv, norm, *([] if act is None else [act(inplace=True)]))


class _V3Block(nn.Module):
    def __init__(
        self,
        channels: int,
        hidden: int,
        out: int,
        kernel: int,
        squeeze: bool,
        swish: bool,
        stride: int,
        dilation: int,
    ) -> None:
        super().__init__()
        act: Callable[..., nn.Module] = nn.Hardswish if swish else nn.ReLU
        layers: list[nn.Module] = [] if hidden == channels else [_v3_conv(channels, hidden, 1, act=act)]
        layers.append(_v3_conv(hidden, hidden, kernel, stride, dilation, hidden, act))
        if squeeze:
            layers.append(_SqueezeExcite(hidden, divisible(hidden // 4)))
        layers.append(_v3_conv(hidden, out, 1))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc1(x.mean((2, 3), keepdim=True)).relu_()
        out: Tensor = F.hardsigmoid(self.fc2(scale)) * x
        return out
