"""Blur kernels of the degradation of Real-ESRGAN (Wang et al., ICCV Workshops 2021, section 3.1 and figure 4).

Gaussian kernels that are round or oblong, of generalised and plateau shape (Liu et al., "Estimating Generalized
Gaussian Blur Kernels for Out-of-Focus Image Deblurring"), and the sinc filter of ringing.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ..core.errors import ConfigError

Kernel = npt.NDArray[np.float64]
Shape = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
SHAPES: tuple[Shape, ...] = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")


def gaussian_kernel(
    size: int, sigma_x: float, sigma_y: float, angle: float = 0.0, shape: Shape = "iso", beta: float = 1.0
) -> Kernel:
    """A kernel ``(size, size)`` of sum 1.

    With ``q`` the squared Mahalanobis distance from the centre, it is ``exp(-q / 2)``, generalised
    ``exp(-q^beta / 2)``, or with a plateau ``1 / (1 + q^beta)``.

    Args:
        size: odd number of rows and columns.
        sigma_x, sigma_y: deviations in pixels along the axes before they are turned.
        angle: in radians.
        shape: one of :data:`SHAPES`; round ones use ``sigma_x`` alone.
        beta: exponent of generalised and plateau kernels.

    Raises:
        ConfigError: an even size or an unknown shape.
    """
    if size < 1 or size % 2 == 0:
        raise ConfigError(f"the size of a blur kernel must be odd, got {size}")
    if shape not in SHAPES:
        raise ConfigError(f"the shape of a blur kernel must be one of {', '.join(SHAPES)}, got {shape!r}")
    if shape.endswith("_iso") or shape == "iso":
        sigma_y, angle = sigma_x, 0.0
    axis = np.arange(size) - size // 2
    x, y = np.meshgrid(axis.astype(np.float64), axis.astype(np.float64))
    along, across = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    squared = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    if shape.startswith("plateau"):
        kernel = 1 / (1 + squared**beta)
    else:
        kernel = np.exp(-0.5 * squared ** (beta if shape.startswith("generalized") else 1.0))
    normalised: Kernel = kernel / kernel.sum()
    return normalised


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """The circular low-pass filter ``(size, size)`` of sum 1: ``cutoff * J1(cutoff * r) / (2 pi r)``.

    Args:
        size: odd number of rows and columns.
        cutoff: frequency in (0, pi] above which nothing passes.

    Raises:
        ConfigError: an even size.
    """
    if size < 1 or size % 2 == 0:
        raise ConfigError(f"the size of a blur kernel must be odd, got {size}")
    axis = np.arange(size) - size // 2
    radius = np.hypot(axis[:, None], axis[None, :]).astype(np.float64)
    bessel = torch.special.bessel_j1(torch.from_numpy(cutoff * radius)).numpy()
    with np.errstate(invalid="ignore"):
        kernel = cutoff * bessel / (2 * math.pi * radius)
    # the limit at the centre
    kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    normalised: Kernel = kernel / kernel.sum()
    return normalised


def draw_kernel(
    rng: np.random.Generator,
    sizes: tuple[int, int],
    sigma: tuple[float, float],
    beta_generalized: tuple[float, float],
    beta_plateau: tuple[float, float],
    probabilities: tuple[float, ...],
    sinc_probability: float,
) -> Kernel:
    """A random kernel, as Real-ESRGAN draws it.

    Args:
        rng: source of randomness.
        sizes: smallest and largest side; odd ones in between.
        sigma: range of the deviations.
        beta_generalized, beta_plateau: ranges of the exponents; below and above 1 are equally likely.
        probabilities: of :data:`SHAPES`.
        sinc_probability: of a sinc filter instead.
    """
    size = int(rng.choice(np.arange(sizes[0], sizes[1] + 1, 2)))
    if rng.random() < sinc_probability:
        # small kernels do not hold low frequencies
        return sinc_kernel(size, float(rng.uniform(math.pi / 3 if size < 13 else math.pi / 5, math.pi)))
    shape = SHAPES[int(rng.choice(len(SHAPES), p=np.asarray(probabilities) / sum(probabilities)))]
    sigma_x, sigma_y = rng.uniform(*sigma, size=2)
    angle = rng.uniform(-math.pi, math.pi)
    beta = 1.0
    if "_" in shape:
        low, high = beta_generalized if shape.startswith("generalized") else beta_plateau
        below = rng.random() < 0.5 and low < 1
        beta = float(rng.uniform(low, 1.0) if below else rng.uniform(max(low, 1.0), high))
    return gaussian_kernel(size, float(sigma_x), float(sigma_y), float(angle), shape, beta)
