"""The generator of ESRGAN: residual in residual dense blocks.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCV Workshops 2018
(https://arxiv.org/abs/1809.00219). The parameters have the names of BasicSR and Real-ESRGAN; checkpoints of the
authors' own repository and of its first version are converted.

Deviations from the official code:
    * scales 2 and 1 take images of odd sizes: edges are repeated to a multiple of 2 or 4 and the result is cropped;
    * ``upsampler="pixelshuffle"`` is a variant of this package, without official weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard, PublishedResult
from .contract import check_image

Upsampler = Literal["nearest_conv", "pixelshuffle"]
_UPSAMPLERS = ("nearest_conv", "pixelshuffle")
# the network enlarges four times: smaller scales see an image whose pixels were folded into channels
_FOLDS = {4: 1, 2: 2, 1: 4}
_RESIDUAL = 0.2
_CONVOLUTIONS = 5


def _activation() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it; a fifth of their result is added to the input.

    Args:
        num_feat: channels of input and output.
        num_grow_ch: channels that each of the first four convolutions adds.
    """

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        for k in range(_CONVOLUTIONS):
            outer = num_grow_ch if k < _CONVOLUTIONS - 1 else num_feat
            conv = nn.Conv2d(num_feat + k * num_grow_ch, outer, 3, padding=1)
            # small residuals at the beginning, as in section 3.1 of the paper
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(0.1)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.add_module(f"conv{k + 1}", conv)
        self.activation = _activation()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, num_feat, H, W)`` -> the same shape."""
        known = [x]
        for k in range(1, _CONVOLUTIONS):
            known.append(self.activation(getattr(self, f"conv{k}")(torch.cat(known, 1))))
        residual: Tensor = getattr(self, f"conv{_CONVOLUTIONS}")(torch.cat(known, 1))
        return residual * _RESIDUAL + x


class RRDB(nn.Module):
    """Three residual dense blocks; a fifth of their result is added to the input. Arguments as of its blocks."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(num_feat, num_grow_ch)
        self.rdb2 = ResidualDenseBlock(num_feat, num_grow_ch)
        self.rdb3 = ResidualDenseBlock(num_feat, num_grow_ch)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, num_feat, H, W)`` -> the same shape."""
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return residual * _RESIDUAL + x


class RRDBNet(nn.Module):
    """ESRGAN's generator (16,697,987 parameters).

    Args:
        scale: 4, 2 or 1; for 2 and 1 the pixels of 2x2 or 4x4 squares are folded into channels first.
        num_feat: channels.
        num_block: number of blocks; 23 in ESRGAN, 6 in Real-ESRGAN's model for drawings.
        num_grow_ch: channels that a convolution inside a block adds.
        upsampler: ``"nearest_conv"`` repeats pixels and convolves, as the official code does; ``"pixelshuffle"``
            convolves to four times the channels and unfolds them.

    Attributes:
        receptive_radius, alignment: see :mod:`.contract`.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        scale: int = 4,
        num_feat: int = 64,
        num_block: int = 23,
        num_grow_ch: int = 32,
        upsampler: Upsampler = "nearest_conv",
    ) -> None:
        super().__init__()
        if scale not in _FOLDS:
            raise ConfigError(f"scale must be 1, 2 or 4, got {scale}")
        if min(num_feat, num_block, num_grow_ch) < 1:
            raise ConfigError(
                f"num_feat, num_block and num_grow_ch must be at least 1, got {num_feat}, {num_block}, {num_grow_ch}"
            )
        if upsampler not in _UPSAMPLERS:
            raise ConfigError(f"upsampler must be one of {', '.join(_UPSAMPLERS)}, got {upsampler!r}")
        self.scale, self.upsampler = scale, upsampler
        self.alignment = fold = _FOLDS[scale]
        # the convolutions behind the body reach two pixels far, together
        self.receptive_radius = (3 * _CONVOLUTIONS * num_block + 4) * fold + fold - 1

        widened = num_feat * 4 if upsampler == "pixelshuffle" else num_feat
        self.conv_first = nn.Conv2d(3 * fold**2, num_feat, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(num_feat, num_grow_ch) for _ in range(num_block)))
        self.conv_body = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up1 = nn.Conv2d(num_feat, widened, 3, padding=1)
        self.conv_up2 = nn.Conv2d(num_feat, widened, 3, padding=1)
        self.conv_hr = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_last = nn.Conv2d(num_feat, 3, 3, padding=1)
        self.activation = _activation()

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1], any size -> ``(B, 3, scale * H, scale * W)``, not clamped.

        Raises:
            ValueError: another shape.
        """
        check_image(image)
        height, width = image.shape[2:]
        features = self.features(image)
        features = self._enlarge(self._enlarge(features, self.conv_up1), self.conv_up2)
        enlarged: Tensor = self.conv_last(self.activation(self.conv_hr(features)))
        return enlarged[..., : self.scale * height, : self.scale * width]

    def features(self, image: Tensor) -> Tensor:
        """What is enlarged: ``(B, num_feat, h, w)`` where h and w are H and W, divided by 4 / scale and rounded up."""
        padded, _ = pad_to_multiple(image, self.alignment)
        first = self.conv_first(F.pixel_unshuffle(padded, self.alignment))
        features: Tensor = first + self.conv_body(self.body(first))
        return features

    def _enlarge(self, features: Tensor, conv: nn.Module) -> Tensor:
        if self.upsampler == "pixelshuffle":
            enlarged = F.pixel_shuffle(conv(features), 2)
        else:
            enlarged = conv(F.interpolate(features, scale_factor=2, mode="nearest"))
        activated: Tensor = self.activation(enlarged)
        return activated


# --- checkpoints

_OLDEST = {
    "model.0": "conv_first",
    "model.3": "conv_up1",
    "model.6": "conv_up2",
    "model.8": "conv_hr",
    "model.10": "conv_last",
}
_AUTHORS = {"trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "HRconv": "conv_hr"}


def _is_own(keys: set[str]) -> bool:
    return {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight"} <= keys


def _is_authors(keys: set[str]) -> bool:
    return {"conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight"} <= keys


def _is_oldest(keys: set[str]) -> bool:
    return {"model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"} <= keys


def _from_authors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    converted = {}
    for key, value in state.items():
        block = re.fullmatch(r"RRDB_trunk\.(\d+)\.RDB(\d)\.(conv\d\.\w+)", key)
        name, _, kind = key.rpartition(".")
        new = f"body.{block[1]}.rdb{block[2]}.{block[3]}" if block else f"{_AUTHORS.get(name, name)}.{kind}"
        converted[new] = value
    return converted


def _from_oldest(state: dict[str, Tensor]) -> dict[str, Tensor]:
    converted = {}
    for key, value in state.items():
        block = re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.(\w+)", key)
        last = re.fullmatch(r"model\.1\.sub\.\d+\.(weight|bias)", key)
        name, _, kind = key.rpartition(".")
        if block:
            new = f"body.{block[1]}.rdb{block[2]}.{block[3]}.{block[4]}"
        else:
            new = f"conv_body.{last[1]}" if last else f"{_OLDEST.get(name, name)}.{kind}"
        converted[new] = value
    return converted


def _options_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The constructor's options that tensors under our names belong to."""
    num_feat, inputs = state["conv_first.weight"].shape[:2]
    scales = {3 * fold**2: scale for scale, fold in _FOLDS.items()}
    return {
        "scale": scales[inputs],
        "num_feat": num_feat,
        "num_block": 1 + max(int(found[1]) for key in state if (found := re.match(r"body\.(\d+)\.", key))),
        "num_grow_ch": state["body.0.rdb1.conv1.weight"].shape[0],
        "upsampler": "nearest_conv" if state["conv_up1.weight"].shape[0] == num_feat else "pixelshuffle",
    }


_RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"


def _release(tag: str, version: str, filename: str, sha256: str, size: int | None, trained_on: str) -> OfficialWeights:
    return OfficialWeights(
        tag=tag,
        filename=filename,
        licence="BSD-3-Clause",
        source="https://github.com/xinntao/Real-ESRGAN",
        url=f"{_RELEASES}/{version}/{filename}",
        sha256=sha256,
        size=size,
        trained_on=trained_on,
    )


def _by_hand(tag: str, filename: str, trained_on: str) -> OfficialWeights:
    return OfficialWeights(
        tag=tag,
        filename=filename,
        licence="Apache-2.0",
        source="drive page linked from https://github.com/xinntao/ESRGAN",
        trained_on=trained_on,
    )


_README = "table in the README of github.com/xinntao/ESRGAN"
_RRDB_PSNR = {
    "sr_set5": (32.73, 0.9011),
    "sr_set14": (28.99, 0.7917),
    "sr_bsd100": (27.85, 0.7455),
    "sr_urban100": (27.03, 0.8153),
    "sr_manga109": (31.66, 0.9196),
}

CARD = ModelCard(
    name="rrdbnet",
    task="super_resolution",
    build=RRDBNet,
    summary="generator of ESRGAN and Real-ESRGAN: residual in residual dense blocks",
    paper="Wang et al.: ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, ECCV Workshops 2018, "
    "https://arxiv.org/abs/1809.00219",
    tiny={"num_feat": 8, "num_block": 1, "num_grow_ch": 4},
    licence="Apache-2.0 (ESRGAN), BSD-3-Clause (Real-ESRGAN)",
    weights=(
        _by_hand("psnr_x4", "RRDB_PSNR_x4.pth", "DF2K, L1 loss"),
        _by_hand("esrgan_x4", "RRDB_ESRGAN_x4.pth", "DF2K and OST, from psnr_x4"),
        _release(
            "esrgan_x4_basicsr",
            "v0.1.1",
            "ESRGAN_SRx4_DF2KOST_official-ff704c30.pth",
            # the end of the file's name is the beginning of its sha256
            "ff704c30",
            None,
            "DF2K and OST; esrgan_x4 under BasicSR's names",
        ),
        _release(
            "realesrnet_x4plus",
            "v0.1.1",
            "RealESRNet_x4plus.pth",
            "a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df",
            None,
            "DF2K and OST, made degradations, L1 loss",
        ),
        _release(
            "realesrgan_x4plus",
            "v0.1.0",
            "RealESRGAN_x4plus.pth",
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
            67_040_989,
            "DF2K and OST, made degradations",
        ),
        _release(
            "realesrgan_x2plus",
            "v0.2.1",
            "RealESRGAN_x2plus.pth",
            "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
            67_061_725,
            "DF2K and OST, made degradations",
        ),
        _release(
            "realesrgan_x4plus_anime_6b",
            "v0.2.2.4",
            "RealESRGAN_x4plus_anime_6B.pth",
            "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
            17_938_799,
            "drawings",
        ),
    ),
    layouts=(
        CheckpointLayout("BasicSR", _is_own, dict),
        CheckpointLayout("ESRGAN (RRDB_trunk)", _is_authors, _from_authors),
        CheckpointLayout("ESRGAN, first version (model.1.sub)", _is_oldest, _from_oldest),
    ),
    options_of=_options_of,
    published=tuple(
        PublishedResult(name, metric, value, _README, "psnr_x4")
        for name, values in _RRDB_PSNR.items()
        for metric, value in zip(("psnr_y", "ssim_y"), values, strict=True)
    ),
    proven=("parity", "official weights never seen"),
)
