"""Is a container as long as its own header says, and does it hold what went into it?

A file cut short by a full disk or a broken download often still opens; decoders then deliver the frames that
are there without a word.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from ..core.errors import VideoError

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """How many bytes a MP4/MOV, Matroska/WebM or AVI file lacks at its end; 0 for whole and other files."""
    size = Path(path).stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(12)
        handle.seek(0)
        if head[4:8] in _MP4_FIRST_BOXES:
            end = _mp4_end(handle, size)
        elif head.startswith(_EBML):
            end = _matroska_end(handle)
        elif head.startswith(b"RIFF") and head[8:12] == b"AVI ":
            # an unfinished recording leaves the length 0 (or -1)
            length = struct.unpack("<I", head[4:8])[0]
            end = length + 8 if length < 0xFFFFFFF0 else 0
        else:
            end = 0
    return max(end - size, 0)


def _mp4_end(handle: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        handle.seek(position)
        header = handle.read(16)
        length, kind = struct.unpack(">I4s", header[:8])
        if not kind.isalnum():
            break  # not a box: rubbish behind the last one, harmless
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length == 0:
            break  # "up to the end of the file"
        if length < 8:
            break
        position += length
    return position


def _matroska_end(handle: BinaryIO) -> int:
    handle.read(4)
    header_size, _ = _vint(handle)
    handle.seek(header_size, os.SEEK_CUR)
    if handle.read(4) != _SEGMENT:
        return 0
    length, unknown = _vint(handle)
    return 0 if unknown else handle.tell() + length


def _vint(handle: BinaryIO) -> tuple[int, bool]:
    """One EBML variable-length size and whether it means "unknown" (all bits set), RFC 8794 section 4."""
    first = handle.read(1)
    if not first or first[0] == 0:
        return 0, True
    width = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (8 - width)) - 1)]) + handle.read(width - 1), "big")
    return value, value == (1 << (7 * width)) - 1


def check_written(temporary: Path, path: Path, expected: dict[int, int]) -> None:
    """Compare a finished file with what went into it: a failure to flush its last bytes is not reported.

    Args:
        temporary: the file.
        path: the name that it will have, for messages.
        expected: packets of each stream.

    Raises:
        VideoError: bytes or packets are missing.
    """
    import av

    missing = missing_bytes(temporary)
    if missing:
        raise VideoError(f"cannot finish {str(path)!r}: its last {missing} bytes were not written (is the disk full?)")
    found = dict.fromkeys(expected, 0)
    with av.open(str(temporary)) as container:
        for packet in container.demux():
            if packet.size:
                found[packet.stream_index] = found.get(packet.stream_index, 0) + 1
    for stream, count in expected.items():
        # MP4 fills the time between subtitles with packets of its own
        if found[stream] < count:
            raise VideoError(f"cannot finish {str(path)!r}: stream {stream} has {found[stream]} packets of {count}")
