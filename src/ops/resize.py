"""MATLAB's ``imresize``: the resampling by which super-resolution sets were made and by which baselines are measured.

Cubic convolution with a = -1/2 (Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981), stretched
by the factor when shrinking (antialiasing), edges mirrored with the border pixel repeated, one axis after the other:
first the one that shrinks more, the rows where both are equal. 8-bit images are rounded after each axis, as MATLAB
does; without this every tenth pixel of a published low-resolution image differs by a level. Earlier releases of MATLAB
repeat the border pixel instead of mirroring, and so do sets that were made with them (SelfExSR's): the two outer rows
and columns differ.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Edges = Literal["mirror", "repeat"]

# half-width of the cubic kernel
_SUPPORT = 2.0


def imresize(
    image: Tensor,
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    antialias: bool = True,
    edges: Edges = "mirror",
) -> Tensor:
    """Resize ``(..., H, W)`` bicubically as MATLAB's ``imresize`` does.

    Args:
        image: uint8, resized in float64 and rounded half up after each axis: equal to MATLAB to the last bit; or
            floating point of any range, resized without rounding or clamping, differentiable, half precision in
            float32. An overshoot of the kernel beyond the range is left to the caller.
        scale: factor for both sides; the result has ``ceil(scale * H)`` rows and ``ceil(scale * W)`` columns.
        size: rows and columns of the result instead of a factor.
        antialias: stretch the kernel when shrinking; off as in ``imresize(..., 'Antialiasing', false)``.
        edges: what lies beyond them: ``"mirror"`` (MATLAB of today) or ``"repeat"`` (its earlier releases).

    Returns:
        The resized image, of the type and on the device of ``image``.

    Raises:
        ValueError: not exactly one of ``scale`` and ``size``, not positive, an empty image, a type that is neither
            uint8 nor floating point, or unknown ``edges``.
    """
    if edges not in ("mirror", "repeat"):
        raise ValueError(f"edges must be 'mirror' or 'repeat', got {edges!r}")
    if (scale is None) == (size is None):
        raise ValueError("imresize needs either a scale or a size")
    if image.dim() < 2 or min(image.shape[-2:]) < 1:
        raise ValueError(f"imresize expects (..., H, W) with at least one pixel, got {tuple(image.shape)}")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"imresize expects uint8 or floating point, got {image.dtype}")
    height, width = image.shape[-2:]
    if scale is not None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"imresize: the scale must be positive, got {scale}")
        factors = (float(scale), float(scale))
        # the tolerance keeps 0.1 * 30 from becoming 4 rows
        rows, columns = (max(1, math.ceil(scale * side - 1e-9)) for side in (height, width))
    else:
        assert size is not None
        rows, columns = size
        if rows < 1 or columns < 1:
            raise ValueError(f"imresize: the size must be positive, got {size}")
        factors = (rows / height, columns / width)
    axes = [(-2, rows, factors[0]), (-1, columns, factors[1])]
    if factors[1] < factors[0]:
        axes.reverse()
    whole = image.dtype == torch.uint8
    working = torch.float64 if whole else torch.promote_types(image.dtype, torch.float32)
    result = image.to(working)
    for axis, length, factor in axes:
        result = _resize_axis(result, axis, length, factor, antialias, edges)
        if whole:
            result = (result + 0.5).floor_().clamp_(0, 255)
    return result.to(image.dtype)


def shrink(image: Tensor, scale: int, edges: Edges = "mirror") -> Tensor:
    """8-bit RGB ``(..., H, W)``, held as floating point in [0, 1], shrunk as the published low-resolution images were.

    Raises:
        ValueError: height or width is not a multiple of ``scale``.
    """
    height, width = image.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"size {height}x{width} is not a multiple of the scale {scale}")
    return from_8bit(imresize(to_8bit(image), 1 / scale, edges=edges), image.dtype)


def to_8bit(image: Tensor) -> Tensor:
    """Values in [0, 1] as uint8, rounded."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def from_8bit(image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 as values in [0, 1]."""
    return image.to(dtype) / 255


def _resize_axis(image: Tensor, axis: int, length: int, factor: float, antialias: bool, edges: Edges) -> Tensor:
    if length == image.shape[axis] and factor == 1:
        return image
    taps = _contributions(image.shape[axis], length, factor, antialias, edges)
    positions = torch.from_numpy(taps[0]).to(image.device)
    weights = torch.from_numpy(taps[1]).to(image.device, image.dtype)
    shape = (-1, 1) if axis == -2 else (-1,)
    # tap by tap: a matrix of all taps at once would need several times the memory
    result: Tensor | None = None
    for tap in range(positions.shape[1]):
        part = image.index_select(axis, positions[:, tap]) * weights[:, tap].view(shape)
        result = part if result is None else result + part
    assert result is not None
    return result


# arrays, not tensors: one made in inference mode must not turn up in a later training step
@functools.lru_cache(maxsize=64)
def _contributions(
    length: int, out: int, factor: float, antialias: bool, edges: Edges
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Which pixels ``(out, P)`` of a line of ``length`` make each pixel of the result, and their weights."""
    stretch = min(factor, 1.0) if antialias else 1.0
    reach = _SUPPORT / stretch
    # centres of the result's pixels, counted from 0 in the source
    centres = (np.arange(out) + 0.5) / factor - 0.5
    positions = np.floor(centres - reach)[:, None] + np.arange(math.ceil(2 * reach) + 2)
    weights = stretch * _cubic(stretch * (centres[:, None] - positions))
    weights /= weights.sum(1, keepdims=True)
    used = (weights != 0).any(0)
    positions, weights = positions[:, used].astype(np.int64), weights[:, used]
    if edges == "repeat":
        return positions.clip(0, length - 1), weights
    # mirrored: ... 1 0 0 1 ... n-1 n-1 n-2 ...
    wrapped = positions % (2 * length)
    return np.where(wrapped < length, wrapped, 2 * length - 1 - wrapped), weights


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic kernel with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
