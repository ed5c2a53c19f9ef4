"""Cuts in streams of chunks: they are marked once, and engines do not look across them."""

from __future__ import annotations

import pytest
import torch
from framewright.inference import (
    SHOT_START,
    Chunk,
    Context,
    NetworkMethod,
    StabilizationOptions,
    chunked,
    engine_options,
    mark_shots,
    stabilize_chunks,
)
from framewright.models.interpolation.baselines import FrameAverage
from framewright.models.registry import create_model
from framewright.ops.shots import AdaptiveDetector, ContentDetector, CutDetector
from torch import Tensor, nn


def two_scenes(first: int = 17, second: int = 11) -> Tensor:
    """A dark scene that gets a little brighter, and a bright one."""
    dark = torch.linspace(0.1, 0.15, first)[:, None, None, None].expand(first, 3, 6, 8)
    bright = torch.linspace(0.8, 0.75, second)[:, None, None, None].expand(second, 3, 6, 8)
    return torch.cat([dark, bright])


def marks(chunks: list[Chunk]) -> list[int]:
    return torch.cat([chunk.extras[SHOT_START] for chunk in chunks]).nonzero().flatten().tolist()


@pytest.mark.parametrize("size", [1, 5, None])
@pytest.mark.parametrize("detector", [AdaptiveDetector, lambda: ContentDetector(27, 4)])
def test_chunks_come_back_as_they_were_with_marks(size: int | None, detector: type[CutDetector]) -> None:
    video = two_scenes()
    given = list(chunked(video, size, extras={"mask": video[:, :1]}))
    made = list(mark_shots(given, detector()))
    assert [(chunk.start, len(chunk)) for chunk in made] == [(chunk.start, len(chunk)) for chunk in given]
    assert torch.equal(torch.cat([chunk.frames for chunk in made]), video)
    assert torch.equal(torch.cat([chunk.extras["mask"] for chunk in made]), video[:, :1])
    assert marks(made) == [17]


def test_no_more_than_the_look_ahead_is_held_back() -> None:
    taken = 0

    def counting() -> object:
        nonlocal taken
        for chunk in chunked(torch.zeros(40, 3, 4, 4), 1):
            taken += 1
            yield chunk

    for number, _ in enumerate(mark_shots(counting(), AdaptiveDetector(window=3))):  # type: ignore[arg-type]
        assert taken <= min(number + 4, 40)


def test_interpolation_repeats_the_nearer_frame_between_two_shots() -> None:
    video = two_scenes()
    context = Context("interpolation", timesteps=(0.25, 0.5, 0.75))
    method = NetworkMethod("average", FrameAverage(), pixel_budget=7 * 48)

    def made(marked: bool) -> Tensor:
        chunks = mark_shots(chunked(video, 4), AdaptiveDetector()) if marked else chunked(video, 4)
        return torch.cat([chunk.frames for chunk in method.process(chunks, context)])

    plain, heeded = made(False), made(True)
    across = slice(3 * 16, 3 * 17)
    assert torch.equal(heeded[across], torch.stack([video[16], video[17], video[17]]))
    assert float(plain[across.start + 1].mean()) == pytest.approx(0.475, abs=0.01)
    kept = [i for i in range(len(plain)) if not across.start <= i < across.stop]
    assert torch.equal(heeded[kept], plain[kept])


class Memory(nn.Module):
    """A recurrent matting network whose alpha tells how many frames it remembers."""

    recurrent = True

    def forward(self, video: Tensor, state: tuple[int] | None = None, downsample_ratio: float | None = None) -> object:
        from framewright.models.matting.contract import VideoMatte

        before = state[0] if state else 0
        length = video.shape[1]
        ages = torch.arange(before + 1, before + 1 + length).float()
        alpha = ages[None, :, None, None, None].expand(1, length, 1, *video.shape[-2:])
        return VideoMatte(alpha, video, (before + length,))  # type: ignore[arg-type]


def test_recurrent_matting_begins_anew_with_a_shot() -> None:
    method = NetworkMethod("memory", Memory(), pixel_budget=5 * 48, options=engine_options("matting", {}, "test"))
    chunks = mark_shots(chunked(two_scenes(), 3), AdaptiveDetector())
    made = torch.cat([chunk.extras["alpha"][:, 0, 0, 0] for chunk in method.process(chunks, Context("matting"))])
    assert made.tolist() == [*range(1, 18), *range(1, 12)]


def test_stabilization_begins_a_new_path_at_a_marked_shot() -> None:
    torch.manual_seed(1)
    # soft blobs, which flow can follow; in the middle they jump by 5 pixels
    still = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 16), scale_factor=8, mode="bicubic").clamp(0, 1)
    video = still.repeat(14, 1, 1, 1)
    video[7:] = video[7:].roll(5, dims=-1)
    starts = torch.zeros(14, dtype=torch.bool)
    starts[7] = True
    options = StabilizationOptions(cuts=False, motion_size=128)

    def seen(extras: dict[str, Tensor]) -> Tensor:
        chunks = chunked(video, 6, extras=extras)
        made = list(stabilize_chunks(create_model("tripod"), chunks, Context("stabilization"), options=options))
        assert len(made) == 14
        return torch.cat([part.extras["seen"] for part in made])

    assert float(seen({})[7:, 0].abs().min()) > 3  # a motion of the camera
    assert float(seen({SHOT_START: starts}).abs().max()) < 0.1  # a cut
