"""The two libraries that decode video files, behind one small interface: frames by sorted index."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import VideoError
from . import forks
from .index import VideoIndex

_DECORD_CODECS = ("h264", "hevc", "mpeg4")
_DECORD_CONTAINERS = ("mp4", "matroska")


class Decoder(Protocol):
    """Decodes frames of one open file."""

    def read(self, indices: list[int]) -> NDArray[np.uint8]:
        """Frames (N, H, W, 3) of sorted, distinct indices; VideoError names file and frame."""
        ...

    def close(self) -> None: ...


def decoder_threads() -> int:
    """Decoder threads: one in a worker of a data loader, else 0, which lets the library choose."""
    from torch.utils.data import get_worker_info

    return 1 if get_worker_info() is not None else 0


class PyavDecoder:
    """Decodes with PyAV (FFmpeg): every codec, exact by presentation stamp."""

    def __init__(self, index: VideoIndex) -> None:
        from av.video.reformatter import VideoReformatter

        self._index = index
        self._position_of = {int(stamp): place for place, stamp in enumerate(index.pts)}
        self._container: Any = None
        # one for all frames: a frame that is converted by itself sets up the conversion anew
        self._converter = VideoReformatter()
        forks.keep(self)
        self._open()

    def _open(self) -> None:
        import av

        self.close()
        self._container = av.open(str(self._index.path))
        self._stream: Any = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = decoder_threads()
        self._frames: Iterator[Any] = self._container.decode(self._stream)
        self._next = 0  # position of the frame that comes next, in presentation order
        self._latest: tuple[int, Any] | None = None

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = self._stream = self._latest = None
            self._frames = iter(())

    def read(self, indices: list[int]) -> NDArray[np.uint8]:
        height, width = self._index.size
        frames = np.empty((len(indices), height, width, 3), np.uint8)
        for place, position in enumerate(indices):
            # one thread: with several, FFmpeg's conversion of more than 8 bits is not always the same
            pixels = self._converter.reformat(self._frame(position), format="rgb24", threads=1).to_ndarray()
            pixels = np.rot90(pixels, self._index.rotation // 90)
            if pixels.shape != frames.shape[1:]:
                raise self._error(
                    position,
                    f"has {pixels.shape[1]}x{pixels.shape[0]} pixels where the first has {width}x{height}",
                )
            frames[place] = pixels
        return frames

    def _frame(self, position: int) -> Any:
        if self._latest is not None and self._latest[0] == position:
            return self._latest[1]
        fresh = False
        keyframe = self._index.keyframe_before(position)
        if not self._next <= position or keyframe > self._next:
            fresh = self._seek(keyframe)
        frame = self._advance(position)
        if frame is None and not fresh:
            # the container's own index pointed past the frame: decode from the very start instead
            self._open()
            frame = self._advance(position)
        if frame is None:
            raise self._error(position, "cannot be decoded: the file is damaged there")
        return frame

    def _seek(self, keyframe: int) -> bool:
        """Go to a keyframe; True when that meant opening the file anew."""
        if not self._index.has_pts or keyframe == 0:
            self._open()
            return True
        self._container.seek(int(self._index.pts[keyframe]), stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._next = keyframe
        self._latest = None
        return False

    def _advance(self, position: int) -> Any:
        """Decode up to a position; None when that frame was passed over or came out damaged."""
        import av

        while True:
            try:
                frame = next(self._frames)
            except StopIteration:
                return None
            except av.error.FFmpegError as error:
                raise self._error(
                    self._next, f"cannot be decoded ({error.strerror or error}): the file is damaged there"
                ) from error
            if self._index.has_pts:
                place = self._position_of.get(frame.pts)
                if place is None:
                    continue
            else:
                place = self._next
            self._next = place + 1
            self._latest = (place, frame)
            if place == position:
                return None if frame.is_corrupt else frame
            if place > position:
                return None

    def _error(self, position: int, what: str) -> VideoError:
        return VideoError(f"frame {position} of {len(self._index)} of {str(self._index.path)!r} {what}")


class DecordDecoder:
    """Decodes with decord, which is faster at random access but knows only older formats.

    It is not for reading a file in order: decord decodes on in the background and keeps what nobody has asked for, in
    the end the rest of the file. After each read it is sent back to the start, which stops that.

    Raises:
        VideoError: when decord is missing, cannot open the file, or counts its frames otherwise than the
            index does. Asking decord for a frame that does not exist can block for ever inside native code.
    """

    def __init__(self, index: VideoIndex) -> None:
        self._index = index
        forks.keep(self)
        name = str(index.path)
        if not index.closed_gops:
            raise VideoError(f"decord would give wrong frames of {name!r}: its groups of pictures are open")
        decord = _import_decord()
        if decord is None:
            raise VideoError(f"cannot read {name!r} with decord: it is not installed here")
        try:
            self._reader: Any = decord.VideoReader(name, ctx=decord.cpu(0), num_threads=decoder_threads())
            count = len(self._reader)
            times = np.asarray(self._reader.get_frame_timestamp(range(count)))[:, 0]
        except Exception as error:
            raise VideoError(f"decord cannot open {name!r}: {_first_line(error)}") from error
        if count != len(index):
            raise VideoError(f"decord counts {count} frames in {name!r}, its packets {len(index)}")
        half_a_frame = 0.5 / float(index.fps)
        # decord counts times from the start of the file, some containers from elsewhere
        drift = (times - times[0]) - (index.timestamps - index.timestamps[0])
        if np.abs(drift).max() > half_a_frame:
            raise VideoError(f"decord orders the frames of {name!r} otherwise than their times say")

    def read(self, indices: list[int]) -> NDArray[np.uint8]:
        try:
            batch = self._reader.get_batch(indices)
            self._reader.seek(0)
        except Exception as error:
            raise VideoError(
                f"frames {indices[0]} to {indices[-1]} of {str(self._index.path)!r} cannot be decoded: "
                f"{_first_line(error)}"
            ) from error
        # a program may have switched decord's output type for itself
        pixels = np.asarray(batch.asnumpy() if hasattr(batch, "asnumpy") else batch)
        if pixels.shape != (len(indices), *self._index.size, 3):
            raise VideoError(f"decord gives frames of shape {pixels.shape[1:]} for {str(self._index.path)!r}")
        return pixels

    def close(self) -> None:
        self._reader = None


def suits_decord(index: VideoIndex) -> bool:
    """Whether decord is known to decode such a file rightly: its FFmpeg is of 2018, its seeking naive."""
    return (
        index.codec in _DECORD_CODECS
        and any(name in index.container.split(",") for name in _DECORD_CONTAINERS)
        and index.bits <= 8
        and "a" not in index.pixel_format.removeprefix("gray")
        and index.rotation == 0
        and index.regular
        # behind keyframes that are no clean cut (x265's default) it takes neighbouring frames for the wanted ones
        and index.closed_gops
    )


def decord_available() -> bool:
    """Whether decord can be imported (there are no wheels for many machines)."""
    return _import_decord() is not None


@functools.cache
def _import_decord() -> Any:
    """The module decord, or None.

    decord loads its library with RTLD_GLOBAL, and with it the zlib of 2005 that it carries. Whatever is loaded
    later finds that zlib instead of its own; OpenCV then cannot decode PNG. So the flag is withheld from it.
    """
    flag = ctypes.RTLD_GLOBAL
    setattr(ctypes, "RTLD_GLOBAL", ctypes.RTLD_LOCAL)  # noqa: B010  (declared constant)
    try:
        import decord
    except (ImportError, OSError):
        return None
    finally:
        setattr(ctypes, "RTLD_GLOBAL", flag)  # noqa: B010
    return decord


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
