"""Blobs and strokes that networks are trained on and tested with."""

from __future__ import annotations

import numpy as np
import pytest
from framewright.core.config import parse_section
from framewright.core.errors import ConfigError
from framewright.core.seeding import position_rng
from framewright.datamodules.masks import (
    BezierMasks,
    FreeFormMasks,
    MaskVideo,
    TrainingMasks,
    draw_masks,
    mask_stack,
)
from framewright.datamodules.masks.bezier import outline, smooth
from framewright.datamodules.masks.wander import cut_out, walk

TABLE = (240, 432)
GENERATORS = [BezierMasks, FreeFormMasks]


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_seed_repeats_bit_for_bit_and_frames_come_in_any_order(generator):
    first = generator(7, frames=9, size=(60, 108), moving=1.0)
    assert isinstance(first, MaskVideo)
    again = generator(7, frames=9, size=(60, 108), moving=1.0)
    backwards = [again.frame(index) for index in reversed(range(9))][::-1]
    assert all((one == other).all() for one, other in zip(first, backwards, strict=True))
    assert first.sha256() == again.sha256()
    assert first.describe() == {
        "generator": generator.generator,
        "seed": 7,
        "frames": 9,
        "size": [60, 108],
        "moving": 1.0,
    }
    hashes = {generator(seed, frames=2, size=(60, 108)).sha256() for seed in range(20)}
    assert len(hashes) == 20
    with pytest.raises(IndexError, match="0 to 8, not 9"):
        first.frame(9)


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_longer_video_begins_with_the_same_frames(generator):
    short, long = (generator(3, frames=frames, size=(60, 108), moving=1.0) for frames in (4, 30))
    assert short.stack().tolist() == long.stack()[:4].tolist()


def shares(generator, count=300):
    return np.array([generator(seed, frames=1, size=TABLE).frame(0).mean() for seed in range(count)])


def test_blobs_cover_what_the_official_figures_cover():
    """Matplotlib draws 0.70 of a box of 2/3 of each side on average, of which a blob fills about a third."""
    share = shares(BezierMasks)
    assert 0.06 < share.mean() < 0.09
    assert share.min() > 0.005
    assert share.max() < 0.35


def test_strokes_cover_a_plausible_part():
    share = shares(FreeFormMasks)
    assert 0.11 < share.mean() < 0.17
    assert share.min() > 0.001
    assert share.max() < 0.6


def test_strokes_reach_the_whole_of_a_wide_frame():
    covered = np.mean([FreeFormMasks(seed, frames=1, size=TABLE).frame(0) for seed in range(200)], axis=0)
    columns = covered.mean(0)
    assert columns[300:].mean() > 0.6 * columns[:132].mean()


def test_small_frames_get_thinner_strokes():
    small = np.mean([FreeFormMasks(seed, frames=1, size=(60, 108)).frame(0).mean() for seed in range(200)])
    assert small == pytest.approx(shares(FreeFormMasks, 200).mean(), rel=0.25)


def test_outlines_never_cross_themselves():
    for seed in range(50):
        x, y = outline(position_rng(seed))
        assert (len(x) - 1) % 3 == 0
        assert 6 <= (len(x) - 1) // 3 <= 8
        angles = np.unwrap(np.arctan2(smooth(y), smooth(x)))
        assert (np.diff(angles) > 0).all()
        assert angles[-1] < 2 * np.pi
        radii = np.hypot(x, y)
        assert radii.min() >= 0.2 - 1e-9
        assert radii.max() <= 1.8 + 1e-9


def test_half_of_the_blobs_wander_and_keep_their_shape_inside_the_frame():
    videos = [BezierMasks(seed, frames=60, size=(48, 80)) for seed in range(60)]
    assert 15 < sum(video.wanders for video in videos) < 45
    for video in videos[:20]:
        shape = cut_out(video.frame(0))[0]
        for mask in video:
            assert cut_out(mask)[0].tolist() == shape.tolist()
    assert not any(FreeFormMasks(seed, frames=5, size=(48, 80)).wanders for seed in range(20))


def test_a_walk_stays_in_its_room_turns_back_and_drifts():
    corners = walk(position_rng(5), (3, 4), (40, 60), 2000)
    assert corners.min() >= 0
    assert (corners.max(0) == [40, 60]).all()
    assert (corners[0] == [3, 4]).all()
    steps = np.diff(corners, axis=0)
    assert np.abs(steps).max() < 40
    assert len(np.unique(steps, axis=0)) > 20
    first = [np.hypot(*walk(position_rng(seed), (100, 100), (200, 200), 2)[1] - 100) for seed in range(200)]
    assert max(first) <= 3
    assert np.mean(first) > 0.8


def test_no_room_means_no_motion():
    assert (walk(position_rng(1), (0, 0), (0, 0), 50) == 0).all()


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (2, 3), (17, 31), (33, 5)])
def test_odd_and_tiny_frames(generator, size):
    for seed in range(5):
        stack = generator(seed, frames=4, size=size, moving=1.0).stack()
        assert stack.shape == (4, 1, *size)
        assert set(np.unique(stack)) <= {0, 1}
    assert BezierMasks(0, frames=1, size=size).frame(0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames=0"),
        ({"size": (0, 4)}, "4x0"),
        ({"moving": 1.5}, "moving=1.5"),
        ({"seed": -1}, "between 0 and 2"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    values = {"seed": 0, "frames": 2, "size": (8, 8), **options}
    with pytest.raises(ConfigError, match=message):
        BezierMasks(values.pop("seed"), **values)


def test_the_section_chooses_kinds_by_their_shares():
    section = parse_section(TrainingMasks, {"kind": "mixed", "shares": {"bezier": 3, "free_form": 1, "object": 0}})
    assert section.kinds == ("bezier", "free_form")
    rng = position_rng(1)
    chosen = [section.choose(rng) for _ in range(400)]
    assert 0.68 < chosen.count("bezier") / 400 < 0.82
    assert parse_section(TrainingMasks, {}).choose(rng) == "bezier"
    with pytest.raises(ConfigError, match="at least one of the shares"):
        parse_section(TrainingMasks, {"kind": "mixed", "shares": {"bezier": 0}})
    with pytest.raises(ConfigError, match="did you mean"):
        parse_section(TrainingMasks, {"movin": 0.5})


def test_drawn_masks_depend_on_the_sample_alone():
    one = draw_masks("bezier", position_rng(3, 9), 20, (48, 80))
    two = draw_masks("bezier", position_rng(3, 9), 20, (48, 80))
    assert one.describe() == two.describe()
    assert mask_stack(one, [0, 7, 19]).tolist() == mask_stack(two, [0, 7, 19]).tolist()
    assert mask_stack(one, [4]).dtype == np.float32
    assert mask_stack(one, [4]).shape == (1, 1, 48, 80)
    with pytest.raises(ConfigError, match="'object' are not drawn"):
        draw_masks("object", position_rng(0), 1, (8, 8))
