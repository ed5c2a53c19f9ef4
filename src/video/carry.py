"""What a new video takes over from its source unchanged: sound, subtitles, chapters, names and dates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from ..core.errors import VideoError

Kind = Literal["audio", "subtitle"]
Span = tuple[float, float]

# what a muxer writes by itself, or what is true of the source's packets only
_OWN_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
_STATISTICS = ("bps", "number_of_", "_statistics")
# containers whose clock starts anywhere (a broadcast's, a day's); their streams are moved to begin near 0
_FREE_CLOCKS = ("mpegts", "mpeg", "asf", "rtsp")
# seconds by which one stream of a file may be behind another
_INTERLEAVING = 10


class Carried:
    """Copies packets of a source into a container that is being written, as the video proceeds.

    Args:
        path: the source.
        output: the open PyAV container, its video stream already declared.
        target: file name for messages.
        keep: kinds of streams to copy.
        span: copy only packets that begin within these seconds of the source's clock, and let that time become 0.

    Attributes:
        counts: packets copied so far, by number of the stream in the output.
    """

    def __init__(self, path: Path, output: Any, target: Path, keep: Sequence[Kind], span: Span | None = None) -> None:
        import av

        self.path, self.counts = path, dict[int, int]()
        self._target = target
        self._output = output
        try:
            self._container: Any = av.open(str(path))
        except av.error.FFmpegError as error:
            raise VideoError(f"cannot read the source {str(path)!r}: {error.strerror or error}") from error
        try:
            self._shift = clock_origin(self._container) if span is None else Fraction(span[0])
            self._length = None if span is None else span[1] - span[0]
            streams = [stream for stream in self._container.streams if stream.type in keep]
            self._outputs = {stream.index: self._declare(stream) for stream in streams}
            self._copy_tags()
        except BaseException:
            self.close()
            raise
        self._packets: Iterator[Any] = self._container.demux(*streams) if streams else iter(())
        self._next: Any = None

    def _declare(self, stream: Any) -> Any:
        context = stream.codec_context
        codec = context.codec.canonical_name if context is not None else "unknown codec"
        names = {codec, context.name} if context is not None else set()
        what = f"the {stream.type} stream {stream.index} ({codec}) of {str(self.path)!r}"
        kept = "()" if stream.type == "audio" else '("audio",)'
        advice = f"write an .mkv file instead, or leave it out with keep={kept}"
        if not names & set(self._output.supported_codecs):
            raise VideoError(f"{self._target.suffix} files cannot hold {what}; {advice}")
        try:
            copy = self._output.add_stream_from_template(stream)
            copy.time_base = stream.time_base
        except Exception as error:
            raise VideoError(f"cannot copy {what} into {str(self._target)!r}: {error}; {advice}") from error
        copy_stream_tags(stream, copy)
        self.counts[copy.index] = 0
        return copy

    def _copy_tags(self) -> None:
        tags = portable_tags(self._container.metadata)
        if tags:
            self._output.metadata.update(tags)
        if hasattr(self._output, "set_chapters"):
            chapters = self._container.chapters()
            # those of a part would have to be divided
            if chapters and self._length is None:
                self._output.set_chapters(chapters)

    def copy_until(self, seconds: float) -> None:
        """Copy the packets that belong before a time of the output (infinity: all that are left)."""
        import av

        while True:
            try:
                packet = self._next if self._next is not None else next(self._packets, None)
            except av.error.FFmpegError as error:
                raise VideoError(
                    f"cannot read the sound or subtitles of {str(self.path)!r}: {error.strerror or error}"
                ) from error
            if packet is None:
                return
            self._next = packet
            if packet.size == 0:
                self._next = None
                continue
            if packet.is_corrupt:
                raise VideoError(f"the {packet.stream.type} stream of {str(self.path)!r} is damaged")
            stamp = packet.dts if packet.dts is not None else packet.pts
            time = None if stamp is None else stamp * packet.time_base - self._shift
            if time is not None and time > seconds:
                return
            self._next = None
            if time is not None and self._length is not None:
                if time > self._length + _INTERLEAVING:
                    self._packets = iter(())
                if not 0 <= time < self._length:
                    continue
            self._copy(packet)

    def _copy(self, packet: Any) -> None:
        if self._shift:
            units = round(self._shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - units
            packet.dts = None if packet.dts is None else packet.dts - units
        packet.stream = self._outputs[packet.stream_index]
        self.counts[packet.stream.index] += 1
        self._output.mux(packet)

    def close(self) -> None:
        container, self._container = self._container, None
        self._packets, self._next = iter(()), None
        if container is not None:
            with contextlib.suppress(Exception):
                container.close()


def clock_origin(container: Any) -> Fraction:
    """The time in seconds that becomes 0 in a copy; 0 where the container's own clock starts there."""
    if not any(name in container.format.name.split(",") for name in _FREE_CLOCKS):
        return Fraction(0)
    starts = [s.start_time * s.time_base for s in container.streams if s.start_time is not None]
    return min(starts, default=Fraction(0))


def copy_stream_tags(stream: Any, copy: Any) -> None:
    """Copy language, title and disposition (default, forced, …) of a stream."""
    tags = portable_tags(stream.metadata)
    if tags:
        copy.metadata.update(tags)
    copy.disposition = stream.disposition


def portable_tags(tags: dict[str, str]) -> dict[str, str]:
    """Those tags of a file or stream that are true of a new one as well."""
    return {
        key: value
        for key, value in tags.items()
        if key.lower() not in _OWN_TAGS and not key.lower().startswith(_STATISTICS)
    }
