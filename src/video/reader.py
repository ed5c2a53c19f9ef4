"""Opening a video: a file through decord or PyAV, or a folder of frames."""

from __future__ import annotations

import copy
import fnmatch
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..core.errors import DataError, VideoError
from .base import Frames, VideoReader
from .decoders import Decoder, DecordDecoder, PyavDecoder, decoder_threads, decord_available, suits_decord
from .discover import IMAGE_SUFFIXES, list_frames
from .images import read_image
from .index import VideoIndex, build_index
from .info import VideoInfo, probe_file
from .tags import ColourTags
from .torchcodec_decoder import TorchcodecDecoder

Backend = Literal["auto", "decord", "pyav", "torchcodec"]
Access = Literal["random", "stream"]

FRAME_FOLDER_FPS = Fraction(25)


def open_video(
    path: str | os.PathLike[str], backend: Backend = "auto", *, only: str = "*", access: Access = "random"
) -> VideoReader:
    """Open a video file or a folder of frames.

    Frames are counted from the packets of the file, never taken from its header.

    Args:
        path: a video file, or a folder of images in natural order (``png jpg bmp tif ppm webp``; 25 fps).
        backend: ``"auto"`` takes decord where it is known to be right and PyAV otherwise (AV1, VP9, more than
            8 bit, alpha, rotation, irregular timestamps, unusual containers, no decord on this machine, or
            when decord fails); ``"decord"``, ``"pyav"`` and ``"torchcodec"`` (an optional package, never chosen by
            itself) insist. Frame folders need none of them.
        only: of a folder, the images whose names match this shell pattern (``"*_gt.png"``).
        access: ``"stream"`` says that the frames will be asked for in order; ``"auto"`` then takes PyAV, because decord
            keeps in memory what it decodes ahead, in the end the whole video. For the same reason ``iterate`` never
            goes through decord. The two convert colours with differences of at most one level.

    Raises:
        VideoError: when the path is missing, empty, truncated, without frames or not a video.
    """
    path = Path(path)
    if backend not in get_args(Backend):
        raise ValueError(f"backend is 'auto', 'decord', 'pyav' or 'torchcodec', not {backend!r}")
    if access not in get_args(Access):
        raise ValueError(f"access is 'random' or 'stream', not {access!r}")
    if path.is_dir():
        return FolderReader(path, only)
    if not path.exists():
        raise VideoError(f"there is no video {str(path)!r}")
    return FileReader(path, backend, access)


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Describe a video file or a folder of frames: format, colour tags, times, geometry, sound and subtitles.

    Raises:
        VideoError: as :func:`open_video` does.
    """
    with open_video(path) as reader:
        return reader.probe()


class FileReader(VideoReader):
    """Frames of a video file; see :func:`open_video`."""

    def __init__(self, path: Path, backend: Backend = "auto", access: Access = "random") -> None:
        self.path = path
        self.index: VideoIndex = build_index(path)
        self.fps = self.index.fps
        self.size = self.index.size
        self.timestamps = self.index.timestamps
        self._requested = backend
        self._decoder: Decoder | None = None
        self._process = -1
        self.backend: Literal["decord", "pyav", "torchcodec"]
        if backend == "auto":
            at_random = access == "random" and suits_decord(self.index) and decord_available()
            self.backend = "decord" if at_random else "pyav"
        else:
            self.backend = backend

    def probe(self) -> VideoInfo:
        return probe_file(self.index)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoder": None, "_process": -1}

    def close(self) -> None:
        if self._decoder is not None and self._process == os.getpid():
            self._decoder.close()
        self._decoder = None

    def _open(self) -> Decoder:
        # a decoder that came along through a fork shares the parent's file position and lacks its threads
        if self._process != os.getpid():
            self.close()
        if self._decoder is None:
            self._decoder = self._new_decoder()
            self._process = os.getpid()
        return self._decoder

    def _new_decoder(self) -> Decoder:
        if self.backend == "torchcodec":
            return TorchcodecDecoder(self.index, decoder_threads())
        return DecordDecoder(self.index) if self.backend == "decord" else PyavDecoder(self.index)

    def iterate(self, chunk: int = 16) -> Iterator[Frames]:
        """All frames in order, never through decord: see :class:`DecordDecoder`."""
        if self.backend != "decord":
            yield from super().iterate(chunk)
            return
        streaming = copy.copy(self)
        streaming.backend, streaming._decoder = "pyav", None
        with streaming:
            yield from streaming.iterate(chunk)

    def _read(self, indices: list[int]) -> Frames:
        try:
            return self._open().read(indices)
        except VideoError:
            self.close()
            if self.backend == "pyav" or self._requested != "auto":
                raise
        self.backend = "pyav"
        return self._read(indices)


class FolderReader(VideoReader):
    """Frames of a folder of images, all of one size; see :func:`open_video`."""

    def __init__(self, path: Path, only: str = "*") -> None:
        self.path = path
        try:
            self._files = [file for file in list_frames(path) if fnmatch.fnmatch(file.name, only)]
        except OSError as error:
            raise VideoError(f"cannot read the folder {str(path)!r}: {error.strerror or error}") from error
        if not self._files:
            kinds = " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
            named = "" if only == "*" else f" named {only}"
            raise VideoError(f"the folder {str(path)!r} holds no frames{named} (expected images: {kinds})")
        self.fps = FRAME_FOLDER_FPS
        self.timestamps = np.arange(len(self._files)) / float(self.fps)
        # kept until it is asked for, so that it is not decoded twice
        self._first: Frames | None = self._image(0)
        height, width = self._first.shape[:2]
        self.size = (height, width)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_first": None}

    def close(self) -> None:
        self._first = None

    def probe(self) -> VideoInfo:
        """What a video of these pictures would be: RGB, 25 frames per second, no sound."""
        seconds = len(self) / float(self.fps)
        return VideoInfo(
            path=self.path,
            container="folder",
            codec=self._files[0].suffix[1:].lower(),
            profile="",
            pixel_format="rgb24",
            bits=8,
            colour=ColourTags(matrix="gbr", range="pc"),
            size=self.size,
            rotation=0,
            sample_aspect=Fraction(1),
            frames=len(self),
            regular=True,
            exact_fps=self.fps,
            average_fps=float(self.fps),
            time_base=1 / self.fps,
            start=0.0,
            duration=seconds,
        )

    def _image(self, index: int) -> Frames:
        try:
            return read_image(self._files[index])
        except DataError as error:
            raise VideoError(f"frame {index} of {str(self.path)!r}: {error}") from error

    def _read(self, indices: list[int]) -> Frames:
        import torch

        frames = np.empty((len(indices), *self.size, 3), np.uint8)
        first, self._first = self._first, None

        def fill(place: int, index: int) -> None:
            """Read one frame into its place; a frame of another size is a VideoError that names its file."""
            image = first if index == 0 and first is not None else self._image(index)
            if image.shape[:2] != self.size:
                height, width = self.size
                raise VideoError(
                    f"frame {index} ({self._files[index].name!r}) of {str(self.path)!r} has "
                    f"{image.shape[1]}x{image.shape[0]} pixels where the first has {width}x{height}"
                )
            frames[place] = image

        # threads that end here: none is there when a process is forked
        with ThreadPoolExecutor(min(len(indices), decoder_threads() or torch.get_num_threads())) as pool:
            # in order, so that it is always the first bad frame that is told of
            for _ in pool.map(fill, range(len(indices)), indices):
                pass
        return frames
