"""Pictures and videos that a stage takes beside its own: read by frame number, fitted to its frames."""

from __future__ import annotations

import os
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError
from ..video import VideoReader, open_video, read_image
from ..video.discover import IMAGE_SUFFIXES
from ..video.montage import to_float


class Pictures:
    """One picture for all frames, or the frames of a video or folder, by number.

    Args:
        path: a picture, a video, or a folder of pictures.
        where: dotted path of the option, for messages.

    Raises:
        ConfigError: there is no such file.
        VideoError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], where: str) -> None:
        self.path, self.where = Path(path).expanduser(), where
        if not self.path.exists():
            raise ConfigError(f"{where}: there is no {str(self.path)!r}")
        self._still: Tensor | None = None
        self._reader: VideoReader | None = None
        if self.path.is_file() and self.path.suffix.lower() in IMAGE_SUFFIXES:
            self._still = to_float(read_image(self.path)[None])[0]
        else:
            self._reader = open_video(self.path, access="stream")

    def __len__(self) -> int:
        """Frames; 1 for a picture."""
        return 1 if self._reader is None else len(self._reader)

    @property
    def is_still(self) -> bool:
        """One picture for all frames."""
        return self._reader is None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        if self._still is not None:
            return int(self._still.shape[1]), int(self._still.shape[2])
        assert self._reader is not None
        return self._reader.size

    def frame(self, number: int) -> Tensor:
        """Frame ``(3, H, W)`` in [0, 1]; a video begins again after its end."""
        if self._still is not None:
            return self._still
        assert self._reader is not None
        return to_float(self._reader.get([number % len(self._reader)]))[0]


def cover(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture ``(3, h, w)`` scaled until it covers ``size`` (height, width), and cut about its centre."""
    height, width = size
    factor = max(height / picture.shape[1], width / picture.shape[2])
    scaled = (max(height, round(picture.shape[1] * factor)), max(width, round(picture.shape[2] * factor)))
    if scaled != tuple(picture.shape[1:]):
        picture = F.interpolate(picture[None], scaled, mode="bicubic", align_corners=False, antialias=factor < 1)[0]
    top, left = (scaled[0] - height) // 2, (scaled[1] - width) // 2
    return picture[:, top : top + height, left : left + width].clamp(0, 1)
