"""The motion of the camera between two frames, from where some of their points went."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.errors import ConfigError

Points = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
MotionModel = Literal["similarity", "homography"]

_LEAST_POINTS = 6


class Fit(NamedTuple):
    """A fitted motion.

    Attributes:
        matrix: similarity ``(2, 3)`` on pixel coordinates ``(x, y, 1)``.
        inliers: ``(N,)`` bool, the points that follow it.
    """

    matrix: Matrix
    inliers: npt.NDArray[np.bool_]


def grid_points(height: int, width: int, step: int = 8) -> Points:
    """Pixel positions ``(N, 2)`` x, y on a grid, one ``step`` away from the edges, row by row; frames too small for
    that have their central pixel."""
    rows, columns = np.arange(step, height - step, step), np.arange(step, width - step, step)
    rows = rows if len(rows) else np.array([height // 2])
    columns = columns if len(columns) else np.array([width // 2])
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.stack((x, y), -1).reshape(-1, 2).astype(np.float32)


def fit_similarity(
    points: Points, moved: Points, threshold: float = 1.0, confidence: float = 0.99, iterations: int = 2000
) -> Fit | None:
    """The similarity that most points follow: RANSAC, then least squares over its inliers, as OpenCV does it.

    Args:
        points, moved: ``(N, 2)`` positions in the first and the second frame.
        threshold: distance in pixels up to which a point follows.
        confidence: of having found the best, which ends the search.
        iterations: at most.

    Returns:
        None where there are too few points, or they do not determine a similarity.
    """
    import cv2

    if len(points) < _LEAST_POINTS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        points, moved, method=cv2.RANSAC, ransacReprojThreshold=threshold, confidence=confidence, maxIters=iterations
    )
    if matrix is None or not np.isfinite(matrix).all() or np.hypot(matrix[0, 0], matrix[1, 0]) < 1e-3:
        return None
    return Fit(np.asarray(matrix, np.float64), np.asarray(inliers, bool).reshape(-1))


def fit_homography(points: Points, moved: Points, threshold: float = 1.0, confidence: float = 0.99) -> Fit | None:
    """The similarity nearest to the homography that most points follow.

    The homography decides which points follow the camera; over those the similarity is fitted by least squares, so
    that perspective does not count as a foreground. Arguments and result as for :func:`fit_similarity`.
    """
    import cv2

    if len(points) < 2 * _LEAST_POINTS:
        return None
    found: Any = cv2.findHomography(points, moved, cv2.RANSAC, threshold, confidence=confidence)
    matrix, inliers = found
    if matrix is None:
        return None
    followed = np.asarray(inliers, bool).reshape(-1)
    if followed.sum() < 2 * _LEAST_POINTS:
        return None
    nearest = weighted_similarity(points[followed], moved[followed], np.ones(int(followed.sum())))
    return None if nearest is None else Fit(nearest, followed)


def weighted_similarity(points: Points, moved: Points, weights: npt.NDArray[np.floating]) -> Matrix | None:
    """The similarity ``(2, 3)`` with the least weighted squared distances; None where all points are one."""
    p, q = (np.asarray(each, np.float64) @ np.array([1.0, 1j]) for each in (points, moved))
    w = np.asarray(weights, np.float64)
    total = w.sum()
    if total <= 0:
        return None
    p_mean, q_mean = (w * p).sum() / total, (w * q).sum() / total
    spread = (w * np.abs(p - p_mean) ** 2).sum()
    if spread <= 1e-9:
        return None
    z = (w * np.conj(p - p_mean) * (q - q_mean)).sum() / spread
    shift = q_mean - z * p_mean
    return np.array([[z.real, -z.imag, shift.real], [z.imag, z.real, shift.imag]])


def distances(matrix: Matrix, points: Points, moved: Points) -> npt.NDArray[np.float64]:
    """How far ``(N,)`` each point is from where a motion ``(2, 3)`` takes it."""
    expected = points.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(np.hypot(*(expected - moved).T), np.float64)


def refine(
    matrix: Matrix,
    points: Points,
    moved: Points,
    trust: npt.NDArray[np.floating],
    threshold: float = 1.0,
    rounds: int = 3,
) -> Matrix:
    """A similarity improved by reweighted least squares with Tukey's weights.

    Args:
        matrix: to begin with ``(2, 3)``.
        points, moved: ``(N, 2)``.
        trust: ``(N,)`` weight of each point, for example low where something moves by itself.
        threshold: points farther than three times this do not count.
        rounds: of reweighting.
    """
    for _ in range(rounds):
        ratio = distances(matrix, points, moved) / (3 * threshold)
        better = weighted_similarity(points, moved, trust * np.clip(1 - ratio**2, 0, None) ** 2)
        if better is None:
            break
        matrix = better
    return matrix


def textured(grey: npt.NDArray[np.uint8], points: Points, least: float = 1e-4, block: int = 7) -> npt.NDArray[np.bool_]:
    """Which points ``(N,)`` have structure in two directions, so that flow there can be believed.

    Args:
        grey: ``(H, W)``.
        points: ``(N, 2)`` pixel positions.
        least: smaller eigenvalue of the mean structure tensor of grey values in [0, 1] that counts as structure.
        block: size of the neighbourhood in pixels.
    """
    import cv2

    smaller = cv2.cornerMinEigenVal(grey.astype(np.float32) / 255, block, ksize=3)
    x, y = points.astype(int).T
    found: npt.NDArray[np.bool_] = smaller[y, x] > least
    return found


def luma_change(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    """Mean absolute difference of two grey frames in [0, 1]."""
    return float(np.abs(before.astype(np.int16) - after).mean() / 255)


def fit(points: Points, moved: Points, model: MotionModel, threshold: float) -> Fit | None:
    """:func:`fit_similarity`, or :func:`fit_homography` where at least half of the points follow one.

    Raises:
        ConfigError: an unknown model.
    """
    if model not in ("similarity", "homography"):
        raise ConfigError(f"model must be 'similarity' or 'homography', got {model!r}")
    if model == "homography":
        found = fit_homography(points, moved, threshold)
        if found is not None and found.inliers.mean() >= 0.5:
            return found
    return fit_similarity(points, moved, threshold)
