from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.inference import Chunk, Context, NetworkMethod, chunked, engine_options, process_file
from framewright.inference.coherence import CoherenceFilter
from framewright.inference.cuts import MotionCutDetector
from framewright.models.registry import create_model
from framewright.models.style.contract import StyledVideo
from framewright.video import load_video, save_video
from framewright.video.images import write_image
from framewright.video.reference import read_reference
from torch import Tensor, nn

CONTEXT = Context("style", video_id="clip")


class Counter(nn.Module):
    """Recurrent: every frame is as bright as its number within the scene, /10; needs a reference first."""

    takes_reference = True
    recurrent = True

    def __init__(self) -> None:
        super().__init__()
        self.references: list[tuple[int, ...]] = []

    def forward(self, video: Tensor, reference: Tensor, state: Tensor | None = None) -> StyledVideo:
        if state is None:
            self.references.append(tuple(reference.shape))
        first = 0 if state is None else int(state)
        count = torch.arange(first, first + video.shape[1]).view(1, -1, 1, 1, 1)
        return StyledVideo(torch.zeros_like(video) + count / 10, torch.tensor(first + video.shape[1]))  # type: ignore[arg-type]


class Flicker(nn.Module):
    """Every second frame is brighter."""

    takes_reference = False

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0

    def forward(self, video: Tensor, reference: Tensor | None, state: Any) -> StyledVideo:
        number = self.frames + torch.arange(video.shape[1]).view(1, -1, 1, 1, 1)
        self.frames += video.shape[1]
        return StyledVideo((video * 0.5 + number % 2 * 0.2).clamp(0, 1))


def styled(
    net: nn.Module, video: Tensor, size: int | None = None, context: Context = CONTEXT, **options: Any
) -> Tensor:
    budget = 3 * video.shape[2] * video.shape[3]
    method = NetworkMethod("test", net, pixel_budget=budget, options=engine_options("style", options, "test"))
    return torch.cat([chunk.frames for chunk in method.process(chunked(video, size), context)])


def pan(seed: int, frames: int, height: int = 96, width: int = 128) -> Tensor:
    """A window that moves over smooth noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, height // 8 + 4, (width + 4 * frames) // 8 + 4, generator=generator)
    image = torch.nn.functional.interpolate(noise, scale_factor=8, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    return torch.stack([image[:, :height, 3 * t : 3 * t + width] for t in range(frames)])


def picture(path: Path, *shape: int) -> str:
    write_image(path, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    return str(path)


def test_a_cut_in_the_middle_resets_the_state(tmp_path: Path) -> None:
    video = torch.cat((pan(1, 4), pan(2, 5)))
    reference = picture(tmp_path / "style.png", 20, 30, 3)
    net = Counter()
    made = styled(net, video, reference=reference)
    assert (made[:, 0, 0, 0] * 10).round().tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4]
    assert net.references == [(1, 1, 3, 20, 30)] * 2
    for size in (1, 2, 5):
        assert torch.equal(styled(Counter(), video, size, reference=reference), made)
    marks = torch.zeros(9, dtype=torch.bool)
    marks[6] = True  # whoever knows the cuts is believed
    method = NetworkMethod("test", Counter(), options=engine_options("style", {"reference": reference}, "test"))
    told = torch.cat([c.frames for c in method.process(chunked(video, 4, extras={"shot_start": marks}), CONTEXT)])
    assert (told[:, 0, 0, 0] * 10).round().tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    whole = styled(Counter(), video, reference=reference, cuts=False)
    assert (whole[:, 0, 0, 0] * 10).round().tolist() == list(range(9))


def test_cuts_are_found_and_fast_motion_is_none() -> None:
    detector = MotionCutDetector()
    assert not any(detector.push(frame) for frame in pan(1, 12))
    assert detector.push(pan(2, 1)[0])
    # a dark scene after a bright one of a single colour, another size
    flat = MotionCutDetector()
    assert [flat.push(torch.full((3, 64, 64), level)) for level in (0.9, 0.9, 0.1, 0.1)] == [False, False, True, False]
    assert not flat.push(torch.full((3, 32, 32), 0.5))


@pytest.mark.parametrize("name", ["adain", "reinhard", "histogram_matching", "unstyled", "reconet"])
def test_one_frame_and_a_grey_reference(name: str, tmp_path: Path) -> None:
    net = create_model(name, **({"layer": "relu2_1", "base": 8} if name == "adain" else {}))
    grey = picture(tmp_path / "grey.png", 11, 300)
    made = styled(net, torch.rand(1, 3, 37, 52), reference=grey, reference_size=64)
    assert made.shape == (1, 3, 37, 52)
    assert bool(((made >= 0) & (made <= 1)).all())
    if name == "reinhard":  # histograms match channel by channel, and leave colours
        torch.testing.assert_close(made[:, 0], made[:, 2], rtol=0, atol=0.02)


def test_results_do_not_depend_on_chunks() -> None:
    torch.manual_seed(0)
    video = pan(3, 7, 40, 48)
    net = create_model("adain", layer="relu2_1", base=8)
    context = Context("style", reference=torch.rand(2, 3, 30, 20))
    whole = styled(net, video, context=context, coherence=0.5)
    assert torch.equal(styled(net, video, 1, context, coherence=0.5), whole)
    assert not torch.equal(styled(net, video, context=context), whole)


def test_the_recurrent_generator_begins_anew_after_a_cut() -> None:
    torch.manual_seed(0)
    net = create_model("rgan", ngf=4, n_blocks=1)
    with torch.no_grad():  # newly made ones are nearly grey
        for parameter in net.parameters():
            parameter.mul_(3)
    first, second = pan(1, 3), pan(2, 4)
    context = Context("style", reference=torch.rand(2, 3, 30, 20))
    whole = styled(net, torch.cat((first, second)), context=context)
    torch.testing.assert_close(whole[3:], styled(net, second, context=context), rtol=0, atol=1e-5)
    torch.testing.assert_close(styled(net, torch.cat((first, second)), 1, context), whole, rtol=0, atol=1e-5)
    carried = styled(net, torch.cat((first, second)), context=context, cuts=False)
    assert float((carried[3:] - whole[3:]).abs().max()) > 1e-3


def test_references_of_every_kind(tmp_path: Path) -> None:
    clip = pan(4, 20, 64, 96)
    save_video(clip, tmp_path / "clip.mp4")
    assert read_reference(tmp_path / "clip.mp4").shape == (8, 3, 64, 96)
    assert read_reference(tmp_path / "clip.mp4", frames=1, size=48).shape == (1, 3, 32, 48)
    ends = read_reference(tmp_path / "clip.mp4", frames=2)
    whole = load_video(tmp_path / "clip.mp4")
    assert torch.equal(ends, whole[[0, -1]])
    (tmp_path / "frames").mkdir()
    for index in range(3):
        picture(tmp_path / "frames" / f"{index}.png", 10, 12, 3)
    assert read_reference(tmp_path / "frames").shape == (3, 3, 10, 12)
    assert styled(Counter(), clip[:2], reference=str(tmp_path / "frames")).shape == clip[:2].shape


def test_what_is_wrong_says_so(tmp_path: Path) -> None:
    video = torch.rand(2, 3, 24, 24)
    with pytest.raises(ConfigError, match="takes the style of a reference, and there is none"):
        styled(create_model("reinhard"), video)
    with pytest.raises(DataError, match=r"there is no reference '.*nowhere\.png'"):
        styled(create_model("reinhard"), video, reference=str(tmp_path / "nowhere.png"))
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be decoded"):
        styled(create_model("reinhard"), video, reference=str(tmp_path / "text.png"))
    with pytest.raises(ConfigError, match="needs weights"):
        styled(create_model("unstyled"), video, coherence=0.5, flow="raft_small")
    with pytest.raises(ConfigError, match="is no flow method"):
        styled(create_model("unstyled"), video, coherence=0.5, flow="reinhard_flow")
    with pytest.raises(ConfigError, match="coherence"):
        engine_options("style", {"coherence": 0}, "methods.x.inference")
    chunks = [Chunk(0, torch.rand(1, 3, 24, 24)), Chunk(1, torch.rand(1, 3, 24, 32))]
    with pytest.raises(DataError, match="change their size from 24x24 to 32x24"):
        list(NetworkMethod("x", create_model("unstyled"), pixel_budget=1).process(chunks, CONTEXT))


def test_the_filter_takes_flicker_out_and_follows_motion() -> None:
    video = pan(5, 10)
    plain, calm = styled(Flicker(), video), styled(Flicker(), video, coherence=0.8, flow="farneback")

    def unsteady(frames: Tensor) -> float:
        # the pan moves by 3 pixels a frame
        return float((frames[1:, ..., 8:-8, 8:-8] - frames[:-1, ..., 8:-8, 11:-5]).abs().mean())

    assert unsteady(calm) < 0.35 * unsteady(plain)
    # what it shows is still the video
    assert float((calm[1:].mean(0) - (video[1:] * 0.5 + 0.1).mean(0)).abs().mean()) < 0.05


def test_the_filter_trusts_nothing_that_was_hidden() -> None:
    flow = create_model("zero_flow")
    smooth = CoherenceFilter(flow, 1.0)
    bright, dark = torch.ones(3, 8, 8), torch.zeros(3, 8, 8)
    assert torch.equal(smooth.push(dark, bright), bright)
    assert torch.equal(smooth.push(dark, dark), bright)  # the source is the same: the result before
    torch.testing.assert_close(smooth.push(bright, dark), dark)  # the source is another: nothing of it
    smooth.reset()
    assert torch.equal(smooth.push(bright, bright), bright)


def test_memory_does_not_grow_with_length() -> None:
    alive = []

    def frames(count: int) -> Iterator[Chunk]:
        for start in range(count):
            yield Chunk(start, torch.full((1, 3, 16, 16), 0.5))
            alive.append(sum(type(thing) is Tensor and thing.shape == (1, 3, 16, 16) for thing in gc.get_objects()))

    method = NetworkMethod(
        "x", create_model("unstyled"), pixel_budget=512, options=engine_options("style", {"coherence": 0.5}, "x")
    )
    assert sum(len(chunk) for chunk in method.process(frames(40), CONTEXT)) == 40
    assert max(alive[20:]) <= max(alive[5:20])


def test_a_file_becomes_a_file(tmp_path: Path) -> None:
    save_video(pan(6, 5, 64, 80), tmp_path / "in.mp4")
    options = engine_options("style", {"reference": picture(tmp_path / "style.png", 32, 32, 3)}, "test")
    method = NetworkMethod("reinhard", create_model("reinhard"), options=options)
    run = process_file(method, tmp_path / "in.mp4", tmp_path / "out.mp4", CONTEXT)
    assert (run.frames, run.size) == (5, (64, 80))
    assert load_video(tmp_path / "out.mp4").shape == (5, 3, 64, 80)
