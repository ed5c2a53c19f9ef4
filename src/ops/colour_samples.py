"""Alpha from samples of known colours, how far it can be trusted, and a matte made of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .guided_filter import GuidedFilter

# pixels whose pairs are looked at together: what a CPU's cache holds; elsewhere what bounds the memory
_TOGETHER = {"cpu": 1 << 13}
_TOGETHER_ELSEWHERE = 1 << 20
# squared differences of colours in [0, 1]: of colours that count as alike, of a pair that fits well, of a real contrast
_ALIKE, _FITS, _CONTRAST = 1e-4, 1.5e-4, 2.5e-3
_DECAY = 18.0  # of the fit, per unit of colour
# of an unknown pixel with the best samples beside a known one, and how fast it falls; of those tried the best on
# scenes_eval_v1, and as good as the best on scenes_val_v1
_WEIGHT, _POWER, _LEAST_TRUST = 0.03, 4, 0.02


class SampledMatte(NamedTuple):
    """What pairs of known colours say about each pixel, all ``(B, 1, H, W)`` float32.

    Attributes:
        alpha: of the pair that explains the pixel best; 0.5 where there is no pair.
        mean, spread: mean and standard deviation of alpha over all pairs, those that explain the pixel counting more.
        fit: 1 where the best pair explains the pixel exactly, falling to 0.
        contrast: distance between the two colours of the pairs.
    """

    alpha: Tensor
    mean: Tensor
    spread: Tensor
    fit: Tensor
    contrast: Tensor


def sampled_matte(image: Tensor, foreground: Tensor, background: Tensor) -> SampledMatte:
    """Explain unknown pixels as mixtures of known colours.

    For each unknown pixel the nearest known foreground and background pixels in eight directions are samples; each of
    the 64 pairs gives the alpha whose mixture comes closest to the pixel's colour, and the distance that remains. This
    is the sampling step of Gastal and Oliveira, "Shared Sampling for Real-Time Alpha Matting", Eurographics 2010,
    without sharing among neighbours. By itself it makes a noisy matte.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1].
        foreground, background: ``(B, 1, H, W)`` bool: known pixels; the others are unknown.

    Returns:
        :class:`SampledMatte`; known pixels have alpha 1 or 0, spread and contrast 0, fit 1.

    Raises:
        ValueError: shapes do not fit.
    """
    batch, channels, height, width = image.shape
    expected = (batch, 1, height, width)
    if channels != 3 or foreground.shape != expected or background.shape != expected:
        raise ValueError(
            f"expected an image (B, 3, H, W) and masks (B, 1, H, W), got {tuple(image.shape)}, "
            f"{tuple(foreground.shape)} and {tuple(background.shape)}"
        )
    front, back = foreground.reshape(-1), background.reshape(-1)
    colours = image.detach().float().transpose(0, 1).reshape(3, -1)
    unknown = (~(front | back)).nonzero()[:, 0]
    fronts, backs = (_nearest(known[:, 0]).flatten(1) for known in (foreground, background))
    planes = torch.zeros(5, front.numel(), device=image.device)
    planes[:2] = front
    planes[3] = 1
    together = _TOGETHER.get(image.device.type, _TOGETHER_ELSEWHERE)
    for some in torch.split(unknown, together):
        planes[:, some] = _explain(colours, colours[:, some], fronts[:, some], backs[:, some])
    return SampledMatte(*planes.view(5, batch, 1, height, width).unbind(0))


def propagate(
    image: Tensor,
    matte: SampledMatte,
    foreground: Tensor,
    background: Tensor,
    radius: int = 3,
    epsilon: float = 1e-6,
    rounds: int = 6,
) -> Tensor:
    """A matte from samples: known alpha and trusted samples are spread along colours.

    Guided filters whose weights are high for known pixels, low for unknown ones and lower where samples do not agree
    or do not fit, one after the other, with known alpha put back in between: some steps of solving the matting
    Laplacian (:class:`framewright.ops.GuidedFilter`) from a start that knows distant colours too.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1].
        matte: of the same image and known pixels.
        foreground, background: ``(B, 1, H, W)`` bool: known pixels.
        radius, epsilon: of the filter.
        rounds: how many; information travels twice the radius in each.

    Returns:
        Alpha ``(B, 1, H, W)`` float32 in [0, 1], 1 and 0 at known pixels.

    Raises:
        ValueError: shapes do not fit, or an option out of range.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    known = foreground | background
    trust = ((1 - 2 * matte.spread) * matte.fit).clamp(min=_LEAST_TRUST)
    smooth = GuidedFilter(image.detach(), torch.where(known, 1.0, _WEIGHT * trust**_POWER), radius, epsilon)
    alpha = matte.mean
    for _ in range(rounds):
        alpha = torch.where(known, foreground.float(), smooth(alpha).clamp(0, 1))
    return alpha


def _explain(colours: Tensor, pixel: Tensor, fronts: Tensor, backs: Tensor) -> Tensor:
    """The five planes ``(5, N)`` of N pixels ``(3, N)`` from the places ``(8, N)`` of their samples, -1 = none."""
    front, back = (torch.stack([c[at.clamp(min=0)] for c in colours]) - pixel[:, None] for at in (fronts, backs))
    no_front, no_back = (torch.where(at < 0, torch.inf, 0.0) for at in (fronts, backs))
    count = pixel.shape[1]
    best, alpha = pixel.new_full((count,), torch.inf), pixel.new_full((count,), 0.5)
    total, first, second, apart = pixel.new_zeros(4, count)
    # colours are relative to the pixel's: the pixel is 0, and small numbers cancel little
    lengths = back.square().sum(0)
    for direction in range(front.shape[1]):
        one = front[:, direction]
        dot = back[0] * one[0] + back[1] * one[1] + back[2] * one[2]
        along = lengths - dot
        axis = along - dot + one.square().sum(0)
        mixed = (along / (axis + _ALIKE)).clamp_(0, 1)
        left = (mixed * (mixed * axis - 2 * along) + lengths).clamp_(min=0) + no_back + no_front[direction]
        # pairs of nearly one colour fit and say nothing
        weight = (-left / _FITS).exp() * axis / (axis + _CONTRAST) + 1e-6 * left.isfinite()
        total += weight.sum(0)
        first += (weight * mixed).sum(0)
        second += (weight * mixed.square()).sum(0)
        apart += (weight * axis).sum(0)
        least, which = left.min(0)
        better = least < best
        best = torch.where(better, least, best)
        alpha = torch.where(better, mixed.gather(0, which[None])[0], alpha)
    found = best.isfinite()
    total = torch.where(found, total, 1)
    mean = torch.where(found, first / total, 0.5)
    spread = torch.where(found, (second / total - mean.square()).clamp_(min=0).sqrt_(), 0.5)
    return torch.stack((alpha, mean, spread, (-_DECAY * best.sqrt()).exp(), (apart / total).clamp_(min=0).sqrt_()))


def _nearest(known: Tensor) -> Tensor:
    """Flat places ``(8, B, H, W)`` of the nearest known pixels of ``(B, H, W)`` in eight directions; -1: there is none.

    Places grow along rows, columns and both diagonals, so a running maximum finds the last one passed.
    """
    places = torch.arange(known.numel(), dtype=torch.int32, device=known.device).view(known.shape)
    marked = torch.where(known, places, -1)
    diagonals = [_straighten(_both_ways(_shear(turned), 1), turned.shape) for turned in (marked, marked.flip(2))]
    return torch.stack(
        (*_both_ways(marked, 2), *_both_ways(marked, 1), *diagonals[0], *(found.flip(2) for found in diagonals[1]))
    )


def _both_ways(marked: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    nothing = -marked.numel() - 1
    reverse = torch.where(marked >= 0, -marked, nothing).flip(dim).cummax(dim).values.flip(dim)
    return marked.cummax(dim).values, torch.where(reverse == nothing, -1, -reverse)


def _shear(marked: Tensor) -> Tensor:
    """Row y moved right by y pixels ``(B, H, W + H - 1)``: diagonals become columns."""
    batch, height, width = marked.shape
    padded = F.pad(marked, (0, height), value=-1).view(batch, -1)
    return padded[:, :-height].reshape(batch, height, width + height - 1)


def _straighten(sheared: tuple[Tensor, ...], shape: torch.Size) -> list[Tensor]:
    batch, height, width = shape
    return [
        F.pad(one.reshape(batch, -1), (0, height), value=-1).view(batch, height, width + height)[:, :, :width]
        for one in sheared
    ]
