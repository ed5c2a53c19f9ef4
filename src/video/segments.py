"""A video written in segments, each by itself, and joined without encoding anything again.

A segment is a Matroska file whose frames are numbered from 0, one millisecond each, because only their order counts:
the real times are given when the segments are joined. Each begins with a key frame and was encoded with the same
settings, so that the joined stream is one that an encoder could have written in one go.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from ..core.files import atomic_path
from .carry import Carried, Kind
from .encoding import Encoding, encoder_error
from .integrity import check_written
from .source import Clock, Source

_TICK = Fraction(1, 1000)


class SegmentWriter:
    """Encodes the frames of one segment; the file has its name only when it is complete. A context manager.

    Args:
        path: file to write, ending in ``.mkv``.
        encoding: codec, quality, pixel format.
        size: height and width of the upright frames that will be given.
        rate: mean frames per second, which encoders distribute bits by.
        source: gives colour tags, rotation and sample aspect.

    Attributes:
        count: frames written so far.

    Raises:
        VideoError: the file cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], encoding: Encoding, size: tuple[int, int], rate: Fraction, source: Source
    ) -> None:
        self.path, self.encoding, self.size, self.rate = Path(path), encoding, size, rate
        self.count = 0
        self._source, self._colour, self._turn = source, source.written_colour, source.info.rotation
        self._padding = encoding.padding(size)
        self._stack = contextlib.ExitStack()
        self._container: Any = None

    def __enter__(self) -> Self:
        import av

        self._temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            self._container = av.open(str(self._temporary), "w", format="matroska")
            height, width = (side + more for side, more in zip(self.size, self._padding, strict=True))
            stored = (height, width) if self._turn % 180 == 0 else (width, height)
            self._stream = self.encoding.add_stream(self._container, stored, self.rate, self._colour)
            self._stream.codec_context.time_base = 1 / self.rate
            self._stream.codec_context.sample_aspect_ratio = self._source.info.sample_aspect
            self._container.start_encoding()
        except BaseException as error:
            self._abandon(error)
            if isinstance(error, (av.error.FFmpegError, OSError)):
                raise encoder_error(self.path, error) from error
            raise
        return self

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Append uint8 RGB frames ``(N, H, W, 3)``, upright.

        Raises:
            ValueError: frames of another shape or type.
            VideoError: the file cannot be written.
        """
        import av

        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (*self.size, 3):
            raise ValueError(f"expected uint8 frames (N, {self.size[0]}, {self.size[1]}, 3), got {frames.shape}")
        try:
            for pixels in frames:
                frame = self.encoding.frame(pixels, self._turn, self._colour)
                frame.pts, frame.time_base = self.count, 1 / self.rate
                self._mux(self._stream.encode(frame))
                self.count += 1
        except (av.error.FFmpegError, OSError) as error:
            raise encoder_error(self.path, error) from error

    def _mux(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            # numbers of frames, whatever the unit
            number, order = (round(stamp * packet.time_base * self.rate) for stamp in (packet.pts, packet.dts))
            packet.pts, packet.dts, packet.time_base, packet.duration = number, order, _TICK, 1
            self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import av

        if error is not None:
            self._abandon(error)
            return
        try:
            with self._stack:
                self._mux(self._stream.encode(None))
                container, self._container = self._container, None
                container.close()
                check_written(self._temporary, self.path, {0: self.count})
        except (av.error.FFmpegError, OSError) as problem:
            raise encoder_error(self.path, problem) from problem
        finally:
            self._close()

    def _abandon(self, error: BaseException) -> None:
        self._close()
        # hand the exception to atomic_path, which then removes the temporary file
        self._stack.__exit__(type(error), error, error.__traceback__)

    def _close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(Exception):
                container.close()


def join_segments(
    parts: Sequence[Path],
    target: str | os.PathLike[str],
    source: Source,
    times: Sequence[float],
    time_base: Fraction,
    keep: Sequence[Kind] = ("audio", "subtitle"),
) -> None:
    """Put segments one behind the other into one file, with the sound, subtitles and tags of their source.

    Packets are copied. The last frame is shown as long as the last one of the source.

    Args:
        parts: segments, in order.
        target: file to write; it has its name only when it is complete.
        source: what the frames were made from.
        times: seconds of every frame, increasing, on the clock of ``reader.timestamps``.
        time_base: seconds per unit of the time stamps.
        keep: kinds of streams to copy from the source.

    Raises:
        VideoError: a segment cannot be read, the target cannot be written, or the number of frames is not that of
            ``times``.
    """
    import av

    path = Path(target)
    orders = _orders(parts)
    if len(orders) != len(times):
        raise VideoError(f"cannot finish {str(path)!r}: {len(orders)} frames are there, expected {len(times)}")
    clock = Clock(str(path), None, source, time_base)
    stamps = [clock.next(time) for time in times]
    end = stamps[-1] + max(round(source.last_duration * source.info.time_base / time_base), 1)
    delay = max(place - shown for place, shown in enumerate(orders))
    try:
        with atomic_path(path) as temporary:
            expected = _copy(parts, temporary, path, source, [*stamps, end], delay, time_base, keep)
            check_written(temporary, path, expected)
    except (av.error.FFmpegError, OSError) as error:
        raise encoder_error(path, error) from error


def _copy(
    parts: Sequence[Path],
    temporary: Path,
    path: Path,
    source: Source,
    stamps: Sequence[int],
    delay: int,
    time_base: Fraction,
    keep: Sequence[Kind],
) -> dict[int, int]:
    """Write the joined file; returns the packets of each stream; ``stamps`` holds the end of the last frame too."""
    import av

    # a little sound before time 0 (the start-up of AAC) must not move everything else
    options = {"avoid_negative_ts": "disabled"}
    if path.suffix.lower() == ".mkv":
        # without random numbers: the same video is the same file
        options["fflags"] = "+bitexact"
    if time_base.denominator < 2**31 and path.suffix.lower() != ".mkv":
        options["video_track_timescale"] = str(time_base.denominator)
        options["movie_timescale"] = str(max(time_base.denominator, 1000))
    step = max(stamps[1] - stamps[0], 1)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(av.open(str(temporary), "w", options=options))
        with av.open(str(parts[0])) as first:
            stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
        stream.time_base = time_base
        if source.info.rotation:
            stream.set_display_rotation(source.info.rotation)
        stream.metadata.update(source.stream_tags)
        carried = None
        if source.path.is_file():
            carried = Carried(source.path, output, path, keep)
            stack.callback(carried.close)
        output.start_encoding()
        place = 0
        for offset, packet in _packets(parts):
            shown = offset + packet.pts
            packet.stream, packet.time_base = stream, time_base
            packet.pts, packet.duration = stamps[shown], stamps[shown + 1] - stamps[shown]
            # decoding runs ahead of showing by as many frames as the encoder may have reordered
            packet.dts = stamps[place - delay] if place >= delay else stamps[0] - (delay - place) * step
            if carried is not None:
                carried.copy_until(float(stamps[shown] * time_base))
            output.mux(packet)
            place += 1
        if carried is not None:
            carried.copy_until(math.inf)
        return {stream.index: place, **(carried.counts if carried else {})}


def _packets(parts: Sequence[Path]) -> Iterator[tuple[int, Any]]:
    """Every packet in the order of decoding, with the number of frames in the segments before."""
    import av

    offset = 0
    for part in parts:
        count = 0
        with av.open(str(part)) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    assert packet.pts is not None  # every packet of a segment was given its time
                    packet.pts = round(packet.pts * packet.time_base / _TICK)
                    yield offset, packet
                    count += 1
        offset += count


def _orders(parts: Sequence[Path]) -> list[int]:
    """For every packet in the order of decoding the number of the frame that it shows."""
    import av

    try:
        orders = [offset + packet.pts for offset, packet in _packets(parts)]
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"cannot read a finished segment: {error}") from error
    if sorted(orders) != list(range(len(orders))):
        raise VideoError(f"the segments in {str(parts[0].parent)!r} are damaged: frames are missing")
    return orders
