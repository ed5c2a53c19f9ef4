"""Losses of style transfer that need no trained network, and temporal consistency."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.datamodules.scenes import ScenesDataset
from framewright.losses import (
    PatchStatisticsLoss,
    PerceptualLoss,
    RecycleAdversarialLoss,
    RecycleReconstructionLoss,
    StructureLoss,
    StyleMomentsLoss,
    SyntheticWarpLoss,
    TemporalWarpLoss,
)
from framewright.ops.synthetic_motion import SyntheticMotion
from framewright.ops.warp import warp
from torch import Tensor


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    data = ScenesDataset("style", 64, 64, appearances=["dusk"], settings={"quality": "exact"})
    samples = [data.sample(0, np.random.default_rng(i)) for i in range(2)]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def test_structure_ignores_colours_and_sees_edges(batch: dict[str, Tensor]) -> None:
    loss, a = StructureLoss(), batch["a"]
    warm = a * torch.tensor([0.9, 0.7, 0.5]).view(3, 1, 1)
    assert loss({"fake_b": a}, batch) == 0
    recoloured, other, blurred = (
        float(loss({"fake_b": made}, batch))
        for made in (warm, batch["b"], torch.nn.functional.avg_pool3d(a, (1, 7, 7), 1, (0, 3, 3)))
    )
    assert recoloured < 0.3 * blurred < 0.6 * other


def test_patch_statistics_ignore_places_and_see_palettes(batch: dict[str, Tensor]) -> None:
    b = batch["b"]
    mirrored = {"fake_b": b.flip(-1)}
    palette = PatchStatisticsLoss(patches=(1,), scales=1)
    assert palette(mirrored, batch) < 1e-6
    assert palette({"fake_b": batch["a"]}, batch) > 0.05
    # patches of several pixels know directions
    turned = {"fake_b": b.transpose(-1, -2)}
    strokes = PatchStatisticsLoss(patches=(5,), scales=1)
    assert palette(turned, batch) < 1e-6 < strokes(turned, batch)
    made = batch["a"].clone().requires_grad_()
    strokes({"fake_b": made}, batch).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="patches of 5 pixels do not fit into 4x4"):
        strokes({"fake_b": b[..., :4, :4]}, {"b": b[..., :4, :4]})


def test_what_moves_with_the_scene_is_consistent(batch: dict[str, Tensor]) -> None:
    loss = TemporalWarpLoss()
    steady = float(loss({"fake_b": batch["a"]}, batch))
    flicker = batch["a"] + 0.1 * (torch.arange(3) % 2).view(3, 1, 1, 1)
    assert steady < 0.03
    assert 0.08 < float(loss({"fake_b": flicker}, batch)) < 0.14
    still = batch["a"][:, :1].expand_as(batch["a"])
    assert loss({"fake_b": still}, batch) > 2 * steady
    assert loss({"fake_b": batch["a"][:, :1]}, {"a": batch["a"][:, :1]}) == 0
    found = float(TemporalWarpLoss(flow="farneback")({"fake_b": flicker}, {"a": batch["a"]}))
    assert 0.05 < found < 0.16
    with pytest.raises(ConfigError, match=r"loss\.temporal\.flow=farneback"):
        loss({"fake_b": flicker}, {"a": batch["a"]})


def test_a_network_that_follows_motion_loses_nothing(batch: dict[str, Tensor]) -> None:
    loss = SyntheticWarpLoss(noise=2.0, shift=3.0, cell=16, blur=9)
    motion = loss.motion.draw(2, 64, 64, torch.Generator().manual_seed(1))
    last = batch["a"][:, -1]
    outputs = {"fake_b": 1 - batch["a"], "moved_b": 1 - warp(last, motion), "motion": motion}
    assert loss(outputs) < 1e-6
    assert loss({**outputs, "moved_b": 1 - last}) > 0.005


def test_synthetic_motion_is_smooth_bounded_and_repeatable() -> None:
    draw = SyntheticMotion()
    one, two = (draw.draw(3, 70, 130, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (3, 2, 70, 130)
    assert one.diff(dim=-1).abs().max() < 1
    assert one.abs().max() < 10 + 4 * 8
    still = SyntheticMotion(noise=0.0, shift=3.0).draw(1, 20, 20)
    torch.testing.assert_close(still, still[..., :1, :1].expand_as(still))
    with pytest.raises(ConfigError, match="cell and blur of 1 or more"):
        SyntheticMotion(cell=0)


def test_reconstruction_sums_or_averages_over_frames() -> None:
    a, b = torch.zeros(1, 4, 3, 8, 8), torch.ones(1, 4, 3, 8, 8)
    outputs = {"recycled_a": torch.full((1, 2, 3, 8, 8), 0.25), "recycled_b": torch.full((1, 2, 3, 8, 8), 0.5)}
    batch = {"a": a, "b": b}
    assert float(RecycleReconstructionLoss("recycle")(outputs, batch)) == pytest.approx(2 * 2 * 0.75)
    assert float(RecycleReconstructionLoss("recycle", ["a"], "mean")(outputs, batch)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="recycled_a"):
        RecycleReconstructionLoss("recycle")({**outputs, "recycled_a": torch.zeros(1, 3, 3, 8, 8)}, batch)
    with pytest.raises(ConfigError, match="domains"):
        RecycleReconstructionLoss("recycle", ["c"])


def test_paper_and_code_differ_in_the_predictors() -> None:
    scores = {f"scores_D_{name}": torch.arange(4.0).view(4, 1, 1, 1) for name in "AB"}
    code, paper = (float(RecycleAdversarialLoss(kind)(scores)) for kind in ("code", "paper"))
    assert code == pytest.approx(2 * (1 + 0 + 1))
    assert paper == pytest.approx(code + 2 * 4)
    with pytest.raises(ConfigError, match="'code' or 'paper'"):
        RecycleAdversarialLoss("both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="four for each sample"):
        RecycleAdversarialLoss()({**scores, "scores_D_A": torch.zeros(3, 1)})


def test_features_without_their_style(batch: dict[str, Tensor]) -> None:
    images = {"target": batch["a"][:, 0, :, ::2, ::2]}
    outputs = {"prediction": 0.5 * images["target"]}
    layers = {"relu1_1": 1.0}
    plain = PerceptualLoss(layers, "l2", weights=None)(outputs, images)
    assert PerceptualLoss(layers, "l2", weights=None, instance_norm=True)(outputs, images) != plain
    moments = StyleMomentsLoss(layers, weights=None)
    assert moments(outputs, images) > 0
    assert moments({"prediction": images["target"]}, images) == 0
