"""Feed-forward style transfer with ResNeXt blocks, one style per network.

Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016
(https://arxiv.org/abs/1603.08155), in the form of ``TransformerResNextNetwork`` of the PyTorch code
rrmina/fast-neural-style-pytorch, whose names the parameters have. That network computes blue, green, red from 0 to
255, not limited; the result here is RGB in [0, 1], limited.

Deviation: any size is accepted. Results of sizes that are no multiples of 4 are cut below and to the right.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import CheckpointLayout, ModelCard
from .contract import FrameStyle
from .feedforward import at_least

_BLOCKS = 5
_SMALLEST = 8


class _Conv(nn.Module):
    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.reflection_pad = nn.ReflectionPad2d(kernel // 2)
        self.conv_layer = nn.Conv2d(inner, outer, kernel, stride)
        self.norm_layer = nn.InstanceNorm2d(outer, affine=True) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.norm_layer(self.conv_layer(self.reflection_pad(x)))
        return made


class _Deconv(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv_transpose = nn.ConvTranspose2d(inner, outer, 3, 2, 1, output_padding=1)
        self.norm_layer = nn.InstanceNorm2d(outer, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.norm_layer(self.conv_transpose(x))
        return made


class _ResNeXt(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _Conv(width, width // 2, 1)
        self.conv2 = _Conv(width // 2, width // 2, 3)
        self.conv3 = _Conv(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return x + changed


class FastStyle(FrameStyle):
    """Two halvings, five ResNeXt blocks, two doublings (470,915 parameters).

    Args:
        width: channels of the first convolution.

    Raises:
        ConfigError: ``width`` below 1.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"width must be at least 1, got {width}")
        self.ConvBlock = nn.Sequential(
            *(_Conv(3, width, 9), nn.ReLU()),
            *(_Conv(width, 2 * width, 3, 2), nn.ReLU()),
            *(_Conv(2 * width, 4 * width, 3, 2), nn.ReLU()),
        )
        self.ResidualBlock = nn.Sequential(*(_ResNeXt(4 * width) for _ in range(_BLOCKS)))
        self.DeconvBlock = nn.Sequential(
            *(_Deconv(4 * width, 2 * width), nn.ReLU()),
            *(_Deconv(2 * width, width), nn.ReLU()),
            _Conv(width, 3, 9, norm=False),
        )

    def stylise(self, frames: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [0, 1] -> the same."""
        made = self.official(at_least(frames, _SMALLEST).flip(1) * 255).flip(1) / 255
        return made[..., : frames.shape[2], : frames.shape[3]].clamp(0, 1)

    def official(self, frames: Tensor) -> Tensor:
        """Blue, green, red ``(N, 3, H, W)`` from 0 to 255 -> the same, not limited, sides rounded up to fours."""
        made: Tensor = self.DeconvBlock(self.ResidualBlock(self.ConvBlock(frames)))
        return made


def _is_official(keys: set[str]) -> bool:
    known = {
        "ConvBlock.0.conv_layer.weight",
        "ResidualBlock.0.conv3.norm_layer.weight",
        "DeconvBlock.4.conv_layer.bias",
    }
    return known <= keys


CARD = ModelCard(
    name="fast_style",
    task="style",
    build=FastStyle,
    summary="one style per network, frame by frame, without any notion of time",
    paper="Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016, "
    "https://arxiv.org/abs/1603.08155",
    tiny={"width": 4},
    licence="MIT (rrmina/fast-neural-style-pytorch)",
    layouts=(CheckpointLayout("rrmina", _is_official, dict),),
    options_of=lambda state: {"width": state["ConvBlock.0.conv_layer.weight"].shape[0]},
    proven=("parity",),
)
