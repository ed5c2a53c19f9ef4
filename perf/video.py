"""Reading 16-frame clips through framewright against decord itself; run by hand.

Run ``python perf/video.py [--clips 40] [--rounds 7]``. Makes an H.264 video of noise (2 B-frames, a keyframe every
30 frames) per size, then reads the same random clips through both, clip by clip in turns within one process, with
one decoder thread each. Printed is the median over rounds of the ratio of times: it can be compared between machines,
frames per second cannot. "opened anew" opens the file for every clip, after it was indexed once in the process;
"first opening" indexes it every time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from framewright.video import decoders, index, open_video

SIZES = ((240, 432), (720, 1280))
LENGTH = 16
Read = Callable[[list[int]], Any]


def make_video(path: Path, size: tuple[int, int], frames: int) -> None:
    """Moving noise, as hard to decode as a detailed film."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (size[0] // 4, size[1] // 4, 3)).astype(np.uint8)
    picture = coarse.repeat(4, axis=0).repeat(4, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(25), options={"crf": "20", "bf": "2", "g": "30", "preset": "fast"}
        )
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            noise = rng.integers(0, 12, picture.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(np.roll(picture, (number, 2 * number), (0, 1)) // 2 + noise, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def seconds(read: Read, clip: list[int]) -> float:
    """Time to read a clip."""
    start = time.perf_counter()
    frames = read(clip)
    elapsed = time.perf_counter() - start
    assert frames.shape[0] == LENGTH
    return elapsed


def compare(name: str, ours: Read, raw: Read, clips: list[list[int]], rounds: int) -> None:
    """Read every clip with both, taking turns at being first; print frames per second and the ratio of times."""
    ratios, rates = [], []
    for number in range(rounds + 1):
        times = np.zeros(2)
        for place, clip in enumerate(clips):
            order = (0, 1) if (number + place) % 2 else (1, 0)
            for which in order:
                times[which] += seconds((ours, raw)[which], clip)
        if number:  # the first round warms up
            ratios.append(times[0] / times[1])
            rates.append(len(clips) * LENGTH / times)
    ours_rate, raw_rate = np.median(rates, axis=0)
    print(
        f"{name:36s} framewright {ours_rate:5.0f}/s   decord {raw_rate:5.0f}/s   "
        f"time ratio {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
        flush=True,
    )


def main() -> None:
    """Three lines per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if not decoders.decord_available():
        raise SystemExit("decord is not installed here: there is nothing to compare with")
    # through the reader's import, which keeps decord from hiding the system's zlib
    decord = decoders._import_decord()
    decoders.decoder_threads = lambda: 1
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size[1]}x{size[0]}.mp4"
            frames = 300 if size[0] < 500 else 150
            make_video(path, size, frames)
            count = arguments.clips if size[0] < 500 else max(arguments.clips // 4, 4)
            clips = [list(range(s, s + LENGTH)) for s in rng.integers(0, frames - LENGTH, count).tolist()]
            reader = open_video(path, "decord")
            raw = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
            assert np.array_equal(reader.get(clips[0]), raw.get_batch(clips[0]).asnumpy())
            label = f"{size[1]}x{size[0]}, 16-frame clips"
            compare(label, reader.get, lambda clip, raw=raw: raw.get_batch(clip).asnumpy(), clips, arguments.rounds)

            def fresh(clip: list[int], path: Path = path) -> Any:
                with open_video(path, "decord") as opened:
                    return opened.get(clip)

            def fresh_raw(clip: list[int], path: Path = path) -> Any:
                return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1).get_batch(clip).asnumpy()

            def first(clip: list[int], fresh: Read = fresh) -> Any:
                index._build.cache_clear()
                return fresh(clip)

            compare(f"{label}, opened anew", fresh, fresh_raw, clips, arguments.rounds)
            compare(f"{label}, first opening", first, fresh_raw, clips, arguments.rounds)


if __name__ == "__main__":
    main()
