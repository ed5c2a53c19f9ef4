from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError
from framewright.losses import (
    CharbonnierLoss,
    L1Loss,
    LaplacianPyramidLoss,
    MaskedDistillationLoss,
    WeightedSum,
    laplacian_pyramid_loss,
)
from framewright.models.interpolation.contract import InterpolationOutputs
from torch import Tensor, nn


def outputs(prediction: Tensor, **fields: object) -> InterpolationOutputs:
    values: dict[str, object] = {"predictions": (prediction,), "flows": (), "masks": (), **fields}
    return InterpolationOutputs(prediction, **values)  # type: ignore[arg-type]


def _plain_pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """The definition with explicit convolutions and zero insertion."""
    taps = torch.tensor([1.0, 4, 6, 4, 1], dtype=image.dtype) / 16
    kernel = torch.outer(taps, taps).expand(image.shape[1], 1, 5, 5)

    def blur(x: Tensor, gain: float = 1) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel * gain, groups=x.shape[1])

    bands = []
    for _ in range(levels):
        low = blur(image)[..., ::2, ::2]
        wide = low.new_zeros(*low.shape[:2], 2 * low.shape[2], 2 * low.shape[3])
        wide[..., ::2, ::2] = low
        bands.append(image - blur(wide, 4)[..., : image.shape[2], : image.shape[3]])
        image = low
    return bands


@pytest.mark.parametrize("size", [(48, 64), (49, 50)])
def test_laplacian_loss_follows_the_definition(size: tuple[int, int]) -> None:
    a, b = torch.rand(2, 2, 3, *size, dtype=torch.float64)
    pairs = zip(_plain_pyramid(a, 5), _plain_pyramid(b, 5), strict=True)
    expected = sum((x - y).abs().mean() for x, y in pairs)
    torch.testing.assert_close(laplacian_pyramid_loss(a, b, levels=5), expected)


def test_laplacian_loss_ignores_a_constant_offset() -> None:
    a = torch.rand(1, 3, 64, 64)
    assert laplacian_pyramid_loss(a + 0.25, a) < 1e-6


def test_laplacian_loss_names_the_smallest_size() -> None:
    tiny = torch.rand(1, 3, 32, 40)
    with pytest.raises(ValueError, match=r"at least 33 pixels, got 32x40"):
        laplacian_pyramid_loss(tiny, tiny, levels=5)
    assert laplacian_pyramid_loss(tiny, tiny, levels=4) == 0
    with pytest.raises(ValueError, match="of one shape"):
        laplacian_pyramid_loss(tiny, tiny[..., :-1])


def test_laplacian_loss_of_the_sintel_fixture(assets: Path) -> None:
    from skimage import io

    folder = assets / "flow" / "sintel"
    frames = [io.imread(folder / f"frame_{i:04d}.png")[128:256, 400:592, :3] for i in (9, 10, 11)]
    before, middle, after = (torch.from_numpy(f).permute(2, 0, 1)[None].float() / 255 for f in frames)
    loss = LaplacianPyramidLoss()(outputs((before + after) / 2), {"target": middle})
    assert float(loss) == pytest.approx(0.073893, abs=1e-6)


def test_pixel_losses() -> None:
    a, b = torch.rand(2, 2, 3, 8, 9)
    batch = {"target": b}
    torch.testing.assert_close(L1Loss()(outputs(a), batch), (a - b).abs().mean())
    expected = ((a - b) ** 2 + 0.01).sqrt().mean()
    torch.testing.assert_close(CharbonnierLoss(epsilon=0.1)(outputs(a), batch), expected)
    other = L1Loss(of="teacher_prediction", target="gt")(outputs(a, teacher_prediction=b), {"gt": b})
    assert other == 0


def test_losses_are_computed_in_float32_at_least() -> None:
    a, b = torch.rand(2, 1, 3, 48, 48).bfloat16()
    for term in (L1Loss(), CharbonnierLoss(), LaplacianPyramidLoss()):
        assert term(outputs(a), {"target": b}).dtype == torch.float32
        assert term(outputs(a.double()), {"target": b.double()}).dtype == torch.float64


def test_what_is_missing_is_named() -> None:
    a = torch.rand(1, 3, 8, 8)
    with pytest.raises(ConfigError, match=r"'predicton'.*did you mean 'prediction'"):
        L1Loss(of="predicton")(outputs(a), {"target": a})
    with pytest.raises(ConfigError, match="teacher=true"):
        L1Loss(of="teacher_prediction")(outputs(a), {"target": a})
    with pytest.raises(ConfigError, match="'target' of the batch, which holds image0"):
        L1Loss()(outputs(a), {"image0": a})
    with pytest.raises(ValueError, match="shape"):
        L1Loss()(outputs(a), {"target": a[..., 1:]})
    with pytest.raises(ConfigError, match="teacher=true"):
        MaskedDistillationLoss()(outputs(a), {"target": a})


def _distillation_case() -> tuple[InterpolationOutputs, Tensor, Tensor, Tensor]:
    truth = torch.full((1, 3, 2, 2), 0.5)
    frame = truth.clone()
    frame[..., 0, :] += 0.3  # the stage is worse than the teacher in the first row only
    flow = torch.zeros(1, 4, 2, 2, requires_grad=True)
    teacher_flow = torch.full((1, 4, 2, 2), 2.0, requires_grad=True)
    out = outputs(
        frame,
        predictions=(frame.requires_grad_(),),
        flows=(flow,),
        teacher_prediction=truth + 0.1,
        teacher_flow=teacher_flow,
    )
    return out, truth, flow, teacher_flow


def test_distillation_counts_pixels_where_the_teacher_is_better() -> None:
    out, truth, flow, teacher_flow = _distillation_case()
    loss = MaskedDistillationLoss()(out, {"target": truth})
    # sqrt(mean of 2^2) = 2 on half of the pixels
    torch.testing.assert_close(loss, torch.tensor(1.0))
    loss.backward()
    assert flow.grad is not None
    assert (flow.grad[..., 0, :] < 0).all()
    assert (flow.grad[..., 1, :] == 0).all()
    assert teacher_flow.grad is None
    assert out.predictions[0].grad is None
    assert MaskedDistillationLoss(threshold=0.25)(out, {"target": truth}) == 0


def test_distillation_gradient_is_finite_where_flows_agree() -> None:
    out, truth, flow, _ = _distillation_case()
    out = out._replace(teacher_flow=flow.detach().clone())
    MaskedDistillationLoss()(out, {"target": truth}).backward()
    assert flow.grad is not None
    assert (flow.grad == 0).all()


def test_weighted_sum_adds_weighted_terms_and_reports_them_unweighted() -> None:
    a = torch.rand(1, 3, 8, 8, requires_grad=True)
    batch = {"target": torch.zeros(1, 3, 8, 8)}
    loss = WeightedSum({"l1": (2, L1Loss()), "off": (0.0, CharbonnierLoss()), "ch": [0.5, CharbonnierLoss()]})
    total, values = loss(outputs(a), batch)
    assert list(values) == ["l1", "off", "ch"]
    torch.testing.assert_close(total, 2 * values["l1"] + 0.5 * values["ch"])
    torch.testing.assert_close(values["off"], values["ch"])
    assert total.requires_grad
    assert not any(v.requires_grad for v in values.values())


def test_a_term_of_weight_zero_cannot_spoil_the_sum() -> None:
    class Broken(nn.Module):
        def forward(self, outputs: object, batch: object) -> Tensor:
            return torch.tensor(float("nan"))

    a = torch.rand(1, 3, 8, 8, requires_grad=True)
    total, values = WeightedSum({"l1": (1, L1Loss()), "broken": (0, Broken())})(outputs(a), {"target": a})
    assert total.isfinite()
    assert values["broken"].isnan()
    total, _ = WeightedSum({"l1": (0, L1Loss())})(outputs(a), {"target": a})
    assert total == 0


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "no terms"),
        ({"a.b": (1, L1Loss())}, "cannot name"),
        ({"a": (-1, L1Loss())}, "0 or positive"),
        ({"a": (float("nan"), L1Loss())}, "0 or positive"),
        ({"a": (1, "l1")}, r"\[weight, term\]"),
        ({"a": (1,)}, r"\[weight, term\]"),
    ],
)
def test_bad_sums(terms: dict[str, tuple[object, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WeightedSum(terms)
