"""Ground truth per task as tensors in framewright's conventions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .sampling import FloatArray
from .scene import Scene, SceneFrame


def to_tensor(image: FloatArray) -> Tensor:
    """``(H, W, 3)`` to a ``(3, H, W)`` tensor."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def to_video(images: Sequence[FloatArray]) -> Tensor:
    """Frames ``(H, W, 3)`` to a ``(T, 3, H, W)`` tensor."""
    return torch.stack([to_tensor(image) for image in images])


def flow_truth(scene: Scene, source: SceneFrame, time: float) -> tuple[Tensor, Tensor]:
    """Flow ``(2, H, W)`` from a frame to a time, and occlusion ``(1, H, W)`` float32 with 1 = occluded."""
    flow, occluded = scene.flow(source, time)
    return torch.from_numpy(flow), torch.from_numpy(occluded.astype(np.float32))[None]


def label_truth(scene: Scene, frame: SceneFrame) -> Tensor:
    """Labels ``(H, W)`` int64."""
    return torch.from_numpy(scene.labels(frame))


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), dtype=np.uint8)


def make_trimap(alpha: FloatArray, radius: int) -> FloatArray:
    """A trimap ``(H, W)``: 0 background, 1 foreground, 0.5 within ``radius`` pixels of any fractional alpha.

    Alpha within 1/512 of 0 or 1 counts as 0 or 1. A hard edge between the two is unknown too.
    """
    opaque = (alpha > 1 - 1 / 512).astype(np.uint8)
    seen = (alpha > 1 / 512).astype(np.uint8)
    disc = _disc(max(1, radius))
    sure, possible = cv2.erode(opaque, disc), cv2.dilate(seen, disc)
    # where alpha is fractional, `opaque` is 0 and `seen` is 1, so eroding and dilating leave a band around it
    return np.where(sure > 0, np.float32(1), np.where(possible > 0, np.float32(0.5), np.float32(0)))


def inner_radius(alpha: FloatArray) -> float:
    """The radius in pixels of the largest disc inside the opaque part of an alpha ``(H, W)``."""
    opaque = (alpha > 1 - 1 / 512).astype(np.uint8)
    return float(cv2.distanceTransform(opaque, cv2.DIST_L2, 5).max())


def matting_truth(scene: Scene, frame: SceneFrame, radius: int) -> dict[str, Tensor]:
    """The nearest object as a matting problem.

    Returns:
        ``image`` (3, H, W), ``alpha`` (1, H, W), ``trimap`` (1, H, W), ``foreground`` (3, H, W: colour of the
        object, defined in the whole frame) and ``background`` (3, H, W: the plate without the object), with
        ``image = alpha * foreground + (1 - alpha) * background`` to float precision.
    """
    alpha, plate = frame.alpha(-1), frame.composite(without=-1)
    foreground = scene.foreground(frame.time)
    image = plate + alpha[..., None] * (foreground - plate)
    return {
        "image": to_tensor(image),
        "alpha": torch.from_numpy(alpha)[None],
        "trimap": torch.from_numpy(make_trimap(alpha, radius))[None],
        "foreground": to_tensor(foreground),
        "background": to_tensor(plate),
    }


def removal_mask(frame: SceneFrame, grow: int) -> FloatArray:
    """Hole ``(H, W)``: 1 wherever the nearest object has any alpha, grown by ``grow`` pixels."""
    support = (frame.alpha(-1) > 0).astype(np.uint8)
    return np.asarray(cv2.dilate(support, _disc(grow)) if grow > 0 else support, dtype=np.float32)


def low_resolution(high: Tensor, scale: int) -> Tensor:
    """Antialiased bicubic reduction of ``(..., 3, H, W)`` by a whole factor, clamped to [0, 1].

    Raises:
        ValueError: height or width is not a multiple of ``scale``.
    """
    height, width = high.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"size {height}x{width} is not a multiple of the scale {scale}")
    flat = high.reshape(-1, *high.shape[-3:])
    low = F.interpolate(
        flat, size=(height // scale, width // scale), mode="bicubic", antialias=True, align_corners=False
    )
    return low.clamp_(0, 1).reshape(*high.shape[:-2], height // scale, width // scale)


def trajectory_truth(scene: Scene, times: npt.ArrayLike) -> tuple[Tensor, Tensor]:
    """Camera path ``(T, 4)`` float32 as seen (with shake) and as intended (without)."""
    seen = torch.from_numpy(scene.trajectory(times)).float()
    return seen, torch.from_numpy(scene.trajectory(times, smooth=True)).float()
