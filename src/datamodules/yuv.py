"""Raw planar YUV 4:2:0 video, 8 bit, without any header: the format of the HD interpolation benchmark."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError


def count_frames(path: str | os.PathLike[str], size: tuple[int, int]) -> int:
    """How many frames of ``size`` (height, width) a file holds.

    Raises:
        DataError: it cannot be read, is empty, or is no whole number of frames long.
    """
    try:
        total = os.path.getsize(path)
    except OSError as error:
        raise DataError(f"cannot read the video {str(path)!r}: {error.strerror or error}") from error
    frames, rest = divmod(total, _frame_bytes(size))
    if rest or not frames:
        raise DataError(
            f"the raw video {str(path)!r} is truncated or of another size: {total} bytes are not a whole number of "
            f"{size[1]}x{size[0]} frames of {_frame_bytes(size)} bytes"
        )
    return frames


def read_frames(path: str | os.PathLike[str], size: tuple[int, int], indices: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Frames as uint8 RGB ``(N, H, W, 3)``, converted as in RIFE's evaluation of the HD benchmark.

    Chroma is enlarged by Pillow's bicubic filter (its default since version 7.0), converted by scikit-image's
    ``yuv2rgb`` (full-range BT.601), clipped, and cut, not rounded, to 8 bits.

    Raises:
        DataError: the file cannot be read or ends before a frame.
    """
    images = np.empty((len(indices), *size, 3), np.uint8)
    try:
        with open(path, "rb") as handle:
            for place, index in enumerate(indices):
                handle.seek(index * _frame_bytes(size))
                content = handle.read(_frame_bytes(size))
                if len(content) < _frame_bytes(size):
                    raise DataError(f"the raw video {str(path)!r} ends before frame {index}")
                images[place] = _to_rgb(np.frombuffer(content, np.uint8), size)
    except OSError as error:
        raise DataError(f"cannot read the video {str(path)!r}: {error.strerror or error}") from error
    return images


def _frame_bytes(size: tuple[int, int]) -> int:
    height, width = size
    if height % 2 or width % 2:
        raise ValueError(f"4:2:0 video has even sizes, got {width}x{height}")
    return height * width * 3 // 2


def _to_rgb(planes: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    from PIL import Image
    from skimage.color import yuv2rgb

    height, width = size
    luma = planes[: height * width].reshape(height, width) / 255.0
    chroma = planes[height * width :].reshape(2, height // 2, width // 2)
    enlarged = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) / 255.0 - 0.5
        for plane in chroma
    ]
    rgb = yuv2rgb(np.stack((luma, *enlarged), axis=-1))
    return np.asarray(255.0 * np.clip(rgb, 0.0, 1.0)).astype(np.uint8)
