"""The predictors and discriminators of Recycle-GAN; see :mod:`.recycle_gan`.

Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017
(https://arxiv.org/abs/1611.07004): the U-Net and the discriminator that judges patches of 70x70 pixels. The parameters
have the names of the official code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple
from ..card import CheckpointLayout, ModelCard

NetP = Literal["unet_32", "unet_64", "unet_128", "unet_256"]
_DOWNS = {"unet_32": 5, "unet_64": 6, "unet_128": 7, "unet_256": 8}


def init_weights(module: nn.Module) -> None:
    """Weights of convolutions from N(0, 0.02); biases stay as torch draws them, as in the official code."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)


class _Level(nn.Module):
    """One halving and doubling with all that lies between; its input is put beside the result."""

    def __init__(self, outer: int, inner: int, between: nn.Module | None) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1)]
        if between is not None:
            down += [nn.InstanceNorm2d(inner), between]
        width = inner if between is None else 2 * inner
        up = [nn.ReLU(), nn.ConvTranspose2d(width, outer, 4, 2, 1), nn.InstanceNorm2d(outer)]
        self.model = nn.Sequential(*down, *up)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.model(x)), 1)


class _Outermost(nn.Module):
    def __init__(self, ngf: int, between: nn.Module) -> None:
        super().__init__()
        up = (nn.ReLU(), nn.ConvTranspose2d(2 * ngf, 3, 4, 2, 1), nn.Tanh())
        self.model = nn.Sequential(nn.Conv2d(6, ngf, 4, 2, 1), between, *up)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


class UnetPredictor(nn.Module):
    """Predicts the third of three frames (41,828,739 parameters as ``unet_128``, 54,412,675 as ``unet_256``).

    Args:
        which_model_netP: ``"unet_128"`` or ``"unet_256"``: the size at whose deepest level one pixel is left;
            ``"unet_32"`` and ``"unet_64"``, with fewer levels, are not official.
        ngf: channels of the first convolution.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, which_model_netP: NetP = "unet_128", ngf: int = 64) -> None:
        super().__init__()
        if which_model_netP not in _DOWNS or ngf < 1:
            raise ConfigError(
                f"a predictor is one of {', '.join(_DOWNS)}, with ngf of at least 1, got {which_model_netP!r} and {ngf}"
            )
        downs = _DOWNS[which_model_netP]
        self.multiple = 2**downs
        level = _Level(8 * ngf, 8 * ngf, None)
        for _ in range(downs - 5):
            level = _Level(8 * ngf, 8 * ngf, level)
        for factor in (4, 2, 1):
            level = _Level(factor * ngf, 2 * factor * ngf, level)
        self.model = _Outermost(ngf, level)
        init_weights(self)

    def forward(self, video: Tensor) -> Tensor:
        """Two frames ``(B, 2, 3, H, W)`` in [0, 1] -> the next one ``(B, 3, H, W)``.

        Raises:
            ValueError: another shape.
        """
        if video.dim() != 5 or video.shape[1:3] != (2, 3):
            raise ValueError(f"a predictor expects two frames (B, 2, 3, H, W), got {tuple(video.shape)}")
        padded, crop = pad_to_multiple(video.flatten(1, 2), self.multiple)
        return crop((self.model(padded * 2 - 1) + 1) / 2)


class PatchGAN(nn.Module):
    """Convolutions with instance normalisation: one score per patch (70x70 and 2,764,737 parameters with 3 layers).

    Args:
        ndf: channels of the first convolution.
        n_layers: convolutions that halve the size.
        input_nc: channels of the input: 3 for images, 9 for three consecutive frames at once.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, ndf: int = 64, n_layers: int = 3, input_nc: int = 3) -> None:
        super().__init__()
        if min(ndf, n_layers, input_nc) < 1:
            raise ConfigError(f"ndf, n_layers and input_nc must be at least 1, got {ndf}, {n_layers} and {input_nc}")
        self.input_nc = input_nc
        layers: list[nn.Module] = [nn.Conv2d(input_nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        inner = ndf
        for place in range(1, n_layers + 1):
            outer = ndf * min(2**place, 8)
            stride = 2 if place < n_layers else 1
            layers += [nn.Conv2d(inner, outer, 4, stride, 1), nn.InstanceNorm2d(outer), nn.LeakyReLU(0.2)]
            inner = outer
        layers.append(nn.Conv2d(inner, 1, 4, 1, 1))
        self.model = nn.Sequential(*layers)
        init_weights(self)

    def forward(self, image: Tensor) -> Tensor:
        """Images ``(B, input_nc, H, W)`` in [0, 1] -> scores ``(B, 1, h, w)``, about an eighth of the size.

        Raises:
            ValueError: another shape.
        """
        if image.dim() != 4 or image.shape[1] != self.input_nc:
            raise ValueError(f"this discriminator judges images (B, {self.input_nc}, H, W), got {tuple(image.shape)}")
        scores: Tensor = self.model(image * 2 - 1)
        return scores


# --- checkpoints


def _is_unet(keys: set[str]) -> bool:
    return {"model.model.0.weight", "model.model.3.bias"} <= keys


def _unet_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    downs = sum(key.endswith(".weight") for key in state) // 2
    names = {count: name for name, count in _DOWNS.items()}
    return {"which_model_netP": names[downs], "ngf": state["model.model.0.weight"].shape[0]}


def _is_patchgan(keys: set[str]) -> bool:
    return {"model.0.weight", "model.2.weight", "model.5.weight"} <= keys


def _patchgan_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    layers = sum(key.endswith(".weight") for key in state) - 2
    first = state["model.0.weight"]
    return {"ndf": first.shape[0], "n_layers": layers, "input_nc": first.shape[1]}


_PIX2PIX = (
    "Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, "
    "https://arxiv.org/abs/1611.07004"
)

CARDS = (
    ModelCard(
        name="unet_predictor",
        task="auxiliary",
        build=UnetPredictor,
        summary="predictor of Recycle-GAN: U-Net from two frames to the next one",
        paper=_PIX2PIX,
        tiny={"ngf": 2},
        licence="MIT (Recycle-GAN)",
        layouts=(CheckpointLayout("official", _is_unet, dict),),
        options_of=_unet_options,
        proven=("parity", "official weights never seen"),
    ),
    ModelCard(
        name="patchgan",
        task="auxiliary",
        build=PatchGAN,
        summary="discriminator of Recycle-GAN and CycleGAN: one score per patch of 70x70 pixels",
        paper=_PIX2PIX,
        tiny={"ndf": 4},
        licence="MIT (Recycle-GAN)",
        layouts=(CheckpointLayout("official", _is_patchgan, dict),),
        options_of=_patchgan_options,
        proven=("parity", "official weights never seen"),
    ),
)
