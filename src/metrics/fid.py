"""Frechet inception distance of frames.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017
(https://arxiv.org/abs/1706.08500). The way in which images reach the network differs between programs and changes the
value by tens of percent (Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022,
https://arxiv.org/abs/2104.11222), so it is named.
"""

from __future__ import annotations

import functools
import os
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from ..models.features.inception import DIMENSIONS, INPUT_SIZE, Dimension
from ..ops.frechet import frechet_distance
from .base import SetMetric
from .networks import exact, fast_layout, fixed_network
from .pair import Shared

Preprocessing = Literal["tf1", "pytorch_fid", "antialias", "clean_fid"]
EightBit = Literal["round", "truncate"]

_SIZE = (INPUT_SIZE, INPUT_SIZE)
_CHUNK_CPU, _CHUNK_GPU = 1, 16


class FID(SetMetric):
    """FID between all predicted and all real frames.

    Args:
        preprocessing: how frames become 299x299.
            ``"tf1"``: bilinear as in TensorFlow 1, range ``(x - 128) / 128``: torch-fidelity, and torchmetrics with
            ``antialias=False``; ``"pytorch_fid"``: bilinear between pixel centres, range ``2 x / 255 - 1``:
            pytorch-fid, and so DEVIL; ``"antialias"``: bilinear with antialiasing, the default of torchmetrics;
            ``"clean_fid"``: bicubic with antialiasing as PIL does it, clean-fid.
        dimension: of the features: 2048 as published, or 64, 192 or 768 for small sets.
        eight_bit: how frames that are no 8-bit images become such: rounded, or truncated as torchmetrics does.
        weights: file of the network; None for the official ones.

    Raises:
        ConfigError: an unknown option.
        WeightsError: the weights are absent or do not fit.
    """

    key = "fid"
    decimals = 2

    def __init__(
        self,
        preprocessing: Preprocessing = "tf1",
        dimension: Dimension = 2048,
        eight_bit: EightBit = "round",
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if preprocessing not in get_args(Preprocessing):
            raise ConfigError(
                f"preprocessing must be one of {', '.join(get_args(Preprocessing))}, got {preprocessing!r}"
            )
        if dimension not in DIMENSIONS:
            raise ConfigError(f"dimension must be one of {', '.join(map(str, DIMENSIONS))}, got {dimension!r}")
        if eight_bit not in get_args(EightBit):
            raise ConfigError(f"eight_bit must be 'round' or 'truncate', got {eight_bit!r}")
        self.preprocessing, self.dimension, self.eight_bit = preprocessing, dimension, eight_bit
        self._dimension: Dimension = dimension
        self._network = fixed_network("fid_inception", weights, "imagenet")
        self.weights_sha256 = self._network.sha256

    def features(self, frames: Tensor, shared: Shared) -> Tensor:
        """One vector per frame ``(T, dimension)``."""
        identity = {
            "weights": self._network.sha256,
            "preprocessing": self.preprocessing,
            "dimension": self.dimension,
            "eight_bit": self.eight_bit,
        }
        return shared.get("fid", identity, lambda: {"features": self._features(frames)}, keep=True)["features"]

    def _features(self, frames: Tensor) -> Tensor:
        chunk = _CHUNK_CPU if frames.device.type == "cpu" else _CHUNK_GPU
        net = self._network.on(frames)
        found = [frames.new_zeros(0, self.dimension, dtype=torch.float32)]
        with exact(frames.device):
            for part in torch.split(frames.float(), chunk):
                levels = (part * 255).round() if self.eight_bit == "round" else (part * 255).floor()
                images = to_network_input(levels, self.preprocessing)
                found.append(net.features(fast_layout(net, images), self._dimension))
        return torch.cat(found)

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The Frechet distance, by sample covariances, in float64."""
        return frechet_distance(predicted, real)


def to_network_input(levels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Frames with values 0..255 ``(N, 3, H, W)`` as the network sees them ``(N, 3, 299, 299)``."""
    if preprocessing == "pytorch_fid":
        return F.interpolate(levels / 255, _SIZE, mode="bilinear", align_corners=False) * 2 - 1
    if preprocessing == "tf1":
        resized = _resize_tf1(levels)
    elif preprocessing == "antialias":
        resized = F.interpolate(levels, _SIZE, mode="bilinear", align_corners=False, antialias=True)
    else:
        # with antialiasing, torch takes the cubic kernel of PIL (a = -1/2)
        resized = F.interpolate(levels, _SIZE, mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)
    return (resized - 128) / 128


def _resize_tf1(images: Tensor) -> Tensor:
    """Bilinear between the pixels around ``index * size / 299``: corners, not centres, of the pixels coincide."""
    for axis in (-2, -1):
        low, high, fraction = (t.to(images.device) for t in _neighbours(images.shape[axis]))
        fraction = fraction.view(-1, 1) if axis == -2 else fraction
        below, above = images.index_select(axis, low), images.index_select(axis, high)
        images = torch.lerp(below, above, fraction.expand_as(below))
    return images


@functools.lru_cache(maxsize=8)
def _neighbours(size: int) -> tuple[Tensor, Tensor, Tensor]:
    position = torch.arange(INPUT_SIZE, dtype=torch.float32) * (size / INPUT_SIZE)
    low = position.floor().long()
    return low, (low + 1).clamp(max=size - 1), position - low
