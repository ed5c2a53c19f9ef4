"""Style without weights: the colours of a reference, by their statistics or by their histograms.

Reinhard, Ashikhmin, Gooch, Shirley, "Color Transfer between Images", IEEE Computer Graphics and Applications 2001;
histogram matching as ``skimage.exposure.match_histograms``. Both know colours and no texture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...ops.lab import lab_to_rgb, rgb_to_lab
from ..card import ModelCard
from .contract import FrameStyle, ReferenceStyle

_LEVELS = 256
_EPSILON = 1e-6


class Unstyled(FrameStyle):
    """The video as it is: the input itself, for the first row of a table."""

    def stylise(self, frames: Tensor) -> Tensor:
        """A copy."""
        return frames.clone()


class ColourTransfer(ReferenceStyle):
    """Every frame gets the mean and deviation of the reference in each channel of CIELAB.

    The paper takes the axes of Ruderman's l-alpha-beta; CIELAB is what its re-implementations take. Pixels of all
    frames of a reference count alike. A channel in which a frame is constant becomes the reference's mean.
    """

    def describe(self, reference: Tensor) -> tuple[Tensor, ...]:
        """Mean and deviation ``(B, 3, 1, 1)`` in CIELAB."""
        lab = rgb_to_lab(reference).transpose(1, 2).flatten(3)
        deviation, mean = torch.std_mean(lab, (2, 3), correction=0, keepdim=True)
        return mean, deviation

    def stylise(self, frames: Tensor, style: tuple[Tensor, ...]) -> Tensor:
        """``(N, 3, H, W)`` in [0, 1] -> the same."""
        lab = rgb_to_lab(frames)
        deviation, mean = torch.std_mean(lab, (2, 3), correction=0, keepdim=True)
        return lab_to_rgb((lab - mean) * (style[1] / deviation.clamp(min=_EPSILON)) + style[0]).to(frames)


class HistogramMatching(ReferenceStyle):
    """Every frame gets the distribution of the reference in red, green and blue.

    Computed on 8-bit levels: the level with the share p of the frame below or at it becomes the level with that share
    of the reference, linearly between levels that occur.
    """

    def describe(self, reference: Tensor) -> tuple[Tensor, ...]:
        """Counts of the levels ``(B, 3, 256)``, over all frames."""
        return (_histogram(reference.transpose(1, 2).flatten(3)),)

    def stylise(self, frames: Tensor, style: tuple[Tensor, ...]) -> Tensor:
        """``(N, 3, H, W)`` in [0, 1] -> the same."""
        wanted = _shares(_histogram(frames))
        table = torch.stack(
            [
                torch.stack([_levels_at(share, counts) for share, counts in zip(shares, references, strict=True)])
                for shares, references in zip(wanted, style[0], strict=True)
            ]
        )
        levels = _to_levels(frames)
        return table.to(frames).gather(2, levels.flatten(2)).view_as(frames) / (_LEVELS - 1)


def _to_levels(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * (_LEVELS - 1)).round().long()


def _histogram(images: Tensor) -> Tensor:
    """Counts ``(N, 3, 256)`` float64 of the levels of images ``(N, 3, H, W)``."""
    levels = _to_levels(images).flatten(2)
    counts = torch.zeros(*levels.shape[:2], _LEVELS, dtype=torch.float64, device=images.device)
    return counts.scatter_add_(2, levels, torch.ones_like(levels, dtype=torch.float64))


def _shares(counts: Tensor) -> Tensor:
    """Part of the pixels at or below each level."""
    return counts.cumsum(-1) / counts.sum(-1, keepdim=True)


def _levels_at(shares: Tensor, counts: Tensor) -> Tensor:
    """The levels ``(256,)`` at which a distribution has these shares, linearly between levels that occur."""
    levels = counts.nonzero()[:, 0]
    known = _shares(counts)[levels].contiguous()
    after = torch.searchsorted(known, shares.contiguous()).clamp(max=len(known) - 1)
    before = (after - 1).clamp(min=0)
    span = known[after] - known[before]
    part = torch.where(span > 0, (shares - known[before]) / torch.where(span > 0, span, 1), 1.0).clamp(0, 1)
    return torch.lerp(levels[before].double(), levels[after].double(), part)


CARDS = (
    ModelCard(
        name="unstyled",
        task="style",
        build=Unstyled,
        summary="the video as it is: what its own flow leaves of warp error",
        baseline=True,
    ),
    ModelCard(
        name="reinhard",
        task="style",
        build=ColourTransfer,
        summary="mean and deviation of the reference's colours in CIELAB",
        paper="Reinhard, Ashikhmin, Gooch, Shirley: Color Transfer between Images, CG&A 2001, "
        "https://doi.org/10.1109/38.946629",
        baseline=True,
    ),
    ModelCard(
        name="histogram_matching",
        task="style",
        build=HistogramMatching,
        summary="histograms of the reference in red, green and blue",
        baseline=True,
    ),
)
