"""Several clips side by side with a label above each, as people compare results."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_STRIP = 18


def to_uint8(frames: Tensor) -> NDArray[np.uint8]:
    """``(T, 3, H, W)`` in [0, 1] as rounded 8-bit ``(T, H, W, 3)``."""
    array = frames.detach().float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1)
    return np.ascontiguousarray(array.cpu().numpy())


def to_float(frames: NDArray[np.uint8]) -> Tensor:
    """8-bit ``(T, H, W, 3)`` as float32 ``(T, 3, H, W)`` in [0, 1]."""
    count, height, width, channels = frames.shape
    video = torch.empty(count, channels, height, width)
    return video.copy_(torch.from_numpy(frames).permute(0, 3, 1, 2)).div_(255)


def side_by_side(clips: Mapping[str, Tensor]) -> NDArray[np.uint8]:
    """Clips of equal shape ``(T, 3, H, W)`` in [0, 1] next to each other, each under its label.

    Returns:
        uint8 ``(T, strip + H, n * W, 3)``.
    """
    shapes = {tuple(clip.shape) for clip in clips.values()}
    if len(shapes) != 1:
        raise ValueError(f"clips shown side by side must have one shape, got {sorted(shapes)}")
    columns = []
    for label, clip in clips.items():
        frames = to_uint8(clip)
        strip = np.broadcast_to(_label(label, frames.shape[2]), (len(frames), _STRIP, frames.shape[2], 3))
        columns.append(np.concatenate([strip, frames], axis=1))
    return np.concatenate(columns, axis=2)


def _label(text: str, width: int) -> NDArray[np.uint8]:
    import cv2

    strip = np.zeros((_STRIP, width, 3), np.uint8)
    # the drawing function knows ASCII only
    shown = text.encode("ascii", "replace").decode()
    while len(shown) > 3 and cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] > width - 6:
        shown = shown[:-1]
    cv2.putText(strip, shown, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return strip
