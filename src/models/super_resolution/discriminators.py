"""The discriminators of ESRGAN and of Real-ESRGAN.

Wang et al., "ESRGAN", ECCV Workshops 2018 (https://arxiv.org/abs/1809.00219); Wang, Xie, Dong and Shan, "Real-ESRGAN",
ICCV Workshops 2021 (https://arxiv.org/abs/2107.10833), after Schönfeld et al., "A U-Net Based Discriminator for
Generative Adversarial Networks", CVPR 2020. The parameters have the names of BasicSR's checkpoints.

Deviation: the U-Net takes any size (edges are repeated to multiples of 8, the map is cropped); the official one takes
multiples of 8 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple
from ..card import CheckpointLayout, ModelCard
from ..layers.spectral_norm import SpectralConv2d, from_parametrizations
from .contract import check_image

# in units of num_feat, of each halving
_VGG_WIDTHS = (1, 2, 4, 8, 8, 8)
_VGG_STAGES = {128: 5, 256: 6}
_VGG_HIDDEN = 100
_UNET_MULTIPLE = 8


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2, inplace=True)


class VGGDiscriminator(nn.Module):
    """A stack of convolutions with batch normalisation and two linear layers: one logit per image.

    14,499,401 parameters for images of 128x128, 21,055,049 for 256x256.

    Args:
        input_size: height and width of the images, 128 or 256.
        num_feat: channels of the first convolutions.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, input_size: int = 128, num_feat: int = 64) -> None:
        super().__init__()
        if input_size not in _VGG_STAGES:
            raise ConfigError(f"input_size must be 128 or 256, got {input_size}")
        if num_feat < 1:
            raise ConfigError(f"num_feat must be at least 1, got {num_feat}")
        self.input_size, self.stages = input_size, _VGG_STAGES[input_size]
        inner = 3
        for stage in range(self.stages):
            width = num_feat * _VGG_WIDTHS[stage]
            # the very first convolution sees pixels: it has a bias instead of a normalisation
            self.add_module(f"conv{stage}_0", nn.Conv2d(inner, width, 3, 1, 1, bias=stage == 0))
            if stage > 0:
                self.add_module(f"bn{stage}_0", nn.BatchNorm2d(width))
            self.add_module(f"conv{stage}_1", nn.Conv2d(width, width, 4, 2, 1, bias=False))
            self.add_module(f"bn{stage}_1", nn.BatchNorm2d(width))
            inner = width
        rest = input_size // 2**self.stages
        self.linear1 = nn.Linear(inner * rest**2, _VGG_HIDDEN)
        self.linear2 = nn.Linear(_VGG_HIDDEN, 1)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, input_size, input_size)`` in [0, 1] -> logits ``(B, 1)``.

        Raises:
            ValueError: another shape.
        """
        if tuple(image.shape[1:]) != (3, self.input_size, self.input_size):
            raise ValueError(
                f"this discriminator judges images (B, 3, {self.input_size}, {self.input_size}), "
                f"got {tuple(image.shape)}"
            )
        x = image
        for stage in range(self.stages):
            for half in (0, 1):
                x = getattr(self, f"conv{stage}_{half}")(x)
                if (stage, half) != (0, 0):
                    x = getattr(self, f"bn{stage}_{half}")(x)
                x = _leaky(x)
        score: Tensor = self.linear2(_leaky(self.linear1(x.flatten(1))))
        return score


class UNetDiscriminator(nn.Module):
    """A U-Net with spectral normalisation: one logit per pixel (4,376,897 parameters).

    Args:
        num_feat: channels at full resolution.
        skip_connection: add the maps of the way down to those of the way up.
        power_iterations: of spectral normalisation per forward pass in training; 0 freezes it.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, num_feat: int = 64, skip_connection: bool = True, power_iterations: int = 1) -> None:
        super().__init__()
        if num_feat < 1:
            raise ConfigError(f"num_feat must be at least 1, got {num_feat}")
        if power_iterations < 0:
            raise ConfigError(f"power_iterations must not be negative, got {power_iterations}")
        self.skip_connection = skip_connection

        def normalised(inner: int, outer: int, kernel: int, stride: int) -> SpectralConv2d:
            return SpectralConv2d(inner * num_feat, outer * num_feat, kernel, stride, 1, False, power_iterations)

        self.conv0 = nn.Conv2d(3, num_feat, 3, padding=1)
        self.conv1 = normalised(1, 2, 4, 2)
        self.conv2 = normalised(2, 4, 4, 2)
        self.conv3 = normalised(4, 8, 4, 2)
        self.conv4 = normalised(8, 4, 3, 1)
        self.conv5 = normalised(4, 2, 3, 1)
        self.conv6 = normalised(2, 1, 3, 1)
        self.conv7 = normalised(1, 1, 3, 1)
        self.conv8 = normalised(1, 1, 3, 1)
        self.conv9 = nn.Conv2d(num_feat, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1], any size -> logits ``(B, 1, H, W)``.

        Raises:
            ValueError: another shape.
        """
        check_image(image)
        padded, crop = pad_to_multiple(image, _UNET_MULTIPLE)
        maps = [_leaky(self.conv0(padded))]
        for conv in (self.conv1, self.conv2, self.conv3):
            maps.append(_leaky(conv(maps[-1])))
        x = maps.pop()
        for conv in (self.conv4, self.conv5, self.conv6):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = _leaky(conv(x))
            if self.skip_connection:
                x = x + maps.pop()
        for conv in (self.conv7, self.conv8):
            x = _leaky(conv(x))
        return crop(self.conv9(x))


# --- checkpoints


def _is_vgg(keys: set[str]) -> bool:
    return {"conv0_0.weight", "bn0_1.running_mean", "linear2.bias"} <= keys


def _vgg_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    stages = sum(key.startswith("conv") and key.endswith("_1.weight") for key in state)
    sizes = {count: size for size, count in _VGG_STAGES.items()}
    return {"input_size": sizes[stages], "num_feat": state["conv0_0.weight"].shape[0]}


def _is_unet(keys: set[str]) -> bool:
    return {"conv0.weight", "conv1.weight_orig", "conv8.weight_u", "conv9.bias"} <= keys


def _is_modern_unet(keys: set[str]) -> bool:
    return {"conv0.weight", "conv1.parametrizations.weight.original", "conv9.bias"} <= keys


def _unet_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"num_feat": state["conv0.weight"].shape[0]}


CARDS = (
    ModelCard(
        name="vgg_discriminator",
        task="auxiliary",
        build=VGGDiscriminator,
        summary="discriminator of ESRGAN: convolutions with batch normalisation, one logit per image of a fixed size",
        paper="Wang et al.: ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, ECCV Workshops 2018, "
        "https://arxiv.org/abs/1809.00219",
        tiny={"num_feat": 4},
        licence="Apache-2.0 (BasicSR)",
        layouts=(CheckpointLayout("BasicSR", _is_vgg, dict),),
        options_of=_vgg_options,
        proven=("parity", "official weights never seen"),
    ),
    ModelCard(
        name="unet_discriminator",
        task="auxiliary",
        build=UNetDiscriminator,
        summary="discriminator of Real-ESRGAN: U-Net with spectral norm, one logit per pixel",
        paper="Wang, Xie, Dong, Shan: Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic "
        "Data, ICCV Workshops 2021, https://arxiv.org/abs/2107.10833",
        tiny={"num_feat": 4},
        licence="BSD-3-Clause (Real-ESRGAN), Apache-2.0 (BasicSR)",
        layouts=(
            CheckpointLayout("BasicSR", _is_unet, dict),
            CheckpointLayout("torch parametrizations", _is_modern_unet, from_parametrizations),
        ),
        options_of=_unet_options,
        proven=("parity", "official weights never seen"),
    ),
)
