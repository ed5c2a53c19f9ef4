"""Inpainting without weights: what each method must get right."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError
from framewright.inference import Context, NetworkMethod, chunked
from framewright.models.inpainting.baselines import _continued
from framewright.models.inpainting.contract import ClipInpainter
from framewright.models.registry import create_model, list_models
from torch import Tensor

BASELINES = list_models("inpainting", baselines=True)
HEIGHT, WIDTH = 64, 96


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth picture ``(3, H, W)`` with detail in all directions, in 8-bit steps."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 6, width // 6, generator=generator)
    picture = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0]
    return (picture.clamp(0, 1) * 255).round() / 255


def still(frames: int) -> Tensor:
    """A camera and a world that stand still."""
    return texture(HEIGHT, WIDTH).expand(frames, -1, -1, -1).clone()


def moving(frames: int, step: float = 2.0) -> Tensor:
    """A camera that moves to the right, ``step`` pixels a frame."""
    wide = texture(HEIGHT, WIDTH + 120)[None]
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    result = []
    for index in range(frames):
        x = (columns + index * step) / ((WIDTH + 119) / 2) - 1
        y = rows / ((HEIGHT - 1) / 2) - 1
        grid = torch.stack((x, y), -1)[None]
        result.append(F.grid_sample(wide, grid, mode="bicubic", align_corners=True)[0].clamp(0, 1))
    return torch.stack(result)


def hole(frames: int, step: int = 0, width: int = 20) -> Tensor:
    """A hole that moves ``step`` pixels a frame."""
    mask = torch.zeros(frames, 1, HEIGHT, WIDTH)
    for index in range(frames):
        left = 30 + step * index
        mask[index, :, 20:44, left : left + width] = 1
    return mask


def fill(name: str, video: Tensor, mask: Tensor, **options: object) -> Tensor:
    made: Tensor = create_model(name, **options)((video * (1 - mask))[None], mask[None])[0]
    assert torch.equal(made * (1 - mask), video * (1 - mask))
    return made


def psnr(made: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Inside the holes."""
    error = ((made - truth).square() * mask).sum() / (3 * mask.sum())
    return float(-10 * torch.log10(error))


def test_the_baselines_of_the_benchmark_are_there() -> None:
    assert BASELINES == ["flow_propagation", "navier_stokes", "telea", "temporal_median"]


@pytest.mark.parametrize("name", BASELINES)
def test_without_holes_the_video_comes_back(name: str) -> None:
    video = moving(4)
    assert torch.equal(fill(name, video, torch.zeros(4, 1, HEIGHT, WIDTH)), video)


@pytest.mark.parametrize("name", BASELINES)
def test_what_a_hole_holds_does_not_matter(name: str) -> None:
    video, mask = moving(4), hole(4, 3)
    net = create_model(name)
    one, two = (net(torch.where(mask > 0, value, video)[None], mask[None]) for value in (0.0, 0.9))
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", BASELINES)
def test_only_the_wanted_frames_of_a_clip(name: str) -> None:
    video, mask = moving(9), hole(9, 3)
    net = create_model(name)
    assert isinstance(net, ClipInpainter)
    whole = net(video[None], mask[None])[0]
    assert torch.equal(net.fill(video, mask, range(3, 6)), whole[3:6])


@pytest.mark.parametrize(("name", "flag"), [("telea", "INPAINT_TELEA"), ("navier_stokes", "INPAINT_NS")])
def test_stills_are_filled_as_opencv_does(name: str, flag: str) -> None:
    import cv2

    video, mask = moving(2, 3.0), hole(2, 3)
    video = (video * 255).round() / 255
    made = fill(name, video, mask, radius=5)
    for frame, holes, result in zip(video, mask, made, strict=True):
        levels = ((frame * (1 - holes)) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        expected = cv2.inpaint(levels, holes[0].to(torch.uint8).numpy(), 5, getattr(cv2, flag))
        assert torch.equal(result, torch.from_numpy(expected).permute(2, 0, 1) / 255)


def test_median_recovers_what_stands_still_exactly() -> None:
    video, mask = still(20), hole(20, 3)
    assert torch.equal(fill("temporal_median", video, mask), video)


def test_median_of_the_pixels_that_are_known() -> None:
    video = torch.tensor([0.1, 0.9, 0.2, 0.4, 0.8, 0.3]).view(6, 1, 1, 1).expand(6, 3, 4, 4).contiguous()
    mask = torch.zeros(6, 1, 4, 4)
    mask[2, :, 1, 1] = mask[4, :, 1, 1] = 1
    mask[:5, :, 2, 2] = 1
    made = fill("temporal_median", video, mask, radius=2, reach=5)
    # of 0.1, 0.9 and 0.4; of 0.4 and 0.3, the mean
    assert made[2, :, 1, 1].tolist() == pytest.approx([0.4] * 3)
    assert made[4, :, 1, 1].tolist() == pytest.approx([0.35] * 3)
    # known in the last frame only, out of the radius of the first
    assert made[0, :, 2, 2].tolist() == pytest.approx([0.3] * 3)
    short = fill("temporal_median", video, mask, radius=2, reach=3)
    assert abs(float(short[0, 0, 2, 2]) - 0.1) < 0.01, "never known within reach: from the pixels around it"


def test_median_leaves_a_hole_that_stays_to_the_still_method() -> None:
    video, mask = moving(5), hole(5)
    assert torch.equal(fill("temporal_median", video, mask), fill("telea", video, mask))


@pytest.mark.parametrize("step", [1.0, 2.5])
def test_flow_recovers_what_moves(step: float) -> None:
    """The hole stands still before a background that moves by its own width within the clip."""
    frames = int(24 / step)
    video, mask = moving(frames, step), hole(frames)
    video = (video * 255).round() / 255
    made = psnr(fill("flow_propagation", video, mask), video, mask)
    assert made > psnr(fill("telea", video, mask), video, mask) + 10
    assert made > 30


def test_flow_recovers_a_still_background_behind_a_hole_that_moves() -> None:
    video, mask = still(16), hole(16, 3)
    assert psnr(fill("flow_propagation", video, mask), video, mask) > 45


def test_paths_of_flow_blend_both_directions() -> None:
    """Brightness grows with time, so that the blend tells how near both sources are."""
    frames = 13
    light = torch.linspace(0, 0.12, frames).view(-1, 1, 1, 1)
    video = still(frames) * 0.8 + light
    mask = hole(frames)
    mask[0] = mask[12] = 0
    made = fill("flow_propagation", video, mask)
    inside = mask[6] > 0
    values = (made - still(frames) * 0.8)[:, :, inside[0]].mean((1, 2))
    assert values.tolist() == pytest.approx(light.flatten().tolist(), abs=0.01)


def test_flow_is_fast_enough() -> None:
    """A generous bound; the measured time is a tenth of a second."""
    video = F.interpolate(moving(8), (240, 432), mode="bilinear", align_corners=False)
    mask = F.interpolate(hole(8, 2), (240, 432))
    start = time.process_time()
    fill("flow_propagation", video, mask)
    assert (time.process_time() - start) / 8 < 1


def test_smooth_continuation() -> None:
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    field = torch.stack((rows * 0.1, columns * 0.1 + 2))[None]
    known = torch.ones(1, 1, 40, 50, dtype=torch.bool)
    known[..., 10:30, 15:35] = False
    made = _continued(torch.where(known, field, 99.0), known)
    assert torch.equal(made * known, field * known)
    assert (made - field).abs().max() < 1
    assert not _continued(field, torch.zeros_like(known)).any()


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 33)])
def test_any_size(name: str, size: tuple[int, int]) -> None:
    video = torch.rand(1, 4, 3, *size)
    mask = torch.zeros(1, 4, 1, *size)
    mask[:, 1:3, :, :, : size[1] // 2 + 1] = 1
    made = create_model(name)(video, mask)
    assert made.shape == video.shape
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("name", BASELINES)
def test_long_videos_run_in_clips(name: str) -> None:
    video, mask = still(50), hole(50, 1)
    method = NetworkMethod(name, create_model(name))
    results = []
    for size in (None, 7):
        chunks = method.process(chunked(video, size, extras={"mask": mask}), Context("inpainting"))
        results.append(torch.cat([chunk.frames for chunk in chunks]))
    assert torch.equal(*results)
    assert torch.equal(results[0] * (1 - mask), video * (1 - mask))
    if name == "temporal_median":
        assert torch.equal(results[0], video)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("telea", {"radius": 0}, "radius must be above zero"),
        ("temporal_median", {"radius": 5, "reach": 4}, "radius=5 and reach=4"),
        ("flow_propagation", {"preset": "slow"}, "preset must be"),
        ("flow_propagation", {"reach": 0}, "reach must be at least 1"),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_model(name, **options)
