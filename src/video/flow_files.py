"""Optical flow files: ``.flo`` (Middlebury), ``.pfm`` (FlyingThings3D) and 16-bit ``.png`` (KITTI, HD1K).

All three come in and go out as ``(H, W, 2)`` float32, u (right) and v (down) in pixels of the first image, with a
mask of the pixels whose flow is known. Unknown flow is 0 where the mask is False, never NaN or 1e10.

Formats as their authors describe them: Middlebury's flow code (``flowIO.cpp``: larger than 1e9 is unknown), the PFM
format of P. Debevec (rows from the bottom up, a negative scale means little endian), and the readme of KITTI's
flow development kit (``u = (red - 2**15) / 64``, blue is 1 where the flow is known).
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.files import atomic_path

Flow = NDArray[np.float32]
Valid = NDArray[np.bool_]

_UNKNOWN_ABOVE = 1e9
_UNKNOWN = np.float32(1e10)
_FLO_MAGIC = b"PIEH"
_LARGEST_SIDE = 99_999
_PFM_HEADER = re.compile(rb"(P[Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+.0-9eE]{1,30})(?:\r\n|\s)")
_KITTI_ZERO, _KITTI_STEPS = 2**15, 64.0

FLOW_SUFFIXES = (".flo", ".pfm", ".png")


def read_flow(path: str | os.PathLike[str]) -> tuple[Flow, Valid]:
    """Read an optical flow; the suffix chooses the format.

    Returns:
        Flow ``(H, W, 2)`` float32 in pixels, and ``(H, W)`` bool: where it is known. Unknown flow is 0.

    Raises:
        DataError: another suffix, or the file is missing, empty, truncated, too long or not of its format.
    """
    path = Path(path)
    decode = {".flo": _decode_flo, ".pfm": _decode_pfm, ".png": _decode_kitti}.get(path.suffix.lower())
    if decode is None:
        raise DataError(f"cannot read the flow {str(path)!r}: expected a file that ends in {', '.join(FLOW_SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the flow {str(path)!r}: {error.strerror or error}") from error
    if not data:
        raise DataError(f"the flow {str(path)!r} is empty (0 bytes)")
    return decode(data, str(path))


def write_flow(path: str | os.PathLike[str], flow: Flow, valid: Valid | None = None) -> None:
    """Write an optical flow atomically; the suffix chooses the format.

    Unknown flow becomes 1e10 in ``.flo``, NaN in ``.pfm`` and (0, 0, 0) in ``.png``. A ``.png`` holds steps of 1/64
    pixel from -512 to 511.98; larger motion is clipped, as KITTI's development kit does.

    Args:
        flow: ``(H, W, 2)`` in pixels.
        valid: ``(H, W)``, where the flow is known; None: wherever it is finite.

    Raises:
        ValueError: other shapes.
        DataError: the suffix is no flow format.
    """
    path = Path(path)
    encode = {".flo": _encode_flo, ".pfm": _encode_pfm, ".png": _encode_kitti}.get(path.suffix.lower())
    if encode is None:
        raise DataError(f"cannot write the flow {str(path)!r}: its name should end in {', '.join(FLOW_SUFFIXES)}")
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise ValueError(f"a flow to write is (H, W, 2) with H, W > 0, got {tuple(flow.shape)}")
    known: Valid = np.asarray(np.isfinite(flow).all(axis=2), np.bool_)
    if valid is not None:
        if valid.shape != known.shape:
            raise ValueError(f"valid is {tuple(valid.shape)}, the flow is {flow.shape[0]}x{flow.shape[1]}")
        known = known & np.asarray(valid, np.bool_)
    data = encode(flow, known)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _known(flow: NDArray[np.floating]) -> tuple[Flow, Valid]:
    """Split values that mean "unknown" (NaN, infinity, beyond 1e9) from the others."""
    with np.errstate(invalid="ignore"):
        valid = (np.abs(flow) <= _UNKNOWN_ABOVE).all(axis=2)
    return np.where(valid[..., None], flow, 0).astype(np.float32), valid


def _check_size(width: int, height: int, name: str) -> None:
    if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
        raise DataError(
            f"the flow {name!r} claims to be {width}x{height} (width x height); 1 to {_LARGEST_SIDE} are expected"
        )


def _check_length(found: int, expected: int, width: int, height: int, name: str) -> None:
    if found != expected:
        state = "truncated" if found < expected else "too long"
        raise DataError(
            f"the flow {name!r} is {state}: {found} bytes, expected {expected} for {width}x{height} (width x height)"
        )


def _decode_flo(data: bytes, name: str) -> tuple[Flow, Valid]:
    if data[:4] != _FLO_MAGIC[: len(data)]:
        raise DataError(f"the flow {name!r} is not a .flo file: it starts with {data[:4]!r}, expected {_FLO_MAGIC!r}")
    if len(data) < 12:
        raise DataError(f"the flow {name!r} is truncated: {len(data)} bytes, its header alone has 12")
    width, height = struct.unpack("<ii", data[4:12])
    _check_size(width, height, name)
    _check_length(len(data), 12 + 8 * width * height, width, height, name)
    return _known(np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2))


def _encode_flo(flow: Flow, valid: Valid) -> bytes:
    values = np.where(valid[..., None], flow, _UNKNOWN).astype("<f4")
    return _FLO_MAGIC + struct.pack("<ii", flow.shape[1], flow.shape[0]) + values.tobytes()


def _decode_pfm(data: bytes, name: str) -> tuple[Flow, Valid]:
    header = _PFM_HEADER.match(data)
    if header is None:
        raise DataError(
            f"the flow {name!r} is not a .pfm file: it starts with {data[:16]!r}, expected 'PF', width, height, scale"
        )
    kind, width, height = header[1], int(header[2]), int(header[3])
    if kind != b"PF":
        raise DataError(f"the flow {name!r} is a grey .pfm file ('Pf'); a flow has three channels ('PF')")
    try:
        scale = float(header[4])
    except ValueError:
        scale = 0.0
    if scale == 0 or not np.isfinite(scale):
        raise DataError(
            f"the flow {name!r} has the scale {header[4]!r}; its sign tells the byte order, so it cannot be 0"
        )
    _check_size(width, height, name)
    _check_length(len(data), header.end() + 12 * width * height, width, height, name)
    values = np.frombuffer(data, "<f4" if scale < 0 else ">f4", offset=header.end()).reshape(height, width, 3)
    return _known(values[::-1, :, :2])


def _encode_pfm(flow: Flow, valid: Valid) -> bytes:
    height, width = valid.shape
    values = np.zeros((height, width, 3), "<f4")
    values[..., :2] = np.where(valid[..., None], flow, np.nan)
    return f"PF\n{width} {height}\n-1.0\n".encode() + values[::-1].tobytes()


def _decode_kitti(data: bytes, name: str) -> tuple[Flow, Valid]:
    import cv2

    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"the flow {name!r} cannot be decoded: {error.err}") from error
    if image is None or b"IEND" not in data[-4096:]:
        raise DataError(f"the flow {name!r} cannot be decoded: it is truncated, damaged or not a .png file")
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise DataError(
            f"the flow {name!r} is a {image.dtype} image of {channels} channel(s); KITTI's flow has three of uint16"
        )
    # OpenCV gives blue, green, red: valid, v, u
    valid = image[..., 0] > 0
    flow = (image[..., :0:-1].astype(np.float32) - _KITTI_ZERO) / np.float32(_KITTI_STEPS)
    return np.where(valid[..., None], flow, np.float32(0)), valid


def _encode_kitti(flow: Flow, valid: Valid) -> bytes:
    import cv2

    levels = np.rint(np.where(valid[..., None], flow, 0) * _KITTI_STEPS + _KITTI_ZERO).clip(0, 2**16 - 1)
    image = np.zeros((*valid.shape, 3), np.uint16)
    image[..., 0] = valid
    image[..., :0:-1] = np.where(valid[..., None], levels, 0)
    done, data = cv2.imencode(".png", image)
    assert done
    return bytes(data.tobytes())
