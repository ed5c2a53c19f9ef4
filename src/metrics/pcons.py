"""Patch consistency of DEVIL (Szeto and Corso, CVPR 2022): is a patch of a frame found again in the next one?

A patch of 50x50 pixels is compared with all patches of the next frame whose offset is -20..19 pixels in each
direction and that lie inside the frame; the best similarity counts. The ground truth takes no part.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import VideoMetric
from .pair import VideoPair
from .psnr import Infinite, check_infinite, settle_infinite
from .ssim import box_sum, ssim_of_moments

_PATCH, _REACH = 50, 20
_SEARCH = _PATCH + 2 * _REACH - 1  # side of what all candidates cover
_SEED = 1234
_WINDOW = 7  # of SSIM
Corner = tuple[int, int]


class _PatchConsistency(VideoMetric):
    """Values per pair of consecutive frames; subclasses say where the patch is and what similarity is."""

    items = "pair"
    minimum_frames = 2
    smallest_side: ClassVar[int] = _PATCH + 1

    def values(self, pair: VideoPair) -> Tensor:
        """The best similarity of each pair of consecutive frames ``(T - 1,)``, NaN where the first has no patch."""
        self.check(pair)
        height, width = pair.prediction.shape[2:]
        if min(height, width) < self.smallest_side:
            raise ValueError(
                f"{self.key} needs frames of at least {self.smallest_side}x{self.smallest_side} pixels, got "
                f"{height}x{width}"
            )
        values = []
        for frame, following, corner in zip(pair.prediction, pair.prediction[1:], self._corners(pair), strict=False):
            values.append(math.nan if corner is None else self._best(*_search_area(frame, following, corner)))
        return torch.tensor(values, dtype=torch.float64, device=pair.prediction.device)

    def _corners(self, pair: VideoPair) -> list[Corner | None]:
        """Top and left of the patch of each frame but the last."""
        return list(_random_corners(len(pair) - 1, pair.pairs_before, pair.prediction.shape[2:]))

    @abstractmethod
    def _best(self, patch: Tensor, area: Tensor, inside: Tensor) -> float:
        """The best similarity of a patch within a search area; arguments as :func:`_search_area` gives them."""

    def update(self, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add one video; arguments as for :class:`VideoPair`.

        Random patches go on where the previous video ended, as in the official evaluation of a set in one process.
        """
        self.add(self.values(VideoPair(prediction, target, mask, pairs_before=int(self.count))))


class PatchConsistencyPSNR(_PatchConsistency):
    """Patch consistency by PSNR in dB, of a patch at a random place in each frame.

    Places come from one stream of random numbers over all videos of the set in the order of their names,
    ``numpy.random.default_rng(1234)``, row before column; :attr:`VideoPair.pairs_before` says how much of it went
    before. Videos before are taken to have the size of this one: the stream's state does not depend on it, but for
    a chance of about 1e-7 per number.

    Args:
        infinite, maximum: what a patch that is found unchanged counts as, see :class:`~framewright.metrics.PSNR`.
            The default ``"largest"`` is DEVIL's rule, applied to videos by the benchmark; here such values stay
            infinite.

    Raises:
        ConfigError: an unknown ``infinite`` or a ``maximum`` that is not positive.
    """

    key = "pcons_psnr"
    unit = "dB"
    higher_is_better = True
    decimals = 2
    position_matters = True

    def __init__(self, infinite: Infinite = "largest", maximum: float = 100.0) -> None:
        super().__init__()
        check_infinite(infinite, maximum)
        self.infinite, self.maximum = infinite, maximum

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values that count, after the rule ``infinite``."""
        return super().summarise(settle_infinite(values, self.infinite, self.maximum))

    def _best(self, patch: Tensor, area: Tensor, inside: Tensor) -> float:
        # squared differences of all candidates at once: energies from sums, products by Fourier transform
        size = (_SEARCH, _SEARCH)
        product = torch.fft.rfft2(area, size) * torch.fft.rfft2(patch, size).conj()
        product = torch.fft.irfft2(product.sum(0), size)[: 2 * _REACH, : 2 * _REACH]
        distance = box_sum(area.square().sum(0), _PATCH) - 2 * product
        index = int(distance.masked_fill(~inside, math.inf).argmin())
        # cancellation left an error of about 1e-12 in it: measured again, an equal patch has none
        top, left = divmod(index, 2 * _REACH)
        found = area[:, top : top + _PATCH, left : left + _PATCH]
        error = float((found - patch).square().mean())
        return math.inf if error == 0 else -10 * math.log10(error)


class MaskedPatchConsistencyPSNR(PatchConsistencyPSNR):
    """Patch consistency by PSNR in dB, of the patch around the centroid of each frame's hole.

    The patch is moved into the frame where the centroid is near its edge. Pairs whose first frame has no hole do
    not count. Arguments as for :class:`PatchConsistencyPSNR`.
    """

    key = "pcons_psnr_mask"
    needs_mask = True
    position_matters = False
    smallest_side = _PATCH

    def _corners(self, pair: VideoPair) -> list[Corner | None]:
        assert pair.mask is not None
        return [_centred_corner(hole[0]) for hole in pair.mask[:-1]]


class PatchConsistencySSIM(_PatchConsistency):
    """Patch consistency by SSIM, of the same random patches as :class:`PatchConsistencyPSNR`.

    Args:
        data_range: of SSIM with a uniform 7x7 window. The default 2 is what DEVIL's figures come from, see
            :class:`~framewright.metrics.UniformSSIM`.
    """

    key = "pcons_ssim"
    higher_is_better = True
    decimals = 4
    position_matters = True

    def __init__(self, data_range: float = 2.0) -> None:
        super().__init__()
        self.data_range = data_range

    def _best(self, patch: Tensor, area: Tensor, inside: Tensor) -> float:
        constants = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        count = _WINDOW**2
        # of the patch ``(3, 44, 44)`` and of the whole area ``(3, 83, 83)``, from where each candidate is cut
        mean, squares = box_sum(torch.stack((patch, patch.square())), _WINDOW).div_(count)
        area_mean, area_squares = box_sum(torch.stack((area, area.square())), _WINDOW).div_(count)
        windows = mean.shape[-1]
        best = 0.0
        for top in range(2 * _REACH):
            valid = inside[top]
            if not bool(valid.any()):
                continue
            candidates = _columns(area[:, top : top + _PATCH], _PATCH)
            means = _columns(area_mean[:, top : top + windows], windows)
            energies = _columns(area_squares[:, top : top + windows], windows)
            products = box_sum(candidates * patch, _WINDOW).div_(count)
            moments = torch.stack((mean.expand_as(means), means, squares + energies, products))
            similarity = ssim_of_moments(moments.unbind(0), constants, count / (count - 1)).mean((1, 2, 3))
            best = max(best, float(similarity[valid].max()))
        return best


def _columns(strip: Tensor, width: int) -> Tensor:
    """The 40 candidates side by side in a strip ``(3, h, W)``: ``(40, 3, h, width)``, a view."""
    return strip.unfold(2, width, 1).permute(2, 0, 1, 3)


def _search_area(frame: Tensor, following: Tensor, corner: Corner) -> tuple[Tensor, Tensor, Tensor]:
    """The patch ``(3, 50, 50)``, what its candidates cover ``(3, 89, 89)``, and which lie inside ``(40, 40)``."""
    top, left = corner
    height, width = frame.shape[1:]
    patch = frame[:, top : top + _PATCH, left : left + _PATCH].double()
    padded = F.pad(following.detach(), (_REACH, _REACH, _REACH, _REACH))
    area = padded[:, top : top + _SEARCH, left : left + _SEARCH].double()
    offsets = torch.arange(-_REACH, _REACH, device=frame.device)
    rows, columns = top + offsets, left + offsets
    rows_inside = (rows >= 0) & (rows <= height - _PATCH)
    columns_inside = (columns >= 0) & (columns <= width - _PATCH)
    return patch.detach(), area, rows_inside[:, None] & columns_inside[None, :]


def _centred_corner(hole: Tensor) -> Corner | None:
    """Where a patch around the centroid of a hole ``(H, W)`` begins."""
    where = hole.nonzero()
    if len(where) == 0:
        return None
    centre = where.double().mean(0).tolist()
    top, left = (
        min(max(math.floor(middle - _PATCH / 2), 0), side - _PATCH)
        for middle, side in zip(centre, hole.shape, strict=True)
    )
    return top, left


class _Stream:
    """The random corners of one frame size, drawn as far as they were asked for."""

    def __init__(self, height: int, width: int) -> None:
        self._rng = np.random.default_rng(_SEED)
        self._bounds = height - _PATCH, width - _PATCH
        self._drawn: list[Corner] = []

    def take(self, start: int, count: int) -> list[Corner]:
        rows, columns = self._bounds
        # one number per call: a call for many takes another path through the generator, with other numbers
        while len(self._drawn) < start + count:
            row = int(self._rng.integers(rows))
            self._drawn.append((row, int(self._rng.integers(columns))))
        return self._drawn[start : start + count]


_stream = functools.lru_cache(maxsize=8)(_Stream)


def _random_corners(count: int, start: int, size: torch.Size) -> list[Corner]:
    return _stream(*size).take(start, count)
