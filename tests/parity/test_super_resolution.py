"""Super-resolution networks and the relativistic loss equal the official ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.losses import RelativisticAdversarialLoss
from framewright.models.registry import create_model, model_info
from framewright.models.super_resolution.discriminators import UNetDiscriminator
from framewright.models.super_resolution.rrdbnet import RRDBNet
from torch import Tensor

from .portable import compare_output, load_case

# layout of the file, names of its input and output, layout under which it is recognised
RRDB_FILES = [
    ("basicsr", "x", "y", "BasicSR", 4),
    ("mid", "x", "y", "ESRGAN (RRDB_trunk)", 4),
    ("old", "x", "y", "ESRGAN, first version (model.1.sub)", 4),
    ("x2net", "x2_in", "x2_out", "BasicSR", 2),
    ("x1net", "x1_in", "x1_out", "BasicSR", 1),
]


def test_portable_figures_of_rrdbnet() -> None:
    case = load_case("rrdbnet")
    net = RRDBNet(num_feat=16, num_block=2, num_grow_ch=8).eval()
    net.load_state_dict(case.state_dict())
    body: list[Tensor] = []
    net.conv_body.register_forward_hook(lambda module, inputs, output: body.append(output))
    image = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        case.check({"y": net(image), "conv_body": body[0]})


def test_portable_figures_of_the_unet() -> None:
    case = load_case("unet_discriminator_sn")
    net = UNetDiscriminator(num_feat=8)
    net.load_state_dict(case.state_dict())
    image = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        case.check({"train_first": net.train()(image), "eval_after": net.eval()(image)})
    state = net.state_dict()
    for key, expected in case.record["buffers_after_train"].items():
        assert compare_output(state[key], expected) == [], key


def golden(assets: Path, name: str) -> dict[str, Tensor]:
    with np.load(assets / "parity" / "super_resolution" / f"{name}.npz") as archive:
        return {key: torch.from_numpy(np.asarray(archive[key])) for key in archive.files}


def part(arrays: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}


@pytest.mark.parametrize("wrapper", [None, "params", "params_ema"])
@pytest.mark.parametrize(("name", "x", "y", "layout", "scale"), RRDB_FILES, ids=[entry[0] for entry in RRDB_FILES])
def test_official_rrdbnet_in_every_layout(
    assets: Path, tmp_path: Path, name: str, x: str, y: str, layout: str, scale: int, wrapper: str | None
) -> None:
    arrays = golden(assets, "rrdb_tiny_layouts")
    state: dict[str, Any] = part(arrays, name)
    torch.save({wrapper: state} if wrapper else state, tmp_path / "net.pth")
    net = create_model("rrdbnet", tmp_path / "net.pth")
    assert model_info(net).layout == layout
    assert net.scale == scale
    with torch.no_grad():
        torch.testing.assert_close(net(arrays[x]), arrays[y], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "name", "module"), [("vgg_discriminator", "vgg", ""), ("unet_discriminator", "unet", "module.")]
)
def test_official_discriminators(assets: Path, tmp_path: Path, model: str, name: str, module: str) -> None:
    arrays = golden(assets, "discriminators_tiny")
    state = {f"{module}{key}": value for key, value in part(arrays, name).items()}
    torch.save({"params": state}, tmp_path / "net.pth")
    net = create_model(model, tmp_path / "net.pth")
    expected = arrays[f"{name}_out"]
    # random vectors of the spectral norm amplify the U-Net's logits to 1e8, so the range counts
    tolerance = 1e-5 * max(1.0, expected.abs().max().item())
    with torch.no_grad():
        torch.testing.assert_close(net(arrays[f"{name}_in"]), expected, rtol=0, atol=tolerance)


def test_official_weights_of_the_compact_network(assets: Path) -> None:
    arrays = golden(assets, "realesr-animevideov3_butterfly_float")
    net = create_model("srvgg", assets / "weights" / "realesr-animevideov3.pth")
    assert sum(parameter.numel() for parameter in net.parameters()) == 621_424
    image = arrays["lr"].permute(2, 0, 1).unsqueeze(0).float() / 255
    with torch.no_grad():
        torch.testing.assert_close(net(image), arrays["out"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bird", "head", "butterfly"])
def test_official_images_of_the_compact_network(assets: Path, name: str) -> None:
    from skimage import io

    net = create_model("srvgg", assets / "weights" / "realesr-animevideov3.pth")
    given = io.imread(assets / "super_resolution" / "set5" / "LR_bicubic_X4" / f"{name}x4.png")
    expected = io.imread(assets / "parity" / "super_resolution" / f"realesr-animevideov3_{name}.png")
    with torch.no_grad():
        found = net(torch.from_numpy(given).permute(2, 0, 1).unsqueeze(0).float() / 255)
    levels = (found.clamp(0, 1) * 255).round()[0].permute(1, 2, 0).numpy()
    difference = np.abs(levels - expected)
    # values that lie on the border between two levels
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-4


def test_official_relativistic_losses(assets: Path) -> None:
    file = assets / "parity" / "super_resolution" / "ragan_golden.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    real, made = torch.tensor(record["real_logits"]), torch.tensor(record["fake_logits"])
    loss = RelativisticAdversarialLoss()
    generator = loss({"scores": made, "real_scores": real}, {})
    assert generator.item() == pytest.approx(record["loss_g"], abs=1e-6)
    assert loss.discriminator(real, made).item() == pytest.approx(record["loss_d"], abs=1e-6)
