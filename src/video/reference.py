"""A reference for style: an image, or some frames of a video."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import DataError
from .discover import IMAGE_SUFFIXES
from .images import read_image
from .reader import open_video


def read_reference(path: str | os.PathLike[str], frames: int = 8, size: int | None = 512) -> Tensor:
    """Frames of an image file, a video file or a folder of frames, as float32 RGB ``(S, 3, h, w)`` in [0, 1].

    Grey images get three equal channels.

    Args:
        path: of the image, video or folder.
        frames: at most so many, evenly spread over a video.
        size: longer side in pixels to which larger ones are shrunk (with antialiasing); None: not at all.

    Raises:
        DataError: there is no such file, or it is no image.
        VideoError: it is no video that can be read.
        ValueError: no frames, or a size below 1.
    """
    if frames < 1 or (size is not None and size < 1):
        raise ValueError(f"a reference has at least 1 frame and 1 pixel, got frames={frames} and size={size}")
    place = Path(path)
    if not place.exists():
        raise DataError(f"there is no reference {str(path)!r}: expected an image, a video or a folder of frames")
    if place.is_file() and place.suffix.lower() in IMAGE_SUFFIXES:
        pixels = read_image(place)[None]
    else:
        with open_video(place) as reader:
            wanted = np.linspace(0, len(reader) - 1, min(frames, len(reader))).round().astype(int)
            pixels = reader.get(wanted.tolist())
    clip = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float().div(255)
    longer = max(clip.shape[2:])
    if size is None or longer <= size:
        return clip.contiguous()
    smaller = [max(1, round(side * size / longer)) for side in clip.shape[2:]]
    return F.interpolate(clip, smaller, mode="bilinear", align_corners=False, antialias=True)
