"""What a video file really holds: frame count, times and keyframes, from its packets, not its header."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from .integrity import missing_bytes

_DEFAULT_FPS = Fraction(25)


@dataclass(frozen=True)
class VideoIndex:
    """The frames of the first video stream of a file, in presentation order.

    Attributes:
        path: the file.
        container: FFmpeg's names of the container format, comma separated.
        codec: FFmpeg's name of the codec, for example ``"h264"``.
        pixel_format: FFmpeg's name of the pixel format.
        bits: bits per component.
        rotation: degrees counter-clockwise by which a decoded frame has to be turned (0, 90, 180, 270).
        size: height and width after that rotation.
        fps: mean frames per second.
        pts: presentation stamps in units of ``time_base``, int64 (N,); a count unless ``has_pts``.
        time_base: seconds per unit of ``pts``.
        last_duration: how long the last frame is shown, in units of ``time_base``; an estimate for a variable
            rate, because MP4 stores distances of decoding times and Matroska stores nothing.
        stream: number of the stream in the file.
        keyframes: positions (in presentation order) of frames at which decoding can start, int64.
        has_pts: whether every packet has its own distinct stamp, without which the file cannot be sought in.
        regular: whether all frames last equally long (up to the rounding of the time base).
        closed_gops: whether no frame refers to one on the other side of a keyframe.
    """

    path: Path
    container: str
    codec: str
    pixel_format: str
    bits: int
    rotation: int
    size: tuple[int, int]
    fps: Fraction
    pts: NDArray[np.int64]
    time_base: Fraction
    last_duration: int
    stream: int
    keyframes: NDArray[np.int64]
    has_pts: bool
    regular: bool
    closed_gops: bool

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """Presentation times in seconds, (N,)."""
        return self.pts.astype(np.float64) * float(self.time_base)

    def keyframe_before(self, position: int) -> int:
        """The last keyframe at or before ``position``."""
        place = int(np.searchsorted(self.keyframes, position, side="right")) - 1
        return int(self.keyframes[place]) if place >= 0 else 0


def build_index(path: Path) -> VideoIndex:
    """Index a video file: all packets are read, one frame is decoded.

    The result is kept per process as long as the file's size and time of change stay the same.

    Raises:
        VideoError: when the file is missing, empty, truncated, without frames, or not a video.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise VideoError(f"cannot read the video {str(path)!r}: {error.strerror or error}") from error
    return _build(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _build(path: Path, size: int, changed: int) -> VideoIndex:
    import av

    if size == 0:
        raise VideoError(f"the video {str(path)!r} is empty (0 bytes)")
    missing = missing_bytes(path)
    if missing:
        raise VideoError(
            f"the video {str(path)!r} is truncated: it has {size} bytes, and {missing} more belong to it. "
            "Fetch or record it again."
        )
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{str(path)!r} holds no video stream")
            return _scan(container, path)
    except (av.error.FFmpegError, UnicodeError) as error:
        raise VideoError(
            f"{str(path)!r} cannot be read as a video: {getattr(error, 'strerror', None) or error}"
        ) from error


def _scan(container: Any, path: Path) -> VideoIndex:
    stream = container.streams.video[0]
    context = stream.codec_context
    stamps: list[int | None] = []
    keys: list[bool] = []
    durations: list[int] = []
    independent = True
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard or _is_hidden(packet, context.name):
            continue
        if packet.is_corrupt:
            raise VideoError(f"the video {str(path)!r} is truncated or damaged at frame {len(stamps)}")
        stamps.append(packet.pts)
        keys.append(packet.is_keyframe)
        durations.append(packet.duration or 0)
        independent = independent and (not packet.is_keyframe or _resets_decoder(packet, context))
    if not stamps:
        raise VideoError(f"the video {str(path)!r} holds no frames")

    nominal = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_FPS)
    known = [stamp for stamp in stamps if stamp is not None]
    has_pts = len(set(known)) == len(stamps)
    if has_pts:
        time_base = Fraction(stream.time_base)
        order = np.argsort(known, kind="stable")
        pts = np.asarray(known, np.int64)[order]
        keyframes = np.flatnonzero(np.asarray(keys)[order]).astype(np.int64)
        last_duration = durations[order[-1]] or _usual_step(pts, time_base, nominal)
    else:
        time_base = 1 / nominal
        pts = np.arange(len(stamps), dtype=np.int64)
        keyframes = np.zeros(1, np.int64)
        last_duration = 1
    _check_announced(stream, path, len(stamps), pts if has_pts else None)
    rotation, size = _first_frame(container, path)
    return VideoIndex(
        path=path,
        container=container.format.name,
        codec=context.codec.canonical_name,
        pixel_format=context.pix_fmt or "",
        bits=max((component.bits for component in context.format.components), default=8),
        rotation=rotation,
        size=size,
        fps=_mean_fps(pts, time_base, nominal),
        pts=pts,
        time_base=time_base,
        last_duration=last_duration,
        stream=stream.index,
        keyframes=keyframes,
        has_pts=has_pts,
        regular=has_pts and _is_regular(pts),
        closed_gops=has_pts and independent and _has_closed_gops(known, keys),
    )


def _is_hidden(packet: Any, codec: str) -> bool:
    """Whether a packet holds a frame that is only referred to, never shown (VP8, RFC 6386 section 9.1)."""
    return codec in ("vp8", "libvpx") and not bytes(packet)[0] >> 4 & 1


def _check_announced(stream: Any, path: Path, count: int, pts: NDArray[np.int64] | None) -> None:
    """Refuse a file whose header promises clearly more frames *and* more time than there is.

    Either alone is legitimate: an edit list hides frames, and headers of live recordings are estimates.
    """
    announced, duration = stream.frames, stream.duration
    if announced <= count or pts is None or duration is None or count < 2:
        return
    step = float(pts[-1] - pts[0]) / (count - 1)
    if duration - (pts[-1] - pts[0] + step) > max(2 * step, 0.01 * duration):
        raise VideoError(f"the video {str(path)!r} is truncated: it announces {announced} frames and holds {count}")


def _first_frame(container: Any, path: Path) -> tuple[int, tuple[int, int]]:
    container.seek(0, backward=True)
    container.streams.video[0].codec_context.thread_count = 1  # threads would cost more than one frame
    for frame in container.decode(video=0):
        rotation = round(frame.rotation / 90) % 4 * 90
        size = (frame.height, frame.width) if rotation % 180 == 0 else (frame.width, frame.height)
        return rotation, size
    raise VideoError(f"the video {str(path)!r} holds no frame that can be decoded")


def _usual_step(pts: NDArray[np.int64], time_base: Fraction, nominal: Fraction) -> int:
    """How long a frame lasts, for containers that do not say it of the last one."""
    if len(pts) > 1:
        return int(np.median(np.diff(pts)))
    return max(round(1 / (nominal * time_base)), 1)


def _is_regular(pts: NDArray[np.int64]) -> bool:
    if len(pts) < 3:
        return True
    steps = np.diff(pts)
    middle = float(np.median(steps))
    # a coarse time base rounds each stamp by up to half a unit
    return bool(np.abs(steps - middle).max() <= max(1.5, 0.1 * middle))


def _resets_decoder(packet: Any, context: Any) -> bool:
    """Whether a keyframe of H.264 or HEVC is an IDR picture; True for other codecs.

    Reads the NAL units of MP4 and Matroska, which carry their length in front (ISO/IEC 14496-15); where they
    are stored otherwise the answer is False.
    """
    codec, setup = context.codec.canonical_name, context.extradata or b""
    length_at = {"h264": 4, "hevc": 21}.get(codec)
    if length_at is None:
        return True
    if len(setup) <= length_at or setup[0] != 1:
        return False
    width = (setup[length_at] & 3) + 1
    content, position = bytes(packet), 0
    while position + width < len(content):
        header = content[position + width]
        if (header & 31) == 5 if codec == "h264" else (header >> 1 & 63) in (19, 20):
            return True
        position += width + int.from_bytes(content[position : position + width], "big")
    return False


def _has_closed_gops(stamps: list[int], keys: list[bool]) -> bool:
    """Judged from the stamps in decoding order."""
    latest_key = stamps[0]
    for stamp, key in zip(stamps, keys, strict=True):
        if key:
            latest_key = stamp
        elif stamp < latest_key:
            return False
    return True


def _mean_fps(pts: NDArray[np.int64], time_base: Fraction, nominal: Fraction) -> Fraction:
    if len(pts) < 2:
        return nominal
    measured = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    # the header's rate is the exact one (30000/1001) where it is right
    if abs(measured - nominal) <= nominal / 100:
        return nominal
    return measured.limit_denominator(1001)
