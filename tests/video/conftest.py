"""Videos made at test time: every frame shows its own number, so that a wrong frame is noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from .numbered import numbered_frame

Make = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> Make:
    """A function that encodes a numbered video; skips the test when the encoder is not in this PyAV."""
    av = pytest.importorskip("av")

    def make(
        name: str = "video.mp4",
        count: int = 60,
        size: tuple[int, int] = (48, 64),
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        options: dict[str, str] | None = None,
        stamps_ms: Sequence[int] | None = None,
        fps: Fraction = Fraction(25),
        sound: bool = False,
        muxer: dict[str, str] | None = None,
    ) -> Path:
        try:
            av.codec.Codec(codec, "w")
        except (av.error.FFmpegError, ValueError):
            pytest.skip(f"this PyAV has no encoder {codec}")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unit = Fraction(1, 1000) if stamps_ms is not None else 1 / fps
        with av.open(str(path), "w", options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=fps, options=options or {})
            stream.height, stream.width = size
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = unit
            audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(numbered_frame(number, *size), format="rgb24")
                frame.pts = number if stamps_ms is None else stamps_ms[number]
                frame.time_base = unit
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if audio is not None:
                silence = np.zeros((1, 1024), np.float32)
                for block in range(round(48000 * float(count / fps)) // 1024):
                    part = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                    part.sample_rate, part.pts, part.time_base = 48000, block * 1024, Fraction(1, 48000)
                    container.mux(audio.encode(part))
                container.mux(audio.encode(None))
        return path

    return make


@pytest.fixture
def frame_folder(tmp_path: Path) -> Make:
    """A function that writes a folder of numbered images without leading zeros."""
    from framewright.video import write_image

    def make(name: str = "frames", count: int = 12, size: tuple[int, int] = (37, 64), suffix: str = ".png") -> Path:
        folder = tmp_path / name
        for number in range(count):
            write_image(folder / f"frame{number}{suffix}", numbered_frame(number, *size))
        return folder

    return make
