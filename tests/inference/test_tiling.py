"""Tiles: exact where all that a network sees is computed, without seams where not, never wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError, FramewrightError
from framewright.inference import Context, NetworkMethod, SuperResolutionOptions, chunked, engine_options
from framewright.inference.tiling import TileRule, run_tiled, tile_rule
from framewright.models.registry import create_model
from framewright.video import read_image
from torch import Tensor, nn


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def small_srvgg(scale: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return create_model("srvgg", num_feat=8, num_conv=2, upscale=scale).eval()


def small_rrdb(scale: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return create_model("rrdbnet", scale=scale, num_feat=8, num_block=1, num_grow_ch=4).eval()


@torch.no_grad()
def tiled(net: nn.Module, frame: Tensor, tile: int, overlap: int | None = None) -> Tensor:
    return run_tiled(net, frame, tile, tile_rule(net, net.scale, overlap), "net")  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(40, 53), (31, 17), (8, 70)])
def test_small_networks_are_exact(height: int, width: int) -> None:
    net = small_srvgg()
    frame = image(height, width)
    with torch.no_grad():
        whole = net(frame)
    assert tile_rule(net, 2).exact
    for tile in (7, 16, 40):
        assert torch.allclose(tiled(net, frame, tile), whole, atol=1e-5, rtol=0)
    # one pixel less of surroundings is not enough
    assert not tile_rule(net, 2, tile_rule(net).overlap - 1).exact


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_tiles_begin_where_a_folding_network_can(scale: int) -> None:
    net = small_rrdb(scale)
    frame = image(101, 150)
    with torch.no_grad():
        whole = net(frame)
    rule = tile_rule(net, scale)
    assert rule.exact
    assert rule.overlap % rule.alignment == 0
    made = tiled(net, frame, 50, int(net.receptive_radius))  # type: ignore[arg-type]
    assert torch.allclose(made, whole, atol=1e-5, rtol=0)


def test_deep_networks_are_blended_without_seams() -> None:
    net = create_model("rrdbnet", num_feat=4, num_grow_ch=4)
    rule = tile_rule(net, 4)
    assert not rule.exact
    assert rule.overlap == 32

    def biased(part: Tensor) -> Tensor:
        """Every tile has its own brightness, as those of a network that looks far have."""
        return F.interpolate(torch.zeros_like(part) + part.mean(), scale_factor=4.0)

    ramp = torch.linspace(0, 1, 160).expand(1, 3, 50, 160)
    made = run_tiled(biased, ramp, 40, rule, "net")
    assert made.shape == (1, 3, 200, 640)
    pasted = run_tiled(biased, ramp, 40, TileRule(32, True, 1, 4), "net")
    assert float(pasted.diff(dim=-1).abs().max()) > 0.1
    assert float(made.diff(dim=-1).abs().max()) < 0.01
    assert bool((made.diff(dim=-1) >= -1e-6).all())


@pytest.mark.parametrize(("tile", "overlap"), [(1, 0), (5, 3), (8, 8), (64, 2)])
def test_blended_tiles_of_what_is_local_change_nothing(tile: int, overlap: int) -> None:
    frame = image(19, 23, batch=2)
    made = run_tiled(lambda x: F.interpolate(x, scale_factor=3.0), frame, tile, TileRule(overlap, False, 1, 3), "net")
    assert torch.allclose(made, F.interpolate(frame, scale_factor=3.0), atol=1e-6)


def test_goldens_of_a_real_network(assets: Path) -> None:
    known = json.loads((assets / "parity" / "super_resolution" / "compression_tiling.json").read_text())
    net = create_model("srvgg", str(assets / "weights" / "realesr-animevideov3.pth"))
    pixels = read_image(assets / "super_resolution" / "set5" / "LR_bicubic_X4" / "babyx4.png")
    frame = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        whole = net(frame)
        for overlap in (0, 16, 17, 18):
            expected = known["tiling_and_timing"][f"srvgg16 tile32 pad{overlap}"]["max_abs"]
            made = run_tiled(net, frame, 32, TileRule(overlap, True, 1, 4), "net")
            assert float((made - whole).abs().max()) == pytest.approx(expected, rel=2e-3, abs=1e-6)
    rule = tile_rule(net, 4)
    assert (rule.overlap, rule.exact) == (18, True)


class Memory:
    """A network that fails on more than so many pixels."""

    def __init__(self, pixels: int, error: Callable[[], Exception]) -> None:
        self.pixels, self.error = pixels, error
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, frame: Tensor) -> Tensor:
        self.sizes.append(tuple(frame.shape))
        if frame[:, 0].numel() > self.pixels:
            raise self.error()
        return frame


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory"),
        lambda: RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        MemoryError,
    ],
)
def test_memory_that_runs_out_makes_tiles_smaller(
    error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    frame = image(100, 130, batch=2)
    run = Memory(60 * 60, error)
    assert torch.equal(run_tiled(run, frame, None, TileRule(4, True), "net"), frame)
    # both frames at once, then one by one, then in tiles
    assert run.sizes[:2] == [(2, 3, 100, 130), (1, 3, 100, 130)]
    assert all(height * width <= 60 * 60 for _, _, height, width in run.sizes[-4:])
    assert "out of memory, going on with tiles" in caplog.text
    assert "the result stays the same" in caplog.text


def test_no_memory_at_all_is_told() -> None:
    run = Memory(10, lambda: torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(
        FramewrightError, match=r"'net': not enough memory on cpu for a tile of \d+x\d+ of a frame of 130x100"
    ):
        run_tiled(run, image(100, 130), None, TileRule(4, False), "net")


def test_other_errors_are_not_swallowed() -> None:
    run = Memory(10, lambda: RuntimeError("wrong dtype"))
    with pytest.raises(RuntimeError, match="wrong dtype"):
        run_tiled(run, image(100, 130), None, TileRule(4, False), "net")
    with pytest.raises(ValueError, match=r"'net' made \(1, 3, 8, 8\) of an image \(1, 3, 8, 8\), expected"):
        run_tiled(lambda x: x, image(8, 8), None, TileRule(4, True, 1, 4), "net")


def test_options_of_the_engine() -> None:
    options = engine_options("super_resolution", {"tile": 9, "overlap": 4}, "methods.net.inference")
    assert options == SuperResolutionOptions(tile=9, overlap=4)
    with pytest.raises(ConfigError, match="tile"):
        engine_options("super_resolution", {"tile": 0}, "methods.net.inference")
    net = small_srvgg()
    frames = image(21, 30, batch=3)
    context = Context("super_resolution", scale=2)
    whole = torch.cat([chunk.frames for chunk in NetworkMethod("a", net).process(chunked(frames), context)])
    cut = NetworkMethod("b", net, options=SuperResolutionOptions(tile=9))
    parts = list(cut.process(chunked(frames, 2), context))
    assert torch.allclose(torch.cat([chunk.frames for chunk in parts]), whole, atol=1e-5)
    assert whole.shape == (3, 3, 42, 60)
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1


def test_one_pixel() -> None:
    for net in (small_srvgg(), small_rrdb(2), create_model("bicubic")):
        method = NetworkMethod("net", net)
        (chunk,) = method.process(chunked(image(1, 1)), Context("super_resolution"))
        assert chunk.frames.shape == (1, 3, net.scale, net.scale)
