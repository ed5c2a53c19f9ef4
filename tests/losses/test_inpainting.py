from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.losses import MaskedL1Loss
from torch import Tensor


def case() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    made, truth = torch.rand(2, 4, 3, 3, 8, 8, generator=generator)
    mask = torch.zeros(4, 3, 1, 8, 8)
    for i in range(4):
        mask[i, ..., : 1 + 2 * i, :] = 1
    return {"prediction": made}, {"target": truth, "mask": mask}


def test_the_mean_over_each_side_of_the_mask() -> None:
    outputs, batch = case()
    difference = (outputs["prediction"] - batch["target"]).abs()
    inside = batch["mask"].bool().expand_as(difference)
    hole, valid = (MaskedL1Loss(side, scale=1.0)(outputs, batch) for side in ("hole", "valid"))
    torch.testing.assert_close(hole, difference[inside].mean())
    torch.testing.assert_close(valid, difference[~inside].mean())


def test_official_scale_is_that_of_videos_between_minus_one_and_one() -> None:
    outputs, batch = case()
    signed = {"prediction": outputs["prediction"] * 2 - 1}
    torch.testing.assert_close(
        MaskedL1Loss()(outputs, batch), MaskedL1Loss(scale=1.0)(signed, {**batch, "target": batch["target"] * 2 - 1})
    )


@pytest.mark.parametrize("side", ["hole", "valid"])
def test_splitting_a_batch_changes_only_the_official_form(side: str) -> None:
    outputs, batch = case()
    for per_sample in (True, False):
        loss = MaskedL1Loss(side, per_sample=per_sample)  # type: ignore[arg-type]
        halves = [
            loss(*({key: value[part] for key, value in tensors.items()} for tensors in (outputs, batch)))
            for part in (slice(2), slice(2, 4))
        ]
        assert torch.allclose(sum(halves) / 2, loss(outputs, batch), rtol=1e-5) == per_sample


def test_an_empty_side_gives_zero_and_a_finite_gradient() -> None:
    outputs, batch = case()
    outputs["prediction"].requires_grad_()
    batch["mask"] = torch.zeros_like(batch["mask"])
    batch["mask"][0] = 1
    for per_sample in (True, False):
        loss = MaskedL1Loss("hole", per_sample=per_sample)
        loss(outputs, batch).backward()
        first = {key: value[1:] for key, value in batch.items()}
        assert loss({"prediction": outputs["prediction"][1:]}, first).item() == 0
    assert outputs["prediction"].grad is not None
    assert outputs["prediction"].grad.isfinite().all()


def test_wrong_options_and_shapes() -> None:
    outputs, batch = case()
    with pytest.raises(ConfigError, match="'hole' or 'valid'"):
        MaskedL1Loss("edge")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="scale"):
        MaskedL1Loss(scale=0)
    with pytest.raises(ValueError, match="'mask' has"):
        MaskedL1Loss()(outputs, {**batch, "mask": batch["mask"][:, :2]})
