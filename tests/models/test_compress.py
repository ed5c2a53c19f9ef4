"""Smaller weight files and networks with fewer channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.compress import main, prune
from framewright.models.packed import FACTOR, pack, unpack
from framewright.models.registry import create_model, load_model, model_info, save_model
from torch import nn

IMAGE = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(1))


def small(**options: object) -> nn.Module:
    return create_model("srvgg", num_feat=8, num_conv=2, upscale=2, **options)


def test_int8_is_off_by_half_a_level_of_its_channel() -> None:
    state = {"a.weight": torch.randn(5, 4, 3, 3) * torch.logspace(-3, 3, 5)[:, None, None, None]}
    state["a.weight"][2] = 0
    state |= {"a.bias": torch.randn(5), "count": torch.tensor(3)}
    packed = pack(state, "int8")
    assert packed["a.weight"].dtype == torch.int8
    assert packed["a.weight" + FACTOR].shape == (5,)
    back = unpack(packed)
    assert list(back) == list(state)
    for name in ("a.bias", "count"):
        assert torch.equal(back[name], state[name])
    step = state["a.weight"].flatten(1).abs().amax(1) / 127
    error = (back["a.weight"] - state["a.weight"]).flatten(1).abs().amax(1)
    assert (error <= step / 2 * 1.001).all()
    assert (back["a.weight"][2] == 0).all()


def test_numbers_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(WeightsError, match="float16"):
        pack({"w": torch.full((2, 2), 1e6)}, "float16")
    with pytest.raises(WeightsError, match="int8"):
        pack({"w": torch.full((2, 2), torch.nan)}, "int8")
    with pytest.raises(ConfigError, match="int4"):
        pack({}, "int4")  # type: ignore[arg-type]


@pytest.mark.parametrize(("storage", "part", "tolerance"), [("float16", 0.65, 2e-3), ("int8", 0.5, 2e-2)])
def test_small_files_load_as_any_other(tmp_path: Path, storage: str, part: float, tolerance: float) -> None:
    net = create_model("srvgg", num_feat=32, num_conv=2, upscale=2)
    save_model(net, tmp_path / "whole.safetensors")
    save_model(net, tmp_path / "small.safetensors", storage=storage)  # type: ignore[arg-type]
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "whole")]
    assert sizes[0] < part * sizes[1]
    for loaded in (
        load_model(tmp_path / "small.safetensors"),
        create_model("srvgg", tmp_path / "small.safetensors"),
    ):
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
        with torch.no_grad():
            torch.testing.assert_close(loaded(IMAGE), net(IMAGE), atol=tolerance, rtol=0)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("act_type", ["prelu", "relu"])
def test_channels_without_influence_go_first(separable: bool, act_type: str) -> None:
    net = small(separable=separable, act_type=act_type)
    dead = {0: [0, 3, 7], 2: [1, 2, 5], 4: [0, 1, 2]}
    state = net.state_dict()
    with torch.no_grad():
        for place, channels in dead.items():
            for key, tensor in state.items():
                if key.startswith(f"body.{place}.") and "depthwise" not in key:
                    tensor[channels] = 0
    smaller = prune(net, 5)
    assert model_info(smaller).options["num_feat"] == 5
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in net.parameters())
    with torch.no_grad():
        torch.testing.assert_close(smaller(IMAGE), net(IMAGE))


def test_a_channel_counts_by_what_reads_it_and_by_its_slope() -> None:
    net = small()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.1)
        net.body[0].weight *= torch.arange(1.0, 9.0)[:, None, None, None]  # type: ignore[index]
        net.body[2].weight[:, 1] = 0.0  # type: ignore[index]
        net.body[3].weight[4] = 0.0  # type: ignore[index]
    smaller = prune(net, 7)
    assert torch.equal(smaller.body[0].weight, net.body[0].weight[[0, 2, 3, 4, 5, 6, 7]])  # type: ignore[index]
    assert (smaller.body[3].weight > 0).all()  # type: ignore[index]


def test_all_channels_are_the_same_network() -> None:
    net = small()
    same = prune(net, 8)
    for key, tensor in net.state_dict().items():
        assert torch.equal(same.state_dict()[key], tensor)


def test_what_cannot_be_pruned_is_said() -> None:
    with pytest.raises(ConfigError, match="rrdbnet"):
        prune(create_model("rrdbnet", num_feat=4, num_block=1, num_grow_ch=2), 2)
    for count in (0, 9):
        with pytest.raises(ConfigError, match="between 1 and the 8"):
            prune(small(), count)


def test_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = small()
    whole, output = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    save_model(net, whole)
    assert main([str(whole), str(output), "--num-feat", "4", "--storage", "int8"]) == 0
    assert model_info(load_model(output)).options["num_feat"] == 4
    assert main([str(whole), str(output), "--num-feat", "40"]) == 2
    assert "error: num_feat must lie between 1 and the 8" in capsys.readouterr().err
