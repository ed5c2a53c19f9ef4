"""Robust Video Matting: alpha and foreground of a video without a trimap, with a memory of what came before.

Lin, Yang, Saleemi and Sengupta, "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022
(https://arxiv.org/abs/2108.11515). Written from the paper; parameters have the names of the official release, so that
its checkpoints load (their licence is the release's affair, see the card).

A backbone sees the frames, reduced where they are large; a recurrent decoder, whose ConvGRUs work on half of the
channels at four resolutions, goes back to full resolution, and a learned guided filter brings its result to the size of
the original frames.

Kept from the official code, because its weights depend on it: only the MobileNetV3 variant normalises its input.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...weights import OfficialWeights
from ..backbones import imagenet, without
from ..card import BackboneWeights, CheckpointLayout, ModelCard
from ..layers.conv_gru import ConvGRU
from ..layers.mobilenet import MobileNetV3
from ..layers.normalise import ImageNetNormalise
from ..layers.resnet import ResNet
from .contract import VideoMatte

State = tuple[Tensor, ...]
LONGEST = 512
"""Frames are reduced to this longest side unless the caller says otherwise."""

# channels of the pyramid head and of the decoder from 1/8 to full resolution
_WIDTHS = {"mobilenetv3": (128, (80, 40, 32, 16)), "resnet50": (256, (128, 64, 32, 16))}


class RobustVideoMatting(nn.Module):
    """RVM (3,748,633 parameters with MobileNetV3, 26,890,461 with ResNet-50).

    Args:
        variant: the backbone, ``"mobilenetv3"`` or ``"resnet50"``.
        width: factor of all channels.

    Raises:
        ConfigError: an unknown variant.
    """

    recurrent = True

    def __init__(self, variant: Literal["mobilenetv3", "resnet50"] = "mobilenetv3", width: float = 1.0) -> None:
        super().__init__()
        if variant not in _WIDTHS:
            raise ConfigError(f"variant must be one of {', '.join(_WIDTHS)}, got {variant!r}")
        if width <= 0:
            raise ConfigError(f"width must be positive, got {width}")
        # halves of the channels are recurrent
        head = _even(_WIDTHS[variant][0] * width)
        decoder = tuple(_even(channels * width) for channels in _WIDTHS[variant][1])
        # the official ResNet variant was trained on plain RGB
        self.normalise = ImageNetNormalise() if variant == "mobilenetv3" else nn.Identity()
        self.backbone = MobileNetV3(width) if variant == "mobilenetv3" else _ResNet(width)
        self.aspp = _LRASPP(self.backbone.channels[3], head)
        self.decoder = _Decoder((*self.backbone.channels[:3], head), decoder)
        self.project_mat = _Projection(decoder[3], 4)
        self.project_seg = _Projection(decoder[3], 1)
        self.refiner = _DeepGuidedFilter(decoder[3])

    def forward(self, video: Tensor, state: State | None = None, downsample_ratio: float | None = None) -> VideoMatte:
        """Alpha and foreground of consecutive frames.

        Args:
            video: ``(B, T, 3, H, W)`` in [0, 1].
            state: of the call for the frames before; None at the start of a video.
            downsample_ratio: by which frames are reduced for the backbone; None: longest side to 512 pixels at most.

        Returns:
            Both clamped to [0, 1], and the state for the frames that follow.

        Raises:
            ValueError: shapes do not fit, or a ratio out of (0, 1].
        """
        residual, alpha, state = self._matte(video, state, downsample_ratio)
        return VideoMatte(alpha.clamp(0, 1), (residual + video).clamp(0, 1), state)

    def segment(self, video: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits ``(B, T, 1, H, W)`` of the person segmentation that is trained alongside, and the state."""
        self._check(video, 1.0)
        hidden, state = self._decode(video, state)
        return self.project_seg(hidden), state

    def training_outputs(self, video: Tensor, downsample_ratio: float = 1.0) -> dict[str, Tensor]:
        """``alpha`` and ``foreground`` as from :meth:`forward`."""
        matte = self(video, None, downsample_ratio)
        return {"alpha": matte.alpha, "foreground": matte.foreground}

    def segmentation_outputs(self, video: Tensor) -> dict[str, Tensor]:
        """``logits`` of :meth:`segment`."""
        return {"logits": self.segment(video)[0]}

    def _matte(self, video: Tensor, state: State | None, ratio: float | None) -> tuple[Tensor, Tensor, State]:
        if ratio is None:
            ratio = min(1.0, LONGEST / max(video.shape[-2:]))
        self._check(video, ratio)
        if ratio == 1.0:
            hidden, state = self._decode(video, state)
            matte = self.project_mat(hidden)
        else:
            small = F.interpolate(
                video.flatten(0, 1), scale_factor=ratio, mode="bilinear", align_corners=False,
                recompute_scale_factor=False,
            )  # fmt: skip
            small = torch.unflatten(small, 0, video.shape[:2])
            hidden, state = self._decode(small, state)
            matte = self.refiner(video, small, self.project_mat(hidden), hidden)
        residual, alpha = matte.split([3, 1], 2)
        return residual, alpha, state

    def _decode(self, video: Tensor, state: State | None) -> tuple[Tensor, State]:
        size = video.shape[:2]
        maps = self.backbone(self.normalise(video.flatten(0, 1)))
        features = [torch.unflatten(x, 0, size) for x in (*maps[:3], self.aspp(maps[3]))]
        hidden: Tensor
        hidden, state = self.decoder(video, features, state)
        return hidden, state

    def _check(self, video: Tensor, ratio: float) -> None:
        if video.dim() != 5 or video.shape[2] != 3 or video.shape[1] < 1:
            raise ValueError(f"expected a video (B, T, 3, H, W) with at least one frame, got {tuple(video.shape)}")
        if not 0 < ratio <= 1:
            raise ValueError(f"downsample_ratio must be above 0 and at most 1, got {ratio}")


def _even(channels: float) -> int:
    return max(2, round(channels / 2) * 2)


class _ResNet(ResNet):
    """ResNet-50 with its last stage dilated."""

    def __init__(self, width: float) -> None:
        super().__init__("resnet50", 16, max(1, round(64 * width)))
        self.channels = (self.channels[0], self.channels[1], self.channels[2], self.channels[4])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # type: ignore[override]
        stages = super().forward(x)
        return stages.stem, stages.layer1, stages.layer2, stages.layer4


class _LRASPP(nn.Module):
    """Features weighed by what the whole image holds (Howard et al., ICCV 2019, section 6.4)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.aspp1 = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(True))
        self.aspp2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, out, 1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.aspp1(x) * self.aspp2(x)
        return out


class _Decoder(nn.Module):
    def __init__(self, features: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.decode4 = _Memory(features[3])
        self.decode3 = _Upsampling(features[3], features[2], widths[0])
        self.decode2 = _Upsampling(widths[0], features[1], widths[1])
        self.decode1 = _Upsampling(widths[1], features[0], widths[2])
        self.decode0 = _Output(widths[2], widths[3])

    def forward(self, video: Tensor, features: list[Tensor], state: State | None) -> tuple[Tensor, State]:
        """``(B, T, C, H, W)`` from maps at 1/2, 1/4, 1/8 and 1/16, and the states from fine to coarse."""
        r1, r2, r3, r4 = (None, None, None, None) if state is None else state
        images = [video]
        for _ in range(3):
            half = F.avg_pool2d(images[-1].flatten(0, 1), 2, 2, ceil_mode=True, count_include_pad=False)
            images.append(torch.unflatten(half, 0, video.shape[:2]))
        x, r4 = self.decode4(features[3], r4)
        x, r3 = self.decode3(x, features[2], images[3], r3)
        x, r2 = self.decode2(x, features[1], images[2], r2)
        x, r1 = self.decode1(x, features[0], images[1], r1)
        return self.decode0(x, video), (r1, r2, r3, r4)


class _Memory(nn.Module):
    """A ConvGRU over the second half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        plain, remembered = x.chunk(2, 2)
        remembered, state = self.gru(remembered, state)
        return torch.cat((plain, remembered), 2), state


def _upsample(x: Tensor, size: torch.Size) -> Tensor:
    """``(B, T, C, h, w)`` at twice the size, without what exceeds ``size``, as ``(B * T, C, H, W)``."""
    x = F.interpolate(x.flatten(0, 1), scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., : size[-2], : size[-1]]


def _conv(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(True)]


class _Upsampling(_Memory):
    def __init__(self, channels: int, skip: int, out: int) -> None:
        super().__init__(out)
        self.conv = nn.Sequential(*_conv(channels + skip + 3, out))

    def forward(  # type: ignore[override]
        self, x: Tensor, features: Tensor, image: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        size = image.shape[:2]
        x = torch.cat((_upsample(x, image.shape), features.flatten(0, 1), image.flatten(0, 1)), 1)
        return super().forward(torch.unflatten(self.conv(x), 0, size), state)


class _Output(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_conv(channels + 3, out), *_conv(out, out))

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        x = self.conv(torch.cat((_upsample(x, image.shape), image.flatten(0, 1)), 1))
        return torch.unflatten(x, 0, image.shape[:2])


class _Projection(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.unflatten(self.conv(x.flatten(0, 1)), 0, x.shape[:2])


class _DeepGuidedFilter(nn.Module):
    """A guided filter whose slope a small network estimates from local covariances (Wu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=4)
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            *(nn.Conv2d(8 + channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)),
            *(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)),
            nn.Conv2d(channels, 4, 1),
        )

    def forward(self, video: Tensor, small: Tensor, matte: Tensor, hidden: Tensor) -> Tensor:
        """Residual and alpha ``(B, T, 4, H, W)`` at the size of ``video`` from those at the size of ``small``."""
        fine, x = (torch.cat((v, v.mean(2, keepdim=True)), 2).flatten(0, 1) for v in (video, small))
        y = matte.flatten(0, 1)
        mean_x, mean_y = self.box_filter(x), self.box_filter(y)
        covariance = self.box_filter(x * y) - mean_x * mean_y
        variance = self.box_filter(x * x) - mean_x * mean_x
        slope = self.conv(torch.cat((covariance, variance, hidden.flatten(0, 1)), 1))
        offset = mean_y - slope * mean_x
        size = fine.shape[2:]
        slope, offset = (F.interpolate(v, size, mode="bilinear", align_corners=False) for v in (slope, offset))
        return torch.unflatten(slope * fine + offset, 0, video.shape[:2])


def _backbone(variant: str, filename: str) -> BackboneWeights:
    # the pooled layers of MobileNetV3 and the classifiers have no use here
    unused = ("classifier.",) if variant == "mobilenetv3" else ("fc.",)
    return BackboneWeights(
        imagenet(filename),
        "backbone.",
        lambda options: bool(options["variant"] == variant and options["width"] == 1),
        lambda state: without(unused, state),
    )


CARD = ModelCard(
    name="rvm",
    task="matting",
    build=RobustVideoMatting,
    summary="Robust Video Matting: recurrent, without a trimap, with foreground colours",
    paper="Lin, Yang, Saleemi, Sengupta: Robust High-Resolution Video Matting with Temporal Guidance, WACV 2022, "
    "https://arxiv.org/abs/2108.11515",
    tiny={"width": 0.25},
    recurrent=True,
    licence="GPL-3.0 for the official code; the authors never stated the licence of the weights",
    weights=tuple(
        OfficialWeights(
            tag=variant,
            filename=f"rvm_{variant}.pth",
            licence="not stated by the authors",
            source="release page of https://github.com/PeterL1n/RobustVideoMatting",
            trained_on="VideoMatte240K, Distinctions-646, Adobe Image Matting, YouTubeVIS, COCO, SPD",
        )
        for variant in ("mobilenetv3", "resnet50")
    ),
    backbones=(
        _backbone("mobilenetv3", "mobilenet_v3_large-8738ca79.pth"),
        _backbone("resnet50", "resnet50-0676ba61.pth"),
    ),
    layouts=(CheckpointLayout("official", {"project_mat.conv.weight", "aspp.aspp1.0.weight"}.issubset, dict),),
    proven=("parity", "official weights never seen"),
)
