"""Homographies between frames from matched features, as the measures of stabilization need them."""

from __future__ import annotations

import itertools
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .base import round_to_8bit
from .pair import Shared, Tensors, VideoPair

Features = Literal["sift", "klt"]
Gray = npt.NDArray[np.uint8]

_RATIO = 0.7  # Lowe's test: the best match has to be so much closer than the second
_THRESHOLD = 5.0  # pixels
_LEAST_MATCHES = 11


class Homographies(NamedTuple):
    """Homographies ``(K, 3, 3)`` float64; rows of NaN where too few features match."""

    between: Tensor
    onto: Tensor


def grey_frames(frames: Tensor) -> list[Gray]:
    """8-bit luma ``(H, W)`` of frames ``(T, 3, H, W)``."""
    import cv2

    images = (round_to_8bit(frames.detach()) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8) for image in images]


def homographies(pair: VideoPair, features: Features) -> Homographies:
    """Between consecutive frames of the result ``(T - 1, 3, 3)``, and from each input frame onto its result ``(T, 3,
    3)``.

    ``sift``: 1000 SIFT features, ratio test 0.7, RANSAC with 5 pixels, at least 11 matches, as the evaluation of
    DIFRINT (Choi and Kweon 2020) finds them. ``klt``: up to 1000 corners followed by pyramidal Lucas-Kanade and back,
    the same RANSAC; several times faster.
    """

    def compute() -> Tensors:
        made = _seen(pair.made, "result", pair.prediction, features)
        given = _seen(pair.truth, "input", pair.target, features)
        match = _match_sift if features == "sift" else _follow
        between = [match(a, b) for a, b in itertools.pairwise(made)]
        onto = [match(a, b) for a, b in zip(given, made, strict=True)]
        return {"between": _stacked(between), "onto": _stacked(onto)}

    found = pair.made.get(f"homographies_{features}", {"features": features}, compute)
    return Homographies(found["between"], found["onto"])


def _stacked(found: list[npt.NDArray[np.float64] | None]) -> Tensor:
    missing = np.full((3, 3), np.nan)
    if not found:
        return torch.zeros(0, 3, 3, dtype=torch.float64)
    return torch.from_numpy(np.stack([missing if each is None else each for each in found]))


class _Seen(NamedTuple):
    """A frame and its features: positions ``(N, 2)`` and, for SIFT, descriptors ``(N, 128)``."""

    grey: Gray
    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32] | None


def _seen(shared: Shared, what: str, frames: Tensor, features: Features) -> list[_Seen]:
    grey = grey_frames(frames)
    find = _sift if features == "sift" else _corners

    def compute() -> Tensors:
        found = [find(image) for image in grey]
        described = [d for _, d in found if d is not None]
        return {
            "counts": torch.tensor([len(points) for points, _ in found]),
            "points": torch.from_numpy(np.concatenate([np.zeros((0, 2), np.float32), *(p for p, _ in found)])),
            "descriptors": torch.from_numpy(np.concatenate([np.zeros((0, 128), np.float32), *described])),
        }

    stored = shared.get(f"{features}_of_{what}", {"features": features}, compute)
    counts = stored["counts"].tolist()
    points = np.split(stored["points"].numpy(), np.cumsum(counts)[:-1])
    if features == "klt":
        return [_Seen(image, p, None) for image, p in zip(grey, points, strict=True)]
    descriptors = np.split(stored["descriptors"].numpy(), np.cumsum(counts)[:-1])
    return [_Seen(*each) for each in zip(grey, points, descriptors, strict=True)]


def _sift(grey: Gray) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    import cv2

    create: Any = getattr(cv2, "SIFT_create")  # noqa: B009
    keys, descriptors = create(1000).detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    return np.array([key.pt for key in keys], np.float32), descriptors


def _corners(grey: Gray) -> tuple[npt.NDArray[np.float32], None]:
    import cv2

    found = cv2.goodFeaturesToTrack(grey, 1000, 0.01, max(4, min(grey.shape) // 60))
    return (np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2).astype(np.float32)), None


def _match_sift(first: _Seen, second: _Seen) -> npt.NDArray[np.float64] | None:
    import cv2

    assert first.descriptors is not None
    assert second.descriptors is not None
    if min(len(first.points), len(second.points)) < 2:
        return None
    matches = cv2.BFMatcher().knnMatch(first.descriptors, second.descriptors, k=2)
    good = [(m.queryIdx, m.trainIdx) for m, n in matches if m.distance < _RATIO * n.distance]
    if len(good) < _LEAST_MATCHES:
        return None
    one, two = np.array(good).T
    return _homography(first.points[one], second.points[two])


def _follow(first: _Seen, second: _Seen) -> npt.NDArray[np.float64] | None:
    import cv2

    if len(first.points) < _LEAST_MATCHES:
        return None
    follow: Any = cv2.calcOpticalFlowPyrLK
    there, found, _ = follow(first.grey, second.grey, first.points[:, None], None, winSize=(21, 21), maxLevel=4)
    back, again, _ = follow(second.grey, first.grey, there, None, winSize=(21, 21), maxLevel=4)
    away = np.abs(back[:, 0] - first.points).max(1)
    good = (found[:, 0] > 0) & (again[:, 0] > 0) & (away < 0.5)
    if good.sum() < _LEAST_MATCHES:
        return None
    return _homography(first.points[good], there[good, 0])


def _homography(one: npt.NDArray[np.float32], two: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    import cv2

    matrix, _ = cv2.findHomography(one.reshape(-1, 1, 2), two.reshape(-1, 1, 2), cv2.RANSAC, _THRESHOLD)
    return None if matrix is None else np.asarray(matrix, np.float64)
