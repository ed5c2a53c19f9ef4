"""A tiny video with sound and uneven times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.pipeline import Settings

STAMPS = [0, 40, 100, 120, 200, 333, 360, 400, 444, 520, 600, 610]
HEIGHT, WIDTH = 24, 32


def pixels(number: int) -> np.ndarray:
    """A bright square that moves over a fixed pattern."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frame = np.stack([60 + 5 * ((x // 3 + y // 3) % 8), 70 + 3 * y, 90 + 2 * x], -1).astype(np.uint8)
    frame[6:14, 2 + number : 10 + number] = (220, 180, 40)
    return frame


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve frames at uneven times, with a tone."""
    return write_video(tmp_path / "source.mp4")


def write_video(path: Path, stamps: list[int] = STAMPS, sound: bool = True) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        track = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(pixels(number), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for block in range(30 if track is not None else 0):
            tone = np.sin(np.arange(1024)[None] * 0.05).astype(np.float32)
            part = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = 48000, block * 1024, Fraction(1, 48000)
            container.mux(track.encode(part))
        if track is not None:
            container.mux(track.encode(None))
    return path


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time and contents of every packet of sound."""
    import av

    with av.open(str(path)) as container:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


@pytest.fixture
def settings() -> Settings:
    return Settings(torch.device("cpu"))
