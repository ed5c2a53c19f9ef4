"""Trimaps: what is surely foreground, surely background, and unknown in between."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_Bytes = npt.NDArray[np.uint8]
#: closer than this to 0 or 1 is 0 or 1: half a level of 8 bits
EDGE = 1 / 512


def temporal_median(values: Tensor, radius: int) -> Tensor:
    """The median of each pixel over ``2 * radius + 1`` frames; the ends of the video repeat.

    Args:
        values: ``(T, C, H, W)``.
        radius: frames before and after; 0 returns the values as they are.

    Raises:
        ValueError: a negative radius.
    """
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    if radius == 0:
        return values
    frames = []
    for index in range(len(values)):
        near = torch.arange(index - radius, index + radius + 1, device=values.device).clamp(0, len(values) - 1)
        frames.append(values[near].median(0).values)
    return torch.stack(frames)


def trimap_from_probability(
    probability: Tensor,
    foreground: float = 0.95,
    background: float = 0.05,
    band: float = 0.015,
) -> Tensor:
    """Trimaps of what a segmentation network found, frame by frame.

    Unknown is what the network is not sure of, and a band on both sides of the object's edge (probability one half),
    whose width follows the size of the object: so hair and soft edges, which no label map has, are left to matting.
    Where the band would swallow the whole object it is halved until some of it is known. A frame without any pixel
    above one half has no object, and no known foreground.

    Args:
        probability: ``(T, 1, H, W)`` in [0, 1], of the chosen classes together.
        foreground: more than this is foreground.
        background: less than this is background.
        band: distance to the edge up to which everything is unknown, as a part of the diagonal of the object's box; at
            least one pixel.

    Returns:
        ``(T, 1, H, W)`` float32: 0 background, 0.5 unknown, 1 foreground.

    Raises:
        ValueError: another shape, or thresholds out of order.
    """
    if probability.dim() != 4 or probability.shape[1] != 1:
        raise ValueError(f"expected probabilities (T, 1, H, W), got {tuple(probability.shape)}")
    if not 0 <= background <= 0.5 <= foreground <= 1 or band < 0:
        raise ValueError(
            f"expected 0 <= background <= 0.5 <= foreground <= 1 and band >= 0, got {background}, {foreground}, {band}"
        )
    maps = [_trimap(frame[0], foreground, background, band) for frame in probability.detach().float().cpu().numpy()]
    return torch.from_numpy(np.stack(maps))[:, None].to(probability.device)


def _trimap(probability: npt.NDArray[np.float32], high: float, low: float, band: float) -> npt.NDArray[np.float32]:
    inside = probability >= 0.5
    sure, absent = probability > high, probability < low
    if inside.any():
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        diagonal = float(np.hypot(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))
        radius = max(1.0, band * diagonal)
        depth, away = _distance(inside), _distance(~inside)
        absent &= away > radius
        while radius >= 1 and sure.any() and not (sure & (depth > radius)).any():
            radius /= 2
        sure &= depth > radius
    return np.where(sure, np.float32(1), np.where(absent, np.float32(0), np.float32(0.5)))


def _distance(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Of each pixel of a region to the nearest pixel outside of it; infinite where there is none."""
    import cv2

    if region.all():
        return np.full(region.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def trimap_from_alpha(alpha: Tensor, erode: int, dilate: int, iterations: int = 1) -> Tensor:
    """The trimap of a true alpha: known where neither erosion nor dilation reaches.

    Args:
        alpha: ``(..., H, W)`` in [0, 1]; within half an 8-bit level of 0 or 1 it counts as such.
        erode: diameter in pixels of the ellipse that opaque regions are eroded with.
        dilate: diameter of the ellipse that regions with any alpha are dilated with.
        iterations: so many times each.

    Returns:
        The same shape, float32: 0 background, 0.5 unknown, 1 foreground.

    Raises:
        ValueError: a number below 1.
    """
    import cv2

    if min(erode, dilate, iterations) < 1:
        raise ValueError(f"erode, dilate and iterations must be at least 1, got {erode}, {dilate}, {iterations}")
    values = alpha.detach().float().cpu().numpy()
    flat = values.reshape(-1, *values.shape[-2:])
    maps = []
    for value in flat:
        opaque, seen = (value > 1 - EDGE).astype(np.uint8), (value > EDGE).astype(np.uint8)
        sure = cv2.erode(opaque, _ellipse(erode), iterations=iterations)
        possible = cv2.dilate(seen, _ellipse(dilate), iterations=iterations)
        maps.append(np.where(sure > 0, np.float32(1), np.where(possible > 0, np.float32(0.5), np.float32(0))))
    return torch.from_numpy(np.stack(maps)).reshape(alpha.shape).to(alpha.device)


def random_trimap(
    alpha: Tensor,
    rng: np.random.Generator,
    kernel: tuple[int, int] = (1, 29),
    iterations: tuple[int, int] = (1, 1),
) -> Tensor:
    """:func:`trimap_from_alpha` with diameters and a number of iterations drawn from ranges, ends included.

    The defaults are those of mmagic's training of Deep Image Matting; huochaitiantang's have kernels of 2 to 5 and 5 to
    15 iterations.

    Raises:
        ValueError: a range that is empty or begins below 1.
    """
    for name, (low, high) in (("kernel", kernel), ("iterations", iterations)):
        if not 1 <= low <= high:
            raise ValueError(f"{name} must be a range from 1 upwards, got {low} to {high}")
    times = int(rng.integers(iterations[0], iterations[1] + 1))
    erode, dilate = (int(size) for size in rng.integers(kernel[0], kernel[1] + 1, 2))
    return trimap_from_alpha(alpha, erode, dilate, times)


def _ellipse(diameter: int) -> _Bytes:
    import cv2

    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)), np.uint8)
