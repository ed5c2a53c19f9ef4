"""Measures of video style transfer: how near a result is to its reference, and what is left of its content.

All compare with ``pair.given["reference"]``, frames ``(S, 3, h, w)`` in the wanted style, of any size and number. None
of them sees motion; flicker is the warp error's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..ops.frechet import frechet_distance
from ..ops.lab import rgb_to_lab
from .base import BenchmarkMetric, VideoMetric
from .fid import FID, EightBit, Preprocessing
from .lpips import LPIPS
from .networks import exact, fast_layout, fixed_network
from .pair import Tensors, VideoPair
from .psnr import PSNR

FeatureNet = Literal["vgg19", "normalised_vgg19"]

# places of relu1_1, relu2_1, relu3_1 and relu4_1 among torchvision's layers
_VGG19_TAPS = (1, 6, 11, 20)
# of ImageNet, for RGB in [0, 1]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def reference_of(metric: BenchmarkMetric, pair: VideoPair) -> Tensor:
    """The frames in the wanted style; raise ``ValueError`` where there are none."""
    reference = pair.given.get("reference")
    if reference is None or reference.dim() != 4 or reference.shape[1] != 3 or not len(reference):
        of = f" of the video {pair.video_id!r}" if pair.video_id else ""
        found = "there is none" if reference is None else f"it is {tuple(reference.shape)}"
        raise ValueError(
            f"{metric.key} needs a reference (S, 3, h, w){of}, and {found}: set data.reference, or inference.reference "
            "of the method"
        )
    return reference


def _identity(reference: Tensor) -> str:
    """A hash, because methods may bring references of their own for the same video."""
    pixels = reference.float().cpu().contiguous().numpy().tobytes()
    return f"{tuple(reference.shape)} {hashlib.sha256(pixels).hexdigest()}"


class GramStyle(VideoMetric):
    """Distance of Gram matrices of VGG features to those of the reference (Gatys et al., CVPR 2016), per frame.

    The Gram matrix of a layer is ``F F^T / (C h w)``; of a reference of several frames the mean over them. The value is
    the mean over layers of the mean squared difference. Values of different networks are not comparable.

    Args:
        net: ``"vgg19"``, torchvision's, frames normalised as for ImageNet; ``"normalised_vgg19"``, that of AdaIN.
        weights: file of the network; None for the official ones.

    Raises:
        ConfigError: an unknown ``net``.
        WeightsError: the weights are absent or do not fit.
    """

    key = "gram_style"
    higher_is_better = False
    decimals = 7

    def __init__(self, net: FeatureNet = "vgg19", weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        if net not in ("vgg19", "normalised_vgg19"):
            raise ConfigError(f"net must be 'vgg19' or 'normalised_vgg19', got {net!r}")
        self.net = net
        self._network = fixed_network(net, weights, "imagenet")
        self.weights_sha256 = self._network.sha256
        if net == "vgg19":
            self._network.net.taps = _VGG19_TAPS

    def values(self, pair: VideoPair) -> Tensor:
        """The value of each frame.

        Raises:
            ValueError: no reference, or frames too small for the network.
        """
        self.check(pair)
        reference = reference_of(self, pair)
        identity = {"net": self.net, "weights": self._network.sha256, "reference": _identity(reference)}
        wanted = pair.truth.get("gram_reference", identity, lambda: self._mean(reference))
        values = []
        for frame in torch.split(pair.prediction, 1):
            differences = [
                (gram - aim[None]).square().mean(dtype=torch.float64)
                for gram, aim in zip(self._grams(frame), wanted.values(), strict=True)
            ]
            values.append(torch.stack(differences).mean())
        return torch.stack(values)

    def _mean(self, reference: Tensor) -> Tensors:
        per_frame = [self._grams(frame) for frame in torch.split(reference, 1)]
        means = (torch.cat(layer).mean(0) for layer in zip(*per_frame, strict=True))
        return {str(place): mean for place, mean in enumerate(means)}

    def _grams(self, frame: Tensor) -> list[Tensor]:
        net = self._network.on(frame)
        images = frame.float()
        with exact(frame.device):
            if self.net == "vgg19":
                mean, deviation = (images.new_tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
                images = (images - mean) / deviation
            maps = [layer.flatten(2) for layer in net(fast_layout(net, images))]
            return [layer @ layer.transpose(1, 2) / layer[0].numel() for layer in maps]


class ColourDistance(VideoMetric):
    """How far the colours of a frame are from those of the reference, in CIELAB units; needs no weights.

    Colours of a frame, and of all frames of a reference, are seen as normal distributions in CIELAB: the value is the
    Wasserstein distance between the two, ``sqrt(|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)))`` (Dowson and Landau,
    1982). It knows nothing of texture: 0 is what :class:`~framewright.models.style.baselines.ColourTransfer` aims at.
    """

    key = "colour_distance"
    higher_is_better = False
    decimals = 3
    simple = True

    def values(self, pair: VideoPair) -> Tensor:
        """The value of each frame.

        Raises:
            ValueError: no reference.
        """
        self.check(pair)
        aim = _moments(_colours(reference_of(self, pair)))
        return torch.stack([_wasserstein(_moments(_colours(frame)), aim) for frame in torch.split(pair.prediction, 1)])


def _colours(frames: Tensor) -> Tensor:
    """All pixels ``(N, 3)`` float64."""
    return rgb_to_lab(frames.double()).transpose(0, 1).flatten(1).T


def _moments(colours: Tensor) -> tuple[Tensor, Tensor]:
    mean = colours.mean(0)
    centred = colours - mean
    return mean, centred.T @ centred / len(colours)


def _wasserstein(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    (mean1, cov1), (mean2, cov2) = first, second
    values, vectors = torch.linalg.eigh(cov1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    common = torch.linalg.eigvalsh(root @ cov2 @ root).clamp(min=0).sqrt().sum()
    square = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * common
    distance: Tensor = square.clamp(min=0).sqrt()
    return distance


class StyledPSNR(PSNR):
    """PSNR to what a perfect transfer would give, where that is known (procedural scenes)."""

    key = "psnr_styled"

    def values(self, pair: VideoPair) -> Tensor:
        """The value of each frame.

        Raises:
            ValueError: the data set does not know it.
        """
        truth = pair.given.get("styled")
        if truth is None:
            raise ValueError(f"{self.key} needs the true result, which only procedural scenes have")
        return super().values(VideoPair(pair.prediction, truth, video_id=pair.video_id))


class StyleFID(FID):
    """FID between the frames of all results and the frames of their references.

    Every reference counts as often as videos have it. There is no distance where references have fewer than two frames
    together. Arguments as for :class:`~framewright.metrics.fid.FID`; the default Inception is that of FID, trained on
    photographs.
    """

    key = "fid_style"

    def pair_features(self, pair: VideoPair) -> tuple[Tensor, Tensor]:
        """The feature vectors of the result and of its reference."""
        reference = reference_of(self, pair)
        # kept in memory only: references are of a method, too
        real = pair.truth.get(
            "fid_reference", self._described(reference), lambda: {"features": self._features(reference)}
        )
        return self.features(pair.prediction, pair.made), real["features"]

    def _described(self, reference: Tensor) -> Mapping[str, Any]:
        names = ("preprocessing", "dimension", "eight_bit", "weights_sha256")
        return {**{name: getattr(self, name) for name in names}, "reference": _identity(reference)}

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The Frechet distance; not a number where the references are fewer than two frames."""
        if len(real) < 2:
            return torch.tensor(float("nan"), dtype=torch.float64)
        return frechet_distance(predicted, real)


class ArtFID(StyleFID):
    """``(1 + LPIPS) (1 + FID)``: LPIPS between results and their content, FID between results and references.

    Wright and Ommer, "ArtFID: Quantitative Evaluation of Neural Style Transfer", GCPR 2022
    (https://arxiv.org/abs/2207.12280), whose Inception was trained on paintings. With the default, the Inception of
    FID, it is another measure, not comparable with published ArtFID.

    Args:
        net: trunk of LPIPS.
        weights: file of the Inception; None for that of FID.
        lpips_weights: file of LPIPS' trunk; None for the official one.
        preprocessing, eight_bit: as for FID.

    Raises:
        WeightsError: weights are absent or do not fit.
    """

    key = "artfid"

    def __init__(
        self,
        net: Literal["alex", "vgg", "squeeze"] = "alex",
        weights: str | os.PathLike[str] | None = None,
        lpips_weights: str | os.PathLike[str] | None = None,
        preprocessing: Preprocessing = "tf1",
        eight_bit: EightBit = "round",
    ) -> None:
        super().__init__(preprocessing, eight_bit=eight_bit, weights=weights)
        # in a list, because a metric inside a metric would be one of its modules
        self._content = [LPIPS(net, lpips_weights)]
        self.weights_sha256 = f"{self.weights_sha256} {self._content[0].weights_sha256}"

    def pair_features(self, pair: VideoPair) -> tuple[Tensor, Tensor]:
        """As of FID; results have their LPIPS as one dimension more."""
        made, real = super().pair_features(pair)
        content = self._content[0].values(pair).to(made)
        return torch.cat((made, content[:, None]), 1), torch.cat((real, torch.zeros_like(real[:, :1])), 1)

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        """The product, in float64."""
        fid = super().distance(predicted[:, :-1], real[:, :-1])
        return (1 + predicted[:, -1].double().mean()) * (1 + fid)
