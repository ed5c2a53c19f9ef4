"""The same frames become the same bytes, whatever the memory and the load of the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import av
import numpy as np
import pytest
from framewright.video.encoding import CODECS, Encoding
from framewright.video.tags import ColourTags

# prints a digest of the packets of twelve frames
_ENCODE = """
import hashlib, sys
from fractions import Fraction
import av, io
import numpy as np
from framewright.video.encoding import Encoding
from framewright.video.tags import ColourTags

encoding, digest = Encoding(sys.argv[1]), hashlib.sha256()
y, x = np.mgrid[:48, :80]
with av.open(io.BytesIO(), "w", format="matroska") as container:
    stream = encoding.add_stream(container, (48, 80), Fraction(25), ColourTags())
    for number in range(12):
        pixels = np.stack([60 + 5 * ((x // 6 + y // 6) % 8), 70 + 2 * y, 90 + x], -1).astype(np.uint8)
        pixels[12:28, 4 + 2 * number : 20 + 2 * number] = (220, 180, 40)
        frame = encoding.frame(pixels, 0, ColourTags())
        frame.pts, frame.time_base = number, Fraction(1, 25)
        for packet in stream.encode(frame):
            digest.update(bytes(packet))
    for packet in stream.encode(None):
        digest.update(bytes(packet))
print(digest.hexdigest())
"""


def encoded(codec: str, filling: int) -> str:
    """Digest of what is encoded where fresh memory of the C library holds one value."""
    # the C library inverts it; 0 turns filling off
    environment = {**os.environ, "MALLOC_PERTURB_": str(filling)}
    command = [sys.executable, "-c", _ENCODE, codec]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()[-1]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_bytes_do_not_depend_on_what_memory_held(codec: str) -> None:
    if CODECS[codec].encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {codec}")
    assert len({encoded(codec, filling) for filling in (0, 37, 90, 165)}) == 1


@pytest.mark.parametrize("width", [66, 80])
def test_a_frame_of_ten_bits_is_converted_alike_every_time(width: int) -> None:
    """Fails in one of twenty to two hundred frames where several threads convert."""
    encoding = Encoding("prores")
    pixels = np.random.default_rng(0).integers(0, 255, (24, width, 3), np.uint8)
    made = {encoding.frame(pixels, 0, ColourTags()).to_ndarray().tobytes() for _ in range(1500)}
    assert len(made) == 1
