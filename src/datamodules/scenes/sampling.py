"""Sampling textures and masks under an affine map: a fast way for training, an exact one for evaluation.

Both map pixel centres at integer coordinates and mirror textures beyond their borders (without repeating
the border pixel), so that no scene shows a seam or an empty edge.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from .textures import load_texture, load_texture_tensor

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


class Region(NamedTuple):
    """A rectangle of the frame: rows ``top .. bottom - 1``, columns ``left .. right - 1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of the rectangle in a ``(height, width, ...)`` array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Sampler(Protocol):
    """How to resample; ``matrix`` (2, 3) maps frame coordinates to source coordinates."""

    mask_density: float
    # where a pixel is sampled, relative to its centre, in frame pixels
    offsets: tuple[complex, ...]

    def texture(self, name: str, level: int, matrix: Matrix, region: Region) -> FloatArray:
        """Colours ``(h, w, 3)`` float32 in 0..255 of a mirrored texture."""
        ...

    def mask(self, mask: npt.NDArray[np.uint8], matrix: Matrix, region: Region) -> FloatArray:
        """Alpha ``(h, w)`` float32 in [0, 1], zero outside the mask."""
        ...


def _shifted(matrix: Matrix, region: Region) -> Matrix:
    """The matrix for coordinates that count from the region's corner."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, 0] * region.left + matrix[:, 1] * region.top
    return moved


class FastSampler:
    """Bilinear sampling of 8-bit sources by OpenCV, one sample per pixel.

    Colours are rounded to 8 bits. OpenCV before 5 also rounds source coordinates to 1/32 pixel, so what is
    seen can differ from the stated motion by up to 1/64 source pixel; OpenCV 5 does not.
    """

    mask_density = 1.25
    offsets: tuple[complex, ...] = (0j,)

    def texture(self, name: str, level: int, matrix: Matrix, region: Region) -> FloatArray:
        """See :class:`Sampler`."""
        height, width = region.size
        warped = cv2.warpAffine(
            load_texture(name)[level],
            _shifted(matrix, region),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(warped, dtype=np.float32)

    def mask(self, mask: npt.NDArray[np.uint8], matrix: Matrix, region: Region) -> FloatArray:
        """See :class:`Sampler`."""
        height, width = region.size
        warped = cv2.warpAffine(
            mask,
            _shifted(matrix, region),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        return np.multiply(warped, np.float32(1 / 255), dtype=np.float32)


class ExactSampler:
    """Bilinear sampling in floating point with 2 x 2 samples per pixel (torch ``grid_sample``).

    Nothing is rounded; positions are exact to 1e-3 pixel on any release of OpenCV.
    """

    mask_density = 2.0
    oversampling = 2
    offsets: tuple[complex, ...] = (-0.25 - 0.25j, 0.25 - 0.25j, -0.25 + 0.25j, 0.25 + 0.25j)

    def texture(self, name: str, level: int, matrix: Matrix, region: Region) -> FloatArray:
        """See :class:`Sampler`."""
        sampled = self._sample(load_texture_tensor(name, level), matrix, region, "reflection")
        return np.ascontiguousarray(sampled.permute(1, 2, 0).numpy())

    def mask(self, mask: npt.NDArray[np.uint8], matrix: Matrix, region: Region) -> FloatArray:
        """See :class:`Sampler`."""
        source = torch.from_numpy(mask).float().div_(255)[None, None]
        # rounding of the averages must not push an opaque pixel above one
        alpha: FloatArray = self._sample(source, matrix, region, "zeros")[0].clamp_(0, 1).numpy()
        return alpha

    def _sample(self, source: torch.Tensor, matrix: Matrix, region: Region, padding: str) -> torch.Tensor:
        factor = self.oversampling
        height, width = region.size
        rows, columns = source.shape[-2:]
        x = region.left + (np.arange(width * factor) + 0.5) / factor - 0.5
        y = region.top + (np.arange(height * factor) + 0.5) / factor - 0.5
        grid = np.empty((1, len(y), len(x), 2), np.float32)
        for axis, extent in enumerate((columns, rows)):
            across = matrix[axis, 0] * x
            down = matrix[axis, 1] * y + matrix[axis, 2]
            grid[0, :, :, axis] = (across + down[:, None]) * (2 / (extent - 1)) - 1
        sampled = F.grid_sample(
            source, torch.from_numpy(grid), mode="bilinear", padding_mode=padding, align_corners=True
        )
        return F.avg_pool2d(sampled, factor)[0]


def sample_points(mask: npt.NDArray[np.uint8], points: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """Alpha in [0, 1] of a mask at points ``x + iy`` of any shape, bilinear, zero outside."""
    height, width = mask.shape
    x, y = points.real, points.imag
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
    left = np.minimum(x.astype(np.intp), width - 2)
    top = np.minimum(y.astype(np.intp), height - 2)
    right, down = x - left, y - top
    upper = mask[top, left] * (1 - right) + mask[top, left + 1] * right
    lower = mask[top + 1, left] * (1 - right) + mask[top + 1, left + 1] * right
    values: npt.NDArray[np.float64] = (upper * (1 - down) + lower * down) / 255
    return np.where(inside, values, 0.0)


def limit_loader_threads() -> None:
    """In a loader worker, keep OpenCV to one thread: the workers are the parallelism.

    The main process is left as it is, where other code may count on OpenCV's threads.
    """
    if torch.utils.data.get_worker_info() is not None and cv2.getNumThreads() > 1:
        cv2.setNumThreads(1)
