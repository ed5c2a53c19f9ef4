from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError
from framewright.models.interpolation.baselines import CARDS, DISWarp, FrameAverage, _splat
from torch import Tensor, nn

METHODS = pytest.mark.parametrize("build", [FrameAverage, DISWarp])


def mse(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean())


def photo() -> Tensor:
    import skimage.data

    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255


@METHODS
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 70), (40, 57)])
def test_any_size_and_time_per_sample(build: type[nn.Module], size: tuple[int, int]) -> None:
    image0, image1 = torch.rand(2, 2, 3, *size)
    out = build()(image0, image1, torch.tensor([0.2, 0.9]))
    assert out.shape == image0.shape
    assert out.isfinite().all()
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6


@METHODS
def test_ends_of_the_interval_are_the_frames(build: type[nn.Module]) -> None:
    image = photo()[..., 100:200, 100:220]
    image0, image1 = image[..., :-4], image[..., 4:]
    torch.testing.assert_close(build()(image0, image1, 0.0), image0, rtol=0, atol=1e-4)
    torch.testing.assert_close(build()(image0, image1, 1.0), image1, rtol=0, atol=1e-4)


@METHODS
def test_bad_arguments(build: type[nn.Module]) -> None:
    image = torch.rand(1, 3, 40, 40)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        build()(image, image, 1.2)
    with pytest.raises(ValueError, match="of one shape"):
        build()(image, image[..., 1:])


def test_average_is_weighted_by_time() -> None:
    image0, image1 = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    torch.testing.assert_close(FrameAverage()(image0, image1, 0.25), torch.full((1, 3, 4, 4), 0.25))


@pytest.mark.parametrize("time", [0.25, 0.5, 0.75])
def test_dis_warp_follows_a_moving_camera(time: float) -> None:
    image = photo()
    image0, truth, image1 = (image[..., 60:188, 100 + d : 260 + d] for d in (0, int(12 * time), 12))
    inside = (..., slice(16, -16), slice(16, -16))
    error = mse(DISWarp()(image0, image1, time)[inside], truth[inside])
    assert error < 0.05 * mse(FrameAverage()(image0, image1, time)[inside], truth[inside])


def test_dis_warp_uncovers_the_background_of_a_moving_disc() -> None:
    """Around a moving object each side is visible in one frame only; ghosts would cost most there."""
    image, other = photo(), photo().flip(3)
    rows, columns = np.mgrid[:128, :160]

    def scene(shift: int) -> Tensor:
        inside = torch.from_numpy((rows - 64) ** 2 + (columns - 60 - shift) ** 2 <= 24**2)
        disc = other[..., 200:328, 150 - shift : 310 - shift]
        return torch.where(inside, disc, image[..., 60:188, 100:260])

    image0, truth, image1 = scene(0), scene(6), scene(12)
    assert mse(DISWarp()(image0, image1), truth) < 0.2 * mse(FrameAverage()(image0, image1), truth)


def test_splat_keeps_the_mass_and_lands_between_pixels() -> None:
    values = torch.zeros(1, 1, 5, 6)
    values[0, 0, 2, 2] = 1
    flow = torch.tensor([1.25, -0.5]).view(1, 2, 1, 1).expand(1, 2, 5, 6)
    out = _splat(values, flow)
    expected = torch.zeros(1, 1, 5, 6)
    expected[0, 0, 1:3, 3:5] = torch.tensor([[0.375, 0.125], [0.375, 0.125]])
    torch.testing.assert_close(out, expected)
    assert _splat(values, flow + 100).sum() == 0


def test_dis_warp_beats_the_average_on_sintel(assets: Path) -> None:
    from skimage import io

    files = sorted((assets / "interpolation" / "sintel_7_frames").glob("*.png"))[:3]
    frames = [torch.from_numpy(io.imread(f)[..., :3]).permute(2, 0, 1)[None].float() / 255 for f in files]
    before, truth, after = (F.avg_pool2d(f, 2) for f in frames)
    # measured: 4 dB at full resolution
    assert mse(DISWarp()(before, after), truth) < 0.5 * mse(FrameAverage()(before, after), truth)


def test_unknown_preset() -> None:
    with pytest.raises(ConfigError, match="preset must be"):
        DISWarp("slow")


def test_cards_need_no_weights() -> None:
    for card in CARDS:
        assert card.baseline
        assert not card.weights
        assert sum(p.numel() for p in card.build().parameters()) == 0
