"""Decoding with torchcodec, for those who have it and the FFmpeg libraries that it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from . import forks
from .index import VideoIndex


class TorchcodecDecoder:
    """Decodes with torchcodec, which finds frames exactly in every kind of file; 8 bit RGB as the others.

    Raises:
        VideoError: when torchcodec or its FFmpeg libraries are missing, when it cannot open the file, or when
            it sees other frames in it than the index does.
    """

    def __init__(self, index: VideoIndex, threads: int = 1) -> None:
        self._index = index
        name = str(index.path)
        forks.keep(self)
        make = _import_decoder(name)
        try:
            # its 0 lets FFmpeg choose, as ours does
            self._decoder: Any = make(
                name, dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode="exact", stream_index=index.stream
            )
            count = len(self._decoder)
        except Exception as error:
            raise VideoError(f"torchcodec cannot open {name!r}: {_reason(error)}") from error
        if count != len(index):
            raise VideoError(f"torchcodec counts {count} frames in {name!r}, its packets {len(index)}")

    def read(self, indices: list[int]) -> NDArray[np.uint8]:
        name = str(self._index.path)
        if self._decoder is None:
            raise VideoError(f"the decoder of {name!r} is closed")
        try:
            batch = self._decoder.get_frames_at(indices=indices)
        except Exception as error:
            raise VideoError(
                f"frames {indices[0]} to {indices[-1]} of {name!r} cannot be decoded: {_reason(error)}"
            ) from error
        pixels: NDArray[np.uint8] = batch.data.numpy()
        if pixels.shape != (len(indices), *self._index.size, 3):
            raise VideoError(f"torchcodec gives frames of shape {pixels.shape[1:]} for {name!r}")
        times = np.asarray(batch.pts_seconds, np.float64)
        wrong = np.abs(times - self._index.timestamps[indices]) > 0.5 / float(self._index.fps)
        if self._index.has_pts and wrong.any():
            frame = indices[int(np.argmax(wrong))]
            raise VideoError(f"torchcodec gives another frame for frame {frame} of {name!r}")
        return pixels

    def close(self) -> None:
        self._decoder = None


def _import_decoder(name: str) -> Any:
    try:
        from torchcodec.decoders import VideoDecoder
    except ModuleNotFoundError as error:
        raise VideoError(
            f"cannot read {name!r} with torchcodec: it is not installed here (pip install torchcodec; "
            "it also needs FFmpeg's shared libraries)"
        ) from error
    except Exception as error:
        raise VideoError(f"cannot read {name!r} with torchcodec: {_reason(error)}") from error
    return VideoDecoder


def _reason(error: BaseException) -> str:
    """One line of what can be a page: a missing library is reported with every attempt to load it."""
    text = str(error)
    if "libavutil" in text or "load libtorchcodec" in text or "FFmpeg is not properly installed" in text:
        return (
            "its FFmpeg libraries were not found, or its version does not fit this version of torch "
            "(install FFmpeg's shared libraries and the matching torchcodec)"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
