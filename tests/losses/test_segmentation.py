from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from framewright.losses import CrossEntropyLoss, FocalLoss

LABELS = torch.tensor([[[0, 1, 255], [2, 255, 1]]])


def logits() -> torch.Tensor:
    return torch.randn(1, 3, 2, 3, generator=torch.Generator().manual_seed(1))


def test_cross_entropy_ignores_255_and_survives_a_batch_without_labels() -> None:
    outputs = {"logits": logits()}
    value = CrossEntropyLoss()(outputs, {"labels": LABELS})
    assert float(value) == pytest.approx(float(F.cross_entropy(outputs["logits"], LABELS, ignore_index=255)))
    assert float(CrossEntropyLoss()(outputs, {"labels": torch.full_like(LABELS, 255)})) == 0.0


def test_focal_loss() -> None:
    outputs = {"logits": logits()}
    plain = float(CrossEntropyLoss()(outputs, {"labels": LABELS}))
    assert float(FocalLoss(gamma=0.0)(outputs, {"labels": LABELS})) == pytest.approx(plain)
    assert float(FocalLoss(gamma=0.0, average="all")(outputs, {"labels": LABELS})) == pytest.approx(plain * 4 / 6)
    # probability 1/3 for every class
    flat = {"logits": torch.zeros(1, 3, 2, 3)}
    assert float(FocalLoss(gamma=2.0)(flat, {"labels": LABELS})) == pytest.approx(4 / 9 * math.log(3), rel=1e-5)


def test_a_label_that_is_no_class_names_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"label 7 is no class.*num_classes"):
        CrossEntropyLoss()({"logits": logits()}, {"labels": LABELS.masked_fill(LABELS == 2, 7)})
