"""Losses that compare features of a network trained for classification: content and style."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError, WeightsError
from ..models.features.backbones import VGG19
from ..models.registry import create_model
from . import select

Criterion = Literal["l1", "l2"]
_DISTANCES = {"l1": F.l1_loss, "l2": F.mse_loss}
# of ImageNet, for RGB in [0, 1]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _FeatureLoss(nn.Module):
    """The weighted sum over layers of VGG19 of a distance between maps of an output and of the truth."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        layers: Mapping[str, float],
        criterion: Criterion,
        normalise: bool,
        weights: str | os.PathLike[str] | None,
        of: str,
        target: str,
    ) -> None:
        super().__init__()
        if not layers or min(layers.values()) < 0 or max(layers.values()) == 0:
            raise ConfigError(f"layers must have weights of 0 or more, one of them above 0, got {dict(layers)}")
        if criterion not in _DISTANCES:
            raise ConfigError(f"criterion must be 'l1' or 'l2', got {criterion!r}")
        self.of, self.target, self.normalise = of, target, normalise
        self._distance = _DISTANCES[criterion]
        used = {name: float(weight) for name, weight in layers.items() if weight > 0}
        self.trunk = _frozen_vgg19(tuple(used), weights)
        self._weights = [used[name] for name in self.trunk.layers]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss of images ``(B, 3, H, W)`` or videos ``(B, T, 3, H, W)``; a mean over samples.

        Raises:
            ConfigError: no such output or entry.
            ValueError: shapes differ, or the images are too small for the deepest layer.
        """
        made, truth = select.pair(outputs, self.of, batch, self.target)
        with torch.no_grad():
            real_maps = self._maps(truth)
        loss = made.new_zeros(())
        for weight, made_map, real_map in zip(self._weights, self._maps(made), real_maps, strict=True):
            loss = loss + weight * self._distance(self.described(made_map), self.described(real_map))
        return loss

    def train(self, mode: bool = True) -> _FeatureLoss:
        """The network behind the loss stays as it is."""
        return super().train(False)

    @abstractmethod
    def described(self, features: Tensor) -> Tensor:
        """What is compared of maps ``(B, C, H, W)``."""

    def _maps(self, images: Tensor) -> list[Tensor]:
        images = images.flatten(0, -4).to(self.mean.dtype)
        if self.normalise:
            images = (images - self.mean) / self.deviation
        return [select.full_precision(features) for features in self.trunk(images)]


class PerceptualLoss(_FeatureLoss):
    """The distance of VGG19's features of an output and of the truth (Johnson et al., ECCV 2016).

    The default is ESRGAN's: the last convolution before its ReLU, absolute differences (Wang et al., 2018, section
    3.3). Real-ESRGAN has ``{conv1_2: 0.1, conv2_2: 0.1, conv3_4: 1, conv4_4: 1, conv5_4: 1}``.

    Args:
        layers: weights of the layers, by the names of :class:`~framewright.models.features.backbones.VGG19`:
            ``conv5_4`` is before the ReLU, ``relu5_4`` behind it. A mean over all values of a layer is weighted.
        criterion: ``"l1"`` or ``"l2"`` (mean squared difference).
        normalise: images by mean and deviation of ImageNet, as the network was trained.
        weights: file of VGG19, a full one of torchvision or its ``features.*`` alone, or the tag of official weights;
            None for random ones, with which a trial runs where there is no file.
        of: name of the output, RGB in [0, 1].
        target: name of the batch entry with the truth.
        instance_norm: compare maps of mean 0 and deviation 1, which style has been taken from: the content of a
            stylised image.

    Raises:
        ConfigError: an option out of range.
        WeightsError: the weights cannot be had or do not fit.
    """

    def __init__(
        self,
        layers: Mapping[str, float] = {"conv5_4": 1.0},
        criterion: Criterion = "l1",
        normalise: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        of: str = "prediction",
        target: str = "target",
        instance_norm: bool = False,
    ) -> None:
        super().__init__(layers, criterion, normalise, weights, of, target)
        self.instance_norm = instance_norm

    def described(self, features: Tensor) -> Tensor:
        """The maps as they are, or normalised."""
        return F.instance_norm(features) if self.instance_norm else features


class StyleLoss(_FeatureLoss):
    """The distance of Gram matrices of VGG19's features (Gatys et al., CVPR 2016), which know no places.

    The Gram matrix of a map holds the products of its channels, summed over places and divided by ``C * H * W``.

    Args: as of :class:`PerceptualLoss`, with the layers of Johnson et al. by default.
    """

    def __init__(
        self,
        layers: Mapping[str, float] = {"relu1_2": 1.0, "relu2_2": 1.0, "relu3_4": 1.0, "relu4_4": 1.0},
        criterion: Criterion = "l1",
        normalise: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        of: str = "prediction",
        target: str = "target",
    ) -> None:
        super().__init__(layers, criterion, normalise, weights, of, target)

    def described(self, features: Tensor) -> Tensor:
        """Gram matrices ``(B, C, C)``."""
        flat = features.flatten(2)
        return flat @ flat.transpose(1, 2) / flat[0].numel()


class StyleMomentsLoss(_FeatureLoss):
    """The distance of means and deviations of VGG19's features (Huang and Belongie, AdaIN, ICCV 2017, equation 13).

    Args: as of :class:`PerceptualLoss`, with the layers of the paper by default.
    """

    def __init__(
        self,
        layers: Mapping[str, float] = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0},
        criterion: Criterion = "l2",
        normalise: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        of: str = "prediction",
        target: str = "target",
    ) -> None:
        super().__init__(layers, criterion, normalise, weights, of, target)

    def described(self, features: Tensor) -> Tensor:
        """Means and deviations ``(B, 2, C)``."""
        deviation = (features.var((2, 3), correction=0) + 1e-5).sqrt()
        return torch.stack((features.mean((2, 3)), deviation), 1)


def _frozen_vgg19(layers: tuple[str, ...], weights: str | os.PathLike[str] | None) -> VGG19:
    # building draws random numbers, and a loss must not change what a training run draws next
    with torch.random.fork_rng(devices=[]):
        try:
            trunk = create_model("vgg19", weights, layers=list(layers))
        except WeightsError as error:
            raise WeightsError(f"{error} Or give the loss the path of the file: weights=<path>.") from error
    assert isinstance(trunk, VGG19)
    return trunk.requires_grad_(False)
