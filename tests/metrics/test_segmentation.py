from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError
from framewright.metrics import BoundaryF, MeanIoU, PixelAccuracy, VideoPair, create_value_metric
from framewright.metrics.base import PooledMetric
from framewright.metrics.segmentation import confusion, scores
from PIL import Image
from torch import Tensor


def pair_of(made: Tensor, true: Tensor) -> VideoPair:
    frames = torch.zeros(len(true), 3, *true.shape[1:])
    return VideoPair(frames, frames, given={"labels": true}, results={"labels": made})


def test_by_hand_with_an_absent_class_and_ignored_pixels() -> None:
    true = torch.tensor([[[0, 0, 1, 255]]])
    made = torch.tensor([[[0, 1, 1, 2]]])
    metric = MeanIoU(num_classes=4)
    metric.add_pair(pair_of(made, true))
    # class 0: 1 of 2, class 1: 1 of 2; classes 2 and 3 occur in neither where it counts
    assert float(metric.compute()) == pytest.approx(50.0)
    accuracy = PixelAccuracy(num_classes=4)
    accuracy.add_pair(pair_of(made, true))
    assert float(accuracy.compute()) == pytest.approx(200 / 3)


def test_pixels_are_pooled_over_videos() -> None:
    one = pair_of(torch.tensor([[[0, 0, 0, 0]]]), torch.tensor([[[0, 0, 0, 1]]]))
    two = pair_of(torch.tensor([[[1]]]), torch.tensor([[[1]]]))
    metric = create_value_metric("miou", num_classes=2)
    assert isinstance(metric, PooledMetric)
    metric.add_pair(one)
    metric.add_pair(two)
    pooled = 100 * (3 / 4 + 1 / 2) / 2
    assert float(metric.compute()) == pytest.approx(pooled)
    # what a benchmark keeps of each video gives the same
    kept = torch.cat([metric.pair_features(pair)[0].float() for pair in (one, two)])
    assert float(metric.distance(kept, torch.zeros(2, 0))) == pytest.approx(pooled)
    metric.reset()
    metric.add_pair(two)
    assert float(metric.compute()) == pytest.approx(100.0)


def test_voc_samples(assets: Path) -> None:
    folder = assets / "segmentation" / "voc_samples"
    golden = json.loads((folder / "golden_miou.json").read_text(encoding="utf-8"))
    matrices = {}
    for name in ("1", "23", "114"):
        made, true = (
            torch.from_numpy(np.array(Image.open(folder / f"{name}_{kind}_index.png"))) for kind in ("pred", "label")
        )
        matrices[name] = confusion(made, true, 21)
    singles = [float(scores(matrix)["miou"]) for matrix in matrices.values()]
    assert singles == pytest.approx([0.969233, 0.966024, 0.963740], abs=1e-6)
    pooled = scores(sum(matrices.values(), torch.zeros(21, 21, dtype=torch.int64)))
    expected = [0.955355, 0.990673, 0.994285, 0.981836]
    names = ("miou", "accuracy", "mean_accuracy", "weighted_accuracy")
    assert [float(pooled[name]) for name in names] == pytest.approx(expected, abs=1e-6)
    assert "0.95535" in json.dumps(golden)


def test_a_label_that_is_no_class_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="set num_classes"):
        confusion(torch.tensor([7]), torch.tensor([1]), 5)
    assert confusion(torch.tensor([7]), torch.tensor([255]), 5).sum() == 0
    with pytest.raises(ConfigError, match="num_classes"):
        MeanIoU(num_classes=1)
    with pytest.raises(ValueError, match="one shape"):
        MeanIoU().counts(pair_of(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3)))


def square(left: int) -> Tensor:
    labels = torch.zeros(1, 100, 100, dtype=torch.int64)
    labels[:, 30:70, left : left + 40] = 1
    return labels


def test_boundary_f() -> None:
    metric = BoundaryF(num_classes=2, tolerance=0.01)  # two pixels of 141
    assert metric.values(pair_of(square(30), square(30))).tolist() == [100.0]
    assert float(metric.values(pair_of(square(31), square(30)))[0]) == 100.0
    shifted = float(metric.values(pair_of(square(40), square(30)))[0])
    # upper and lower sides overlap by three quarters, left and right ones do not
    assert 25 < shifted < 55
    assert float(metric.values(pair_of(torch.zeros_like(square(0)), square(30)))[0]) == 0.0
    nothing = metric.values(pair_of(torch.zeros_like(square(0)), torch.zeros_like(square(0))))
    assert math.isnan(float(nothing[0]))
    assert int(metric.summarise(nothing)[1]) == 0


def test_boundary_f_where_edges_have_no_label() -> None:
    """As in VOC, whose objects have a rim without labels."""
    metric = BoundaryF(num_classes=2, tolerance=0.01)
    true = square(30)
    grown = F.max_pool2d(true[:, None].float(), 5, 1, 2)[:, 0]
    shrunk = -F.max_pool2d(-true[:, None].float(), 5, 1, 2)[:, 0]
    rimmed = torch.where(grown == shrunk, true, 255)
    assert (rimmed == 255).any()
    assert float(metric.values(pair_of(true, rimmed))[0]) == 100.0
    assert float(metric.values(pair_of(square(45), rimmed))[0]) < 60
    # far from all labels nothing counts
    half = true.clone()
    half[:, :, 50:] = 255
    made = true.clone()
    made[:, 10:20, 70:80] = 1
    assert float(metric.values(pair_of(made, half))[0]) == 100.0
    nothing = metric.values(pair_of(true, torch.full_like(true, 255)))
    assert math.isnan(float(nothing[0]))
