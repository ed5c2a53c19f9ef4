"""Deep Image Matting: an encoder-decoder over image and trimap, and a small network that refines its alpha.

Xu, Price, Cohen and Huang, "Deep Image Matting", CVPR 2017 (https://arxiv.org/abs/1703.03872), written from the paper
and from the structure of mmagic's model, whose parameter names it has.

Kept from the two releases that people use, because the paper's 7x7x4096 layer was never released:
    * ``conv6`` is a 1x1 convolution with 512 channels (mmagic) or a 3x3 one (``conv6_kernel=3``, with ``skip=True`` the
      model of huochaitiantang/pytorch-deep-image-matting, which adds encoder features after each unpooling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.colour_samples import propagate, sampled_matte
from ...ops.distance import distance_to
from ...ops.pad import pad_to_multiple
from ...weights import OfficialWeights
from ..backbones import imagenet
from ..card import BackboneWeights, CheckpointLayout, ModelCard, PublishedResult
from ..layers.normalise import ImageNetNormalise
from .contract import check_trimap, classes_of

_STRIDE = 32
_CONVS = (2, 2, 3, 3, 3)  # of VGG16, per resolution
_UNKNOWN = 128 / 255  # as read from the trimaps of the data set
# where the matte is among the inputs, and how many further planes the two parts take
_MATTE, _HINTS, _REFINER_HINTS = 4, 4, 9
_FAR = 24  # pixels


class DeepImageMatting(nn.Module):
    """Alpha from an image and a trimap (26,276,802 parameters with the defaults).

    Args:
        skip: add encoder features to the decoder's after each unpooling.
        conv6_kernel: of the layer between encoder and decoder: 1 or 3.
        stage: of training: 1: encoder and decoder, whose alpha is the result; 2: only the refinement is trained;
            3: everything. From 2 on the refined alpha is the result. Weights of every stage load into every other.
        channels: of the first convolutions; 64 in the paper.
        refine_channels: of the refinement.
        hints: give the network more to go by: the matte of the baseline ``guided_sampling``, how far each pixel is
            from the known foreground and background (as do Forte and Pitie, "F, B, Alpha Matting", 2020), and, to the
            refinement, the samples that the matte was made of. The refinement then corrects that matte rather than the
            decoder's alpha. Not in the paper; others gave networks mattes of classical methods too (Cho, Tai and
            Kweon, ECCV 2016). A small network resolves hair with them that it blurs without.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        skip: bool = False,
        conv6_kernel: int = 1,
        stage: int = 3,
        channels: int = 64,
        refine_channels: int = 64,
        hints: bool = False,
    ) -> None:
        super().__init__()
        if conv6_kernel not in (1, 3):
            raise ConfigError(f"conv6_kernel must be 1 or 3, got {conv6_kernel!r}")
        if stage not in (1, 2, 3):
            raise ConfigError(f"stage must be 1, 2 or 3, got {stage!r}")
        if channels < 1 or refine_channels < 1:
            raise ConfigError(f"channels and refine_channels must be at least 1, got {channels} and {refine_channels}")
        self.stage, self.hints = stage, hints
        planes, refiner_planes = (4 + _HINTS, 4 + _REFINER_HINTS) if hints else (4, 4)
        self.normalise = ImageNetNormalise()
        self.backbone = _Backbone(channels, conv6_kernel, skip, planes)
        self.refiner = _Refiner(refine_channels, refiner_planes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        # so that the network starts as it would without a trimap, whatever the rest of the layer is loaded with
        with torch.no_grad():
            self.backbone.get_parameter("encoder.layer1.0.weight")[:, 3:4] = 0
            if hints:
                # so that the refinement starts from the matte
                nn.init.zeros_(self.refiner.refine_pred.weight)
        self.backbone.requires_grad_(stage != 2)
        self.refiner.requires_grad_(stage != 1)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha ``(B, 1, H, W)`` in [0, 1] of images ``(B, 3, H, W)`` in [0, 1], of any size.

        Args:
            image: RGB.
            trimap: ``(B, 1, H, W)``: 0 background, 1 foreground, anything between unknown. The result may contradict
                it; the caller decides.

        Raises:
            ValueError: shapes do not fit.
        """
        outputs = self.training_outputs(image, trimap)
        return outputs["alpha" if self.stage == 1 else "refined"].clamp(0, 1)

    def training_outputs(self, image: Tensor, trimap: Tensor) -> dict[str, Tensor]:
        """``alpha`` ``(B, 1, H, W)`` of the encoder-decoder and, from stage 2 on, ``refined``.

        Raises:
            ValueError: shapes do not fit.
        """
        check_trimap(image, trimap)
        background, unknown, foreground = classes_of(trimap)
        plane = torch.where(unknown, _UNKNOWN, foreground.to(image.dtype)).to(image.dtype)
        height, width = image.shape[2:]
        # a mirror needs more than what it mirrors
        mirrored = min(height, width) >= _STRIDE
        x = torch.cat((self.normalise(image), plane), 1)
        if self.hints:
            x = torch.cat((x, *_hints(image, background, foreground)), 1)
        x, crop = pad_to_multiple(x, _STRIDE, "reflect" if mirrored else "replicate")
        return {name: crop(alpha) for name, alpha in self.predict(x).items()}

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """As :meth:`training_outputs`, from normalised image, trimap and hints ``(B, 4 or 13, H, W)``.

        H and W are multiples of 32.
        """
        raw = self.backbone(x[:, : 4 + _HINTS])
        alpha = torch.sigmoid(raw)
        if self.stage == 1:
            return {"alpha": alpha}
        change = self.refiner(torch.cat((x[:, :3], alpha, x[:, 4:]), 1))
        if self.hints:
            # the matte is a good start, and better than what the decoder knows of strands
            return {"alpha": alpha, "refined": x[:, _MATTE : _MATTE + 1] + change}
        return {"alpha": alpha, "refined": torch.sigmoid(raw + change)}


class _Backbone(nn.Module):
    def __init__(self, channels: int, kernel: int, skip: bool, planes: int) -> None:
        super().__init__()
        self.encoder = _Encoder(channels, kernel, planes)
        self.decoder = _Decoder(channels, skip)

    def forward(self, x: Tensor) -> Tensor:
        bottom, indices, features = self.encoder(x)
        out: Tensor = self.decoder(bottom, indices, features)
        return out


class _Encoder(nn.Module):
    """VGG16 with further input channels."""

    def __init__(self, channels: int, kernel: int, planes: int) -> None:
        super().__init__()
        before = planes
        for level, count in enumerate(_CONVS):
            width = channels * min(2**level, 8)
            layers: list[nn.Module] = []
            for _ in range(count):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
            self.add_module(f"layer{level + 1}", nn.Sequential(*layers))
        self.conv6 = nn.Conv2d(before, before, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        indices, features = [], []
        for level in range(1, 6):
            x = getattr(self, f"layer{level}")(x)
            features.append(x)
            x, index = F.max_pool2d(x, 2, 2, return_indices=True)
            indices.append(index)
        return self.conv6(x).relu_(), indices, features


class _Decoder(nn.Module):
    """Unpooling where the encoder had its maxima, and a 5x5 convolution, five times."""

    def __init__(self, channels: int, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        widths = [channels * factor for factor in (8, 8, 4, 2, 1, 1)]
        self.deconv6_1 = nn.Conv2d(widths[0], widths[0], 1)
        for position in range(5):
            conv = nn.Conv2d(widths[position], widths[position + 1], 5, padding=2)
            self.add_module(f"deconv{5 - position}_1", conv)
        self.deconv1 = nn.Conv2d(channels, 1, 5, padding=2)

    def forward(self, x: Tensor, indices: list[Tensor], features: list[Tensor]) -> Tensor:
        """The logit of alpha ``(B, 1, H, W)``, from the encoder's result, its maxima and its features, finest first."""
        x = self.deconv6_1(x).relu_()
        for level in range(5, 0, -1):
            x = F.max_unpool2d(x, indices[level - 1], [2, 2])
            if self.skip:
                x = x + features[level - 1]
            x = getattr(self, f"deconv{level}_1")(x).relu_()
        out: Tensor = self.deconv1(x)
        return out


class _Refiner(nn.Module):
    """Four convolutions whose result is added to the logit of alpha."""

    def __init__(self, channels: int, planes: int = 4) -> None:
        super().__init__()
        self.refine_conv1 = nn.Conv2d(planes, channels, 3, padding=1)
        self.refine_conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.refine_conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.refine_pred = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.refine_conv1, self.refine_conv2, self.refine_conv3):
            x = conv(x).relu_()
        out: Tensor = self.refine_pred(x)
        return out


def _hints(image: Tensor, background: Tensor, foreground: Tensor) -> tuple[Tensor, ...]:
    """A matte, three planes about the place of each pixel and five about its samples, ``(B, 1, H, W)`` each."""
    front, back = (distance_to(known, _FAR) for known in (foreground, background))
    between = back / (front + back).clamp(min=1e-3)
    samples = sampled_matte(image, foreground, background)
    matte = propagate(image, samples, foreground, background)
    # in the units of normalised colours
    contrast = samples.contrast / 0.225
    about_samples = (samples.mean, samples.alpha, samples.spread, samples.fit, contrast)
    planes = (matte, between, front / _FAR, back / _FAR, *about_samples)
    return tuple(plane.to(image.dtype) for plane in planes)


_ENCODER, _REFINER = "backbone.encoder.layer1.0.weight", "refiner.refine_pred.weight"


def _idle_refiner(channels: int = 64) -> dict[str, Tensor]:
    """A refinement that changes nothing yet, for checkpoints of the first stage."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = _Refiner(channels).state_dict()
    zeroed = {key: torch.zeros_like(value) for key, value in state.items() if key.startswith("refine_pred")}
    return {f"refiner.{key}": value for key, value in (state | zeroed).items()}


def _from_flat(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``conv3_2`` to ``backbone.encoder.layer3.2``, and so on."""
    renamed = {}
    for key, value in state.items():
        layer, kind = key.rsplit(".", 1)
        if layer.startswith("refine"):
            renamed[f"refiner.{key}"] = value
        elif layer.startswith("deconv"):
            renamed[f"backbone.decoder.{key}"] = value
        elif layer == "conv6_1":
            renamed[f"backbone.encoder.conv6.{kind}"] = value
        else:
            level, number = layer.removeprefix("conv").split("_")
            renamed[f"backbone.encoder.layer{level}.{2 * (int(number) - 1)}.{kind}"] = value
    return renamed if _REFINER in renamed else _idle_refiner() | renamed


def _from_vgg16(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's VGG16; the trimap's weights of the first convolution are zero."""
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    names = [f"layer{level}.{2 * number}" for level, count in enumerate(_CONVS, 1) for number in range(count)]
    renamed = {}
    for place, name in zip(places, names, strict=True):
        weight = state[f"features.{place}.weight"]
        renamed[f"backbone.encoder.{name}.weight"] = F.pad(weight, (0, 0, 0, 0, 0, 1)) if place == 0 else weight
        renamed[f"backbone.encoder.{name}.bias"] = state[f"features.{place}.bias"]
    return renamed


def _fits_vgg16(options: Mapping[str, Any]) -> bool:
    return bool(options["channels"] == 64 and not options["hints"])


_TABLE = "mmagic, README of its DIM model, Composition-1k"

CARD = ModelCard(
    name="dim",
    task="matting",
    build=DeepImageMatting,
    summary="Deep Image Matting: VGG16 encoder-decoder with unpooling, and a refinement stage",
    paper="Xu, Price, Cohen, Huang: Deep Image Matting, CVPR 2017, https://arxiv.org/abs/1703.03872",
    tiny={"channels": 4, "refine_channels": 4},
    licence="Apache-2.0 for the code; the weights inherit the data set's non-commercial terms",
    weights=tuple(
        OfficialWeights(
            tag=f"composition1k_stage{stage}",
            filename=f"DIM_stage{stage}.pth",
            licence="non-commercial (Adobe Deep Image Matting data set)",
            source="model page of https://github.com/open-mmlab/mmagic (configs/dim)",
            trained_on="Adobe Deep Image Matting (Composition-1k training set)",
        )
        for stage in (1, 2, 3)
    ),
    backbones=(
        BackboneWeights(
            imagenet("vgg16-397923af.pth"),
            "backbone.encoder.layer",
            _fits_vgg16,
            _from_vgg16,
        ),
    ),
    layouts=(
        CheckpointLayout("mmagic", {_ENCODER, _REFINER}.issubset, dict),
        CheckpointLayout(
            "mmagic, first stage",
            lambda keys: _ENCODER in keys and _REFINER not in keys,
            lambda state: _idle_refiner() | state,
        ),
        CheckpointLayout("huochaitiantang", {"conv1_1.weight", "deconv6_1.weight"}.issubset, _from_flat),
    ),
    published=tuple(
        PublishedResult("composition1k", metric, value, _TABLE, f"composition1k_stage{stage}", options)
        for stage, values, options in (
            (1, (53.8, 0.017, 32.7, 54.5), {"stage": 1}),
            (2, (52.3, 0.016, 29.4, 52.4), {"stage": 2}),
            (3, (50.6, 0.015, 29.0, 50.7), {}),
        )
        for metric, value in zip(("sad", "mse", "grad", "conn"), values, strict=True)
    ),
    proven=("parity", "official weights never seen"),
)
