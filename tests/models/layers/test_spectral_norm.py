from __future__ import annotations

import copy

import pytest
import torch
from framewright.models.layers.spectral_norm import SpectralConv2d, SpectralConv3d
from torch import Tensor, nn


def layer(**options: int) -> SpectralConv3d:
    torch.manual_seed(0)
    return SpectralConv3d(3, 6, (3, 5, 5), (1, 2, 2), (1, 2, 2), **options)


@pytest.mark.parametrize(
    ("ours", "plain", "x"),
    [
        (layer(), nn.Conv3d(3, 6, (3, 5, 5), (1, 2, 2), (1, 2, 2)), torch.rand(2, 3, 4, 16, 16)),
        (SpectralConv2d(3, 6, 4, 2, 1, bias=False), nn.Conv2d(3, 6, 4, 2, 1, bias=False), torch.rand(2, 3, 16, 16)),
    ],
    ids=["3d", "2d"],
)
def test_it_equals_the_first_implementation_of_torch(ours: nn.Module, plain: nn.Module, x: Tensor) -> None:
    theirs = nn.utils.spectral_norm(plain)
    theirs.load_state_dict(ours.state_dict())
    for _ in range(3):  # several passes of one step share a graph
        for net in (ours, theirs):
            net(x).square().sum().backward()
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[key])
    gradients = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[key].grad)


def test_two_passes_before_backward() -> None:
    net, x = layer(), torch.rand(1, 3, 2, 8, 8)
    (net(x).sum() + net(2 * x).sum()).backward()
    assert net.weight_orig.grad is not None
    assert net.weight_orig.grad.isfinite().all()


def test_the_estimate_converges_to_the_largest_singular_value() -> None:
    net = layer(power_iterations=100).train()
    largest = torch.linalg.svdvals(net.normalised_weight().detach().flatten(1)).max()
    torch.testing.assert_close(largest, torch.tensor(1.0), rtol=0, atol=1e-4)


def test_it_can_be_frozen() -> None:
    x = torch.rand(1, 3, 2, 8, 8)
    for net, frozen in ((layer(), False), (layer(power_iterations=0), True), (layer().eval(), True)):
        before = net.weight_u.clone()
        net(x)
        assert torch.equal(net.weight_u, before) == frozen


def test_it_can_be_copied_after_a_pass() -> None:
    net, x = layer(), torch.rand(1, 3, 2, 8, 8)
    net(x)
    twin = copy.deepcopy(net).eval()
    assert torch.equal(twin(x), net.eval()(x))


def test_the_norm_stays_in_full_precision_under_autocast() -> None:
    net = layer().eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert net.normalised_weight().dtype == torch.float32
        assert net(torch.rand(1, 3, 2, 8, 8)).dtype == torch.bfloat16
