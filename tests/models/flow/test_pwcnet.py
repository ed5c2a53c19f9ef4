from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.flow.pwcnet import CARD, PWCNet, _unaligned
from framewright.models.registry import create_model, model_info
from torch import Tensor

LEVEL_NAMES = {1: "One", 2: "Two", 3: "Thr", 4: "Fou", 5: "Fiv", 6: "Six"}


def tiny(**options: object) -> PWCNet:
    torch.manual_seed(3)
    net = create_model("pwcnet", **{**CARD.tiny, **options})
    assert isinstance(net, PWCNet)
    return net


def images(height: int, width: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    first, second = torch.rand(2, batch, 3, height, width, generator=generator)
    return first, second


@pytest.mark.parametrize("size", [(1, 1), (64, 3), (70, 129)])
def test_any_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        flow = tiny()(*images(*size))
    assert flow.shape == (1, 2, *size)
    assert flow.isfinite().all()


def test_levels_of_a_training_step() -> None:
    flows = tiny().training_outputs(*images(128, 192, batch=2))
    assert [tuple(flow.shape) for flow in flows] == [(2, 2, 128 >> k, 192 >> k) for k in (2, 3, 4, 5, 6)]


def test_forward_is_the_finest_level_in_pixels() -> None:
    net, pair = tiny(), images(128, 192)
    with torch.no_grad():
        expected = F.interpolate(20 * net.training_outputs(*pair)[0], scale_factor=4, mode="bilinear")
        torch.testing.assert_close(net(*pair), expected)


def test_flow_is_scaled_back_with_the_image() -> None:
    net, (first, second) = tiny(), images(96, 100)
    with torch.no_grad():
        resized = [F.interpolate(x, (128, 128), mode="bilinear") for x in (first, second)]
        expected = F.interpolate(20 * net.training_outputs(*resized)[0], (96, 100), mode="bilinear")
        expected = expected * torch.tensor([100 / 128, 96 / 128]).view(1, 2, 1, 1)
        torch.testing.assert_close(net(first, second), expected, rtol=1e-5, atol=1e-5)


def test_parameters() -> None:
    def count(**options: object) -> int:
        return sum(p.numel() for p in PWCNet(**options).parameters())  # type: ignore[arg-type]

    assert count() == 9_374_340
    assert count(dense=False) == 4_705_130
    # as another implementation counts its variant without the context network
    assert count(context_channels=()) == 8_243_074


@pytest.mark.parametrize("options", [{"dense": False}, {"context_channels": ()}, {"align_corners": False}])
def test_variants_learn(options: dict[str, object]) -> None:
    net = tiny(**options).train()
    sum(flow.square().sum() for flow in net.training_outputs(*images(64, 64))).backward()  # type: ignore[union-attr]
    unused = {name for name, p in net.named_parameters() if p.grad is None}
    assert unused == {"deconv2.weight", "deconv2.bias"}


def test_unaligned_positions_are_those_of_the_other_default_of_grid_sample() -> None:
    torch.manual_seed(1)
    features, flow = torch.rand(1, 3, 8, 12), 2 * torch.randn(1, 2, 8, 12)
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    grid = torch.stack((2 * (x + flow[0, 0]) / 11 - 1, 2 * (y + flow[0, 1]) / 7 - 1), -1)[None]
    sampled = F.grid_sample(features, grid, align_corners=False)
    inside = F.grid_sample(torch.ones(1, 1, 8, 12), grid, align_corners=False) >= 0.9999
    net = tiny(align_corners=False)
    torch.testing.assert_close(net._warp(features, flow), sampled * inside, rtol=0, atol=1e-5)
    assert (_unaligned(flow) - flow).abs().max() > 0.3


def test_warp_drops_what_comes_from_outside() -> None:
    features = torch.ones(1, 2, 4, 6)
    flow = torch.zeros(1, 2, 4, 6)
    flow[:, 0] = 0.5
    warped = tiny()._warp(features, flow)
    assert torch.equal(warped[..., -1], torch.zeros(1, 2, 4))
    torch.testing.assert_close(warped[..., :-1], torch.ones(1, 2, 4, 5))


def test_autocast_keeps_the_flow_in_float32() -> None:
    net, pair = tiny(), images(64, 64)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        flows = net.training_outputs(*pair)
    assert all(flow.dtype == torch.float32 for flow in flows)


# --- checkpoints


def sniklaus_keys(root: str) -> dict[str, str]:
    """Keys of that module (``root`` is ``net`` or ``module``), each with the official one of the same tensor."""
    pairs = {}
    for level, name in LEVEL_NAMES.items():
        order = ("aa", "a", "b") if level == 6 else ("a", "aa", "b")
        for i, kind in enumerate(order):
            pairs[f"{root}Extractor.{root}{name}.{2 * i}"] = f"conv{level}{kind}.0"
        if level == 1:
            continue
        for i in range(5):
            pairs[f"{root}{name}.{root}{LEVEL_NAMES[i + 1]}.0"] = f"conv{level}_{i}.0"
        pairs[f"{root}{name}.{root}Six.0"] = f"predict_flow{level}"
        if level < 6:
            pairs[f"{root}{name}.{root}Upflow"] = f"deconv{level + 1}"
            pairs[f"{root}{name}.{root}Upfeat"] = f"upfeat{level + 1}"
    for i in range(7):
        pairs[f"{root}Refiner.{root}Main.{2 * i}"] = f"dc_conv{i + 1}" + ("" if i == 6 else ".0")
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in pairs.items() for kind in ("weight", "bias")}


@pytest.mark.parametrize("root", ["net", "module"])
def test_both_official_layouts_give_the_same_network(root: str, tmp_path: Path) -> None:
    state = PWCNet().state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "pwc_net.pth.tar")
    names = sniklaus_keys(root)
    assert len(names) == 126
    torch.save({key: state[name] for key, name in names.items()}, tmp_path / "network.pytorch")
    official = create_model("pwcnet", tmp_path / "pwc_net.pth.tar")
    renamed = create_model("pwcnet", tmp_path / "network.pytorch")
    assert model_info(official).layout == "official NVlabs"
    assert model_info(renamed).layout == "sniklaus"
    for key, value in official.state_dict().items():
        assert torch.equal(value, state[key])
        if not key.startswith("deconv2"):
            assert torch.equal(renamed.state_dict()[key], value)
    with torch.no_grad():
        assert torch.equal(official(*images(64, 64)), renamed(*images(64, 64)))


def test_checkpoint_of_another_variant_is_refused(tmp_path: Path) -> None:
    torch.save(PWCNet(dense=False).state_dict(), tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="another shape"):
        create_model("pwcnet", tmp_path / "small.pth")
    create_model("pwcnet", tmp_path / "small.pth", dense=False)


def test_bad_options() -> None:
    for options, message in (
        ({"md": 0}, "md must be"),
        ({"channels": (1, 2)}, "channels needs 6"),
        ({"decoder_channels": ()}, "decoder_channels needs"),
        ({"context_channels": (3,)}, "context_channels needs 6"),
        ({"decoder_channels": (4, 0)}, "at least 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_model("pwcnet", **options)


def test_a_moving_texture_is_learned() -> None:
    """A few steps reduce the error on one pair under that of no motion."""
    import skimage.data

    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255
    first, second = photo[..., 100:164, 100:228], photo[..., 98:162, 103:231]
    truth = torch.tensor([-3.0, 2.0]).view(1, 2, 1, 1) / 20
    torch.manual_seed(0)
    net = PWCNet(channels=(8, 8, 8, 12, 16, 16), decoder_channels=(16, 8), context_channels=())
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(60):
        loss = sum((flow - truth).norm(dim=1).mean() for flow in net.training_outputs(first, second))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    with torch.no_grad():
        error = (net(first, second) - 20 * truth).norm(dim=1).mean()
    assert error < 0.5 * float((20 * truth).norm())
