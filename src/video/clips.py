"""Whole short clips as tensors: the two functions of the public API."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .reader import Backend, open_video
from .writer import VideoWriter


def load_video(path: str | os.PathLike[str], backend: Backend = "auto") -> Tensor:
    """Read a whole video file or frame folder into memory.

    Long videos are better read in chunks: :func:`framewright.video.open_video`.

    Returns:
        float32 RGB of shape (T, 3, H, W) in [0, 1].

    Raises:
        VideoError: when it cannot be read completely; names the file and the frame.
    """
    with open_video(path, backend) as reader:
        height, width = reader.size
        video = torch.empty(len(reader), 3, height, width)
        start = 0
        for frames in reader.iterate():
            chunk = torch.from_numpy(frames).permute(0, 3, 1, 2)
            video[start : start + len(frames)] = chunk.float().div_(255)
            start += len(frames)
    return video


def save_video(
    video: Tensor | NDArray[np.uint8],
    path: str | os.PathLike[str],
    fps: float | Fraction = 25,
    crf: int = 16,
) -> None:
    """Write a clip as H.264 (see :class:`framewright.video.VideoWriter`).

    Args:
        video: float tensor (T, 3, H, W) in [0, 1] (clipped, rounded to 8 bit), or uint8 array (T, H, W, 3).
        path: file to write (mp4, m4v, mov, mkv).
        fps: frames per second.
        crf: x264's constant rate factor, 0 (best) to 51.

    Raises:
        ValueError: for another shape or type.
        VideoError: when the file cannot be written.
    """
    if isinstance(video, Tensor):
        if video.ndim != 4 or video.shape[1] != 3 or not video.is_floating_point():
            raise ValueError(f"expected a float tensor (T, 3, H, W), got {video.dtype} {tuple(video.shape)}")
        size = (video.shape[2], video.shape[3])
    else:
        if video.ndim != 4 or video.shape[3] != 3 or video.dtype != np.uint8:
            raise ValueError(f"expected a uint8 array (T, H, W, 3), got {video.dtype} {tuple(video.shape)}")
        size = (video.shape[1], video.shape[2])
    with VideoWriter(path, fps, size, crf) as writer:
        for start in range(0, len(video), 16):
            chunk = video[start : start + 16]
            if isinstance(chunk, Tensor):
                pixels = chunk.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
                chunk = pixels.permute(0, 2, 3, 1).cpu().numpy()
            writer.write(chunk)
