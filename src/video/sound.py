"""The sound of a video as samples, for what listens to it; what is written copies sound packet by packet."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError


class Sound(NamedTuple):
    """Mono sound.

    Attributes:
        samples: float32 (N,), about -1 to 1; silence where the file has gaps.
        rate: samples per second.
        start: time of the first sample in seconds, on the clock of ``reader.timestamps``.
    """

    samples: NDArray[np.float32]
    rate: int
    start: float


def read_sound(path: str | os.PathLike[str], rate: int = 8000, seconds: float | None = None) -> Sound:
    """Decode the first audio stream of a file, mixed to one channel.

    Args:
        path: a video or audio file.
        rate: samples per second wanted.
        seconds: how much of it, from its start; None: all (115 MB per hour at 8 kHz).

    Raises:
        VideoError: the file cannot be read, or has no sound.
    """
    import av

    path = Path(path)
    parts: list[tuple[int, NDArray[np.float32]]] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise VideoError(f"{str(path)!r} has no sound")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            limit = None if seconds is None else round(seconds * rate)
            frames = chain(container.decode(audio=0), (None,))  # None brings what the resampler holds back
            for made in chain.from_iterable(map(resampler.resample, frames)):
                begin = parts[-1][0] + len(parts[-1][1]) if parts else 0
                if made.pts is not None and made.time_base is not None:
                    begin = round(made.pts * made.time_base * rate)
                parts.append((begin, made.to_ndarray()[0]))
                if limit is not None and begin + made.samples - parts[0][0] >= limit:
                    break
    except av.error.FFmpegError as error:
        raise VideoError(f"cannot read the sound of {str(path)!r}: {error.strerror or error}") from error
    if not parts:
        raise VideoError(f"the sound of {str(path)!r} holds no samples")
    start = parts[0][0]
    samples = np.zeros(max(place + len(part) for place, part in parts) - start, np.float32)
    for place, part in parts:
        begin = max(place - start, 0)
        samples[begin : begin + len(part)] = part
    return Sound(samples[:limit], rate, start / rate)
