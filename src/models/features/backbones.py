"""The convolutional parts of AlexNet, VGG16, VGG19 and SqueezeNet 1.1: the trunks of LPIPS and of perceptual losses.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014
(https://arxiv.org/abs/1404.5997); Simonyan and Zisserman, ICLR 2015 (https://arxiv.org/abs/1409.1556); Iandola et
al., 2016 (https://arxiv.org/abs/1602.07360). Parameters are named as in torchvision, ``features.*``; the classifiers
are left out, so a full file of torchvision and one of the features alone load alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, nearest
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard


class Backbone(nn.Module):
    """A stack of layers, and the places in it whose outputs perceptual distances compare.

    Shape of the images: ``(B, 3, H, W)``, normalised as the caller's distance says.

    Attributes:
        taps: positions in ``features``, ascending.
        smallest: height and width below which the last tap would be empty.
    """

    taps: tuple[int, ...]
    smallest: int

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps ``(B, C, H', W')`` at :attr:`taps`.

        Raises:
            ValueError: images of another shape, or too small.
        """
        if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < self.smallest:
            raise ValueError(
                f"{type(self).__name__} expects (B, 3, H, W) of at least {self.smallest}x{self.smallest} pixels, "
                f"got {tuple(images.shape)}"
            )
        found = []
        x = images
        for position, layer in enumerate(self.features):
            x = layer(x)
            if position in self.taps:
                found.append(x)
            if position == self.taps[-1]:
                break
        return tuple(found)


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


class AlexNet(Backbone):
    """AlexNet, five convolutions; taps behind each."""

    taps = (1, 4, 7, 9, 11)
    smallest = 31

    def __init__(self) -> None:
        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2)

        super().__init__(
            nn.Sequential(
                *(nn.Conv2d(3, 64, 11, 4, 2), _relu(), pool()),
                *(nn.Conv2d(64, 192, 5, padding=2), _relu(), pool()),
                *(nn.Conv2d(192, 384, 3, padding=1), _relu()),
                *(nn.Conv2d(384, 256, 3, padding=1), _relu()),
                *(nn.Conv2d(256, 256, 3, padding=1), _relu(), pool()),
            )
        )


def _vgg(*counts: int, inplace: bool = True) -> nn.Sequential:
    """Blocks of so many 3x3 convolutions, each with a ReLU, and a pooling behind each block."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace)]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG16(Backbone):
    """VGG16, thirteen convolutions; taps behind the last of each size (relu1_2 ... relu5_3)."""

    taps = (3, 8, 15, 22, 29)
    smallest = 16

    def __init__(self) -> None:
        super().__init__(_vgg(2, 2, 3, 3, 3))


_VGG19_COUNTS = (2, 2, 4, 4, 4)
_VGG19_LAYERS = tuple(
    name
    for block, count in enumerate(_VGG19_COUNTS, 1)
    for name in (*(f"{kind}{block}_{k + 1}" for k in range(count) for kind in ("conv", "relu")), f"pool{block}")
)


class VGG19(Backbone):
    """VGG19, sixteen convolutions; taps anywhere.

    Args:
        layers: names of the taps: ``conv1_1`` to ``conv5_4`` before a ReLU, ``relu1_1`` to ``relu5_4`` behind it,
            ``pool1`` to ``pool5``. The maps come in the order of the network.

    Raises:
        ConfigError: no layers, or an unknown one.
    """

    def __init__(self, layers: Sequence[str] = ("conv5_4",)) -> None:
        if not layers:
            raise ConfigError("give at least one layer of VGG19")
        for name in layers:
            if name not in _VGG19_LAYERS:
                raise ConfigError(
                    f"VGG19 has no layer {name!r}{nearest(str(name), _VGG19_LAYERS)} "
                    "(conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to pool5)"
                )
        # a ReLU in place would change the maps before it
        super().__init__(_vgg(*_VGG19_COUNTS, inplace=False))
        self.taps = tuple(sorted({_VGG19_LAYERS.index(name) for name in layers}))
        self.smallest = 2 ** sum(name.startswith("pool") for name in _VGG19_LAYERS[: self.taps[-1] + 1])

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the taps in the order of the maps."""
        return tuple(_VGG19_LAYERS[position] for position in self.taps)


class _Fire(nn.Module):
    """Few channels, then two widths side by side."""

    def __init__(self, channels_in: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu_()
        return torch.cat((self.expand1x1(x), self.expand3x3(x)), 1).relu_()


class SqueezeNet(Backbone):
    """SqueezeNet 1.1; seven taps."""

    taps = (1, 4, 7, 9, 10, 11, 12)
    smallest = 17

    def __init__(self) -> None:
        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        super().__init__(
            nn.Sequential(
                *(nn.Conv2d(3, 64, 3, 2), _relu(), pool()),
                *(_Fire(64, 16, 64), _Fire(128, 16, 64), pool()),
                *(_Fire(128, 32, 128), _Fire(256, 32, 128), pool()),
                *(_Fire(256, 48, 192), _Fire(384, 48, 192), _Fire(384, 64, 256), _Fire(512, 64, 256)),
            )
        )


def _without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith("classifier.")}


def _has_classifier(keys: set[str]) -> bool:
    return "features.0.weight" in keys and any(key.startswith("classifier.") for key in keys)


_LAYOUTS = (CheckpointLayout("torchvision, with the classifier", _has_classifier, _without_classifier),)


def _card(name: str, build: type[Backbone], summary: str, paper: str, file: str) -> ModelCard:
    return ModelCard(
        name=name,
        task="auxiliary",
        build=build,
        summary=summary,
        paper=paper,
        licence="BSD-3-Clause",
        weights=(
            OfficialWeights(
                tag="imagenet",
                filename=file,
                licence="BSD-3-Clause",
                source="https://github.com/pytorch/vision",
                url=f"https://download.pytorch.org/models/{file}",
                # the end of the file's name is the beginning of its sha256
                sha256=file.removesuffix(".pth").rpartition("-")[2],
                trained_on="ImageNet-1k",
            ),
        ),
        layouts=_LAYOUTS,
        proven=("parity", "official weights never seen"),
    )


CARDS = (
    _card(
        "alexnet",
        AlexNet,
        "trunk of AlexNet: features of LPIPS (alex)",
        'Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, '
        "https://arxiv.org/abs/1404.5997",
        "alexnet-owt-7be5be79.pth",
    ),
    _card(
        "vgg16",
        VGG16,
        "trunk of VGG16: features of LPIPS (vgg)",
        'Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, '
        "https://arxiv.org/abs/1409.1556",
        "vgg16-397923af.pth",
    ),
    _card(
        "vgg19",
        VGG19,
        "trunk of VGG19: features of perceptual losses",
        'Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, '
        "https://arxiv.org/abs/1409.1556",
        "vgg19-dcbb9e9d.pth",
    ),
    _card(
        "squeezenet",
        SqueezeNet,
        "trunk of SqueezeNet 1.1: features of LPIPS (squeeze)",
        'Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016, '
        "https://arxiv.org/abs/1602.07360",
        "squeezenet1_1-b8a52dc0.pth",
    ),
)
