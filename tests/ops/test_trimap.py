from __future__ import annotations

import numpy as np
import pytest
import torch
from framewright.ops.trimap import random_trimap, temporal_median, trimap_from_alpha, trimap_from_probability
from torch import Tensor


def disc(radius: float, size: int = 80) -> Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((y - size // 2) ** 2 + (x - size // 2) ** 2 <= radius**2).float()[None, None]


def band_of(trimap: Tensor) -> tuple[float, float]:
    """Least and greatest distance to the centre of unknown pixels."""
    y, x = (trimap[0, 0] == 0.5).nonzero(as_tuple=True)
    distance = torch.hypot((y - 40).float(), (x - 40).float())
    return float(distance.min()), float(distance.max())


def test_band_follows_the_size_of_the_object() -> None:
    # the box of a disc of radius r has a diagonal of about 2 sqrt(2) r
    for radius in (10.0, 30.0):
        low, high = band_of(trimap_from_probability(disc(radius), band=0.1))
        width = 0.1 * 2 * 2**0.5 * (radius + 0.5)
        assert low == pytest.approx(radius - width, abs=1.5)
        assert high == pytest.approx(radius + width, abs=1.5)


def test_what_the_network_is_not_sure_of_is_unknown() -> None:
    probability = disc(20)
    probability[0, 0, 40, 40], probability[0, 0, 2, 2] = 0.9, 0.1
    trimap = trimap_from_probability(probability, band=0.0)
    assert trimap[0, 0, 40, 40] == 0.5
    assert trimap[0, 0, 2, 2] == 0.5
    assert trimap[0, 0, 30, 40] == 1
    assert trimap[0, 0, 5, 5] == 0


def test_no_object_and_nothing_but_object() -> None:
    video = torch.cat((torch.zeros(1, 1, 80, 80), torch.ones(1, 1, 80, 80), disc(3)))
    trimaps = trimap_from_probability(video, band=2.0)
    assert not trimaps[0].any()
    assert (trimaps[1] == 1).all()
    # the band is narrowed until something of a small object is known
    assert (trimaps[2] == 1).any()


def test_temporal_median_removes_single_frames() -> None:
    video = torch.zeros(7, 1, 2, 2)
    video[3] = 1
    video[5:] = 1
    made = temporal_median(video, 1)
    assert made[:, 0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert temporal_median(video, 0) is video
    with pytest.raises(ValueError, match="radius"):
        temporal_median(video, -1)


def test_from_alpha() -> None:
    alpha = disc(20)
    trimap = trimap_from_alpha(alpha, 7, 11)
    low, high = band_of(trimap)
    assert low == pytest.approx(20 - 3, abs=1.5)
    assert high == pytest.approx(20 + 5, abs=1.5)
    assert ((trimap == 1) <= (alpha == 1)).all()
    assert ((trimap == 0) <= (alpha == 0)).all()
    assert not trimap_from_alpha(torch.zeros(2, 1, 9, 9), 3, 3).any()
    with pytest.raises(ValueError, match="at least 1"):
        trimap_from_alpha(alpha, 0, 3)


def test_random_trimaps_are_drawn_from_the_generator() -> None:
    alpha = disc(20)
    first, again, other = (random_trimap(alpha, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="kernel"):
        random_trimap(alpha, np.random.default_rng(1), kernel=(5, 4))


@pytest.mark.parametrize("options", [{"foreground": 0.4}, {"background": 0.6}, {"band": -1.0}])
def test_thresholds_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="background"):
        trimap_from_probability(disc(5), **options)
