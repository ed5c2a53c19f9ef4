from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.inpainting.temporal_patchgan import TemporalPatchGAN
from framewright.models.registry import create_model, model_info
from torch import nn


def test_scores_of_the_official_widths() -> None:
    with torch.device("meta"):
        wide, narrow, video = TemporalPatchGAN(nf=64), TemporalPatchGAN(nf=32), torch.rand(1, 5, 3, 240, 432)
    assert [sum(p.numel() for p in net.parameters()) for net in (wide, narrow)] == [17_832_256, 4_461_728]
    assert wide.eval()(video).shape == (1, 5, 256, 4, 7)
    assert narrow.eval()(video).shape == (1, 5, 128, 4, 7)


def test_a_batch_is_one_clip_unless_asked_for() -> None:
    torch.manual_seed(0)
    official, video = TemporalPatchGAN(nf=4).eval(), torch.rand(2, 3, 3, 64, 64)
    separate = TemporalPatchGAN(nf=4, per_clip=True).eval()
    separate.load_state_dict(official.state_dict())
    with torch.no_grad():
        strung = torch.cat(tuple(video)).unsqueeze(0)
        assert torch.equal(official(video), official(strung))
        assert official(video).shape[:2] == (1, 6)
        each = separate(video)
        assert each.shape[:2] == (2, 3)
        torch.testing.assert_close(each, torch.cat([official(clip[None]) for clip in video]))
        assert not torch.allclose(official(video)[0], each.flatten(0, 1))


def test_scores_without_sigmoid_are_logits() -> None:
    torch.manual_seed(0)
    logits, shares = TemporalPatchGAN(nf=4).eval(), TemporalPatchGAN(nf=4, use_sigmoid=True).eval()
    shares.load_state_dict(logits.state_dict())
    video = torch.rand(1, 2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(shares(video), logits(video).sigmoid())


def test_old_and_new_names_of_spectral_norm_load(tmp_path: Path) -> None:
    net = TemporalPatchGAN(nf=4)
    state = net.state_dict()
    modern = nn.Module()
    modern.conv = nn.Sequential(
        *(
            layer if not hasattr(layer, "weight_orig") else nn.utils.parametrizations.spectral_norm(plain(layer))
            for layer in net.conv
        )
    )
    for content, layout in (
        ({"netD": state}, "official"),
        ({f"module.{key}": value for key, value in state.items()}, "official"),
        (modern.state_dict(), "torch parametrizations"),
    ):
        torch.save(content, tmp_path / "dis.pth")
        loaded = create_model("temporal_patchgan", tmp_path / "dis.pth", nf=4)
        assert model_info(loaded).layout == layout
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items() if "weight_o" in key)
        video = torch.rand(1, 2, 3, 64, 64)
        with torch.no_grad():
            expected = modern.eval().conv((video * 2 - 1).transpose(1, 2)).transpose(1, 2)
            if layout != "official":
                torch.testing.assert_close(loaded(video), expected)


def plain(layer: nn.Module) -> nn.Conv3d:
    weight = layer.weight_orig
    conv = nn.Conv3d(weight.shape[1], weight.shape[0], (3, 5, 5), (1, 2, 2), layer.padding, bias=False)
    conv.weight = nn.Parameter(weight.detach().clone())
    return conv


def test_plain_keys_without_spectral_norm(tmp_path: Path) -> None:
    net = TemporalPatchGAN(nf=4, use_spectral_norm=False)
    assert "conv.0.weight" in net.state_dict()
    torch.save({"netD": net.state_dict()}, tmp_path / "dis.pth")
    loaded = create_model("temporal_patchgan", tmp_path / "dis.pth", nf=4, use_spectral_norm=False)
    assert torch.equal(loaded.state_dict()["conv.8.weight"], net.state_dict()["conv.8.weight"])


def test_wrong_options_and_inputs() -> None:
    with pytest.raises(ConfigError, match="nf"):
        TemporalPatchGAN(nf=0)
    with pytest.raises(ConfigError, match="power_iterations"):
        TemporalPatchGAN(power_iterations=-1)
    with pytest.raises(ValueError, match=r"expected a video \(B, T, 3"):
        TemporalPatchGAN(nf=4)(torch.rand(3, 3, 64, 64))
