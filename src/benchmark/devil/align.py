"""Aligning two frames by features: a similarity transform found robustly, and masks carried along by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

_MOST_FEATURES = 750
_RANSAC_PIXELS = 5.0


@dataclass(frozen=True)
class Features:
    """Points ``(K, 2)`` (x, y) of a frame and what they look like ``(K, 128)``."""

    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]

    def within(self, keep: Mask | None) -> Features:
        """Only the features on pixels where ``keep`` is true; None keeps all."""
        if keep is None or not len(self.points):
            return self
        columns, rows = self.points.astype(np.int64).T
        chosen = keep[rows, columns]
        return Features(self.points[chosen], self.descriptors[chosen])


def find_features(frame: Frame) -> Features:
    """SIFT features of an RGB frame ``(H, W, 3)`` uint8, about the 750 strongest.

    DEVIL has SURF in this place, which OpenCV's packages leave out.
    """
    import cv2

    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    points, descriptors = cv2.SIFT.create(_MOST_FEATURES).detectAndCompute(grey, None)
    if not points:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    return Features(np.array([point.pt for point in points], np.float32), np.asarray(descriptors, np.float32))


def find_transform(source: Features, target: Features) -> Matrix | None:
    """The matrix ``(2, 3)`` of rotation, scale and shift that brings ``source`` onto ``target``.

    Every feature is compared with every other, matches must be mutual, and RANSAC with 5 pixels chooses among
    them. None where that fails.
    """
    import cv2

    if not len(source.points) or not len(target.points):
        return None
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(target.descriptors, source.descriptors)
    if len(matches) < 2:
        return None
    sources = source.points[[match.trainIdx for match in matches]]
    targets = target.points[[match.queryIdx for match in matches]]
    # its random numbers start from the same state in every call
    matrix, _ = cv2.estimateAffinePartial2D(sources, targets, method=cv2.RANSAC, ransacReprojThreshold=_RANSAC_PIXELS)
    return None if matrix is None else np.asarray(matrix, np.float64)


def warp_frame(frame: Frame, matrix: Matrix) -> Frame:
    """The frame carried by a transform, bilinear, black where nothing comes from."""
    import cv2

    height, width = frame.shape[:2]
    return np.asarray(cv2.warpAffine(frame, matrix, (width, height)), np.uint8)


def warp_mask(mask: Mask, matrix: Matrix) -> Mask:
    """The pixels that a mask fills wholly after the transform."""
    import cv2

    height, width = mask.shape
    warped: Mask = cv2.warpAffine(mask.astype(np.float64), matrix, (width, height)) >= 1
    return warped
