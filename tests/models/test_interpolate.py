from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.interpolate import interpolate, main
from framewright.models.registry import create_model, load_model, model_info, save_model
from framewright.weights import read_checkpoint

TINY = {"num_feat": 4, "num_block": 1, "num_grow_ch": 2}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    torch.manual_seed(0)
    psnr, gan = (create_model("rrdbnet", **TINY) for _ in range(2))
    torch.save({"params": psnr.state_dict()}, tmp_path / "psnr.pth")
    save_model(gan, tmp_path / "gan.safetensors")
    return tmp_path / "psnr.pth", tmp_path / "gan.safetensors"


def test_every_tensor_lies_between(files: tuple[Path, Path]) -> None:
    low, high = (create_model("rrdbnet", file).state_dict() for file in files)
    net = interpolate(*files, 0.8, "rrdbnet")
    assert not net.training
    assert model_info(net).weights_sha256 is None
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, 0.2 * low[key] + 0.8 * high[key])
    for alpha, end in ((0, low), (1, high)):
        state = interpolate(*files, alpha, "rrdbnet").state_dict()
        assert all(torch.equal(state[key], value) for key, value in end.items())


def test_the_command_writes_a_file_of_ours(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "between.safetensors"
    assert main([*map(str, files), "0.5", str(output), "--model", "rrdbnet"]) == 0
    expected = interpolate(*files, 0.5, "rrdbnet").state_dict()
    found = load_model(output).state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert '"alpha": 0.5' in read_checkpoint(output).metadata["framewright.training"]
    assert main([*map(str, files), "1.5", str(output), "--model", "rrdbnet"]) == 2
    assert "alpha must lie in [0, 1], got 1.5" in capsys.readouterr().err


def test_different_networks_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    save_model(create_model("rrdbnet", scale=2, **TINY), tmp_path / "x2.safetensors")
    with pytest.raises(ConfigError, match="are different networks"):
        interpolate(files[1], tmp_path / "x2.safetensors", 0.5)
    with pytest.raises(WeightsError, match="does not say which network"):
        interpolate(*files, 0.5)


def test_counters_are_those_of_the_first(tmp_path: Path) -> None:
    ends = [create_model("vgg_discriminator", num_feat=1) for _ in range(2)]
    for count, (net, name) in enumerate(zip(ends, ("a", "b"), strict=True), 3):
        net.bn0_1.num_batches_tracked.fill_(count)
        save_model(net, tmp_path / f"{name}.safetensors")
    net = interpolate(tmp_path / "a.safetensors", tmp_path / "b.safetensors", 0.5)
    assert net.bn0_1.num_batches_tracked == 3
