"""Laplacian pyramid loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select


def _reduce(x: Tensor) -> Tensor:
    """Binomial 1-4-6-4-1 filter in both directions with mirrored edges, then every second pixel."""
    x = F.pad(x, (2, 2, 2, 2), mode="reflect")
    x = _binomial(x[:, :, k::2][:, :, : (x.shape[2] - 3) // 2] for k in range(5))
    return _binomial(x[..., k::2][..., : (x.shape[3] - 3) // 2] for k in range(5))


def _binomial(taps: Iterable[Tensor]) -> Tensor:
    a, b, c, d, e = taps
    return (a + e + 4 * (b + d) + 6 * c) / 16


def _expand(x: Tensor) -> Tensor:
    """Twice the size: zeros between the pixels, then the same filter times four.

    Written in its two phases, which spares the zeros. The mirrored edge of the widened image turns into a
    mirrored pixel in front and a repeated pixel at the end.
    """
    for axis in (2, 3):
        n = x.shape[axis]
        previous = torch.cat((x.narrow(axis, 1, 1), x.narrow(axis, 0, n - 1)), axis)
        following = torch.cat((x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)), axis)
        even = (previous + 6 * x + following) / 8
        odd = (x + following) / 2
        x = torch.stack((even, odd), axis + 1).flatten(axis, axis + 1)
    return x


def laplacian_pyramid_loss(prediction: Tensor, target: Tensor, levels: int = 5, growth: float = 1.0) -> Tensor:
    """Sum over the levels of a Laplacian pyramid of the mean absolute difference.

    The band-pass levels only, without weights and without the low-pass rest, as RIFE uses it (Niklaus and
    Liu, "Context-aware Synthesis for Video Frame Interpolation", CVPR 2018, weigh level i by 2^i).
    The pyramid is linear, so one pyramid of the difference serves for both images.

    Args:
        prediction, target: ``(B, C, H, W)`` of one shape.
        levels: at least 1; the coarsest level must be at least 3 pixels high and wide.
        growth: each level weighs so many times what the finer one does.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes differ, or the images are too small for ``levels``.
    """
    if prediction.shape != target.shape or prediction.dim() != 4:
        raise ValueError(
            f"laplacian_pyramid_loss expects two (B, C, H, W) of one shape, got {tuple(prediction.shape)} "
            f"and {tuple(target.shape)}"
        )
    smallest = min(prediction.shape[2:])
    needed = 2 ** (levels - 1) * 2 + 1
    if smallest < needed:
        raise ValueError(
            f"{levels} Laplacian levels need images of at least {needed} pixels, got "
            f"{prediction.shape[2]}x{prediction.shape[3]}; use a larger crop or fewer levels"
        )
    current = select.full_precision(prediction) - select.full_precision(target)
    loss = current.new_zeros(())
    for level in range(levels):
        low = _reduce(current)
        band = current - _expand(low)[..., : current.shape[2], : current.shape[3]]
        loss = loss + growth**level * band.abs().mean()
        current = low
    return loss


class LaplacianPyramidLoss(nn.Module):
    """:func:`laplacian_pyramid_loss` between one output of a network and one entry of the batch.

    Args:
        of: name of the output, for RIFE ``"prediction"`` or ``"teacher_prediction"``.
        levels: levels of the pyramid.
        target: name of the batch entry.
        growth: factor from each level's weight to the next coarser one's; 2 for mattes (Lin et al., WACV 2022,
            equation 3, who divide the sum by the number of levels: a matter of the term's weight).

    Raises:
        ConfigError: ``levels`` below 1, or ``growth`` not positive; when called: no such output or entry.
    """

    def __init__(self, of: str = "prediction", levels: int = 5, target: str = "target", growth: float = 1.0) -> None:
        super().__init__()
        if levels < 1 or growth <= 0:
            raise ConfigError(f"levels must be at least 1 and growth positive, got {levels} and {growth}")
        self.of, self.levels, self.target, self.growth = of, levels, target, growth

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        made, true = select.output(outputs, self.of), select.target(batch, self.target)
        if made.dim() == 5 and made.shape == true.shape:
            made, true = made.flatten(0, 1), true.flatten(0, 1)
        return laplacian_pyramid_loss(made, true, self.levels, self.growth)
