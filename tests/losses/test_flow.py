"""Flow losses against values worked out by hand, and against their definitions written as loops."""

from __future__ import annotations

import math

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.losses import MultiScaleEndPointLoss, MultiScaleRobustLoss, SequenceFlowLoss
from framewright.losses.flow import PWCNET_WEIGHTS, reduce_flow
from torch import Tensor


def constant(u: float, v: float, size: tuple[int, int], batch: int = 1) -> Tensor:
    return torch.tensor([u, v], dtype=torch.float64).view(1, 2, 1, 1).expand(batch, 2, *size).clone()


def test_end_point_loss_is_a_sum_over_pixels_by_hand() -> None:
    # true flow (60, 80) px = (3, 4) units, 5 units long; the network says nothing moves
    batch = {"flow": constant(60, 80, (64, 128), batch=2)}
    outputs = [torch.zeros(2, 2, 64 >> level, 128 >> level, dtype=torch.float64) for level in (2, 3, 4, 5, 6)]
    pixels = [16 * 32, 8 * 16, 4 * 8, 2 * 4, 1 * 2]
    expected = 5 * sum(w * n for w, n in zip((0.005, 0.01, 0.02, 0.08, 0.32), pixels, strict=True))
    loss = MultiScaleEndPointLoss()(outputs, batch)
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_robust_loss_by_hand() -> None:
    batch = {"flow": constant(-20, 40, (8, 8))}
    outputs = [constant(0.5, 0.5, (4, 4)), constant(-1, 2, (2, 2))]
    # |-1 - 0.5| + |2 - 0.5| = 3 at 16 pixels, and no error at 4
    expected = 0.1 * 16 * (3 + 0.01) ** 0.4 + 0.7 * 4 * 0.01**0.4
    assert float(MultiScaleRobustLoss([0.1, 0.7])(outputs, batch)) == pytest.approx(expected, rel=1e-12)
    enlarged = MultiScaleRobustLoss([0.1, 0.7], upsample=2, q=0.2)(outputs, batch)
    assert float(enlarged) == pytest.approx(0.1 * 64 * 3.01**0.2 + 0.7 * 16 * 0.01**0.2, rel=1e-12)


def test_unknown_flow_never_counts() -> None:
    torch.manual_seed(0)
    flow = torch.randn(2, 2, 64, 64, dtype=torch.float64) * 10
    valid = (torch.rand(2, 1, 64, 64) < 0.02).double()
    outputs = [torch.randn(2, 2, 64 >> k, 64 >> k, dtype=torch.float64, requires_grad=True) for k in (2, 3, 4, 5, 6)]
    spoilt = torch.where(valid > 0, flow, torch.full_like(flow, math.nan))
    for loss in (MultiScaleEndPointLoss(), MultiScaleRobustLoss(upsample=2)):
        value = loss(outputs, {"flow": spoilt, "valid": valid})
        assert value.item() == loss(outputs, {"flow": flow * valid, "valid": valid}).item() > 0
        value.backward()
        assert all(output.grad is not None and output.grad.isfinite().all() for output in outputs)
    steps = [torch.randn(2, 2, 64, 64, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    value = SequenceFlowLoss()(steps, {"flow": spoilt, "valid": valid})
    value.backward()
    assert steps[0].grad is not None
    assert steps[0].grad.isfinite().all()
    assert float((steps[0].grad * (1 - valid)).abs().max()) == 0


def test_reduced_flow_is_the_mean_of_what_is_known() -> None:
    torch.manual_seed(0)
    flow = torch.randn(1, 2, 6, 8, dtype=torch.float64)
    valid = (torch.rand(1, 1, 6, 8) < 0.4).double()
    valid[..., :3, :4] = 0
    reduced, known = reduce_flow(flow, valid, (2, 2))
    for y in range(2):
        for x in range(2):
            cell = (..., slice(3 * y, 3 * y + 3), slice(4 * x, 4 * x + 4))
            chosen = valid[cell][0, 0] > 0
            assert bool(known[0, 0, y, x]) == bool(chosen.any())
            if chosen.any():
                torch.testing.assert_close(reduced[0, :, y, x], flow[cell][0][:, chosen].mean(1))
    assert reduced[..., 0, 0].abs().max() == 0


def test_sequence_loss_by_hand() -> None:
    truth = constant(3, -4, (2, 2))
    truth[..., 0, 0] = 500  # too long to count
    valid = torch.ones(1, 1, 2, 2)
    valid[..., 1, 1] = 0
    outputs = [torch.zeros(1, 2, 2, 2, dtype=torch.float64), constant(2, -4, (2, 2)), constant(3, -4, (2, 2))]
    # two of four pixels count; the mean is over all four and both channels
    expected = 0.8**2 * 2 * (3 + 4) / 8 + 0.8 * 2 * 1 / 8
    assert float(SequenceFlowLoss()(outputs, {"flow": truth, "valid": valid})) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", [MultiScaleEndPointLoss(), MultiScaleRobustLoss()])
def test_losses_are_means_over_samples(loss: MultiScaleEndPointLoss | MultiScaleRobustLoss) -> None:
    torch.manual_seed(0)
    flow, valid = torch.randn(4, 2, 64, 64, dtype=torch.float64) * 9, torch.rand(4, 1, 64, 64)
    outputs = [torch.randn(4, 2, 64 >> k, 64 >> k, dtype=torch.float64) for k in (2, 3, 4, 5, 6)]
    whole = loss(outputs, {"flow": flow, "valid": valid})
    halves = [
        loss([o[half] for o in outputs], {"flow": flow[half], "valid": valid[half]})
        for half in (slice(0, 2), slice(2, 4))
    ]
    torch.testing.assert_close(sum(halves) / 2, whole, rtol=1e-12, atol=0)


def test_gradients_agree_with_differences() -> None:
    torch.manual_seed(0)
    batch = {"flow": torch.randn(1, 2, 8, 8, dtype=torch.float64) * 30}
    outputs = [torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)]
    for loss in (MultiScaleEndPointLoss([0.3]), MultiScaleRobustLoss([0.3]), MultiScaleRobustLoss([0.3], upsample=2)):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss([x], batch), outputs)


def test_no_error_has_no_slope() -> None:
    batch = {"flow": constant(20, 20, (4, 4))}
    output = constant(1, 1, (4, 4)).requires_grad_()
    MultiScaleEndPointLoss([1.0])([output], batch).backward()
    assert output.grad is not None
    assert output.grad.abs().max() == 0


def test_half_precision_outputs_are_summed_in_float32() -> None:
    batch = {"flow": torch.full((1, 2, 256, 256), 300.0)}
    outputs = [torch.zeros(1, 2, 256 >> k, 256 >> k, dtype=torch.bfloat16) for k in (2, 3, 4, 5, 6)]
    full = MultiScaleEndPointLoss()([o.float() for o in outputs], batch)
    assert MultiScaleEndPointLoss()(outputs, batch) == full


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="gives 2 levels of flow, weights are for 5"):
        MultiScaleEndPointLoss()([torch.zeros(1, 2, 2, 2)] * 2, {"flow": torch.zeros(1, 2, 8, 8)})
    with pytest.raises(ConfigError, match=r"'flow' of the batch, which holds image1"):
        MultiScaleEndPointLoss()([torch.zeros(1, 2, 2, 2)] * len(PWCNET_WEIGHTS), {"image1": torch.zeros(1)})
    for wrong in ({"weights": []}, {"weights": [-1.0]}, {"weights": [0.0]}, {"unit": 0.0}, {"upsample": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            MultiScaleEndPointLoss(**wrong)  # type: ignore[arg-type]
    for name, value in (("q", 0.0), ("epsilon", 0.0)):
        with pytest.raises(ConfigError, match=name):
            MultiScaleRobustLoss(**{name: value})  # type: ignore[arg-type]
    for name, value in (("gamma", 0.0), ("max_flow", -1.0)):
        with pytest.raises(ConfigError, match=name):
            SequenceFlowLoss(**{name: value})
