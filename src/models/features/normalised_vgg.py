"""VGG19 with normalised weights: the features of universal style transfer and of AdaIN.

The weights of VGG19 are rescaled so that every feature has a mean of 1 over images of ImageNet (Gatys et al., CVPR
2016), pads mirror the image and the first layer, 1x1, turns RGB in [0, 1] into what the trained network expects (Li et
al., "Universal Style Transfer via Feature Transforms", NeurIPS 2017, https://arxiv.org/abs/1705.08086). Layers have
the numbers of the published files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor, nn

from ...core.errors import ConfigError, nearest
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard

Layer = Literal["relu1_1", "relu2_1", "relu3_1", "relu4_1"]


class Step(NamedTuple):
    """One 3x3 convolution: its channels for a first width of 64, and whether a halving follows it."""

    inner: int
    outer: int
    halved: bool


STEPS = (
    *(Step(3, 64, False), Step(64, 64, True), Step(64, 128, False), Step(128, 128, True)),
    *(Step(128, 256, False), Step(256, 256, False), Step(256, 256, False), Step(256, 256, True), Step(256, 512, False)),
)
#: how many convolutions lead to each layer, the one with 1x1 pixels not counted
DEPTHS: Mapping[str, int] = {"relu1_1": 1, "relu2_1": 3, "relu3_1": 5, "relu4_1": 9}
# the first layers of a published file, up to relu4_1
_USED = 31


def width_of(channels: int, base: int) -> int:
    """Channels of a network whose first layer has ``base`` of them instead of 64."""
    return 3 if channels == 3 else channels * base // 64


class NormalisedVGG19(nn.Sequential):
    """The maps at ``relu1_1``, ``relu2_1``, ... of images ``(B, 3, H, W)`` RGB in [0, 1], H and W of 2 at least behind
    all halvings.

    Args:
        deepest: the last layer.
        base: channels of the first one; other than 64 for trials only.

    Raises:
        ConfigError: an unknown layer, or ``base`` below 1.
    """

    def __init__(self, deepest: Layer = "relu4_1", base: int = 64) -> None:
        if deepest not in DEPTHS or base < 1:
            raise ConfigError(
                f"the normalised VGG19 has the layers {', '.join(DEPTHS)} and base of at least 1, got {deepest!r} and "
                f"{base}{nearest(str(deepest), DEPTHS)}"
            )
        layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
        taps: list[int] = []
        for count, step in enumerate(STEPS[: DEPTHS[deepest]], 1):
            inner, outer = width_of(step.inner, base), width_of(step.outer, base)
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(inner, outer, 3), nn.ReLU()]
            if count in DEPTHS.values():
                taps.append(len(layers) - 1)
            if step.halved:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
        super().__init__(*layers)
        self.taps = tuple(taps)
        self.smallest = 2 ** len(taps)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the maps in their order."""
        return tuple(DEPTHS)[: len(self.taps)]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """One map ``(B, C, H', W')`` for each of :attr:`layers`.

        Raises:
            ValueError: images of another shape, or too small.
        """
        if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < self.smallest:
            raise ValueError(
                f"the normalised VGG19 expects (B, 3, H, W) of at least {self.smallest}x{self.smallest} pixels, got "
                f"{tuple(images.shape)}"
            )
        maps = []
        for place, layer in enumerate(self):
            images = layer(images)
            if place in self.taps:
                maps.append(images)
        return tuple(maps)


def deepest_of(state: Mapping[str, Tensor]) -> str:
    """The last layer of an encoder or decoder with these tensors.

    Raises:
        ValueError: it is neither.
    """
    weights = [value for key, value in state.items() if key.endswith(".weight")]
    counts = {depth: name for name, depth in DEPTHS.items()}
    # an encoder has the convolution of 1x1 pixels besides
    count = sum(weight.shape[-1] == 3 for weight in weights)
    if count not in counts or not all(key.partition(".")[0].isdecimal() for key in state):
        raise ValueError(f"{len(state)} tensors that are no encoder or decoder of style transfer")
    return counts[count]


def _is_whole(keys: set[str]) -> bool:
    return {"0.weight", "2.weight", "5.weight", "28.weight", "32.weight"} <= keys


def _first_layers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if int(key.partition(".")[0]) < _USED}


CARD = ModelCard(
    name="normalised_vgg19",
    task="auxiliary",
    build=NormalisedVGG19,
    summary="front of VGG19 with normalised weights: features of AdaIN",
    paper="Li, Fang, Yang, Wang, Lu, Yang: Universal Style Transfer via Feature Transforms, NeurIPS 2017, "
    "https://arxiv.org/abs/1705.08086",
    tiny={"base": 8},
    licence="MIT (naoto0804/pytorch-AdaIN); the trained VGG19 is of the Visual Geometry Group, CC BY 4.0",
    weights=(
        OfficialWeights(
            tag="imagenet",
            filename="vgg_normalised.pth",
            licence="MIT",
            source="https://github.com/naoto0804/pytorch-AdaIN/releases",
            trained_on="ImageNet-1k",
        ),
    ),
    layouts=(CheckpointLayout("all of VGG19, of which the layers up to relu4_1 are used", _is_whole, _first_layers),),
    options_of=lambda state: {"deepest": deepest_of(state)},
    proven=("parity",),
)
