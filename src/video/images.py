"""Single images: OpenCV inside, RGB outside, any file name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, VideoError
from ..core.files import atomic_path


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image as uint8 RGB of shape (H, W, 3).

    Grey becomes three equal channels, alpha is dropped, 16 bit are rounded to 8 and the orientation of a
    photograph is applied.

    Raises:
        DataError: when the file is missing, empty, truncated, not an image or holds floating-point pixels.
    """
    name = str(path)
    try:
        # imread cannot open every file name on every system, so the bytes are read here
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the image {name!r}: {error.strerror or error}") from error
    return decode_image(data, name)


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """The image in the bytes of a file, as :func:`read_image` gives it.

    Args:
        data: of the file.
        name: for messages.

    Raises:
        DataError: when they are empty, truncated, not an image or hold floating-point pixels.
    """
    import cv2

    if not data:
        raise DataError(f"the image {name!r} is empty (0 bytes)")
    if _is_truncated(data):
        raise DataError(f"the image {name!r} is truncated: its end is missing ({len(data)} bytes)")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise DataError(f"the image {name!r} cannot be decoded: {error.err}") from error
    if image is None:
        raise DataError(f"the image {name!r} cannot be decoded: it is damaged or not an image")
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DataError(f"the image {name!r} has pixels of type {image.dtype}; 8 or 16 bit are expected")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def write_image(path: str | os.PathLike[str], image: NDArray[np.uint8], *, quality: int = 95) -> None:
    """Write an image atomically; the suffix chooses the format.

    Args:
        image: uint8 RGB of shape (H, W, 3), or grey of shape (H, W).
        quality: of JPEG and WebP, 0 to 100.

    Raises:
        ValueError: for another shape or type.
        VideoError: when the suffix is unknown or the file cannot be written.
    """
    import cv2

    path = Path(path)
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"expected uint8 (H, W, 3) or (H, W), got {image.dtype} {tuple(image.shape)}")
    pixels = np.ascontiguousarray(image if image.ndim == 2 else image[:, :, ::-1])
    suffix = path.suffix.lower()
    options: list[int] = []
    if suffix in (".jpg", ".jpeg"):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    elif suffix == ".webp":
        options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    try:
        done, data = cv2.imencode(suffix or ".", pixels, options)
    except cv2.error as error:
        raise VideoError(f"cannot write {str(path)!r}: no image format has the suffix {suffix!r}") from error
    if not done:
        raise VideoError(f"cannot write {str(path)!r}: the encoder of {suffix!r} failed")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG lacks its end-of-image marker or a PNG its last chunk.

    Decoders fill what is missing with grey and report success, depending on their version.
    """
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in data[-4096:]
    return False


def is_gray_file(path: str | os.PathLike[str]) -> bool:
    """Whether an image file stores a single channel (with or without alpha); reads its header only.

    Raises:
        DataError: it is missing or not an image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as handle:
            return handle.mode in ("1", "L", "LA", "La") or handle.mode.startswith(("I", "F"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"the image {str(path)!r} cannot be decoded: {error}") from error
