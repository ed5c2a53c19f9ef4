"""Errors of optical flow: values worked out by hand, pooling, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.metrics import FlowMetric, VideoPair, create_metric
from torch import Tensor

KEYS = ("epe", "epe_matched", "epe_unmatched", "epe_s0_10", "epe_s10_40", "epe_s40plus")
KEYS += ("fl_all", "px1", "px3", "px5", "wauc")


def pair(made: Tensor, /, **given: Tensor) -> VideoPair:
    frames = torch.zeros(len(made), 3, *made.shape[2:])
    return VideoPair(frames, frames, given=given, results={"flow": made})


def metric(key: str, **options: Any) -> FlowMetric:
    made = create_metric(key, **options)
    assert isinstance(made, FlowMetric)
    return made


def row(*errors: float, speed: float = 0.0) -> tuple[Tensor, Tensor]:
    """Estimated and true flow ``(1, 2, 1, N)`` with these errors; the truth moves down, the error points right."""
    made = torch.zeros(1, 2, 1, len(errors))
    made[0, 0, 0] = torch.tensor(errors)
    true = torch.zeros_like(made)
    made[0, 1] = true[0, 1] = speed
    return made, true


def value(key: str, made: Tensor, /, **given: Tensor) -> float:
    return float(metric(key).values(pair(made, **given))[0])


def test_end_point_error_is_a_length() -> None:
    made, true = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4)
    made[:, 0], made[:, 1] = 3, -4
    assert value("epe", made, flow=true) == 5


def test_pixels_without_truth_do_not_count_whatever_they_hold() -> None:
    made, true = row(1, 2, 1e6)
    valid = torch.tensor([1.0, 1, 0]).reshape(1, 1, 1, 3)
    assert value("epe", made, flow=true, valid=valid) == 1.5
    assert value("px1", made, flow=true, valid=valid) == 50


def test_visible_and_hidden_pixels_are_told_apart() -> None:
    made, true = row(1, 2, 6)
    hidden = torch.tensor([0.0, 0, 1]).reshape(1, 1, 1, 3)
    assert value("epe_matched", made, flow=true, occlusion=hidden) == 1.5
    assert value("epe_unmatched", made, flow=true, occlusion=hidden) == 6


@pytest.mark.parametrize(
    ("speed", "key"),
    [(0.0, "epe_s0_10"), (9.99, "epe_s0_10"), (10.0, "epe_s10_40"), (39.9, "epe_s10_40"), (40.0, "epe_s40plus")],
)
def test_speed_classes_follow_the_true_flow(speed: float, key: str) -> None:
    made, true = row(100.0, speed=speed)
    found = {name: value(name, made, flow=true) for name in KEYS if name.startswith("epe_s")}
    assert [name for name, number in found.items() if not np.isnan(number)] == [key]


def test_an_outlier_of_kitti_is_wrong_by_three_pixels_and_by_a_twentieth() -> None:
    # the limits themselves are no outliers
    made, true = row(3.0, 3.01)
    assert value("fl_all", made, flow=true) == 50
    made, true = row(4.9, 5.1, speed=100.0)
    assert value("fl_all", made, flow=true) == 50
    made, true = row(2.9, speed=1.0)
    assert value("fl_all", made, flow=true) == 0


def test_outlier_rates_are_percent_above_their_limit() -> None:
    made, true = row(0.5, 1.0, 2.0, 4.0, 6.0)
    assert [value(key, made, flow=true) for key in ("px1", "px3", "px5")] == [pytest.approx(r) for r in (60, 40, 20)]


def test_weighted_area_equals_its_definition() -> None:
    rng = np.random.default_rng(0)
    errors = np.concatenate([rng.gamma(1.5, 1.2, 400), [0.0, 5.0, 5.01]]).astype(np.float32)
    made, true = row(*errors.tolist())
    steps = np.arange(1, 101)
    weights = 1 - (steps - 1) / 100
    rates = [(errors.astype(np.float64) <= step / 20).mean() for step in steps]
    expected = 100 * (weights * rates).sum() / weights.sum()
    assert value("wauc", made, flow=true) == pytest.approx(expected, abs=1e-9)
    assert value("wauc", row(0.0)[0], flow=row(0.0)[1]) == 100
    assert create_metric("wauc").higher_is_better


@pytest.mark.parametrize(("pool", "expected"), [("pixels", (3 * 1.0 + 1 * 9.0) / 4), ("images", (1.0 + 9.0) / 2)])
def test_pooling_over_pixels_and_over_images(pool: str, expected: float) -> None:
    measure = metric("epe", pool=pool)
    made, true = (torch.cat(parts) for parts in zip(row(1, 1, 1), row(9, 0, 0), strict=True))
    valid = torch.tensor([[1.0, 1, 1], [1, 0, 0]]).reshape(2, 1, 1, 3)
    together = pair(made, flow=true, valid=valid)
    assert measure.values(together).tolist() == [1, 9]
    measure.update(made, true, valid)
    assert float(measure.compute()) == expected
    # in two portions, as validation batches come
    parts = metric("epe", pool=pool)
    for index in (0, 1):
        parts.update(made[index : index + 1], true[index : index + 1], valid[index : index + 1])
    assert float(parts.compute()) == expected


def test_a_flow_without_pixels_of_the_class_is_left_out() -> None:
    measure = metric("epe_s40plus")
    for made, true in (row(1.0, speed=50.0), row(7.0, speed=1.0)):
        measure.update(made, true)
    assert float(measure.compute()) == 1
    nothing = metric("epe")
    nothing.update(*row(1.0), valid=torch.zeros(1, 1, 1, 1))
    assert torch.isnan(nothing.compute())


def test_what_is_missing_is_said() -> None:
    made, true = row(1.0)
    frames = torch.zeros(1, 3, 1, 1)
    with pytest.raises(ValueError, match="epe needs the optical flow that a method estimated"):
        metric("epe").values(VideoPair(frames, frames, given={"flow": true}))
    with pytest.raises(ValueError, match="the data set has none"):
        metric("epe").values(pair(made))
    with pytest.raises(ValueError, match="epe_unmatched needs a map of occluded pixels"):
        metric("epe_unmatched").values(pair(made, flow=true))
    with pytest.raises(ValueError, match="of one shape"):
        metric("epe").values(pair(made, flow=torch.zeros(1, 2, 1, 2)))
    with pytest.raises(ConfigError, match="pool must be"):
        create_metric("epe", pool="videos")


def test_metrics_of_one_method_share_nothing_that_differs() -> None:
    """Two metrics that differ in one option only, measured on one pair."""
    made, true = row(2.0, 4.0)
    both = pair(made, flow=true)
    assert [float(metric(key).values(both)[0]) for key in ("px1", "px3", "px5", "epe", "fl_all")] == [100, 50, 0, 3, 50]
