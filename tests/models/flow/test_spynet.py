from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError
from framewright.models.flow.spynet import SPyNet
from framewright.models.registry import create_model, model_info


@pytest.mark.parametrize("size", [(1, 1), (40, 3), (33, 70)])
def test_any_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        flow = create_model("spynet", channels=(4, 4))(*torch.rand(2, 1, 3, *size))
    assert flow.shape == (1, 2, *size)
    assert flow.isfinite().all()


def test_resizing() -> None:
    net = create_model("spynet", channels=(4, 4))
    first, second = torch.rand(2, 1, 3, 60, 90)
    with torch.no_grad():
        flows = net.training_outputs(first, second)
        assert [tuple(flow.shape[2:]) for flow in flows] == [(64, 96), (32, 48), (16, 24)]
        resized = [F.interpolate(x, (64, 96), mode="bilinear") for x in (first, second)]
        expected = F.interpolate(net(*resized), (60, 90), mode="bilinear")
        expected = expected * torch.tensor([90 / 96, 60 / 64]).view(1, 2, 1, 1)
        torch.testing.assert_close(net(first, second), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((32, 9), 1),
        ((33, 9), 2),
        ((64, 9), 2),
        ((9, 65), 3),
        ((9, 256), 4),
        ((257, 9), 5),
        ((512, 9), 5),
        ((9, 513), 6),
    ],
)
def test_number_of_levels_follows_the_size_as_in_the_official_code(size: tuple[int, int], levels: int) -> None:
    net = create_model("spynet", channels=(1,))
    with torch.no_grad():
        assert len(net.training_outputs(*torch.rand(2, 1, 3, *size))) == levels


def test_last_of_five_networks_serves_the_sixth_level() -> None:
    five, six = create_model("spynet", num_levels=5, channels=(2,)), create_model("spynet", channels=(2,))
    state = five.state_dict()
    state |= {key.replace("levels.4", "levels.5"): value for key, value in state.items() if "levels.4" in key}
    six.load_state_dict(state)
    pair = torch.rand(2, 1, 3, 32, 640)
    with torch.no_grad():
        assert torch.equal(five(*pair), six(*pair))


def test_a_network_that_adds_nothing_leaves_zero_flow() -> None:
    net = create_model("spynet")
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    assert not net(*torch.rand(2, 1, 3, 64, 64)).any()


def test_a_constant_of_the_coarsest_level_is_doubled_at_every_level() -> None:
    net = create_model("spynet", num_levels=3)
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(net.levels[0][-1].bias, 0.5)  # type: ignore[index,union-attr]
    torch.testing.assert_close(net(*torch.rand(2, 1, 3, 128, 64)), torch.full((1, 2, 128, 64), 2.0))


@pytest.mark.parametrize("root", ["net", "module"])
def test_both_layouts(root: str, tmp_path: Path) -> None:
    net = SPyNet()
    assert sum(p.numel() for p in net.parameters()) == 1_440_300
    state = net.state_dict()
    torch.save(state, tmp_path / "levels.pth")
    other = {}
    for key, value in state.items():
        _, level, rest = key.split(".", 2)
        other[f"{root}Basic.{level}.{root}Basic.{rest}"] = value
    torch.save(other, tmp_path / "network.pytorch")
    for file, layout in (("levels.pth", "levels"), ("network.pytorch", "sniklaus")):
        loaded = create_model("spynet", tmp_path / file)
        assert model_info(loaded).layout == layout
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="between 1 and 6"):
        create_model("spynet", num_levels=7)
    with pytest.raises(ConfigError, match="channels"):
        create_model("spynet", channels=())
