"""DeepLabV3 and DeepLabV3+: atrous convolutions at several rates, and a decoder that sharpens what they find.

Chen, Papandreou, Schroff and Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017
(https://arxiv.org/abs/1706.05587); Chen, Zhu, Papandreou, Schroff and Adam, "Encoder-Decoder with Atrous Separable
Convolution for Semantic Image Segmentation", ECCV 2018 (https://arxiv.org/abs/1802.02611). Written from the papers and
from the structure of VainF/DeepLabV3Plus-Pytorch, whose checkpoints most people have; parameters have its names.

Kept from that code, because its published numbers depend on it:
    * one 3x3 convolution in the decoder, where the paper has two (``decoder_convs=2`` for the paper's);
    * running means and variances of the backbone that follow by 0.01 per batch in training;
    * rates 6, 12, 18 at output stride 16 and 12, 24, 36 at 8, dropout 0.1;
    * a MobileNetV2 that pads a block's input before the expansion and does not pad its first convolution (see
      :func:`~framewright.models.layers.mobilenet.mobilenet_v2`); torchvision's MobileNetV2 has the same parameters and
      gives other numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...weights import OfficialWeights
from ..backbones import imagenet, without
from ..card import BackboneWeights, CheckpointLayout, ModelCard, PublishedResult
from ..layers.mobilenet import V2_LOW, mobilenet_v2
from ..layers.normalise import ImageNetNormalise
from ..layers.resnet import BLOCKS, ResNet

BACKBONES = ("mobilenet", *BLOCKS)
_RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
_MOBILENET_BLOCKS = 18
Backbone = Literal["mobilenet", "resnet50", "resnet101"]
OutputStride = Literal[8, 16]


class _DeepLab(nn.Module):
    """What both networks share: normalisation, backbone, a classifier, and logits at the size of the input."""

    backbone: _MobileNet | _ResNet
    classifier: nn.Module

    def __init__(self, backbone: str, num_classes: int, output_stride: int, width: float, bn_momentum: float) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ConfigError(f"backbone must be one of {', '.join(BACKBONES)}, got {backbone!r}")
        if output_stride not in _RATES:
            raise ConfigError(f"output_stride must be 8 or 16, got {output_stride!r}")
        if num_classes < 2:
            raise ConfigError(f"num_classes must be at least 2, got {num_classes}")
        if width <= 0:
            raise ConfigError(f"width must be positive, got {width}")
        self.num_classes = num_classes
        self.normalise = ImageNetNormalise()
        if backbone == "mobilenet":
            self.backbone = _MobileNet(output_stride, width)
        else:
            self.backbone = _ResNet(backbone, output_stride, width)
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = bn_momentum

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(B, num_classes, H, W)`` of images ``(B, 3, H, W)`` in [0, 1], of any size.

        Raises:
            ValueError: in training mode with a single image, which leaves the normalisation of the pooled branch
                nothing to average over.
        """
        if image.dim() != 4 or image.shape[1] != 3:
            raise ValueError(f"expected images (B, 3, H, W), got {tuple(image.shape)}")
        logits = self.classify(self.normalise(image))
        return F.interpolate(logits, image.shape[2:], mode="bilinear", align_corners=False)

    def classify(self, normalised: Tensor) -> Tensor:
        """Logits at the resolution of the classifier."""
        low, high = self.backbone(normalised)
        logits: Tensor = self.classifier(low, high)
        return logits

    def training_outputs(self, image: Tensor) -> dict[str, Tensor]:
        """``logits``, as from :meth:`forward`."""
        return {"logits": self(image)}


class DeepLabV3Plus(_DeepLab):
    """DeepLabV3+ (with 21 classes 5,225,717 parameters with MobileNetV2, 39,761,845 with ResNet-50).

    Args:
        backbone: ``"mobilenet"`` (MobileNetV2), ``"resnet50"`` or ``"resnet101"``.
        num_classes: number of classes.
        output_stride: of the features that the atrous convolutions see: 8 or 16.
        separable_conv: every 3x3 convolution behind the backbone as a depthwise and a pointwise one.
        decoder_convs: 3x3 convolutions in the decoder: 1 as in the released weights, 2 as in the paper.
        width: factor of the backbone's channels.
        aspp_channels: width of everything behind the backbone.
        aspp_dropout: behind the atrous convolutions.
        bn_momentum: of the backbone's batch normalisation.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        backbone: Backbone = "mobilenet",
        num_classes: int = 21,
        output_stride: OutputStride = 16,
        separable_conv: bool = False,
        decoder_convs: int = 1,
        width: float = 1.0,
        aspp_channels: int = 256,
        aspp_dropout: float = 0.1,
        bn_momentum: float = 0.01,
    ) -> None:
        super().__init__(backbone, num_classes, output_stride, width, bn_momentum)
        if decoder_convs not in (1, 2):
            raise ConfigError(f"decoder_convs must be 1 or 2, got {decoder_convs!r}")
        self.classifier = _HeadPlus(
            (self.backbone.channels[0], self.backbone.channels[1]),
            aspp_channels,
            num_classes,
            _RATES[output_stride],
            decoder_convs,
            aspp_dropout,
        )
        if separable_conv:
            _separate(self.classifier)
        _init_head(self.classifier)


class DeepLabV3(_DeepLab):
    """DeepLabV3, without a decoder (39,638,869 parameters with ResNet-50 and 21 classes).

    torchvision's weights load into ``backbone="resnet50"`` and ``"resnet101"``; they were trained with
    ``output_stride=8`` and ``aspp_dropout=0.5``.

    Args:
        backbone: ``"mobilenet"`` (MobileNetV2), ``"resnet50"`` or ``"resnet101"``.
        num_classes: number of classes.
        output_stride: of the features that the atrous convolutions see: 8 or 16.
        separable_conv: every 3x3 convolution behind the backbone as a depthwise and a pointwise one.
        width: factor of the backbone's channels.
        aspp_channels: width of everything behind the backbone.
        aspp_dropout: behind the atrous convolutions.
        bn_momentum: of the backbone's batch normalisation.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        backbone: Backbone = "resnet50",
        num_classes: int = 21,
        output_stride: OutputStride = 8,
        separable_conv: bool = False,
        width: float = 1.0,
        aspp_channels: int = 256,
        aspp_dropout: float = 0.1,
        bn_momentum: float = 0.01,
    ) -> None:
        super().__init__(backbone, num_classes, output_stride, width, bn_momentum)
        self.classifier = _Head(
            self.backbone.channels[1], aspp_channels, num_classes, _RATES[output_stride], aspp_dropout
        )
        if separable_conv:
            _separate(self.classifier)
        _init_head(self.classifier)


class _MobileNet(nn.Module):
    def __init__(self, output_stride: int, width: float) -> None:
        super().__init__()
        blocks, low, high = mobilenet_v2(output_stride, width)
        named = [(str(index), block) for index, block in enumerate(blocks)]
        self.low_level_features = nn.Sequential(OrderedDict(named[:V2_LOW]))
        self.high_level_features = nn.Sequential(OrderedDict(named[V2_LOW:]))
        self.channels = (low, high)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low = self.low_level_features(x)
        return low, self.high_level_features(low)


class _ResNet(ResNet):
    def __init__(self, name: str, output_stride: int, width: float) -> None:
        super().__init__(name, 8 if output_stride == 8 else 16, max(1, round(64 * width)))
        self.channels = (self.channels[1], self.channels[4])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        stages = super().forward(x)
        return stages.layer1, stages.layer4


def _conv(channels: int, out: int, kernel: int = 1, rate: int = 1) -> list[nn.Module]:
    padding = rate if kernel > 1 else 0
    conv = nn.Conv2d(channels, out, kernel, padding=padding, dilation=rate, bias=False)
    return [conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


class _Pooling(nn.Sequential):
    """The mean over the image, at its size."""

    def forward(self, x: Tensor) -> Tensor:
        if self[2].training and x.shape[0] == 1:
            raise ValueError(
                "DeepLab cannot be trained with one image per batch: batch normalisation of the pooled branch has one "
                "value per channel. Use data.batch_size=2 or more (per process)"
            )
        pooled = x
        for layer in self:
            pooled = layer(pooled)
        return F.interpolate(pooled, x.shape[2:], mode="bilinear", align_corners=False)


class _ASPP(nn.Module):
    """1x1 convolution, three atrous ones and the mean, side by side."""

    def __init__(self, channels: int, out: int, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_conv(channels, out)),
                *(nn.Sequential(*_conv(channels, out, 3, rate)) for rate in rates),
                _Pooling(nn.AdaptiveAvgPool2d(1), *_conv(channels, out)),
            ]
        )
        self.project = nn.Sequential(*_conv(out * len(self.convs), out), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(torch.cat([conv(x) for conv in self.convs], 1))
        return out


class _HeadPlus(nn.Module):
    def __init__(
        self,
        channels: tuple[int, int],
        width: int,
        classes: int,
        rates: tuple[int, ...],
        convs: int,
        dropout: float,
    ) -> None:
        super().__init__()
        low, high = channels
        reduced = max(1, width * 48 // 256)
        self.project = nn.Sequential(*_conv(low, reduced))
        self.aspp = _ASPP(high, width, rates, dropout)
        layers = _conv(reduced + width, width, 3)
        for _ in range(convs - 1):
            layers += _conv(width, width, 3)
        self.classifier = nn.Sequential(*layers, nn.Conv2d(width, classes, 1))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        details, context = self.project(low), self.aspp(high)
        context = F.interpolate(context, details.shape[2:], mode="bilinear", align_corners=False)
        out: Tensor = self.classifier(torch.cat((details, context), 1))
        return out


class _Head(nn.Module):
    def __init__(self, high: int, width: int, classes: int, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.classifier = nn.Sequential(
            _ASPP(high, width, rates, dropout), *_conv(width, width, 3), nn.Conv2d(width, classes, 1)
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        out: Tensor = self.classifier(high)
        return out


class _Separable(nn.Module):
    """A depthwise convolution and a pointwise one in place of ``conv``."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        channels, out = conv.in_channels, conv.out_channels
        depthwise = nn.Conv2d(
            channels,
            channels,
            conv.kernel_size,  # type: ignore[arg-type]
            padding=conv.padding,  # type: ignore[arg-type]
            dilation=conv.dilation,  # type: ignore[arg-type]
            groups=channels,
            bias=False,
        )
        self.body = nn.Sequential(depthwise, nn.Conv2d(channels, out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def _separate(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size[0] > 1:
            module.add_module(name, _Separable(child))
        else:
            _separate(child)


def _init_head(head: nn.Module) -> None:
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)


def _is_vainf(keys: set[str], plus: bool) -> bool:
    mark = "classifier.aspp.project.0.weight" if plus else "classifier.classifier.0.project.0.weight"
    return mark in keys and any(key.startswith("backbone.") for key in keys)


def _is_torchvision(keys: set[str]) -> bool:
    return {"classifier.0.project.0.weight", "classifier.4.weight", "backbone.layer4.0.conv1.weight"} <= keys


def _from_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """One more ``classifier.``; the auxiliary classifier, which only training uses, is left out."""
    return {
        f"classifier.{key}" if key.startswith("classifier.") else key: value
        for key, value in state.items()
        if not key.startswith("aux_classifier.")
    }


def _mobilenet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's MobileNetV2 without its last convolution and its classifier."""
    renamed = {}
    for key, value in state.items():
        kind, _, rest = key.partition(".")
        index = int(rest.partition(".")[0])
        if kind == "features" and index < _MOBILENET_BLOCKS:
            level = "low_level_features" if index < V2_LOW else "high_level_features"
            renamed[f"backbone.{level}.{rest}"] = value
    return renamed


def _backbone(name: str, filename: str) -> BackboneWeights:
    def suits(options: Mapping[str, Any]) -> bool:
        return bool(options["backbone"] == name and options["width"] == 1)

    def resnet(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return without(("fc.",), state)

    convert = _mobilenet if name == "mobilenet" else resnet
    return BackboneWeights(imagenet(filename), "backbone.", suits, convert)


def _options_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Backbone and number of classes, from converted tensors."""
    last = max(key for key in state if key.startswith("classifier.classifier.") and key.endswith(".weight"))
    if "backbone.low_level_features.0.0.weight" in state:
        backbone = "mobilenet"
    else:
        backbone = "resnet101" if "backbone.layer3.6.conv1.weight" in state else "resnet50"
    return {"backbone": backbone, "num_classes": len(state[last])}


_BACKBONES = (
    _backbone("mobilenet", "mobilenet_v2-b0353104.pth"),
    _backbone("resnet50", "resnet50-0676ba61.pth"),
    _backbone("resnet101", "resnet101-63fe2227.pth"),
)
_VAINF = "github.com/VainF/DeepLabV3Plus-Pytorch, README"
_TORCHVISION = "torchvision, metadata of its weights"
_PAPER_PLUS = (
    "Chen et al.: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018, "
    "https://arxiv.org/abs/1802.02611"
)


def _vainf_weights(model: str, backbone: str, data: str) -> OfficialWeights:
    return OfficialWeights(
        tag=f"{backbone}_{data}",
        filename=f"best_{model}_{backbone}_{data}_os16.pth",
        licence="MIT",
        source="drive page linked from https://github.com/VainF/DeepLabV3Plus-Pytorch",
        trained_on={"voc": "PASCAL VOC 2012 trainaug", "cityscapes": "Cityscapes"}[data],
    )


def _torchvision_weights(backbone: str, filename: str) -> OfficialWeights:
    licence, trained_on = "BSD-3-Clause (torchvision)", "COCO 2017, the classes of VOC"
    return replace(imagenet(filename), tag=f"{backbone}_coco", licence=licence, trained_on=trained_on)


def _published(benchmark: str, backbone: str, value: float) -> PublishedResult:
    tag = f"{backbone}_{'voc' if benchmark == 'voc_val' else 'cityscapes'}"
    options: dict[str, object] = {} if backbone == "mobilenet" else {"backbone": backbone}
    options |= {} if benchmark == "voc_val" else {"num_classes": 19}
    return PublishedResult(benchmark, "miou", value, _VAINF, tag, options)


def _options(backbone: str, stride: int) -> dict[str, object]:
    """The options of a published DeepLabV3 that are not the defaults."""
    options: dict[str, object] = {} if backbone == "resnet50" else {"backbone": backbone}
    return options | ({} if stride == 8 else {"output_stride": stride})


CARDS = (
    ModelCard(
        name="deeplabv3plus",
        task="segmentation",
        build=DeepLabV3Plus,
        summary="DeepLabV3+: atrous pyramid with a decoder, on MobileNetV2 or ResNet",
        paper=_PAPER_PLUS,
        tiny={"width": 0.25, "aspp_channels": 16},
        licence="MIT",
        weights=(
            *(_vainf_weights("deeplabv3plus", backbone, "voc") for backbone in BACKBONES),
            *(_vainf_weights("deeplabv3plus", backbone, "cityscapes") for backbone in ("mobilenet", "resnet101")),
        ),
        layouts=(CheckpointLayout("VainF", lambda keys: _is_vainf(keys, plus=True), dict),),
        backbones=_BACKBONES,
        options_of=_options_of,
        published=(
            _published("voc_val", "mobilenet", 71.1),
            _published("voc_val", "resnet50", 77.2),
            _published("voc_val", "resnet101", 78.3),
            _published("cityscapes_val", "mobilenet", 72.1),
            _published("cityscapes_val", "resnet101", 76.2),
        ),
        proven=("parity", "official weights never seen"),
    ),
    ModelCard(
        name="deeplabv3",
        task="segmentation",
        build=DeepLabV3,
        summary="DeepLabV3: atrous pyramid on ResNet or MobileNetV2; takes torchvision's weights",
        paper="Chen et al.: Rethinking Atrous Convolution for Semantic Image Segmentation, 2017, "
        "https://arxiv.org/abs/1706.05587",
        tiny={"backbone": "mobilenet", "width": 0.25, "aspp_channels": 16},
        licence="MIT",
        weights=(
            *(_vainf_weights("deeplabv3", backbone, "voc") for backbone in BACKBONES),
            _torchvision_weights("resnet50", "deeplabv3_resnet50_coco-cd0a2569.pth"),
            _torchvision_weights("resnet101", "deeplabv3_resnet101_coco-586e9e4e.pth"),
        ),
        layouts=(
            CheckpointLayout("VainF", lambda keys: _is_vainf(keys, plus=False), dict),
            CheckpointLayout("torchvision", _is_torchvision, _from_torchvision),
        ),
        backbones=_BACKBONES,
        options_of=_options_of,
        published=(
            *(
                PublishedResult("voc_val", "miou", value, _VAINF, f"{backbone}_voc", _options(backbone, 16))
                for backbone, value in (("mobilenet", 70.1), ("resnet50", 76.9), ("resnet101", 77.3))
            ),
            *(
                PublishedResult("coco_voc_val", metric, value, _TORCHVISION, f"{backbone}_coco", _options(backbone, 8))
                for backbone, miou in (("resnet50", 66.4), ("resnet101", 67.4))
                for metric, value in (("miou", miou), ("pixel_accuracy", 92.4))
            ),
        ),
        proven=("parity", "official weights never seen"),
    ),
)
