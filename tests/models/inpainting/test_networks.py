from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.inpainting import dstt, sttn
from framewright.models.inpainting.contract import InpaintingNetwork, attend, composite
from framewright.models.inpainting.layers import PatchComposite, coverage, token_grid
from framewright.models.registry import create_model, get_card, model_info
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

NETWORKS = ("sttn", "dstt", "fuseformer")
SIZES = {"sttn": (48, 48), "dstt": (48, 72), "fuseformer": (60, 72)}  # that need no padding


def tiny(name: str, **options: object) -> InpaintingNetwork:
    torch.manual_seed(3)
    net = create_model(name, **{**get_card(name).tiny, **options})
    assert isinstance(net, InpaintingNetwork)
    # the official initialisation is so small that attention hardly matters
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5)
    return net


def clip(height: int, width: int, frames: int = 3, batch: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    video = torch.rand(batch, frames, 3, height, width, generator=generator)
    return video, (torch.rand(batch, frames, 1, height, width, generator=generator) > 0.7).float()


# --- the official numbers


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("sttn", 16_556_163, 1031.6), ("dstt", 34_529_155, 452.6), ("fuseformer", 36_591_299, 751.4)],
)
def test_size_and_operations_are_the_published_ones(name: str, parameters: int, macs: float) -> None:
    with torch.device("meta"):
        net = create_model(name)
        video, mask = torch.rand(1, 8, 3, 240, 432), torch.rand(1, 8, 1, 240, 432)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert net(video, mask).shape == video.shape
    assert counter.get_total_flops() / 2e9 == pytest.approx(macs, abs=0.05)


# --- the contract


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (50, 7), (49, 100)])
def test_any_size_and_length(name: str, size: tuple[int, int]) -> None:
    net = tiny(name)
    for frames in (1, 2):
        video, mask = clip(*size, frames=frames)
        with torch.no_grad():
            out = net(video, mask)
        assert out.shape == video.shape
        assert out.min() >= 0
        assert out.max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_repeats_the_edge(name: str) -> None:
    net = tiny(name)
    height, width = 2 * net.multiple - 3, 3 * net.multiple - 5
    video, mask = clip(height, width)
    larger = [F.pad(x, (0, 5, 0, 3, 0, 0), mode="replicate") for x in (video, mask)]
    with torch.no_grad():
        expected = net(*larger)[..., :height, :width]
        torch.testing.assert_close(net(video, mask), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_content_of_holes_does_not_matter_and_the_rest_does(name: str) -> None:
    net, (video, mask) = tiny(name), clip(*SIZES[name])
    with torch.no_grad():
        out = net(video, mask)
        assert torch.equal(net(video + mask * torch.rand_like(video), mask), out)
        assert not torch.allclose(net(video * 0.5, mask), out, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_frames_can_be_encoded_once_and_put_together_later(name: str) -> None:
    net, (video, mask) = tiny(name), clip(37, 50, frames=5)
    with torch.no_grad():
        single = [net.encode(frame[None], hole[None]) for frame, hole in zip(video[0], mask[0], strict=True)]
        assert tuple(single[0].shape[2:]) == tuple((n + -n % net.multiple) // 4 for n in (37, 50))
        chosen = [4, 0, 3]
        window = torch.cat([single[i] for i in chosen]).unsqueeze(0)
        features = net.transform(window, mask[:, chosen])
        middle = net.decode(features[0, 1:2], (37, 50))
        expected = net(video[:, chosen], mask[:, chosen])
    torch.testing.assert_close(middle[0], expected[0, 1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_other_frames_matter(name: str) -> None:
    net, (video, mask) = tiny(name), clip(*SIZES[name])
    changed = video.clone()
    changed[:, 2] = 0
    with torch.no_grad():
        difference = (net(changed, mask) - net(video, mask)).abs().amax((0, 2, 3, 4))
    assert difference[:2].min() > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(48, 72), (41, 99)])
def test_plain_computation_gives_the_same(name: str, size: tuple[int, int]) -> None:
    video, mask = clip(*size, batch=2)
    results = []
    for implementation in ("fused", "plain"):
        net = tiny(name, implementation=implementation).train()
        out = net(video, mask)
        out.square().mean().backward()
        results.append((out, {key: parameter.grad for key, parameter in net.named_parameters()}))
    (out, gradients), (expected, others) = results
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[key], rtol=1e-3, atol=1e-6, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("name", NETWORKS)
def test_autocast(name: str) -> None:
    net, (video, mask) = tiny(name), clip(*SIZES[name])
    with torch.no_grad():
        expected = net(video, mask)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(video, mask)
    assert out.dtype == torch.float32
    assert (out - expected).abs().mean() < 0.02


def test_composite_takes_the_network_only_inside_holes() -> None:
    net, (video, mask) = tiny("dstt"), clip(48, 48)
    with torch.no_grad():
        outputs = net.training_outputs(video, mask)
    hole = mask.bool().expand_as(video)
    assert torch.equal(outputs.composite[~hole], video[~hole])
    assert torch.equal(outputs.composite[hole], outputs.prediction[hole])
    assert torch.equal(composite(video, outputs.prediction, torch.zeros_like(mask)), video)


BAD: list[tuple[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], str]] = [
    (lambda v, m: (v[0], m), "expects a video"),
    (lambda v, m: (v, m[:, :1]), "a frame for every frame"),
    (lambda v, m: (v, m[..., :-1]), "of its size"),
    (lambda v, m: (v, m.expand_as(v)), "mask"),
    (lambda v, m: (v[:, :0], m[:, :0]), "at least one frame"),
    (lambda v, m: (v, m.bool()), "floating-point"),
    (lambda v, m: ((v * 255).byte(), m), "floating-point"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=range(len(BAD)))
def test_wrong_inputs(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny("dstt")(*change(*clip(24, 24)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sttn", {"channel": 18}, "channel must be a multiple of 4"),
        ("sttn", {"divisions": []}, "divisions needs"),
        ("sttn", {"stack_num": 0}, "stack_num"),
        ("sttn", {"implementation": "quick"}, "'fused' or 'plain'"),
        ("dstt", {"channel": 20}, "multiple of 8"),
        ("dstt", {"num_head": 3}, "multiple of num_head"),
        ("dstt", {"dropout": 1.0}, "dropout"),
        ("fuseformer", {"channel": 24}, "multiple of 16"),
        ("fuseformer", {"output_size": [60]}, "output_size"),
        ("fuseformer", {"fusion_channels": 0}, "fusion_channels"),
    ],
)
def test_wrong_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_model(name, **options)


# --- official files


@pytest.mark.parametrize("name", NETWORKS)
def test_official_layouts_load(name: str, tmp_path: Path) -> None:
    state = tiny(name).state_dict()
    parallel = {f"module.{key}": value for key, value in state.items()}
    for i, content in enumerate((state, {"netG": state}, parallel, {"netG": parallel})):
        file = tmp_path / f"{i}.pth"
        torch.save(content, file)
        net = create_model(name, file, **get_card(name).tiny)
        assert model_info(net).layout == "official"
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_missing_keys_are_listed(tmp_path: Path) -> None:
    state = tiny("sttn").state_dict()
    del state["encoder.2.bias"]
    torch.save({"netG": state}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"encoder\.2\.bias"):
        create_model("sttn", tmp_path / "a.pth", **get_card("sttn").tiny)


# --- STTN


def test_patches_of_sttn_hold_a_window_of_one_frame() -> None:
    x = torch.arange(2 * 3 * 5 * 4 * 6).view(6, 5, 4, 6).float()  # 2 videos of 3 frames
    patches = sttn._to_patches(x, 2, 3)
    assert patches.shape == (2, 3 * 4, 5 * 2 * 3)
    expected = x[4, :, 2:, :3]  # second video, second frame, lower left
    assert sorted(patches[1, 4 + 2].tolist()) == sorted(expected.flatten().tolist())
    assert torch.equal(sttn._from_patches(patches, 2, 3, (4, 6)), x)


def test_masks_have_no_effect_on_attention_unless_asked_for() -> None:
    video, mask = clip(48, 48)
    mask[..., :32, :] = 1
    for masking in (False, True):
        net = tiny("sttn", mask_attention=masking)
        with torch.no_grad():
            features = torch.unflatten(net.encode(video[0], mask[0]), 0, (1, -1))
            same = torch.equal(net.transform(features, mask), net.transform(features, torch.zeros_like(mask)))
            assert same != masking
            assert net(video, mask).isfinite().all()
            assert net(video, torch.ones_like(mask)).isfinite().all()
    with pytest.raises(ValueError, match="needs the masks"):
        net.transform(features)


@pytest.mark.parametrize("fused", [False, True])
def test_hidden_keys_are_not_looked_at(fused: bool) -> None:
    query, key, value = torch.randn(3, 2, 6, 4).unbind()
    hidden = torch.zeros(2, 1, 6, dtype=torch.bool)
    hidden[0, :, 2:4] = True
    hidden[1] = True
    out = attend(query, key, value, hidden, fused=fused)
    seen = [0, 1, 4, 5]
    torch.testing.assert_close(out[0], attend(query[0], key[0, seen], value[0, seen], fused=False))
    torch.testing.assert_close(out[1], value[1].mean(0, keepdim=True).expand(6, 4))


# --- DSTT


def test_zones_of_dstt() -> None:
    x = torch.randn(6, 4 * 6, 5)  # 2 videos of 3 frames
    zones = dstt._to_zones(x, 3, (4, 6))
    assert zones.shape == (8, 3 * 6, 5)
    maps = x.view(2, 3, 4, 6, 5)
    assert torch.equal(zones[4 + 1], maps[1, :, :2, 3:].reshape(-1, 5))
    assert torch.equal(dstt._from_zones(zones, 3, (4, 6)), x)


def block(mode: str, normalised_skip: bool = True) -> dstt._Block:
    torch.manual_seed(1)
    return dstt._Block(8, 2, mode, 0.0, normalised_skip, fused=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["t", "s"])
def test_what_a_block_of_dstt_can_see(mode: str) -> None:
    net, x = block(mode), torch.randn(3, 4 * 6, 8)
    changed = x.clone()
    changed[1, 0] += torch.randn(8)
    with torch.no_grad():
        moved = (net(changed, 3, (4, 6)) - net(x, 3, (4, 6))).abs().amax(-1).view(3, 4, 6) > 1e-7
    expected = torch.zeros(3, 4, 6, dtype=torch.bool)
    if mode == "t":
        expected[:, :2, :3] = True
    else:
        expected[1] = True
    assert torch.equal(moved, expected)


def test_the_official_skip_connection_carries_normalised_tokens() -> None:
    x = 5 + 3 * torch.randn(3, 24, 8)
    for normalised in (True, False):
        net = block("s", normalised)
        for layer in (net.attention.output_linear, net.ffn.conv[3]):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        with torch.no_grad():
            torch.testing.assert_close(net(x, 3, (4, 6)), F.layer_norm(x, (8,)) if normalised else x)


# --- FuseFormer


@pytest.mark.parametrize("size", [(60, 108), (1, 1), (7, 11), (15, 20)])
def test_overlaps_are_counted_without_folding(size: tuple[int, int]) -> None:
    rows, columns = token_grid(size)
    folded = F.fold(torch.ones(1, 49, rows * columns), size, 7, padding=3, stride=3)
    assert torch.equal(coverage(size, folded), folded[0, 0])


@pytest.mark.parametrize("size", [(15, 18), (16, 20), (2, 5)])
def test_patches_are_summed_without_cutting(size: tuple[int, int]) -> None:
    rows, columns = token_grid(size)
    net, tokens = PatchComposite(6, 4, True, (15, 18)), torch.randn(2, rows * columns, 6)
    with torch.no_grad():
        torch.testing.assert_close(net._summed(tokens, size), net._folded(tokens, size))
        assert net.bias is not None
        net.bias.normal_()
        bias = net(tokens, size) - net._folded(tokens, size)
    expected = net.bias if size == (15, 18) else F.interpolate(net.bias[None], size, mode="bilinear")[0]
    torch.testing.assert_close(bias, expected.detach().expand_as(bias), rtol=1e-4, atol=1e-5)


def test_position_embedding_keeps_its_place_at_other_sizes() -> None:
    net = tiny("fuseformer")
    embedding = net.add_pos_emb
    with torch.no_grad():
        # rises to the right
        embedding.pos_emb.copy_(torch.arange(6.0).expand(5, 6).reshape(1, 1, 30, 1).expand(1, 1, 30, 32))
        own = embedding(torch.zeros(1, 30, 32), (5, 6))
        wide = embedding(torch.zeros(1, 60, 32), (5, 12)).view(5, 12, 32)
    assert torch.equal(own[0], embedding.pos_emb[0, 0])
    torch.testing.assert_close(wide[:, 4:8, 0], torch.tensor([1.75, 2.25, 2.75, 3.25]).expand(5, 4), rtol=0, atol=0.05)
