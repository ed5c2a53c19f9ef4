"""How frames become packets: codec, quality and pixel format of a written video."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, VideoError, nearest
from .tags import ColourTags


class Codec(NamedTuple):
    """An encoder, what it takes, and which files may hold what it gives."""

    encoder: str
    suffixes: tuple[str, ...]
    formats: tuple[str, ...]
    quality: tuple[int, int, int] | None  # best, worst, default
    options: tuple[tuple[str, str], ...] = ()


# What some encoders write depends on how many threads they have. Here it must not depend on the machine, or on how busy
# it is, because a video may be written in several runs.
_THREADS = 6

# What x264's macroblock tree computes with AVX-512 depends on memory that nobody has written, unless the width of the
# frames is a multiple of 128: the same frames become other bytes from run to run. These sets of instructions, which
# every processor with AVX-512 has, give the same bytes always.
_BEFORE_AVX512 = "asm=MMX2,SSE2,SSE3,SSSE3,SSE4.2,LZCNT,AVX,FMA3,AVX2,BMI1,BMI2"

_MP4 = (".mp4", ".m4v", ".mov", ".mkv")
CODECS = {
    "h264": Codec(
        "libx264",
        _MP4,
        ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"),
        (0, 51, 16),
        (("preset", "medium"),),
    ),
    "hevc": Codec(
        "libx265",
        _MP4,
        ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"),
        (0, 51, 20),
        (("preset", "medium"), ("x265-params", "log-level=error:frame-threads=2")),
    ),
    "av1": Codec("libsvtav1", (".mp4", ".m4v", ".mkv"), ("yuv420p", "yuv420p10le"), (0, 63, 26), (("preset", "8"),)),
    "vp9": Codec(
        "libvpx-vp9",
        (".mp4", ".mkv"),
        ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le"),
        (0, 63, 24),
        (("b", "0"), ("row-mt", "1"), ("deadline", "good"), ("cpu-used", "4")),
    ),
    "prores": Codec("prores_ks", (".mov", ".mkv"), ("yuv422p10le", "yuv444p10le"), None, (("vendor", "apl0"),)),
    "ffv1": Codec(
        "ffv1",
        (".mkv",),
        ("bgr0", "yuv420p", "yuv422p", "yuv444p"),
        None,
        (("level", "3"), ("slicecrc", "1"), ("slices", "4")),
    ),
}


@dataclass(frozen=True)
class Encoding:
    """Codec, quality and pixel format of a written video.

    Attributes:
        codec: ``h264``, ``hevc``, ``av1``, ``vp9``, ``prores`` or ``ffv1`` (lossless).
        quality: the encoder's constant rate factor, smaller is better; None: a value without visible loss.
        pixel_format: FFmpeg's name; None: the first that the codec lists (``yuv420p``, which every player shows).
        speed: x264's and x265's ``preset``; None: ``medium``.

    Raises:
        ConfigError: an unknown codec, or a value that it does not take.
    """

    codec: str = "h264"
    quality: int | None = None
    pixel_format: str | None = None
    speed: str | None = None
    _codec: Codec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise ConfigError(
                f"unknown codec {self.codec!r}{nearest(self.codec, CODECS)} (available: {', '.join(CODECS)})"
            )
        codec = CODECS[self.codec]
        object.__setattr__(self, "_codec", codec)
        if self.pixel_format is not None and self.pixel_format not in codec.formats:
            raise ConfigError(
                f"{self.codec} is not written as {self.pixel_format!r}{nearest(self.pixel_format, codec.formats)} "
                f"(possible: {', '.join(codec.formats)})"
            )
        if self.quality is not None and codec.quality is None:
            raise ConfigError(f"{self.codec} has no quality to choose")
        if self.quality is not None and codec.quality and not codec.quality[0] <= self.quality <= codec.quality[1]:
            raise ConfigError(
                f"the quality of {self.codec} is {codec.quality[0]} (best) to {codec.quality[1]}, got {self.quality}"
            )
        if self.speed is not None and not codec.encoder.startswith("libx26"):
            raise ConfigError(f"speed is a setting of h264 and hevc, not of {self.codec}")

    @property
    def format(self) -> str:
        """The pixel format that is written."""
        return self.pixel_format or self._codec.formats[0]

    def check_suffix(self, target: Path) -> None:
        """Raise a :class:`ConfigError` where such a file cannot hold the codec."""
        if target.suffix.lower() not in self._codec.suffixes:
            raise ConfigError(
                f"cannot write {str(target)!r}: {self.codec} is written into files ending in "
                f"{', '.join(self._codec.suffixes)}"
            )

    def padding(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns to add to a height and width, because subsampled colours come in pairs."""
        down = self.format.startswith("yuv420")
        right = down or self.format.startswith("yuv422")
        return size[0] % 2 if down else 0, size[1] % 2 if right else 0

    def add_stream(self, container: Any, size: tuple[int, int], rate: Fraction, colour: ColourTags) -> Any:
        """A video stream of a PyAV container for frames of this height and width, padding included."""
        if self.codec == "av1":
            # it talks to the terminal by itself: errors only
            os.environ.setdefault("SVT_LOG", "1")
        options = dict(self._codec.options)
        if self._codec.quality is not None:
            options["crf"] = str(self._codec.quality[2] if self.quality is None else self.quality)
        if self.speed is not None:
            options["preset"] = self.speed
        if self.codec == "h264" and _has_avx512():
            options["x264-params"] = _BEFORE_AVX512
        stream = container.add_stream(self._codec.encoder, rate=rate, options=options)
        stream.pix_fmt = self.format
        stream.height, stream.width = size
        context = stream.codec_context
        if self.codec == "h264":
            context.thread_count = _THREADS
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = self._tags(colour)
        return stream

    def frame(self, pixels: NDArray[np.uint8], turn: int, colour: ColourTags) -> Any:
        """A PyAV frame in the pixel format that is written.

        Args:
            pixels: uint8 RGB ``(H, W, 3)``, upright; rows and columns that are missing are repeated at the edge.
            turn: degrees, counter-clockwise, by which whoever shows the frame turns it.
            colour: tags of the video.
        """
        import av

        height, width = pixels.shape[:2]
        down, right = self.padding((height, width))
        if down or right:
            pixels = np.pad(pixels, ((0, down), (0, right), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(pixels, -turn // 90)), format="rgb24")
        _, _, matrix, color_range = colour.numbers()
        # players and readers take BT.601 and the limited range for what has no tag
        tags = {"dst_colorspace": 5 if matrix == 2 else matrix, "dst_color_range": color_range or 1}
        # One thread: with several, FFmpeg's conversion into more than 8 bits spoils a row of some frames.
        return frame.reformat(format=self.format, threads=1, **({} if self.format == "bgr0" else tags))

    def _tags(self, colour: ColourTags) -> tuple[int, int, int, int]:
        if self.format != "bgr0":
            return colour.numbers()
        primaries, transfer, _, _ = colour.numbers()
        return primaries, transfer, 0, 2


def _has_avx512() -> bool:
    import torch

    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def encoder_error(path: Path, error: Exception) -> VideoError:
    """The readable form of what an encoder or the file system said."""
    reason = getattr(error, "strerror", None) or error
    return VideoError(f"cannot write {str(path)!r}: {reason}")
