"""Small videos in which cuts, motion, blur and sound are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from framewright.video import VideoWriter
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Make = Callable[..., Path]

SIZE = (48, 64)
RATE = 48000


def texture(seed: int, size: tuple[int, int] = (160, 240)) -> Frames:
    """Soft coloured blobs; each seed has colours of its own."""
    import cv2

    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8)
    tint = rng.integers(0, 160, 3)
    soft = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(soft // 3 + tint, np.uint8)


def scene(seed: int, count: int, step: float = 1.0, start: int = 0) -> Frames:
    """A window of 64x48 that moves over a texture by ``step`` pixels per frame."""
    image = texture(seed)
    places = [round(step * (start + n)) % 170 for n in range(count)]
    return np.stack([image[40 : 40 + SIZE[0], x : x + SIZE[1]] for x in places])


def wandering(count: int, start: int = 0) -> Frames:
    """A window whose way never repeats itself; ``start`` shifts it in time."""
    image = texture(5)
    n = np.arange(start, start + count)
    x = (80 + 40 * np.sin(n / 7) + 30 * np.sin(n / 17 + 1)).round().astype(int)
    y = (50 + 25 * np.cos(n / 11) + 15 * np.sin(n / 5)).round().astype(int)
    return np.stack([image[b : b + SIZE[0], a : a + SIZE[1]] for a, b in zip(x, y, strict=True)])


def clicks(seconds: float, delay: float = 0.0) -> NDArray[np.float32]:
    """Clicks at irregular times, ``delay`` seconds late, with a little noise of their own."""
    sound = np.random.default_rng(round(abs(delay) * 1e4)).normal(0, 1e-3, round(seconds * RATE)).astype(np.float32)
    for time in (0.31, 0.55, 1.02, 1.17, 1.64, 2.33, 2.41, 3.05):
        place = round((time + delay) * RATE)
        if 0 <= place < len(sound) - 96:
            sound[place : place + 96] += 0.7 * np.hanning(96).astype(np.float32)
    return sound


@pytest.fixture
def write(tmp_path: Path) -> Make:
    """A function that writes frames, at 25 fps or at given times, with sound if any is given."""

    def make(
        frames: Frames,
        name: str = "video.mp4",
        times: Sequence[float] | None = None,
        fps: Fraction = Fraction(25),
        sound: NDArray[np.float32] | None = None,
    ) -> Path:
        path = tmp_path / name
        silent = path if sound is None else tmp_path / f"silent_{name}"
        unit = Fraction(1, 1000) if times is not None else None
        with VideoWriter(silent, None if times is not None else fps, SIZE, crf=8, time_base=unit) as writer:
            writer.write(frames, times)
        if sound is not None:
            _add_sound(silent, path, sound)
        return path

    return make


def _add_sound(silent: Path, path: Path, sound: NDArray[np.float32]) -> None:
    import av

    with av.open(str(silent)) as source, av.open(str(path), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = picture
                container.mux(packet)
        for start in range(0, len(sound) - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
