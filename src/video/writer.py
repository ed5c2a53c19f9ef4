"""Writing H.264 videos through PyAV; the file appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from ..core.files import atomic_path

CONTAINER_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
_MAX_DENOMINATOR = 1_000_000


class VideoWriter:
    """Writes frames as H.264 (yuv420p, BT.709, limited range), which every player shows.

    For viewing only: the compression is lossy, so nothing is ever scored through it. Odd heights and widths
    are padded by repeating the last row or column, because 4:2:0 subsampling needs even ones. Leaving the
    ``with`` block through an exception leaves no file behind.

    Args:
        path: file to write, with the suffix of a container (mp4, m4v, mov, mkv).
        fps: frames per second; floats are taken as the nearest fraction (29.97 stays 2997/100).
        size: height and width of the frames.
        crf: x264's constant rate factor, 0 (best) to 51.

    Raises:
        VideoError: when the suffix is unknown, the file cannot be written, or no frame was written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float | Fraction,
        size: tuple[int, int],
        crf: int = 16,
    ) -> None:
        self.path = Path(path)
        self.fps = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
        self.size = (int(size[0]), int(size[1]))
        self.crf = crf
        self._count = 0
        self._container: Any = None
        self._stream: Any = None
        self._stack = contextlib.ExitStack()
        if self.path.suffix.lower() not in CONTAINER_SUFFIXES:
            known = " ".join(CONTAINER_SUFFIXES)
            raise VideoError(f"cannot write {str(self.path)!r}: expected one of the suffixes {known}")
        if self.fps <= 0 or min(self.size) < 1 or not 0 <= crf <= 51:
            raise VideoError(
                f"cannot write {str(self.path)!r}: fps {float(self.fps):g} and size {self.size} must be "
                f"positive and crf {crf} between 0 and 51"
            )

    def __enter__(self) -> Self:
        import av

        self._stack = contextlib.ExitStack()
        temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            self._container = av.open(str(temporary), "w")
            stream = self._container.add_stream(
                "libx264", rate=self.fps, options={"crf": str(self.crf), "preset": "medium"}
            )
            stream.height, stream.width = (edge + edge % 2 for edge in self.size)
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.color_range = 1  # limited
            context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
            self._stream = stream
        except BaseException as error:
            self._close_container()
            # hand the exception to atomic_path, which then removes the temporary file
            self._stack.__exit__(type(error), error, error.__traceback__)
            if isinstance(error, (av.error.FFmpegError, OSError)):
                raise VideoError(f"cannot write {str(self.path)!r}: {error}") from error
            raise
        return self

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Append frames: uint8 RGB of shape (N, H, W, 3), with the H and W given at the start."""
        import av

        if self._container is None:
            raise VideoError(f"{str(self.path)!r} is not open: use the writer in a with block")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (*self.size, 3):
            raise ValueError(
                f"expected uint8 frames (N, {self.size[0]}, {self.size[1]}, 3), "
                f"got {frames.dtype} {tuple(frames.shape)}"
            )
        padding = ((0, 0), (0, self.size[0] % 2), (0, self.size[1] % 2), (0, 0))
        padded = np.pad(frames, padding, mode="edge")
        try:
            for pixels in padded:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                frame.pts = self._count
                frame.time_base = 1 / self.fps
                self._container.mux(self._stream.encode(frame))
                self._count += 1
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"cannot write frame {self._count} of {str(self.path)!r}: {error}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import av

        if kind is not None:
            self._close_container()
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            try:
                if self._count == 0:
                    raise VideoError(f"no frame was written to {str(self.path)!r}")
                self._container.mux(self._stream.encode(None))
                self._container.close()
            except (av.error.FFmpegError, OSError) as problem:
                raise VideoError(f"cannot finish {str(self.path)!r}: {problem}") from problem
            finally:
                self._close_container()

    def _close_container(self) -> None:
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            # closing writes the trailer; on the way out of a failure that may fail as well
            with contextlib.suppress(Exception):
                container.close()
