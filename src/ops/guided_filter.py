"""The guided filter with a colour guide and a weight per pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-12  # weight of a window in which nothing weighs anything


class GuidedFilter:
    """Fits values by linear functions of the guide's colours in every window, and averages what the windows say.

    He, Sun and Tang, "Guided Image Filtering", TPAMI 2013, equations 19 to 21, with a weight per pixel in the sums of
    the fit and, summed over a window, in the average. Where the weights are small values are filled in rather than
    smoothed: with known alpha weighing most this is one step of solving the matting Laplacian (section 3.3 there). What
    depends on guide and weight alone is computed once.

    Args:
        guide: ``(B, 3, H, W)`` in [0, 1].
        weight: ``(B, 1, H, W)``, zero or more.
        radius: windows are squares of ``2 * radius + 1`` pixels, cut off at the border.
        epsilon: how much steep functions are punished; squared colours.

    Raises:
        ValueError: shapes do not fit, or ``radius`` is below 1 or ``epsilon`` not above 0.
    """

    def __init__(self, guide: Tensor, weight: Tensor, radius: int, epsilon: float) -> None:
        if guide.dim() != 4 or guide.shape[1] != 3 or weight.shape != (guide.shape[0], 1, *guide.shape[2:]):
            raise ValueError(
                f"expected a guide (B, 3, H, W) and a weight (B, 1, H, W), got {tuple(guide.shape)} and "
                f"{tuple(weight.shape)}"
            )
        if radius < 1 or epsilon <= 0:
            raise ValueError(f"radius must be at least 1 and epsilon above 0, got {radius} and {epsilon}")
        self.radius = radius
        # windows at a border are cut off: nothing outside weighs anything
        self._guide, self._weight = guide.float(), weight.float()
        r, g, b = torch.split(self._guide, 1, 1)
        products = torch.cat((r * r, r * g, r * b, g * g, g * b, b * b), 1)
        sums = self._box(torch.cat((torch.ones_like(r), self._guide, products), 1) * self._weight)
        self._total = sums[:, :1] + _TINY
        self._mean = sums[:, 1:4] / self._total
        r, g, b = torch.split(self._mean, 1, 1)
        covariance = sums[:, 4:] / self._total - torch.cat((r * r, r * g, r * b, g * g, g * b, b * b), 1)
        rr, rg, rb, gg, gb, bb = torch.split(covariance, 1, 1)
        # Cholesky's factors L D L^T of the covariance: stable where colours are nearly on a line, as in most windows
        d0 = rr.clamp(min=0) + epsilon
        l10, l20 = rg / d0, rb / d0
        d1 = (gg - l10 * rg).clamp(min=0) + epsilon
        below = gb - l20 * rg
        l21 = below / d1
        d2 = (bb - l20 * rb - l21 * below).clamp(min=0) + epsilon
        self._factors = (d0, d1, d2, l10, l20, l21)
        self._votes = self._box(self._total)

    def __call__(self, values: Tensor) -> Tensor:
        """Filtered values ``(B, 1, H, W)``.

        Raises:
            ValueError: values are not ``(B, 1, H, W)``.
        """
        if values.shape != self._weight.shape:
            raise ValueError(f"expected values {tuple(self._weight.shape)}, got {tuple(values.shape)}")
        weighted = values.float() * self._weight
        sums = self._box(torch.cat((weighted, weighted * self._guide), 1)) / self._total
        mean = sums[:, :1]
        c0, c1, c2 = torch.split(sums[:, 1:] - self._mean * mean, 1, 1)
        d0, d1, d2, l10, l20, l21 = self._factors
        c1 = c1 - l10 * c0
        c2 = c2 - l20 * c0 - l21 * c1
        a2 = c2 / d2
        a1 = c1 / d1 - l21 * a2
        a0 = c0 / d0 - l10 * a1 - l20 * a2
        slope = torch.cat((a0, a1, a2), 1)
        offset = mean - (slope * self._mean).sum(1, keepdim=True)
        voted = self._box(torch.cat((slope, offset), 1) * self._total) / self._votes
        return (voted[:, :3] * self._guide).sum(1, keepdim=True) + voted[:, 3:]

    def _box(self, values: Tensor) -> Tensor:
        """Sums over windows."""
        for dim in (2, 3):
            before_after = (self.radius, self.radius)
            padded = F.pad(values, before_after if dim == 3 else (0, 0, *before_after))
            values = _window_sums(padded, dim, 2 * self.radius + 1)
        return values


def _window_sums(values: Tensor, dim: int, size: int) -> Tensor:
    """Sums of ``size`` neighbours along a dimension, put together from sums of 1, 2, 4 ... neighbours.

    On a CPU a third of a pooling layer's time, and without the cancellation of running totals.
    """
    count = values.shape[dim] - size + 1
    total, start, width = None, 0, 1
    while True:
        if size & width:
            part = values.narrow(dim, start, count)
            total = part if total is None else total + part
            start += width
        if 2 * width > size:
            assert total is not None
            return total
        longer = values.shape[dim] - width
        values = values.narrow(dim, 0, longer) + values.narrow(dim, width, longer)
        width *= 2
