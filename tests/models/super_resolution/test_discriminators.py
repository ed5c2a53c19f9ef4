from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.registry import create_model, model_info
from framewright.models.super_resolution.discriminators import UNetDiscriminator, VGGDiscriminator
from torch import nn


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameters_of_the_official_networks() -> None:
    with torch.device("meta"):
        assert count(VGGDiscriminator()) == 14_499_401
        assert count(VGGDiscriminator(256)) == 21_055_049
        assert count(UNetDiscriminator()) == 4_376_897


def test_the_vgg_judges_images_of_its_size_only() -> None:
    net = VGGDiscriminator(num_feat=1)
    assert net(torch.rand(2, 3, 128, 128)).shape == (2, 1)
    assert VGGDiscriminator(256, num_feat=1)(torch.rand(2, 3, 256, 256)).shape == (2, 1)
    with pytest.raises(ValueError, match=r"judges images \(B, 3, 128, 128\), got \(2, 3, 64, 128\)"):
        net(torch.rand(2, 3, 64, 128))


def test_the_unet_takes_any_size() -> None:
    torch.manual_seed(0)
    net, image = UNetDiscriminator(num_feat=2).eval(), torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        assert net(image).shape == (1, 1, 16, 24)
        assert net(image[..., :1, :1]).shape == (1, 1, 1, 1)
        repeated = torch.cat((image[..., :-1], image[..., -2:-1]), -1)
        torch.testing.assert_close(net(image[..., :-1]), net(repeated)[..., :-1])


def test_skips_are_optional() -> None:
    torch.manual_seed(0)
    net, image = UNetDiscriminator(num_feat=2).eval(), torch.rand(1, 3, 16, 16)
    plain = UNetDiscriminator(num_feat=2, skip_connection=False).eval()
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert not torch.allclose(net(image), plain(image))


@pytest.mark.parametrize("name", ["vgg_discriminator", "unet_discriminator"])
def test_gradients_reach_every_parameter_and_the_image(name: str) -> None:
    torch.manual_seed(0)
    net, image = create_model(name, num_feat=2).train(), torch.rand(2, 3, 128, 128, requires_grad=True)
    # real and made samples are judged one after the other, before the backward pass
    (net(image).mean() - net(1 - image).square().mean()).backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.any()


def test_new_names_of_spectral_norm_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = UNetDiscriminator(num_feat=2)
    modern = {}
    for key, value in net.state_dict().items():
        name, _, kind = key.rpartition(".weight_")
        new = {"orig": "original", "u": "0._u", "v": "0._v"}.get(kind) if name else None
        modern[f"{name}.parametrizations.weight.{new}" if new else key] = value
    torch.save({"net_d": modern}, tmp_path / "net_d.pth")
    loaded = create_model("unet_discriminator", tmp_path / "net_d.pth")
    assert model_info(loaded).layout == "torch parametrizations"
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_wrong_options() -> None:
    for build, message in (
        (lambda: VGGDiscriminator(192), "input_size must be 128 or 256, got 192"),
        (lambda: VGGDiscriminator(num_feat=0), "num_feat"),
        (lambda: UNetDiscriminator(num_feat=0), "num_feat"),
        (lambda: UNetDiscriminator(power_iterations=-1), "power_iterations"),
    ):
        with pytest.raises(ConfigError, match=message):
            build()
