from __future__ import annotations

import math

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.losses import AdversarialLoss, WeightedSum

REAL, MADE = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "real", "made", "generator"),
    [
        ("hinge", 0.5 / 2, 2 / 2, 1.0),
        (
            "nsgan",
            (softplus(-2) + softplus(-0.5)) / 2,
            (softplus(-3) + softplus(1)) / 2,
            (softplus(3) + softplus(-1)) / 2,
        ),
        ("lsgan", (1 + 0.25) / 2, (9 + 1) / 2, 16 / 2),
    ],
)
def test_by_hand(kind: str, real: float, made: float, generator: float) -> None:
    loss = AdversarialLoss(kind)  # type: ignore[arg-type]
    assert loss.judged(REAL, real=True).item() == pytest.approx(real)
    assert loss.judged(MADE, real=False).item() == pytest.approx(made)
    assert loss.discriminator(REAL, MADE).item() == pytest.approx((real + made) / 2)
    assert loss.generator(MADE).item() == pytest.approx(generator)


def test_it_is_a_term_of_a_sum() -> None:
    total, values = WeightedSum({"gan": (0.01, AdversarialLoss(of="fake"))})({"fake": MADE}, {})
    assert values["gan"].item() == pytest.approx(1.0)
    assert total.item() == pytest.approx(0.01)


def test_half_precision_scores_are_averaged_in_full() -> None:
    scores = torch.full((70_000,), 0.001, dtype=torch.float16)
    assert AdversarialLoss().generator(scores).dtype == torch.float32


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="hinge, nsgan, lsgan"):
        AdversarialLoss("wgan")  # type: ignore[arg-type]
