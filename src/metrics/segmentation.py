"""Accuracy of label maps.

They compare ``pair.results["labels"]`` with ``pair.given["labels"]``, both ``(T, H, W)`` of whole numbers. True labels
outside ``[0, num_classes)``, such as 255, do not count. All but the boundary score pool pixels over the whole set.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import BenchmarkMetric, PooledMetric, ValueMetric
from .pair import VideoPair


def check_labels(metric: BenchmarkMetric, pair: VideoPair) -> tuple[Tensor, Tensor]:
    """Estimated and true labels ``(T, H, W)``; raise ``ValueError`` where they are missing or differ in size."""
    of = f" of the video {pair.video_id!r}" if pair.video_id else ""
    if "labels" not in pair.results:
        raise ValueError(f"{metric.key} needs the labels that a method found{of}, and there are none")
    if "labels" not in pair.given:
        raise ValueError(f"{metric.key} needs the true labels{of}, and the data set has none")
    made, true = pair.results["labels"], pair.given["labels"]
    if made.shape != true.shape or true.dim() != 3:
        raise ValueError(
            f"{metric.key} expects labels (T, H, W) of one shape{of}, got {tuple(made.shape)} and {tuple(true.shape)}"
        )
    return made, true


def confusion(made: Tensor, true: Tensor, classes: int) -> Tensor:
    """How many pixels of each true class (row) were given each class (column): ``(classes, classes)`` int64.

    Raises:
        ValueError: an estimated label is no class, where the true one is.
    """
    counts = (true >= 0) & (true < classes)
    made, true = made[counts].long(), true[counts].long()
    if made.numel() and (int(made.min()) < 0 or int(made.max()) >= classes):
        raise ValueError(
            f"the method gives labels from {int(made.min())} to {int(made.max())}, but there are {classes} classes "
            f"(0 to {classes - 1}); set num_classes, or map the labels"
        )
    return torch.bincount(true * classes + made, minlength=classes * classes).view(classes, classes)


def scores(matrix: Tensor) -> dict[str, Tensor]:
    """``iou`` per class (NaN for a class that occurs in neither), ``miou``, ``accuracy``, ``mean_accuracy`` and
    ``weighted_accuracy`` (IoU weighed by how often a class occurs) of a confusion matrix; float64."""
    m = matrix.double()
    hits, true, made = m.diag(), m.sum(1), m.sum(0)
    iou = hits / (true + made - hits)
    share = true / m.sum()
    return {
        "iou": iou,
        "miou": iou.nanmean(),
        "accuracy": hits.sum() / m.sum(),
        "mean_accuracy": (hits / true).nanmean(),
        "weighted_accuracy": (share * iou)[share > 0].sum(),
    }


class _PooledScore(PooledMetric):
    """A score of the confusion matrix over all pixels of all frames, in percent.

    Args:
        num_classes: true labels from 0 to below it count.

    Raises:
        ConfigError: fewer than two classes.
    """

    unit = "%"
    decimals = 2
    score = ""

    def __init__(self, num_classes: int = 21) -> None:
        if num_classes < 2:
            raise ConfigError(f"num_classes must be at least 2, got {num_classes}")
        super().__init__(num_classes * num_classes)
        self.num_classes = num_classes

    def counts(self, pair: VideoPair) -> Tensor:
        """The confusion matrix of the video, flat ``(1, num_classes ** 2)``."""
        made, true = check_labels(self, pair)
        identity = {"classes": self.num_classes}
        found = pair.made.get("confusion", identity, lambda: {"matrix": confusion(made, true, self.num_classes)})
        return found["matrix"].reshape(1, -1)

    def figure(self, total: Tensor) -> Tensor:
        """The score of a summed matrix."""
        return 100 * scores(total.view(self.num_classes, self.num_classes))[self.score]

    def update(self, labels: Tensor, true: Tensor) -> None:
        """Add label maps ``(T, H, W)``; they need no frames."""
        self.total = self.total + confusion(labels, true, self.num_classes).reshape(-1).to(self.total)


class MeanIoU(_PooledScore):
    """mIoU: intersection over union per class, pooled over the set, then the mean over the classes that occur.

    As PASCAL VOC and Cityscapes define it; a class in neither truth nor prediction does not count.
    """

    key = score = "miou"


class PixelAccuracy(_PooledScore):
    """The part of the pixels with the right label, pooled over the set."""

    key, score = "pixel_accuracy", "accuracy"


class BoundaryF(ValueMetric):
    """How well the edges of regions are met: the mean over the classes of a frame of F1, in percent.

    A boundary pixel of the result counts as right within ``tolerance`` of a true one of the same class, and the other
    way round (Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013).
    VOC has no labels along the edges of its objects: a pixel without a label takes the nearest one, so that the true
    edge runs in the middle; farther than ``tolerance`` from all labels nothing counts. A frame of a single region has
    no value.

    Args:
        num_classes: true labels from 0 to below it count.
        tolerance: as a part of the frame's diagonal; at least one pixel.

    Raises:
        ConfigError: fewer than two classes, or a tolerance that is not positive.
    """

    key = "boundary_f"
    unit = "%"
    decimals = 2

    def __init__(self, num_classes: int = 21, tolerance: float = 0.0075) -> None:
        super().__init__()
        if num_classes < 2 or tolerance <= 0:
            raise ConfigError(
                f"num_classes must be at least 2 and tolerance positive, got {num_classes} and {tolerance}"
            )
        self.num_classes, self.tolerance = num_classes, tolerance

    def values(self, pair: VideoPair) -> Tensor:
        """The score of each frame ``(T,)`` float64; NaN where nothing has an edge."""
        self.check(pair)
        made, true = (labels.cpu().numpy() for labels in check_labels(self, pair))
        return torch.tensor([self._frame(a, b) for a, b in zip(made, true, strict=True)], dtype=torch.float64)

    def update(self, labels: Tensor, true: Tensor) -> None:
        """Add label maps ``(T, H, W)``; they need no frames."""
        frames = torch.zeros(len(true), 3, *true.shape[1:])
        self.add(self.values(VideoPair(frames, frames, given={"labels": true}, results={"labels": labels})))

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values; frames without edges are left out."""
        counted = values[~torch.isnan(values)]
        return counted.sum(dtype=torch.float64), torch.tensor(counted.numel(), device=values.device)

    def _frame(self, made: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> float:
        counts = (true >= 0) & (true < self.num_classes)
        if not counts.any():
            return math.nan
        radius = max(1, math.ceil(self.tolerance * math.hypot(*true.shape)))
        true, counts = _filled(true, counts), _grown(counts, radius)
        found = []
        for label in np.union1d(made[counts], true[counts]):
            edges = [_edges(labels == label, counts) for labels in (made, true)]
            number = [int(edge.sum()) for edge in edges]
            if not any(number):
                continue
            near = [edge & _grown(other, radius) for edge, other in (edges, edges[::-1])]
            if not all(number):
                found.append(0.0)
                continue
            precision, recall = (int(hit.sum()) / count for hit, count in zip(near, number, strict=True))
            found.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        return 100 * float(np.mean(found)) if found else math.nan


def _filled(labels: npt.NDArray[np.int64], counts: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Where labels do not count, the nearest one that does."""
    import cv2

    if counts.all():
        return labels
    unknown = (~counts).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(nearest.max()) + 1, labels.dtype)
    table[nearest[counts]] = labels[counts]
    filled: npt.NDArray[np.int64] = table[nearest]
    return filled


def _edges(region: npt.NDArray[np.bool_], counts: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels of a region with a pixel that is not of it to the right or below, or the other way round."""
    edge = np.zeros_like(region)
    for axis in (0, 1):
        first, second = [slice(None)] * 2, [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        both = counts[tuple(first)] & counts[tuple(second)]
        step = (region[tuple(first)] != region[tuple(second)]) & both
        edge[tuple(first)] |= step & region[tuple(first)]
        edge[tuple(second)] |= step & region[tuple(second)]
    return edge


def _grown(edge: npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.bool_]:
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    return np.asarray(cv2.dilate(edge.astype(np.uint8), disc)) > 0
