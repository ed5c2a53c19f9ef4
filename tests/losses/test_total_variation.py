from __future__ import annotations

import math

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.losses import TotalVariationLoss
from torch import Tensor

# dx: 3, 0 | -2, 4; dy: 1, -4, 0
IMAGE = torch.tensor([[1.0, 4.0, 4.0], [2.0, 0.0, 4.0]]).view(1, 1, 2, 3)


def value(image: Tensor, kind: str, **batch: Tensor) -> float:
    loss = TotalVariationLoss(kind, weight="weight" if batch else None)  # type: ignore[arg-type]
    return loss({"prediction": image}, batch).item()


def test_by_hand() -> None:
    assert value(IMAGE, "anisotropic") == pytest.approx(9 / 4 + 5 / 3)
    assert value(IMAGE, "squared") == pytest.approx((9 + 4 + 16) / 4 + (1 + 16) / 3)
    # the pixels that have both neighbours: (3, 1) and (0, -4)
    assert value(IMAGE, "isotropic") == pytest.approx((math.sqrt(10) + 4) / 2)


def test_pixels_can_be_weighed() -> None:
    weight = torch.tensor([[1.0, 0.0, 5.0], [0.5, 0.0, 5.0]]).view(1, 1, 2, 3)
    assert value(IMAGE, "anisotropic", weight=weight) == pytest.approx((3 + 1) / 4 + (1 + 0 + 0) / 3)
    assert value(IMAGE, "isotropic", weight=weight) == pytest.approx(math.sqrt(10) / 2)


def test_only_isotropic_variation_is_the_same_in_every_direction() -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    slopes = [(columns, "axis"), ((rows + columns) / math.sqrt(2), "diagonal")]
    isotropic = [value(slope, "isotropic") for slope, _ in slopes]
    anisotropic = [value(slope, "anisotropic") for slope, _ in slopes]
    assert isotropic == pytest.approx([1, 1], rel=1e-5)
    assert anisotropic == pytest.approx([1, math.sqrt(2)], rel=1e-5)


@pytest.mark.parametrize("kind", ["anisotropic", "isotropic", "squared"])
def test_gradients_are_finite_on_a_flat_image(kind: str) -> None:
    image = torch.full((2, 3, 4, 5), 0.5, requires_grad=True)
    loss = TotalVariationLoss(kind)({"prediction": image}, {})  # type: ignore[arg-type]
    assert loss == 0
    loss.backward()
    assert image.grad is not None
    assert (image.grad == 0).all()


def test_wrong_options_and_inputs() -> None:
    with pytest.raises(ConfigError, match="anisotropic, isotropic, squared"):
        TotalVariationLoss("huber")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'weight' of the batch"):
        TotalVariationLoss(weight="weight")({"prediction": IMAGE}, {"target": IMAGE})
    with pytest.raises(ValueError, match="at least 2x2 pixels"):
        TotalVariationLoss()({"prediction": IMAGE[..., :1]}, {})
