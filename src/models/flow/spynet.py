"""SPyNet: a spatial pyramid of five-layer networks, each of which corrects the flow of the coarser level.

Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid Network", CVPR 2017
(https://arxiv.org/abs/1611.00850). The official release is in Torch7; its weights were converted by others, and the
layouts of two such conversions are known here.

Kept from the official code: colours are normalised with the statistics of ImageNet; images are resized to multiples
of 32, and the flow back; a small image passes through the first, coarsest networks only, so many that the coarsest
level is at most 32 pixels long; levels are halved by averaging; the flow is doubled with aligned corners.

Different from it: the flow is resized bilinearly, not to the nearest value; images over 1472 pixels are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.warp import warp
from ...weights import OfficialWeights
from ..card import CheckpointLayout, ModelCard
from .contract import check_images

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MULTIPLE = 32
_COARSEST = 32  # pixels of the longer side
_LEVELS = 6


def _level(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in zip((8, *channels), (*channels, 2), strict=True):
        layers += [nn.Conv2d(inner, outer, 7, 1, 3), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class SPyNet(nn.Module):
    """SPyNet for images of any size (1,440,300 parameters with the defaults).

    Args:
        num_levels: networks: 6, or 5 for the official one of FlyingChairs alone, whose last network serves the sixth
            level too, as in the official code.
        channels: of the hidden layers of every level.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, num_levels: int = 6, channels: tuple[int, ...] = (32, 64, 32, 16)) -> None:
        super().__init__()
        if not 1 <= num_levels <= _LEVELS:
            raise ConfigError(f"num_levels must lie between 1 and {_LEVELS}, got {num_levels}")
        if not channels or min(channels) < 1:
            raise ConfigError(f"channels needs numbers of at least 1, got {list(channels)}")
        self.levels = nn.ModuleList(_level(tuple(channels)) for _ in range(num_levels))

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """The flow from ``image1`` to ``image2``.

        Args:
            image1, image2: ``(B, 3, H, W)`` RGB in [0, 1], any size.

        Returns:
            ``(B, 2, H, W)`` in pixels, float32.

        Raises:
            ValueError: shapes do not fit.
        """
        flow = self.final_flow(self.training_outputs(image1, image2))
        return F.interpolate(flow, image1.shape[2:], mode="bilinear", align_corners=False)

    def training_outputs(self, image1: Tensor, image2: Tensor) -> list[Tensor]:
        """The flow of every level, fine to coarse, arguments as for :meth:`forward`.

        An image whose longer side is at most 32, 64, 128, 256 or 512 has 1, 2, 3, 4 or 5 levels, a larger one 6.

        Returns:
            ``(B, 2, h, w)`` float32 each; the flow of level l is in pixels of the given images divided by 2^l, its
            size theirs, rounded up to a multiple of 32, divided by 2^l.
        """
        check_images(image1, image2)
        height, width = image1.shape[2:]
        rows, columns = height + -height % _MULTIPLE, width + -width % _MULTIPLE
        images = torch.cat((image1, image2)).float()
        if (rows, columns) != (height, width):
            images = F.interpolate(images, (rows, columns), mode="bilinear", align_corners=False)
        images = (images - images.new_tensor(_MEAN).view(1, 3, 1, 1)) / images.new_tensor(_STD).view(1, 3, 1, 1)
        pyramid = [images]
        while max(pyramid[-1].shape[2:]) > _COARSEST and len(pyramid) < _LEVELS:
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))
        flows: list[Tensor] = []
        for number, pair in enumerate(reversed(pyramid)):
            net = self.levels[min(number, len(self.levels) - 1)]
            first, second = pair.chunk(2)
            if flows:
                flow = 2 * F.interpolate(flows[-1], first.shape[2:], mode="bilinear", align_corners=True)
            else:
                flow = first.new_zeros(first.shape[0], 2, *first.shape[2:])
            flows.append(flow + net(torch.cat((first, warp(second, flow), flow), 1)).float())
        ratio = images.new_tensor((width / columns, height / rows)).view(1, 2, 1, 1)
        return [flow * ratio for flow in reversed(flows)]

    def final_flow(self, outputs: Sequence[Tensor]) -> Tensor:
        """The flow of the finest level."""
        return outputs[0]


# --- checkpoints


def _is_converted(keys: set[str]) -> bool:
    return {"levels.0.0.weight", "levels.0.8.weight"} <= keys


_SNIKLAUS_KEY = re.compile(r"^(?:net|module)Basic\.(\d+)\.(?:net|module)Basic\.")


def _is_sniklaus(keys: set[str]) -> bool:
    return any(_SNIKLAUS_KEY.match(key) for key in keys)


def _from_sniklaus(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {_SNIKLAUS_KEY.sub(r"levels.\1.", key): value for key, value in state.items()}


_LICENCE = "non-commercial research (Max Planck Institute)"


def _official(model: str, trained_on: str) -> OfficialWeights:
    return OfficialWeights(
        tag=model.replace("-", "_"),
        filename=f"network-{model}.pytorch",
        licence=_LICENCE,
        source="https://github.com/sniklaus/pytorch-spynet",
        trained_on=trained_on,
    )


CARD = ModelCard(
    name="spynet",
    task="flow",
    build=SPyNet,
    summary="spatial pyramid of small networks that correct an upsampled flow",
    paper="Ranjan, Black: Optical Flow Estimation using a Spatial Pyramid Network, CVPR 2017, "
    "https://arxiv.org/abs/1611.00850",
    tiny={"num_levels": 3, "channels": (4, 4)},
    licence=_LICENCE,
    weights=(
        _official("sintel-final", "FlyingChairs, then Sintel final"),
        _official("sintel-clean", "FlyingChairs, then Sintel clean"),
        _official("chairs-final", "FlyingChairs"),
        _official("kitti-final", "FlyingChairs, then KITTI"),
    ),
    layouts=(
        CheckpointLayout("levels", _is_converted, dict),
        CheckpointLayout("sniklaus", _is_sniklaus, _from_sniklaus),
    ),
    proven=("parity",),
)
