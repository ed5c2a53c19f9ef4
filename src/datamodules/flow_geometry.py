"""Affine maps applied to a pair of images with its flow.

A map is a (3, 3) matrix that takes a pixel (x, y, 1) of the result to a pixel of the source; pixel centres have
integer coordinates.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ..core.errors import ConfigError

Matrix = npt.NDArray[np.float64]
Array = TypeVar("Array", bound=npt.NDArray[Any])


def check(condition: bool, problem: str) -> None:
    """Raise a ``ConfigError`` about a setting of the augmentation unless the condition holds."""
    if not condition:
        raise ConfigError(f"flow augmentation: {problem}")


def check_probabilities(part: object, *names: str) -> None:
    """:func:`check` that these attributes lie in [0, 1]."""
    for name in names:
        value = getattr(part, name)
        check(0 <= value <= 1, f"{name}={value} is not between 0 and 1")


class FlowPair(NamedTuple):
    """Two images with the flow from the first to the second.

    Attributes:
        image1, image2: ``(H, W, 3)`` uint8 RGB.
        flow: ``(H, W, 2)`` float32, 0 where unknown.
        valid: ``(H, W)`` bool, where the flow is known.
        sparse: whether known pixels stand alone, so that nothing may be interpolated between them.
    """

    image1: npt.NDArray[np.uint8]
    image2: npt.NDArray[np.uint8]
    flow: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    sparse: bool = False


def crop_map(top: float, left: float) -> Matrix:
    """The map of a crop that begins at ``(top, left)``."""
    return np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], np.float64)


def flip_map(size: tuple[int, int] | list[int], vertical: bool, horizontal: bool) -> Matrix:
    """The map of an image turned upside down and/or mirrored."""
    height, width = size
    mapping = np.eye(3)
    if horizontal:
        mapping[0] = -1, 0, width - 1
    if vertical:
        mapping[1] = 0, -1, height - 1
    return mapping


def resize_map(old: tuple[int, int], new: tuple[int, int]) -> Matrix:
    """The map of a resized image whose corners stay corners (half-pixel centres)."""
    scale_y, scale_x = old[0] / new[0], old[1] / new[1]
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]], np.float64)


def inside(mapping: Matrix, source: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether all pixels of a result of ``size`` come from within an image of size ``source``."""
    height, width = size
    corners = mapping @ np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
    edge = 1e-6
    return bool((corners[:2] >= -edge).all() and (np.array(source[::-1]) - 1 + edge >= corners[:2].T).all())


def apply_maps(pair: FlowPair, first: Matrix, second: Matrix, size: tuple[int, int]) -> FlowPair:
    """Resample a pair, each image by its own map.

    A pixel x of the result shows ``first(x)`` of image 1, which moves to ``first(x) + flow`` in image 2, and that is
    seen at ``second^-1(first(x) + flow)``: the flow of the result is the way there from x.

    Args:
        pair: the source.
        first, second: maps from the result to image 1 and to image 2.
        size: height and width of the result.

    Returns:
        The pair of that size. Dense flow is interpolated and known where all that it is made of is known; sparse
        flow is carried to the nearest pixel. Outside the source images repeat their border and the flow is unknown.
    """
    image1, image2 = _resample(pair.image1, first, size), _resample(pair.image2, second, size)
    carry = _carry_sparse if pair.sparse else _carry_dense
    flow, valid = carry(pair, first, second, size)
    return FlowPair(image1, image2, flow, valid, pair.sparse)


def _is_crop(mapping: Matrix, source: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int] | None:
    """Top and left if the map only cuts out whole pixels."""
    left, top = mapping[0, 2], mapping[1, 2]
    whole = float(left).is_integer() and float(top).is_integer() and np.array_equal(mapping[:2, :2], np.eye(2))
    if not whole or min(left, top) < 0 or top + size[0] > source[0] or left + size[1] > source[1]:
        return None
    return int(top), int(left)


def _resample(array: Array, mapping: Matrix, size: tuple[int, int]) -> Array:
    crop = _is_crop(mapping, array.shape, size)
    if crop is not None:
        return cast(Array, array[crop[0] : crop[0] + size[0], crop[1] : crop[1] + size[1]])
    import cv2

    warped = cv2.warpAffine(
        np.ascontiguousarray(array),
        mapping[:2],
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cast(Array, np.asarray(warped, array.dtype).reshape(*size, *array.shape[2:]))


def _carry_dense(
    pair: FlowPair, first: Matrix, second: Matrix, size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    flow = _resample(pair.flow, first, size).astype(np.float64)
    back = np.linalg.inv(second)
    moved = flow @ back[:2, :2].T
    x, y = _grid(size)
    apart = back @ first - np.eye(3)
    if np.abs(apart).max() > 1e-12:
        moved[..., 0] += apart[0, 0] * x + apart[0, 1] * y + apart[0, 2]
        moved[..., 1] += apart[1, 0] * x + apart[1, 1] * y + apart[1, 2]
    height, width = pair.valid.shape
    from_x = first[0, 0] * x + first[0, 1] * y + first[0, 2]
    from_y = first[1, 0] * x + first[1, 1] * y + first[1, 2]
    # half a pixel beyond the border is still the border pixel, as in every resize
    valid = (from_x >= -0.51) & (from_x <= width - 0.49) & (from_y >= -0.51) & (from_y <= height - 0.49)
    if not pair.valid.all():
        valid &= _resample(pair.valid.astype(np.float32), first, size) > 0.999
    return np.where(valid[..., None], moved, 0).astype(np.float32), valid


def _carry_sparse(
    pair: FlowPair, first: Matrix, second: Matrix, size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    rows, columns = np.nonzero(pair.valid)
    start = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)
    end = start.copy()
    end[:2] += pair.flow[rows, columns].T
    here, there = np.linalg.inv(first) @ start, np.linalg.inv(second) @ end
    x, y = np.rint(here[0]).astype(np.intp), np.rint(here[1]).astype(np.intp)
    seen = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    flow, valid = np.zeros((*size, 2), np.float32), np.zeros(size, np.bool_)
    flow[y[seen], x[seen]] = (there - here)[:2, seen].T
    valid[y[seen], x[seen]] = True
    return flow, valid


def _grid(size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.arange(size[1], dtype=np.float64)[None, :], np.arange(size[0], dtype=np.float64)[:, None]
