"""Videos with holes: official and bounded windows, regions, and what masks may be."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.inference import Chunk, Context, InpaintingOptions, NetworkMethod, chunked, engine_options
from framewright.inference.masked import Box
from framewright.inference.windows import HoleRegion
from framewright.models.inpainting.contract import InpaintingNetwork
from framewright.models.registry import create_model, get_card
from torch import Tensor, nn

CONTEXT = Context("inpainting", video_id="clip")


def tiny(name: str = "sttn", **options: object) -> InpaintingNetwork:
    torch.manual_seed(3)
    net = create_model(name, **{**get_card(name).tiny, **options})
    assert isinstance(net, InpaintingNetwork)
    # the official initialisation is so small that every frame would look alike
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    return net


def clip(frames: int, size: tuple[int, int] = (40, 56), seed: int = 0) -> tuple[Tensor, Tensor]:
    """8-bit frames, and a hole that moves."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (frames, 3, *size), generator=generator) / 255
    mask = torch.zeros(frames, 1, *size)
    for index in range(frames):
        left = index % (size[1] - 20)
        mask[index, :, 10:26, left : left + 18] = 1
    return video, mask


def run(
    net: nn.Module, video: Tensor, mask: Tensor, size: int | None = None, asked: Context = CONTEXT, **options: Any
) -> Tensor:
    method = NetworkMethod("mine", net, options=engine_options("inpainting", options, "inference"))
    chunks = list(method.process(chunked(video, size, extras={"mask": mask}), asked))
    ends = np.cumsum([0, *(len(chunk) for chunk in chunks)]).tolist()
    assert [chunk.start for chunk in chunks] == ends[:-1]
    return torch.cat([chunk.frames for chunk in chunks])


class Recorder(nn.Module):
    """Fills holes with what tells a window's frames apart; remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[list[int]] = []
        self.sizes: list[tuple[int, ...]] = []
        self.dtypes: list[torch.dtype] = []

    def forward(self, video: Tensor, mask: Tensor) -> Tensor:
        assert not self.training
        self.windows.append([round(float(frame.max()) * 1000) for frame in video[0]])
        self.sizes.append(tuple(video.shape[3:]))
        self.dtypes.append(torch.mm(video[0, 0, 0], video[0, 0, 0].T).dtype)
        return torch.full_like(video, len(self.windows) / 100)


def counted(frames: int, size: tuple[int, int] = (6, 8)) -> tuple[Tensor, Tensor]:
    """Frames whose value is their index / 1000, and a hole in each."""
    video = (torch.arange(frames) / 1000).view(-1, 1, 1, 1).expand(-1, 3, *size).clone()
    mask = torch.zeros(frames, 1, *size)
    mask[..., 2:4, 2:5] = 1
    return video, mask


# --- official


def official(net: InpaintingNetwork, video: Tensor, mask: Tensor, limit: int = -1) -> Tensor:
    """The published procedure written down once more, on 8-bit values and without reuse of features."""
    original = (video * 255).round()
    length = len(video)
    result: list[Tensor | None] = [None] * length
    for middle in range(0, length, 5):
        near = [i for i in range(length) if abs(i - middle) <= 5]
        far = [i for i in range(0, length, 10) if i not in near]
        if limit > -1:
            reach = 10 * (limit // 2)
            far = [i for i in range(max(0, middle - reach), length, 10) if i <= middle + reach and i not in near]
        seen = near + far
        with torch.no_grad():
            predicted = net(video[seen][None] * (1 - mask[seen][None]), mask[seen][None])[0]
        for place, index in enumerate(near):
            levels = (predicted[place] * 255).to(torch.uint8).float()
            frame = levels * mask[index] + original[index] * (1 - mask[index])
            before = result[index]
            result[index] = frame if before is None else 0.5 * before + 0.5 * frame
    return torch.stack([frame for frame in result if frame is not None]) / 255


@pytest.mark.parametrize("name", ["sttn", "dstt", "fuseformer"])
@pytest.mark.parametrize("frames", [1, 7, 24])
def test_official_mode_is_the_published_procedure(name: str, frames: int) -> None:
    net = tiny(name)
    video, mask = clip(frames)
    made = run(net, video, mask, mode="official")
    expected = official(net, video, mask)
    assert torch.equal(made * (1 - mask), video * (1 - mask))
    # rounding of the network's own numbers may lift a value over the border of an 8-bit level
    assert (made - expected).abs().max() <= 1.01 / 255
    assert ((made - expected).abs() > 1e-6).float().mean() < 1e-3
    assert (made - video)[mask.expand_as(video) > 0].std() > 0.05


def test_official_mode_with_limited_references() -> None:
    net = tiny()
    video, mask = clip(46)
    made, expected = run(net, video, mask, num_ref=4), official(net, video, mask, 4)
    assert ((made - expected).abs() > 1e-6).float().mean() < 1e-3
    assert (made - run(net, video, mask)).abs().max() > 1e-3, "the limit must matter"


def test_official_windows_and_blending() -> None:
    net = Recorder()
    video, mask = counted(23)
    made = run(net, video, mask)
    holes = [made[i][:, mask[i, 0] > 0].unique() * 255 for i in range(23)]
    # a frame may hold any value in its hole, so that frame 0 is told apart by its known pixels only
    assert net.windows == [
        [*range(6), 10, 20],
        [*range(11), 20],
        [*range(5, 16), 0, 20],
        [*range(10, 21), 0],
        [*range(15, 23), 0, 10],
    ]
    levels = [int(255 * n / 100) for n in range(1, 6)]
    assert holes[0].tolist() == pytest.approx([(levels[0] + levels[1]) / 2])
    assert holes[7].tolist() == pytest.approx([(levels[1] + levels[2]) / 2])
    # three windows reach frame 10, and the last counts as much as the first two
    assert holes[10].tolist() == pytest.approx([((levels[1] + levels[2]) / 2 + levels[3]) / 2])


# --- bounded


def test_bounded_windows_references_and_weights() -> None:
    net = Recorder()
    video, mask = counted(48)
    made = run(net, video, mask, size=5, mode="bounded", references_before=2, references_ahead=1)
    assert net.windows[0] == [*range(6), 10]
    assert net.windows[4] == [*range(15, 26), 0, 10, 30]
    assert net.windows[6] == [*range(25, 36), 10, 20, 40]
    assert net.windows[8] == [*range(35, 46), 20, 30]
    assert net.windows[9] == [*range(40, 48), 20, 30]
    value = [float(frame[:, 2, 2].mean()) for frame in made]
    # windows 5 and 6 (0.06, 0.07) are centred on frames 25 and 30, whose neighbours 20 and 35 they share with others
    assert value[25] == pytest.approx((0.05 * 1 + 0.06 * 6 + 0.07 * 1) / 8, abs=1e-6)
    assert value[27] == pytest.approx((0.06 * 4 + 0.07 * 3) / 7, abs=1e-6)
    assert value[47] == pytest.approx(0.10, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"crop": True, "context": 4}], ids=["whole", "crop"])
def test_bounded_mode_does_not_depend_on_chunks(options: dict[str, Any]) -> None:
    net = tiny()
    video, mask = clip(33)
    whole = run(net, video, mask, mode="bounded", **options)
    for size in (1, 7):
        assert torch.equal(run(net, video, mask, size, mode="bounded", **options), whole)


def test_with_references_enough_bounded_mode_sees_what_official_mode_sees() -> None:
    net = tiny()
    video, mask = clip(24)
    bounded = run(net, video, mask, mode="bounded", references_before=9, references_ahead=9)
    assert (bounded - official(net, video, mask))[mask.expand_as(video) > 0].abs().mean() < 0.02


def test_bounded_mode_streams() -> None:
    video, mask = clip(120)
    read = 0

    def chunks() -> Iterable[Chunk]:
        nonlocal read
        for chunk in chunked(video, 4, extras={"mask": mask}):
            read += len(chunk)
            yield chunk

    options = InpaintingOptions(mode="bounded")
    done = 0
    for chunk in NetworkMethod("x", Recorder(), options=options).process(chunks(), CONTEXT):
        done += len(chunk)
        # windows of 11 frames, two references ahead, a chunk, and the frames of the next window
        assert read - done <= 11 + 2 * 10 + 4 + 5
    assert done == 120


def test_every_frame_is_encoded_once_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    net = tiny()
    encoded: list[int] = []
    encode = net.encode

    def counting(frames: Tensor, masks: Tensor) -> Tensor:
        encoded.append(len(frames))
        return encode(frames, masks)

    monkeypatch.setattr(net, "encode", counting)
    video, mask = clip(47)
    for mode in ("official", "bounded"):
        encoded.clear()
        run(net, video, mask, mode=mode)
        assert sum(encoded) == 47
    encoded.clear()
    method = NetworkMethod("x", net, pixel_budget=2 * 40 * 56)
    list(method.process(chunked(video, extras={"mask": mask}), CONTEXT))
    assert max(encoded) == 2


# --- regions


def test_crop_runs_on_the_holes_with_context_and_pastes_back() -> None:
    net = Recorder()
    video, mask = counted(12, (60, 80))
    made = run(net, video, mask, crop=True, context=10)
    assert set(net.sizes) == {(14, 15)}, "2x3 pixels in a corner with 10 around them, as far as there are any"
    assert torch.equal(made * (1 - mask), video * (1 - mask))
    assert float(made[:, :, 2:4, 2:5].min()) > 0.005
    net = Recorder()
    run(net, video, mask, mode="bounded", crop=True, context=2.0)
    assert set(net.sizes) == {(10, 11)}


def test_a_region_as_large_as_the_frame_is_the_frame() -> None:
    net = tiny()
    video, mask = clip(13)
    for mode in ("official", "bounded"):
        assert torch.equal(run(net, video, mask, mode=mode, crop=True, context=99), run(net, video, mask, mode=mode))


def test_a_bounded_region_follows_the_hole() -> None:
    net = Recorder()
    video = torch.rand(60, 3, 40, 300)
    mask = torch.zeros(60, 1, 40, 300)
    for index in range(60):
        mask[index, :, 10:20, 4 * index : 4 * index + 10] = 1
    made = run(net, video, mask, mode="bounded", crop=True, context=20)
    assert torch.equal(made * (1 - mask), video * (1 - mask))
    assert max(size[1] for size in net.sizes) < 150
    assert ((made == video).all(1, keepdim=True) == (mask == 0)).float().mean() > 0.999


def test_region_keeps_its_place_and_grows_to_multiples() -> None:
    region = HoleRegion(10, 16)
    first = region.choose(None, Box(50, 60, 50, 60), (200, 200))
    assert (first.height, first.width) == (32, 32)
    assert first.contains(Box(40, 70, 40, 70))
    assert region.choose(first, Box(51, 61, 53, 63), (200, 200)) == first
    assert region.choose(first, Box(51, 61, 63, 73), (200, 200)) != first
    small = HoleRegion(0.5, 1).choose(Box(0, 200, 0, 200), Box(0, 10, 0, 4), (200, 200))
    assert small == Box(0, 15, 0, 9), "half of the longer side; a region far too large is given up"
    assert HoleRegion(0, 48).choose(None, Box(10, 20, 90, 100), (40, 100)) == Box(0, 40, 52, 100)


# --- masks


@pytest.mark.parametrize("options", [{}, {"mode": "bounded"}, {"crop": True}], ids=str)
@pytest.mark.parametrize("baseline", [False, True])
def test_without_holes_the_network_is_not_run(options: dict[str, Any], baseline: bool) -> None:
    class Refuses(nn.Module):
        def forward(self, video: Tensor, mask: Tensor) -> Tensor:
            raise AssertionError("must not be called")

    video, mask = clip(12)
    net = create_model("flow_propagation") if baseline else Refuses()
    if baseline:
        options = {key: value for key, value in options.items() if key != "mode"}
    assert torch.equal(run(net, video, torch.zeros_like(mask), 5, **options), video)


@pytest.mark.parametrize("name", ["sttn", "telea", "navier_stokes", "temporal_median", "flow_propagation"])
def test_a_video_that_is_all_hole_gives_a_warning_and_a_video(name: str) -> None:
    video, mask = clip(7)
    net = create_model(name, **get_card(name).tiny)
    with pytest.warns(UserWarning, match="the video 'clip' is all hole") as caught:
        made = run(net, video, torch.ones_like(mask), 3)
    assert len(caught) == 1
    assert made.shape == video.shape
    assert torch.isfinite(made).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask[:6] = 1
        run(net, video, mask, 3)


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_any_value_above_zero_is_a_hole(value: int, dtype: torch.dtype) -> None:
    net = tiny()
    video, mask = clip(6)
    assert torch.equal(run(net, video, (mask * value).to(dtype)), run(net, video, mask))
    assert torch.equal(run(net, video, mask > 0), run(net, video, mask))


def test_what_a_hole_holds_does_not_matter() -> None:
    net = tiny()
    video, mask = clip(6)
    hidden = video.masked_fill(mask > 0, torch.nan)
    for options in ({}, {"mode": "bounded"}):
        assert torch.equal(run(net, hidden, mask, **options), run(net, video, mask, **options))


@pytest.mark.parametrize("name", ["sttn", "flow_propagation"])
def test_a_single_frame(name: str) -> None:
    video, mask = clip(1)
    net = create_model(name, **get_card(name).tiny)
    made = run(net, video, mask)
    assert torch.equal(made * (1 - mask), video * (1 - mask))
    assert not torch.equal(made, video)


def test_no_frames() -> None:
    assert list(NetworkMethod("x", tiny()).process([], CONTEXT)) == []


def test_dilation_is_that_of_opencv() -> None:
    import cv2

    video, mask = clip(3)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    grown = np.stack([cv2.dilate(frame[0].numpy(), cross, iterations=4) for frame in mask])
    expected = torch.from_numpy(grown)[:, None]
    assert expected.sum() > mask.sum()
    assert torch.equal(run(tiny(), video, mask, dilate=4), run(tiny(), video, expected))


def test_masks_that_do_not_fit_are_named() -> None:
    method = NetworkMethod("x", tiny())
    video, mask = clip(4)

    def process(*chunks: Chunk) -> None:
        list(method.process(chunks, CONTEXT))

    with pytest.raises(DataError, match=r"'clip' has no mask at frame 0"):
        process(Chunk(0, video))
    with pytest.raises(DataError, match=r"'clip' at frame 0 is \(1, 40, 55\), expected \(1, 40, 56\)"):
        process(Chunk(0, video, {"mask": mask[..., 1:]}))
    with pytest.raises(ValueError, match="extra 'mask' has 3 frames, the chunk has 4"):
        process(Chunk(0, video, {"mask": mask[1:]}))
    smaller = Chunk(4, video[..., 2:], {"mask": mask[..., 2:]})
    with pytest.raises(DataError, match=r"change their size at frame 4, from 56x40 to 54x40"):
        process(Chunk(0, video, {"mask": mask}), smaller)


# --- options


def test_unknown_and_contradicting_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'methods.a.inference.strid'; did you mean 'stride'"):
        engine_options("inpainting", {"strid": 3}, "methods.a.inference")
    with pytest.raises(ConfigError, match="stride can be at most 4"):
        engine_options("inpainting", {"neighbours": 3}, "inference")
    with pytest.raises(ConfigError, match="references_ahead mean nothing with mode=official"):
        engine_options("inpainting", {"references_ahead": 3}, "inference")
    with pytest.raises(ConfigError, match="num_ref mean nothing with mode=bounded"):
        engine_options("inpainting", {"mode": "bounded", "num_ref": 3}, "inference")
    with pytest.raises(ConfigError, match="context means nothing without crop=true"):
        engine_options("inpainting", {"context": 3}, "inference")
    with pytest.raises(ConfigError, match="nothing to set about how flow networks are run"):
        engine_options("flow", {"mode": "bounded"}, "inference")
    with pytest.raises(ConfigError, match="'auxiliary' cannot be run"):
        engine_options("auxiliary", {}, "inference")


def test_options_of_windows_are_refused_by_baselines() -> None:
    video, mask = clip(4)
    with pytest.raises(ConfigError, match="'mine' decides itself which frames it looks at; mode cannot be set"):
        run(create_model("telea"), video, mask, mode="bounded")


def test_options_of_another_engine_are_refused() -> None:
    method = NetworkMethod("x", Recorder(), options=InpaintingOptions())
    with pytest.raises(ConfigError, match="'x' has InpaintingOptions, which is not for flow"):
        list(method.process(chunked(torch.rand(2, 3, 8, 8)), Context("flow")))


def test_precision_follows_the_context() -> None:
    video, mask = counted(3)
    net = Recorder()
    made = run(net, video, mask, asked=Context("inpainting", precision="bf16-mixed"))
    assert (net.dtypes[0], made.dtype) == (torch.bfloat16, torch.float32)
    network = tiny()
    video, mask = clip(6)
    for mode in ("official", "bounded"):
        exact = run(network, video, mask, mode=mode)
        rough = run(network, video, mask, mode=mode, asked=Context("inpainting", precision="bf16-mixed"))
        assert rough.dtype == torch.float32
        assert 0 < (rough - exact).abs().max() < 0.2
