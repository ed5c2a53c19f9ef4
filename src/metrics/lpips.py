"""Learned perceptual image patch similarity.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018
(https://arxiv.org/abs/1801.03924), version 0.1. The heads are those inside the package ``lpips``; its classes are not
used, because they download trunks unverified, leave a head random when a wrong file is given, and cannot keep the
features of the ground truth for the next method.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError, WeightsError
from ..weights import read_checkpoint
from .base import FrameMetric, check_frames
from .networks import exact, fast_layout, fixed_network
from .pair import Shared, VideoPair, check_range

_TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
#: features of the ground truth of one video that are kept in memory for the next method, in bytes
KEPT_BYTES = 1 << 30


class LPIPS(FrameMetric):
    """LPIPS of each frame, averaged over frames. Values of different nets are not comparable: the key names the net.

    A frame that equals its ground truth exactly is 0 without a look at it.

    Args:
        net: the trunk: ``"alex"``, ``"vgg"`` or ``"squeeze"``.
        weights: file of the trunk, a full one of torchvision or its ``features.*`` alone; None for torchvision's
            official ImageNet weights.

    Raises:
        ConfigError: an unknown ``net``.
        WeightsError: the weights are absent or are not of that trunk.
    """

    key = "lpips"
    higher_is_better = False
    decimals = 4

    def __init__(
        self, net: Literal["alex", "vgg", "squeeze"] = "alex", weights: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__()
        if net not in _TRUNKS:
            raise ConfigError(f"net must be 'alex', 'vgg' or 'squeeze', got {net!r}")
        self.key = f"lpips_{net}"
        self._trunk = fixed_network(_TRUNKS[net], weights, "imagenet")
        self.weights_sha256 = self._trunk.sha256
        self._heads = read_heads(net)

    def values(self, pair: VideoPair) -> Tensor:
        """LPIPS of each frame of a video; features of its ground truth are kept for other methods."""
        self.check(pair)
        return self._values(pair.prediction, pair.target, pair.truth)

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """LPIPS of each frame ``(N,)``.

        Raises:
            ValueError: shapes do not fit, frames are smaller than the trunk needs, or values are not in [0, 1].
        """
        check_frames(prediction, target)
        check_range(prediction, "prediction")
        check_range(target, "target")
        return self._values(prediction, target, None)

    def _values(self, prediction: Tensor, target: Tensor, truth: Shared | None) -> Tensor:
        values = prediction.new_zeros(len(target), dtype=torch.float64)
        kept = 0
        with exact(target.device):
            # one frame at a time: larger batches are no faster on a CPU, and memory does not grow with the video
            for index in range(len(target)):
                frame, real = prediction[index : index + 1], target[index : index + 1]
                if torch.equal(frame, real):
                    continue
                if truth is not None and kept < KEPT_BYTES:
                    reference = self._kept(truth, real, index)
                    kept += sum(layer.nbytes for layer in reference)
                else:
                    reference = self._features(real)
                values[index] = self._distance(self._features(frame), reference)
        return values

    def _kept(self, truth: Shared, real: Tensor, index: int) -> Sequence[Tensor]:
        identity = {"frame": index, "weights": self._trunk.sha256}
        found = truth.get(
            f"{self.key}_features",
            identity,
            lambda: {str(position): layer for position, layer in enumerate(self._features(real))},
        )
        return [found[str(position)] for position in range(len(found))]

    def _features(self, image: Tensor) -> list[Tensor]:
        """The maps of each layer, of length one along channels."""
        trunk = self._trunk.on(image)
        shift, scale = (image.new_tensor(constant).view(1, 3, 1, 1) for constant in (_SHIFT, _SCALE))
        layers = trunk(fast_layout(trunk, (2 * image.float() - 1 - shift.float()) / scale.float()))
        return [layer / (torch.linalg.vector_norm(layer, dim=1, keepdim=True) + _EPSILON) for layer in layers]

    def _distance(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        terms = [
            F.conv2d((a - b).square_(), head.to(a)).mean(dtype=torch.float64)
            for a, b, head in zip(first, second, self._heads, strict=True)
        ]
        return torch.stack(terms).sum()


def read_heads(net: str) -> list[Tensor]:
    """The channel weights ``(1, C, 1, 1)`` of each layer, from the files inside the package ``lpips``.

    Raises:
        WeightsError: the package or its file is absent or damaged.
    """
    package = importlib.util.find_spec("lpips")  # importing it would import torchvision's model zoo too
    folders = list(package.submodule_search_locations or ()) if package is not None else []
    if not folders:
        raise WeightsError("LPIPS takes its heads from the package lpips, which is not installed: pip install lpips")
    path = Path(folders[0]) / "weights" / "v0.1" / f"{net}.pth"
    state = read_checkpoint(path).state
    keys = [f"lin{position}.model.1.weight" for position in range(len(state))]
    if sorted(state) != sorted(keys):
        raise WeightsError(f"{str(path)!r} does not hold the heads of LPIPS: {', '.join(sorted(state)[:5])}")
    return [state[key].float() for key in keys]
