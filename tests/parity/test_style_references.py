"""AdaIN with real weights, a feed-forward network with real weights and ReCoNet equal the official ones."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import WeightsError
from framewright.models.registry import create_model, load_model
from framewright.models.style.adain import exchange, load_adain, main
from torch import Tensor


def archive(path: Path) -> dict[str, Tensor]:
    with np.load(path) as stored:
        return {key: torch.from_numpy(np.asarray(stored[key])).float() for key in stored.files}


@torch.no_grad()
def test_adain_with_trained_weights(assets: Path) -> None:
    folder = assets / "style" / "style_vgg31"
    golden = archive(folder / "golden_adain31.npz")
    figures = json.loads((folder / "golden_adain31.json").read_text(encoding="utf-8"))
    net: Any = load_adain(folder / "vgg_normalised_conv3_1.pth", folder / "feature_invertor_conv3_1.pth")
    content, style = golden["content"] / 255, golden["style"] / 255
    features = net.encoder(content)[-1]
    # stored in half precision
    torch.testing.assert_close(features, golden["feat_content"], rtol=6e-4, atol=1e-4)
    mixed = exchange(features, net.describe(style[None]))
    torch.testing.assert_close(mixed, golden["adain"], rtol=6e-4, atol=6e-4)
    made = net(content[:, None], style).video[0]
    torch.testing.assert_close(made, golden["output"], rtol=0, atol=4e-4)
    assert float(made.mean()) == pytest.approx(figures["out_mean"], rel=1e-5)
    assert float(made.std()) == pytest.approx(figures["out_std"], rel=1e-5)
    inverted = net.decoder(features).clamp(0, 1)
    torch.testing.assert_close(inverted, golden["reconstruction"], rtol=0, atol=4e-4)
    psnr = -10 * torch.log10((inverted - content).square().mean())
    assert float(psnr) == pytest.approx(figures["rec_psnr_db"], abs=1e-3)


def test_one_file_of_adain_from_two(assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = assets / "style" / "style_vgg31"
    for layer in (1, 2, 3):
        pair = [str(folder / f"{name}_conv{layer}_1.pth") for name in ("vgg_normalised", "feature_invertor")]
        assert main([*pair, str(tmp_path / "adain.safetensors"), "--alpha", "0.5"]) == 0
        net: Any = load_model(tmp_path / "adain.safetensors")
        assert (net.encoder.layers[-1], net.alpha) == (f"relu{layer}_1", 0.5)
    encoder: Any = create_model("normalised_vgg19", folder / "vgg_normalised_conv2_1.pth")
    assert encoder.layers == ("relu1_1", "relu2_1")
    capsys.readouterr()
    shallow, decoder = folder / "vgg_normalised_conv1_1.pth", folder / "feature_invertor_conv3_1.pth"
    assert main([str(shallow), str(decoder), str(tmp_path / "wrong.safetensors")]) == 2
    assert "does not fit the encoder" in capsys.readouterr().err
    with pytest.raises(WeightsError, match="no decoder"):
        load_adain(shallow, assets / "style" / "style_fast_mosaic" / "mosaic_TransformerResNextNetwork.pth")


@torch.no_grad()
def test_fast_style_with_trained_weights(assets: Path) -> None:
    folder = assets / "style" / "style_fast_mosaic"
    golden = archive(folder / "golden_mosaic.npz")
    net: Any = create_model("fast_style", folder / "mosaic_TransformerResNextNetwork.pth")
    assert sum(parameter.numel() for parameter in net.parameters()) == 470_915
    frames = torch.stack([golden["in_bgr0"], golden["in_bgr1"]]).permute(0, 3, 1, 2)
    expected = torch.stack([golden["out_bgr0"], golden["out_bgr1"]])
    # stored in half precision: values above 256 in steps of 0.25
    torch.testing.assert_close(net.official(frames), expected, rtol=0, atol=0.13)
    shown = net((frames.flip(1) / 255)[None]).video[0]
    torch.testing.assert_close(shown, (expected[:, :, :218].flip(1) / 255).clamp(0, 1), rtol=0, atol=6e-4)


@torch.no_grad()
def test_reconet_with_weights_by_formula(assets: Path) -> None:
    golden = archive(assets / "parity" / "style" / "reconet_safwankdb.npz")
    layout = json.loads((assets / "parity" / "style" / "reconet_safwankdb.json").read_text(encoding="utf-8"))
    net: Any = create_model("reconet")
    state = net.state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == layout
    assert sum(parameter.numel() for parameter in net.parameters()) == 1_679_235
    for key, value in state.items():
        noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(tuple(value.shape))
        if value.dim() >= 2:
            noise = noise * np.sqrt(1 / np.prod(tuple(value.shape[1:])))
        else:
            noise = 1 + 0.1 * noise if key.endswith("weight") else 0.1 * noise
        value.copy_(torch.from_numpy(noise))
    frames = golden["in_x"] / 255
    features = net.encode(frames)
    torch.testing.assert_close(features, golden["out_features"], rtol=0, atol=1e-4)
    torch.testing.assert_close(net.decode(features) * 255, golden["out_y"], rtol=0, atol=1e-4)
    torch.testing.assert_close(net(frames[:, None]).video[0] * 255, golden["out_y"], rtol=0, atol=1e-4)
