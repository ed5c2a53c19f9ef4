"""Closed-form matting: the alpha that is locally a linear function of the colours.

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting", TPAMI 2008
(https://doi.org/10.1109/TPAMI.2007.1177), with windows of 3x3 pixels. The matting Laplacian is never built: its product
with a matte is a handful of box filters (He, Sun and Tang, "Fast Matting Using Large Kernel Matting Laplacian
Matrices", CVPR 2010), which is all that conjugate gradients need.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import check_trimap, classes_of

# Known pixels are held to their values with a weight of 100: a change is gone within a few pixels.
_MARGIN = 8


class ClosedForm(nn.Module):
    """Alpha by closed-form matting, in float64, coarse to fine.

    Args:
        epsilon: regularises the colours of a window.
        constraint: weight of the trimap's known pixels.
        iterations: of conjugate gradients at full size, at most; half as large images get as many.
        tolerance: they stop where the residual has shrunk to this part.

    Raises:
        ConfigError: a number that is not positive.
    """

    def __init__(
        self, epsilon: float = 1e-7, constraint: float = 100.0, iterations: int = 300, tolerance: float = 1e-7
    ) -> None:
        super().__init__()
        if min(epsilon, constraint, iterations, tolerance) <= 0:
            raise ConfigError(
                "epsilon, constraint, iterations and tolerance must be positive, got "
                f"{epsilon}, {constraint}, {iterations} and {tolerance}"
            )
        self.epsilon, self.constraint = epsilon, constraint
        self.iterations, self.tolerance = iterations, tolerance

    @torch.no_grad()
    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha ``(B, 1, H, W)`` of images ``(B, 3, H, W)`` and trimaps ``(B, 1, H, W)``; see the contract of matting.

        Raises:
            ValueError: shapes do not fit.
        """
        check_trimap(image, trimap)
        pairs = zip(image.double(), trimap.double(), strict=True)
        found = [self._matte(one[None], known[None]) for one, known in pairs]
        return torch.cat(found).to(image.dtype) if found else trimap.clone()

    def _matte(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Solve around the unknown region alone: known pixels far from it say nothing about it."""
        _, unknown, foreground = classes_of(trimap)
        alpha = foreground.to(image.dtype)
        if bool(unknown.any()):
            rows, columns = (_span(unknown[0, 0].any(axis)) for axis in (1, 0))
            alpha[..., rows, columns] = self._solve(image[..., rows, columns], trimap[..., rows, columns])
        return alpha

    def _solve(self, image: Tensor, trimap: Tensor) -> Tensor:
        background, unknown, foreground = classes_of(trimap)
        height, width = image.shape[2:]
        if min(height, width) < 3:
            return torch.where(unknown, 0.5, foreground.to(image.dtype))
        if min(height, width) >= 48:
            # unknown stays unknown, so that thin structures are not decided at half size
            half = F.interpolate(image, scale_factor=0.5, mode="area")
            size = half.shape[2:]
            known = [F.adaptive_max_pool2d(1 - x.to(image.dtype), size) == 0 for x in (background, foreground)]
            coarse = self._solve(half, torch.where(known[1], 1.0, torch.where(known[0], 0.0, 0.5)).to(image.dtype))
            start = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        else:
            start = torch.full_like(trimap, 0.5)
        start = torch.where(background, 0.0, torch.where(foreground, 1.0, start))
        weight = self.constraint * (~unknown).to(image.dtype)
        laplacian = _laplacian(image, self.epsilon)
        alpha = _conjugate_gradients(
            lambda p: laplacian(p) + weight * p,
            weight * foreground,
            start,
            # the diagonal, but for the Laplacian's own of at most 9
            1 + weight,
            self.iterations,
            self.tolerance,
        )
        return alpha.clamp(0, 1)


def _span(marked: Tensor) -> slice:
    """From the first marked place to the last one, and a margin on both sides."""
    places = marked.nonzero()
    # in whole steps, so that the halves of a moving object's frames are cut alike
    start = max(0, int(places[0]) - _MARGIN) // _MARGIN * _MARGIN
    return slice(start, int(places[-1]) + 1 + _MARGIN)


def _box(x: Tensor) -> Tensor:
    """Sums over the 3x3 windows that lie inside the image."""
    return F.avg_pool2d(x, 3, 1) * 9


def _spread(x: Tensor) -> Tensor:
    """Each window's value added to all its pixels: the transpose of :func:`_box`."""
    return F.avg_pool2d(F.pad(x, (2, 2, 2, 2)), 3, 1) * 9


def _laplacian(image: Tensor, epsilon: float) -> Callable[[Tensor], Tensor]:
    """The product of the matting Laplacian of ``(1, 3, H, W)`` with mattes ``(1, 1, H, W)``."""
    mean = _box(image) / 9
    products = (image.unsqueeze(1) * image.unsqueeze(2)).flatten(1, 2)
    covariance = torch.unflatten(_box(products) / 9, 1, (3, 3)) - mean.unsqueeze(1) * mean.unsqueeze(2)
    covariance = covariance.permute(0, 3, 4, 1, 2) + epsilon / 9 * torch.eye(3, dtype=image.dtype, device=image.device)
    inverse = torch.linalg.inv(covariance).permute(0, 3, 4, 1, 2)
    count = _spread(torch.ones_like(mean[:, :1]))

    def product(p: Tensor) -> Tensor:
        average = _box(p) / 9
        slope = (inverse * (_box(image * p) / 9 - mean * average).unsqueeze(1)).sum(2)
        offset = average - (slope * mean).sum(1, keepdim=True)
        fitted: Tensor = (_spread(slope) * image).sum(1, keepdim=True) + _spread(offset)
        return count * p - fitted

    return product


def _conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    x: Tensor,
    diagonal: Tensor,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """Solve ``product(x) = right``, with ``diagonal`` as preconditioner."""
    residual = right - product(x)
    scaled = residual / diagonal
    direction, energy = scaled, (residual * scaled).sum()
    limit = tolerance**2 * (right * right / diagonal).sum().clamp(min=1e-12)
    for _ in range(iterations):
        if bool(energy <= limit):
            break
        moved = product(direction)
        step = energy / (direction * moved).sum()
        x, residual = x + step * direction, residual - step * moved
        scaled = residual / diagonal
        energy, before = (residual * scaled).sum(), energy
        direction = scaled + energy / before * direction
    return x


CARD = ModelCard(
    name="closed_form",
    task="matting",
    build=ClosedForm,
    summary="closed-form matting: alpha locally linear in the colours, conjugate gradients",
    paper="Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, TPAMI 2008, "
    "https://doi.org/10.1109/TPAMI.2007.1177",
    baseline=True,
)
