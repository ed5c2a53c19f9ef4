"""Natural image quality evaluator (Mittal, Soundararajan and Bovik, IEEE SPL 2013), in BasicSR's convention."""

from __future__ import annotations

import functools
import os
import zipfile
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import weights as weight_files
from ..core.errors import ConfigError, WeightsError
from ..core.files import sha256_file
from ..weights import OfficialWeights
from .base import FrameMetric, check_frames, round_to_8bit

PRIOR = OfficialWeights(
    tag="basicsr",
    filename="niqe_pris_params.npz",
    licence="Apache-2.0",
    source="https://github.com/XPixelGroup/BasicSR/tree/master/basicsr/metrics",
    url="https://raw.githubusercontent.com/XPixelGroup/BasicSR/master/basicsr/metrics/niqe_pris_params.npz",
    sha256="2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
    size=11850,
    trained_on="125 pristine photographs",
)
_BLOCK = 96
_FEATURES = 18  # of a block at one scale
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
# bicubic (a = -1/2) at a quarter, three quarters ... of the stretched kernel: halving with antialiasing
_HALVING = (-0.0234375, -0.0703125, 0.2265625, 0.8671875, 0.8671875, 0.2265625, -0.0703125, -0.0234375)


class _Prior(NamedTuple):
    """Mean ``(36,)`` and covariance ``(36, 36)`` of features of pristine photographs, and the window ``(7, 7)``."""

    mean: Tensor
    covariance: Tensor
    window: Tensor


class NIQE(FrameMetric):
    """NIQE of the prediction: how far statistics of its blocks lie from those of photographs; lower is better.

    The ground truth takes no part. As in BasicSR: 8-bit frames, luma of 16..235 (the Y of MATLAB's YCbCr) rounded
    to whole levels, blocks of 96x96 at full and half size, 18 features each; rows and columns at the bottom and the
    right that fill no block are left out. NaN where fewer than two blocks have any structure.

    Args:
        weights: path of the file with the model of photographs, ``niqe_pris_params.npz``; by default the official
            one out of the cache.
        crop_border: pixels cut off at each edge before, 0 in BasicSR's function, 4 in its tables for 4x
            super-resolution.

    Raises:
        WeightsError: the file is absent or not what it should be.
        ConfigError: a negative ``crop_border``.
    """

    key = "niqe"
    higher_is_better = False
    decimals = 4

    def __init__(self, weights: str | os.PathLike[str] | None = None, crop_border: int = 0) -> None:
        super().__init__()
        if crop_border < 0:
            raise ConfigError(f"crop_border must not be negative, got {crop_border}")
        self.crop_border = crop_border
        path = weight_files.fetch("niqe", PRIOR) if weights is None else weights
        self._prior = _read(path)
        self.weights_sha256 = sha256_file(path)

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """NIQE of each frame ``(N,)``.

        Raises:
            ValueError: also where a frame has room for fewer than two blocks.
        """
        check_frames(prediction, target)
        border = self.crop_border
        height, width = (size - 2 * border for size in prediction.shape[2:])
        rows, columns = max(height, 0) // _BLOCK, max(width, 0) // _BLOCK
        if rows * columns < 2:
            raise ValueError(
                f"{self.key} needs frames with room for two blocks of {_BLOCK}x{_BLOCK} pixels, got "
                f"{prediction.shape[2]}x{prediction.shape[3]}" + (f" with a border of {border}" if border else "")
            )
        prior = _Prior(*(part.to(prediction.device) for part in self._prior))
        values = torch.zeros(len(prediction), dtype=torch.float64, device=prediction.device)
        for index, frame in enumerate(prediction.detach()):
            luma = _luma(frame)[border:, border:][: rows * _BLOCK, : columns * _BLOCK]
            values[index] = _distance(luma, prior)
        return values


def _read(path: str | os.PathLike[str]) -> _Prior:
    expected = {"mu_pris_param": (1, 36), "cov_pris_param": (36, 36), "gaussian_window": (7, 7)}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in expected}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"cannot read the NIQE model {str(path)!r} ({error}); expected {PRIOR.filename!r} from {PRIOR.source}"
        ) from error
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise WeightsError(f"the NIQE model {str(path)!r}: {name} is {found[name].shape}, expected {shape}")
    mean, covariance, window = (torch.from_numpy(found[name]).double() for name in expected)
    return _Prior(mean[0], covariance, window)


def _luma(frame: Tensor) -> Tensor:
    """Rounded luma ``(H, W)`` float32 of a frame ``(3, H, W)`` in [0, 1]."""
    frame = round_to_8bit(frame).double()
    luma = torch.einsum("chw,c->hw", frame, frame.new_tensor([65.481, 128.553, 24.966])) + 16
    return ((luma / 255).float() * 255).round()


def _distance(luma: Tensor, prior: _Prior) -> Tensor:
    """NIQE of a frame ``(H, W)`` whose sides are multiples of 96."""
    normalised = (_normalise(luma, prior.window), _normalise(_halve(luma), prior.window))
    sides = (_BLOCK, _BLOCK // 2)
    scales = [_features(_blocks(image, side)) for image, side in zip(normalised, sides, strict=True)]
    features = torch.cat(scales, dim=1)
    complete = features[~features.isnan().any(1)]
    if len(complete) < 2:
        return features.new_tensor(float("nan"))
    offset = prior.mean - features.nanmean(0)
    covariance = (prior.covariance + complete.T.cov()) / 2
    inverse: Tensor = torch.linalg.pinv(covariance, rtol=1e-15)
    return (offset @ inverse @ offset).sqrt()


def _normalise(image: Tensor, window: Tensor) -> Tensor:
    """The image less its local mean, over its local deviation plus 1.

    Local moments are rounded to float32 as in the reference: the variance is a small difference of large ones, and
    the rounding is part of published values.
    """
    pad = window.shape[0] // 2
    both = torch.stack((image, image.square())).double().unsqueeze(1)
    moments = F.conv2d(F.pad(both, (pad,) * 4, mode="replicate"), window[None, None]).float()
    mean, squares = moments[:, 0].unbind(0)
    deviation = (squares - mean.square()).abs().sqrt()
    return (image - mean) / (deviation + 1)


def _halve(image: Tensor) -> Tensor:
    """Half size as by MATLAB's ``imresize``: bicubic with antialiasing, edges mirrored; float32 as the reference."""
    kernel = torch.tensor(_HALVING, device=image.device) / 2
    small = image / 255
    for _ in range(2):
        # the three outer lines of each end, mirrored; then rows and columns change places
        small = torch.cat((small[:3].flip(0), small, small[-3:].flip(0)))
        small = (small.unfold(0, len(_HALVING), 2) @ kernel).T
    return small * 255


def _blocks(image: Tensor, side: int) -> Tensor:
    """``(B, side, side)`` float64."""
    tiles = image.unfold(0, side, side).unfold(1, side, side)
    return tiles.reshape(-1, side, side).double()


def _features(blocks: Tensor) -> Tensor:
    """The 18 features of each block ``(B, 18)``."""
    alpha, left, right = _fit(blocks)
    features = [alpha, (left + right) / 2]
    for shift in _SHIFTS:
        alpha, left, right = _fit(blocks * blocks.roll(shift, (1, 2)))
        mean = (right - left) * (torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha)).exp()
        features += [alpha, mean, left, right]
    assert len(features) == _FEATURES
    return torch.stack(features, dim=1)


@functools.lru_cache(maxsize=4)
def _shapes(device: torch.device) -> tuple[Tensor, Tensor]:
    """The shapes that are tried, and the ratio of moments that each would have."""
    alpha = torch.from_numpy(np.arange(0.2, 10.001, 0.001)).to(device)
    ratio = (2 * torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha)).exp()
    return alpha, ratio


def _fit(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shape, left and right scale of an asymmetric generalised Gaussian for each block, ``(B,)`` each."""
    x = blocks.flatten(1)
    square = x.square()
    left, right = (((square * side).sum(1) / side.sum(1)).sqrt() for side in (x < 0, x > 0))
    asymmetry = left / right
    ratio = x.abs().mean(1).square() / square.mean(1)
    ratio = ratio * (asymmetry**3 + 1) * (asymmetry + 1) / (asymmetry**2 + 1) ** 2
    shapes, ratios = _shapes(x.device)
    alpha = shapes[(ratios - ratio[:, None]).square().argmin(1)]
    scale = ((torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha)) / 2).exp()
    # an argmin over NaN is some number: scales keep the NaN, which leaves the block out
    return alpha + 0 * ratio, left * scale, right * scale
