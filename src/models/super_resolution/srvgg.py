"""The compact networks of Real-ESRGAN: a plain stack of convolutions at low resolution, for videos.

Wang, Xie, Dong and Shan, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCV
Workshops 2021 (https://arxiv.org/abs/2107.10833), class ``SRVGGNetCompact`` of the official code, whose names the
parameters have.

Deviation: ``separable=True`` is a variant of this package, without official weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard
from .contract import check_image

ActType = Literal["prelu", "relu", "leakyrelu"]
_ACT_TYPES = ("prelu", "relu", "leakyrelu")


class SeparableConv(nn.Module):
    """A 3x3 convolution of each channel for itself, then a 1x1 convolution of all (Howard et al., MobileNets, 2017).

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` -> the same shape."""
        mixed: Tensor = self.pointwise(self.depthwise(x))
        return mixed


class SRVGG(nn.Module):
    """Real-ESRGAN's compact network (621,424 parameters; 1,213,296 with ``num_conv=32``).

    Args:
        num_feat: channels.
        num_conv: convolutions between the first and the last one; 16 in ``realesr-animevideov3``, 32 in
            ``realesr-general-x4v3``.
        upscale: scale, 1 or more.
        act_type: ``"prelu"``, ``"relu"`` or ``"leakyrelu"`` (slope 0.1).
        separable: depthwise separable convolutions between the first and the last one: an eighth of the products.

    Attributes:
        scale: ``upscale``.
        receptive_radius, alignment: see :mod:`.contract`.

    Raises:
        ConfigError: an option out of range.
    """

    alignment = 1

    def __init__(
        self,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
        act_type: ActType = "prelu",
        separable: bool = False,
    ) -> None:
        super().__init__()
        if min(num_feat, upscale) < 1 or num_conv < 0:
            raise ConfigError(
                "num_feat and upscale must be at least 1 and num_conv at least 0, got "
                f"{num_feat}, {upscale}, {num_conv}"
            )
        if act_type not in _ACT_TYPES:
            raise ConfigError(f"act_type must be one of {', '.join(_ACT_TYPES)}, got {act_type!r}")
        self.scale = upscale
        self.receptive_radius = num_conv + 2
        layers: list[nn.Module] = [nn.Conv2d(3, num_feat, 3, padding=1), _activation(act_type, num_feat)]
        for _ in range(num_conv):
            layers.append(SeparableConv(num_feat) if separable else nn.Conv2d(num_feat, num_feat, 3, padding=1))
            layers.append(_activation(act_type, num_feat))
        layers.append(nn.Conv2d(num_feat, 3 * upscale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1], any size -> ``(B, 3, scale * H, scale * W)``, not clamped.

        Raises:
            ValueError: another shape.
        """
        check_image(image)
        repeated = F.interpolate(image, scale_factor=self.scale, mode="nearest")
        return F.pixel_shuffle(self.body(image), self.scale) + repeated


def _activation(act_type: ActType, channels: int) -> nn.Module:
    if act_type == "prelu":
        return nn.PReLU(channels)
    return nn.ReLU(inplace=True) if act_type == "relu" else nn.LeakyReLU(0.1, inplace=True)


# --- checkpoints


def _is_own(keys: set[str]) -> bool:
    return "body.0.weight" in keys and any(re.match(r"body\.2\.(weight|pointwise\.weight)$", key) for key in keys)


def _options_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The constructor's options that the tensors belong to; without slopes the activation cannot be told."""
    last = max(int(found[1]) for key in state if (found := re.match(r"body\.(\d+)\.", key)))
    return {
        "num_feat": state["body.0.weight"].shape[0],
        "num_conv": last // 2 - 1,
        "upscale": math.isqrt(state[f"body.{last}.weight"].shape[0] // 3),
        "separable": "body.2.depthwise.weight" in state,
        **({"act_type": "prelu"} if "body.1.weight" in state else {}),
    }


def _release(tag: str, sha256: str, size: int, trained_on: str) -> OfficialWeights:
    filename = f"realesr-{tag}.pth"
    return OfficialWeights(
        tag=tag,
        filename=filename,
        licence="BSD-3-Clause",
        source="https://github.com/xinntao/Real-ESRGAN",
        url=f"https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/{filename}",
        sha256=sha256,
        size=size,
        trained_on=trained_on,
    )


CARD = ModelCard(
    name="srvgg",
    task="super_resolution",
    build=SRVGG,
    summary="compact network of Real-ESRGAN, for videos",
    paper="Wang, Xie, Dong, Shan: Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data, "
    "ICCV Workshops 2021, https://arxiv.org/abs/2107.10833",
    tiny={"num_feat": 8, "num_conv": 2},
    licence="BSD-3-Clause",
    weights=(
        _release(
            "animevideov3",
            "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
            2_504_012,
            "drawn videos, made degradations",
        ),
        _release(
            "general-x4v3",
            "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
            4_885_111,
            "photographs, made degradations",
        ),
        _release(
            "general-wdn-x4v3",
            "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
            4_885_111,
            "photographs, made degradations; keeps noise",
        ),
    ),
    layouts=(CheckpointLayout("Real-ESRGAN", _is_own, dict),),
    options_of=_options_of,
    proven=("parity",),
)
