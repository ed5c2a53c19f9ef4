from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.losses import AlphaLoss, CoherenceLoss, CompositionalLoss, LaplacianPyramidLoss, VisibleL1Loss


def noise(seed: int, channels: int) -> torch.Tensor:
    values = np.random.RandomState(seed).random_sample((1, channels, 64, 96))
    return torch.from_numpy(values.astype(np.float32))


def stored_case() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    alpha, front, back = noise(72, 1), noise(73, 3), noise(74, 3)
    trimap = torch.zeros(1, 1, 64, 96)
    trimap[..., 32:64] = 128 / 255
    image = alpha * front + (1 - alpha) * back
    batch = {"alpha": alpha, "foreground": front, "background": back, "image": image, "trimap": trimap}
    return {"alpha": noise(71, 1)}, batch


def test_official_values(assets: Path) -> None:
    golden = json.loads((assets / "parity" / "matting" / "dim_losses.json").read_text(encoding="utf-8"))
    case = stored_case()
    found = {
        "alpha_mean_over_unknown": AlphaLoss()(*case),
        "alpha_sum_over_unknown_plus_1": AlphaLoss(average="pixels_plus_one")(*case),
        "comp_mean_over_unknown_rgb": CompositionalLoss()(*case),
        "comp_sum_over_unknown_plus1_div3": CompositionalLoss(average="pixels_plus_one")(*case),
    }
    assert {k: float(v) for k, v in found.items()} == pytest.approx({k: golden[k] for k in found}, rel=1e-5)


def test_an_empty_unknown_region_costs_nothing() -> None:
    outputs, batch = stored_case()
    batch["trimap"] = torch.ones_like(batch["trimap"])
    assert float(AlphaLoss()(outputs, batch)) == 0.0
    assert float(CompositionalLoss()(outputs, batch)) == 0.0


def test_losses_of_videos() -> None:
    true = torch.zeros(1, 3, 1, 4, 4)
    true[:, :, :, :2] = 1
    colours = torch.full((1, 3, 3, 4, 4), 0.5)
    batch = {"alpha": true, "foreground": colours}
    flicker = true + torch.tensor([0.0, 0.2, 0.0]).view(1, 3, 1, 1, 1)
    assert float(CoherenceLoss()({"alpha": flicker}, batch)) == pytest.approx(0.04)
    assert float(CoherenceLoss()({"alpha": true + 0.3}, batch)) == pytest.approx(0.0)
    # wrong by 0.1 everywhere, but only the upper half is seen
    assert float(VisibleL1Loss()({"foreground": colours + 0.1}, batch)) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="B, T, C, H, W"):
        CoherenceLoss()({"alpha": flicker[:, :2]}, batch)


def test_coarse_levels_of_a_pyramid_can_weigh_more() -> None:
    made, true = torch.rand(1, 2, 1, 40, 40), torch.rand(1, 2, 1, 40, 40)
    flat = [made.flatten(0, 1), true.flatten(0, 1)]
    whole = LaplacianPyramidLoss("alpha", 2, "alpha", growth=2.0)({"alpha": made}, {"alpha": true})
    even, fine = (LaplacianPyramidLoss("alpha", n, "alpha")({"alpha": flat[0]}, {"alpha": flat[1]}) for n in (2, 1))
    assert float(whole) == pytest.approx(float(fine + 2 * (even - fine)), rel=1e-5)
