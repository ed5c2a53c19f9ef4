from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.registry import create_model, get_card, model_info
from framewright.models.super_resolution.baselines import Nearest
from framewright.models.super_resolution.rrdbnet import RRDBNet
from framewright.models.super_resolution.srvgg import SRVGG, SeparableConv
from torch import Tensor, nn

TINY = {"num_feat": 4, "num_block": 1, "num_grow_ch": 2}
# the network, and whether its radius is reached; folded pixels and the way up make it a bound for the others
NETWORKS = {
    "x4": (lambda: RRDBNet(**TINY), True),
    "x2": (lambda: RRDBNet(scale=2, **TINY), False),
    "x1": (lambda: RRDBNet(scale=1, **TINY), False),
    "pixelshuffle": (lambda: RRDBNet(upsampler="pixelshuffle", **TINY), True),
    "srvgg": (lambda: SRVGG(4, 3), True),
    "srvgg x3": (lambda: SRVGG(4, 2, upscale=3, act_type="leakyrelu"), True),
    "separable": (lambda: SRVGG(4, 3, upscale=2, separable=True), True),
    "nearest": (lambda: Nearest(2), True),
}


def seeded(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = NETWORKS[name][0]().eval()
    # weights of one sign, so that no path is closed by an activation or by cancelling out
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    return net


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameters_of_the_official_networks() -> None:
    with torch.device("meta"):
        assert count(RRDBNet()) == 16_697_987
        assert count(RRDBNet(num_block=6)) == 4_467_779
        assert count(RRDBNet(scale=2)) == 16_703_171
        assert len(RRDBNet().state_dict()) == 702
        assert count(SRVGG()) == 621_424
        assert count(SRVGG(num_conv=32)) == 1_213_296
        assert count(SeparableConv(64)) == 4_672 + 64


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 5)])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_size(name: str, size: tuple[int, int]) -> None:
    net = seeded(name)
    with torch.no_grad():
        enlarged = net(torch.rand(2, 3, *size))
    assert enlarged.shape == (2, 3, net.scale * size[0], net.scale * size[1])
    assert enlarged.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_pixel_beyond_the_receptive_radius_counts(name: str) -> None:
    net, reached = seeded(name), NETWORKS[name][1]
    radius, scale = net.receptive_radius, net.scale
    # a phase of every kind: with the upsampling the reach differs from pixel to pixel
    side = -(-(2 * radius + 2 * net.alignment + 1) // net.alignment) * net.alignment
    middle = side // 2 // net.alignment * net.alignment
    furthest = 0
    image = torch.rand(1, 3, side, 2, requires_grad=True)
    enlarged = net(image)
    for row in range(scale * middle, scale * (middle + net.alignment)):
        (gradient,) = torch.autograd.grad(enlarged[0, :, row].sum(), image, retain_graph=True)
        rows = gradient[0].abs().sum((0, 2)).nonzero()[:, 0]
        furthest = max(furthest, *((rows - row // scale).abs().tolist()))
    assert furthest <= radius
    assert furthest == radius or not reached


@pytest.mark.parametrize("name", ["x2", "srvgg"])
def test_tiles_with_that_border_are_exact(name: str) -> None:
    torch.manual_seed(0)
    net = NETWORKS[name][0]().eval()
    border = -(-net.receptive_radius // net.alignment) * net.alignment
    image = torch.rand(1, 3, 2 * border + 8, 9)
    with torch.no_grad():
        whole = net(image)
        begin = 4
        tile = net(image[:, :, begin : begin + 2 * border + 4])
    rows = slice(net.scale * (begin + border), net.scale * (begin + border + 4))
    torch.testing.assert_close(tile[:, :, net.scale * border :][:, :, : net.scale * 4], whole[:, :, rows])


def test_odd_sizes_are_padded_by_repeating_edges() -> None:
    net, image = seeded("x2"), torch.rand(1, 3, 7, 6)
    with torch.no_grad():
        torch.testing.assert_close(net(image), net(torch.cat((image, image[:, :, -1:]), 2))[:, :, :14])


def test_without_weights_the_compact_network_repeats_pixels() -> None:
    net, image = SRVGG(4, 1), torch.rand(1, 3, 3, 4)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(net(image), Nearest(4)(image))
    assert torch.equal(net(image)[0, :, 4:8, 8:12], image[0, :, 1, 2].view(3, 1, 1).expand(3, 4, 4))


def test_residuals_begin_small() -> None:
    torch.manual_seed(0)
    conv = RRDBNet(num_feat=32, num_block=1, num_grow_ch=16).body[0].rdb2.conv3
    assert conv.weight.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not conv.bias.any()


def authors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"conv_body": "trunk_conv", "conv_up": "upconv", "conv_hr": "HRconv", "body": "RRDB_trunk", "rdb": "RDB"}
    return {renamed(key, names): value for key, value in state.items()}


def oldest(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"conv_first": "model.0", "conv_up1": "model.3", "conv_up2": "model.6", "conv_hr": "model.8"}
    names |= {"conv_last": "model.10", "conv_body": "model.1.sub.2", "body.": "model.1.sub.", "rdb": "RDB"}
    converted = {}
    for key, value in state.items():
        key = renamed(key, names)
        converted[key.replace(".weight", ".0.weight").replace(".bias", ".0.bias") if "RDB" in key else key] = value
    return converted


def renamed(key: str, names: dict[str, str]) -> str:
    for ours, theirs in names.items():
        key = key.replace(ours, theirs)
    return key


@pytest.mark.parametrize(
    ("convert", "layout"),
    [(dict, "BasicSR"), (authors, "ESRGAN (RRDB_trunk)"), (oldest, "ESRGAN, first version (model.1.sub)")],
)
def test_files_of_every_layout_bring_their_options(tmp_path: Path, convert: type[dict], layout: str) -> None:
    torch.manual_seed(0)
    net = RRDBNet(num_feat=6, num_block=2, num_grow_ch=3)
    state = net.state_dict()
    for number, content in enumerate(
        (
            convert(state),
            {f"module.{key}": value for key, value in convert(state).items()},
            {"params": {"wrong": torch.zeros(1)}, "params_ema": convert(state)},
        )
    ):
        torch.save(content, tmp_path / f"{number}.pth")
        loaded = create_model("rrdbnet", tmp_path / f"{number}.pth")
        assert model_info(loaded).layout == layout
        assert model_info(loaded).options == {
            "scale": 4,
            "num_feat": 6,
            "num_block": 2,
            "num_grow_ch": 3,
            "upsampler": "nearest_conv",
        }
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rrdbnet", {"scale": 2, **TINY}),
        ("rrdbnet", {"scale": 1, "upsampler": "pixelshuffle", **TINY}),
        ("srvgg", {"num_feat": 6, "num_conv": 3, "upscale": 2}),
        ("srvgg", {"num_feat": 6, "num_conv": 1, "upscale": 3, "separable": True}),
        ("vgg_discriminator", {"num_feat": 1, "input_size": 256}),
        ("unet_discriminator", {"num_feat": 2}),
    ],
)
def test_options_are_read_off_the_tensors(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    net = create_model(name, **options)
    torch.save({"params": net.state_dict()}, tmp_path / "net.pth")
    assert model_info(create_model(name, tmp_path / "net.pth")).options == model_info(net).options


def test_a_scale_that_the_weights_do_not_have(tmp_path: Path) -> None:
    torch.save(RRDBNet(**TINY).state_dict(), tmp_path / "x4.pth")
    with pytest.raises(WeightsError, match=r"x4.pth' holds weights of 'rrdbnet' with scale=4, not scale=2"):
        create_model("rrdbnet", tmp_path / "x4.pth", scale=2)
    torch.save(SRVGG(4, 1).state_dict(), tmp_path / "compact.pth")
    with pytest.raises(WeightsError, match="with upscale=4, not upscale=3"):
        create_model("srvgg", tmp_path / "compact.pth", upscale=3)
    # what cannot be told is taken from the caller
    torch.save(SRVGG(4, 1, act_type="relu").state_dict(), tmp_path / "relu.pth")
    assert create_model("srvgg", tmp_path / "relu.pth", act_type="leakyrelu").body[1].negative_slope == 0.1
    with pytest.raises(WeightsError, match=r"missing keys: body\.1\.weight"):
        create_model("srvgg", tmp_path / "relu.pth")


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    torch.save(SRVGG(4, 1).state_dict(), tmp_path / "compact.pth")
    with pytest.raises(WeightsError, match=r"do not fit the model 'rrdbnet': .*missing keys"):
        create_model("rrdbnet", tmp_path / "compact.pth")


def test_absent_official_weights_say_where_to_get_them() -> None:
    with pytest.raises(WeightsError, match=r"RRDB_ESRGAN_x4\.pth.*xinntao/ESRGAN"):
        create_model("rrdbnet", "esrgan_x4")
    with pytest.raises(WeightsError, match=r"RealESRGAN_x2plus\.pth.*49fafd45"):
        create_model("rrdbnet", "realesrgan_x2plus")
    assert all(entry.licence for name in ("rrdbnet", "srvgg") for entry in get_card(name).weights)


def test_wrong_options_and_inputs() -> None:
    for build, message in (
        (lambda: RRDBNet(scale=3), "scale must be 1, 2 or 4, got 3"),
        (lambda: RRDBNet(num_block=0), "num_block"),
        (lambda: RRDBNet(upsampler="bicubic"), "upsampler must be one of nearest_conv, pixelshuffle"),  # type: ignore[arg-type]
        (lambda: SRVGG(act_type="gelu"), "act_type must be one of prelu, relu, leakyrelu"),  # type: ignore[arg-type]
        (lambda: SRVGG(upscale=0), "upscale"),
        (lambda: Nearest(0), "scale must be at least 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            build()
    for net in (RRDBNet(**TINY), SRVGG(4, 1), Nearest()):
        with pytest.raises(ValueError, match=r"expects images \(B, 3, H, W\), got \(1, 1, 8, 8\)"):
            net(torch.rand(1, 1, 8, 8))
        with pytest.raises(ValueError, match="floating-point"):
            net(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
        with pytest.raises(ValueError, match=r"got \(1, 3, 0, 8\)"):
            net(torch.zeros(1, 3, 0, 8))
