"""Writing H.264 videos through PyAV; the file appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from ..core.files import atomic_path
from .base import VideoReader
from .carry import Carried, Kind, Span
from .encoding import Encoding
from .integrity import check_written
from .source import Clock, Source, read_source
from .tags import BT709

CONTAINER_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
_MAX_DENOMINATOR = 1_000_000
_FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: durations of frames are meant and passed on


class VideoWriter:
    """Writes frames as H.264 (yuv420p), which every player shows.

    For viewing only: the compression is lossy, so nothing is ever scored through it. Odd heights and widths
    are padded at the bottom and right by repeating the last row or column, because 4:2:0 subsampling needs
    even ones and H.264 cannot crop them by an odd number; see ``padding``. The file has its name only when it is
    complete: leaving the ``with`` block through an exception, a full disk or a failing encoder leave none behind.

    Without a source, colours are BT.709 in limited range. With one, the new file takes over its time stamps (of
    variable rate too), time base, colour tags, rotation, sample aspect, sound, subtitles, chapters and names:
    frame i is shown when frame i of the source was, and sound and subtitles are copied packet by packet, never
    encoded again. Frames are given as a reader gives them, upright.

    Args:
        path: file to write, with the suffix of a container (mp4, m4v, mov, mkv).
        fps: frames per second of a constant rate; floats are taken as the nearest fraction (29.97 stays 2997/100).
            Together with a source it replaces the source's times, from the same start on.
        size: height and width of the frames; None takes the source's.
        crf: x264's constant rate factor, 0 (best) to 51.
        source: the video that the frames were made from: a file, a folder of frames, or a reader.
        keep: kinds of streams to copy from the source.
        time_base: seconds per unit of time stamps; by default the source's, or one that ``fps`` fits in exactly.
            Matroska files count milliseconds whatever is asked for.
        span: the part of the source that the frames are of, its start and end in seconds on the clock of
            ``reader.timestamps``, which are then given as ``times``. The start becomes 0; of sound and subtitles the
            packets are copied that begin within it, so sound may begin up to one packet (20 to 30 ms) late.

    Attributes:
        padding: rows and columns that are added at the bottom and at the right.
        count: frames written so far.

    Raises:
        VideoError: when the suffix is unknown, the file cannot be written, a stream of the source does not fit
            into such a file, no frame was written, or fewer or more than the source has (unless ``fps`` or
            ``times`` say that they are others).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float | Fraction | None = None,
        size: tuple[int, int] | None = None,
        crf: int = 16,
        *,
        source: str | os.PathLike[str] | VideoReader | None = None,
        keep: Sequence[Kind] = ("audio", "subtitle"),
        time_base: Fraction | None = None,
        span: Span | None = None,
    ) -> None:
        self.path = Path(path)
        name = str(self.path)
        if self.path.suffix.lower() not in CONTAINER_SUFFIXES:
            known = " ".join(CONTAINER_SUFFIXES)
            raise VideoError(f"cannot write {name!r}: expected one of the suffixes {known}")
        self.source: Source | None = None if source is None else read_source(source)
        self._span = span
        if span is not None:
            if self.source is None or not 0 < span[1] - span[0] < math.inf:
                raise VideoError(f"cannot write {name!r}: the span {span} must have a source and a length above 0")
            self.source = replace(self.source, origin=Fraction(span[0]))
        size = size or (self.source.info.size if self.source else None)
        if size is None or (fps is None and time_base is None and self.source is None):
            raise VideoError(f"cannot write {name!r}: without a source it needs fps (or time_base) and size")
        self.fps = None if fps is None else Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
        self.size = (int(size[0]), int(size[1]))
        self.crf = crf
        self.keep = tuple(keep)
        if (self.fps is not None and self.fps <= 0) or min(self.size) < 1 or not 0 <= crf <= 51:
            raise VideoError(
                f"cannot write {name!r}: fps {fps} and size {self.size} must be positive and crf {crf} between 0 and 51"
            )
        self._encoding = Encoding("h264", quality=crf)
        self.padding = self._encoding.padding(self.size)
        if time_base is not None and time_base <= 0:
            raise VideoError(f"cannot write {name!r}: the time base {time_base} must be positive")
        self._clock = Clock(name, self.fps, self.source, time_base)
        self.time_base = self._clock.time_base
        self._colour = self.source.written_colour if self.source else BT709
        self._turn = 0
        self._reset()

    @property
    def count(self) -> int:
        """Frames written so far."""
        return self._clock.count

    def _reset(self) -> None:
        self._container: Any = None
        self._stream: Any = None
        self._carried: Carried | None = None
        self._held: Any = None  # the latest frame, until the next one tells how long it lasts
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        import av

        self._reset()
        self._clock.restart()
        temporary = self._temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            # a little sound before time 0 (the start-up of AAC) must not move everything else
            options = {"avoid_negative_ts": "disabled"}
            if self.time_base.denominator < 2**31 and self.path.suffix.lower() != ".mkv":
                # the second one is the unit of late starts and total durations, by default a millisecond
                options["video_track_timescale"] = str(self.time_base.denominator)
                options["movie_timescale"] = str(max(self.time_base.denominator, 1000))
            self._container = av.open(str(temporary), "w", options=options)
            self._stream = self._add_video_stream()
            if self.source is not None and self.source.path.is_file():
                self._carried = Carried(self.source.path, self._container, self.path, self.keep, self._span)
            # the header is written now, so that a stream that does not fit is known before the work is done
            self._container.start_encoding()
        except BaseException as error:
            self._abandon(error)
            if isinstance(error, (av.error.FFmpegError, OSError)):
                raise VideoError(f"cannot write {str(self.path)!r}: {error}") from error
            raise
        return self

    def _add_video_stream(self) -> Any:
        rate = self.fps or (self.source.fps if self.source else Fraction(25))
        if self.source is not None:
            # stored as in the source, turned by whoever shows it
            self._turn = self.source.info.rotation
        height, width = (side + more for side, more in zip(self.size, self.padding, strict=True))
        stored = (height, width) if self._turn % 180 == 0 else (width, height)
        stream = self._encoding.add_stream(self._container, stored, rate, self._colour)
        stream.time_base = stream.codec_context.time_base = self.time_base
        stream.codec_context.flags |= _FRAME_DURATION
        if self.source is not None:
            stream.codec_context.sample_aspect_ratio = self.source.info.sample_aspect
            if self._turn:
                stream.set_display_rotation(self._turn)
            stream.metadata.update(self.source.stream_tags)
        return stream

    def write(self, frames: NDArray[np.uint8], times: Sequence[float | Fraction] | None = None) -> None:
        """Append frames.

        Args:
            frames: uint8 RGB of shape (N, H, W, 3), with the H and W given at the start.
            times: N increasing times in seconds, on the clock of ``reader.timestamps``, rounded to the time base;
                by default those of the source, or those of the constant rate.

        Raises:
            ValueError: for frames of another shape or type, or times that do not fit.
            VideoError: when the file cannot be written, or the source has no more frames.
        """
        import av

        if self._container is None:
            raise VideoError(f"{str(self.path)!r} is not open: use the writer in a with block")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (*self.size, 3):
            raise ValueError(
                f"expected uint8 frames (N, {self.size[0]}, {self.size[1]}, 3), "
                f"got {frames.dtype} {tuple(frames.shape)}"
            )
        if times is not None and len(times) != len(frames):
            raise ValueError(f"got {len(times)} times for {len(frames)} frames")
        try:
            for place, pixels in enumerate(frames):
                stamp = self._clock.next(None if times is None else times[place])
                frame = self._encoding.frame(pixels, self._turn, self._colour)
                frame.pts, frame.time_base = stamp, self.time_base
                self._encode_held(stamp)
                self._held = frame
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"cannot write frame {self.count - 1} of {str(self.path)!r}: {error}") from error

    def _encode_held(self, until: int) -> None:
        """Encode the frame that is held back, now that it is known to last until a stamp."""
        if self._held is None:
            return
        frame, self._held = self._held, None
        frame.duration = until - frame.pts
        if self._carried is not None:
            self._carried.copy_until(float(frame.pts * self.time_base))
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import av

        if error is not None:
            self._abandon(error)
            return
        try:
            with self._stack:
                self._finish()
        except (av.error.FFmpegError, OSError) as problem:
            raise VideoError(f"cannot finish {str(self.path)!r}: {problem}") from problem
        finally:
            self._close()

    def _finish(self) -> None:
        self._clock.check_complete()
        self._encode_held(self._clock.end())
        self._container.mux(self._stream.encode(None))
        if self._carried is not None:
            self._carried.copy_until(math.inf)
        expected = {self._stream.index: self.count, **(self._carried.counts if self._carried else {})}
        self._container.close()
        self._close()
        check_written(self._temporary, self.path, expected)

    def _abandon(self, error: BaseException) -> None:
        self._close()
        # hand the exception to atomic_path, which then removes the temporary file
        self._stack.__exit__(type(error), error, error.__traceback__)

    def _close(self) -> None:
        container, self._container, self._stream, self._held = self._container, None, None, None
        carried, self._carried = self._carried, None
        if container is not None:
            # closing writes the trailer; on the way out of a failure that may fail as well
            with contextlib.suppress(Exception):
                container.close()
        if carried is not None:
            carried.close()
