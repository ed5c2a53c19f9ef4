"""What a video is, without its pixels: format, colour tags, times, geometry, sound and subtitles."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..core.errors import VideoError
from .index import VideoIndex
from .tags import ColourTags


@dataclass(frozen=True)
class AudioTrack:
    """One audio stream of a file.

    Attributes:
        index: number of the stream in the file.
        codec: FFmpeg's name, for example ``"aac"``.
        sample_rate: samples per second.
        channels: number of channels.
        layout: FFmpeg's name of their arrangement, for example ``"stereo"`` or ``"5.1"``.
        language: ISO 639 code as the file gives it, None without one.
    """

    index: int
    codec: str
    sample_rate: int
    channels: int
    layout: str
    language: str | None


@dataclass(frozen=True)
class SubtitleTrack:
    """One subtitle stream of a file: number of the stream, FFmpeg's name of the codec, language or None."""

    index: int
    codec: str
    language: str | None


@dataclass(frozen=True)
class VideoInfo:
    """What :func:`framewright.video.probe` finds out; frames and times are counted, not taken from a header.

    Attributes:
        path: the video file, or the folder of frames.
        container: FFmpeg's names of the container format, comma separated; ``"folder"`` for a folder of frames.
        codec: FFmpeg's name of the codec, for example ``"h264"``; the kind of image for a folder.
        profile: profile of the codec, for example ``"High 10"``; empty where there is none.
        pixel_format: FFmpeg's name, for example ``"yuv420p10le"``.
        bits: bits per component.
        colour: colour tags.
        size: height and width in pixels as a reader gives them, after ``rotation``.
        rotation: degrees counter-clockwise by which stored frames are turned to be shown (0, 90, 180, 270).
        sample_aspect: width over height of one stored pixel, before ``rotation``; 1 where the file says nothing.
            Readers give stored pixels and never stretch them.
        frames: number of frames.
        regular: whether all frames last equally long (up to the rounding of the file's time base).
        exact_fps: frames per second of a regular video, as the exact fraction that the file states
            (``30000/1001``); None for a video with a variable rate.
        average_fps: frames over seconds, measured.
        time_base: seconds per unit of the file's time stamps.
        start: time of the first frame in seconds.
        duration: seconds from the start of the first to the end of the last frame.
        audio: the audio streams.
        subtitles: the subtitle streams.
    """

    path: Path
    container: str
    codec: str
    profile: str
    pixel_format: str
    bits: int
    colour: ColourTags
    size: tuple[int, int]
    rotation: int
    sample_aspect: Fraction
    frames: int
    regular: bool
    exact_fps: Fraction | None
    average_fps: float
    time_base: Fraction
    start: float
    duration: float
    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()


def probe_file(index: VideoIndex) -> VideoInfo:
    """Describe an indexed video file."""
    import av

    try:
        with av.open(str(index.path)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            colour = ColourTags.from_numbers(
                int(context.color_primaries), int(context.color_trc), int(context.colorspace), int(context.color_range)
            )
            profile = stream.profile or ""
            aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
            audio = tuple(_audio(track) for track in container.streams.audio)
            subtitles = tuple(
                SubtitleTrack(track.index, _codec(track), _language(track)) for track in container.streams.subtitles
            )
    except av.error.FFmpegError as error:
        raise VideoError(f"cannot read the header of {str(index.path)!r}: {error.strerror or error}") from error
    length = int(index.pts[-1] - index.pts[0]) + index.last_duration
    duration = float(length * index.time_base)
    return VideoInfo(
        path=index.path,
        container=index.container,
        codec=index.codec,
        profile=profile,
        pixel_format=index.pixel_format,
        bits=index.bits,
        colour=colour,
        size=index.size,
        rotation=index.rotation,
        sample_aspect=Fraction(aspect) if aspect else Fraction(1),
        frames=len(index),
        regular=index.regular,
        exact_fps=index.fps if index.regular else None,
        average_fps=len(index) / duration if duration > 0 else float(index.fps),
        time_base=index.time_base,
        start=float(index.timestamps[0]),
        duration=duration,
        audio=audio,
        subtitles=subtitles,
    )


def _audio(stream: Any) -> AudioTrack:
    context = stream.codec_context
    if context is None:  # a codec that this FFmpeg cannot decode
        return AudioTrack(stream.index, _codec(stream), 0, 0, "", _language(stream))
    layout = context.layout
    return AudioTrack(
        stream.index,
        _codec(stream),
        context.sample_rate or 0,
        layout.nb_channels if layout else 0,
        layout.name if layout else "",
        _language(stream),
    )


def _codec(stream: Any) -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context is not None else "unknown"


def _language(stream: Any) -> str | None:
    language = stream.metadata.get("language")
    return None if language in (None, "", "und") else language
