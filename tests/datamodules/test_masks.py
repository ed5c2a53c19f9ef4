from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.masks import (
    MARGINAL_SPLITS,
    PRESETS,
    DevilMasks,
    MaskVideo,
    StrokeSettings,
    devil_masks,
    move_stroke,
    read_mask,
    write_mask_folder,
)
from framewright.video import open_video, read_image

SMALL = (48, 80)


def calm(**changes):
    """A stroke that only drifts, at constant speed."""
    values = {
        "vertices": (4, 4),
        "head_speed": (20, 20),
        "head_acceleration": (0, 0),
        "brush": (30, 30),
        "restless": 0.0,
        "point_acceleration": 0.0,
        "margin": 150,
        "speed": (3, 3),
        "reach": None,
        "pull": 1,
        "push": (0, 0),
    }
    return StrokeSettings(**{**values, **changes})


@pytest.mark.parametrize("preset", PRESETS)
def test_official_masks_to_the_bit(assets, preset):
    golden = json.loads((assets / "metrics" / "devil_masks" / "masks_golden.json").read_text())["presets"]
    expected = golden[f"devil_{preset}"]
    video = DevilMasks(preset)
    digest, union, shares = hashlib.sha256(), np.zeros(video.size, bool), []
    for index, mask in enumerate(video):
        digest.update(np.packbits(mask).tobytes())
        union |= mask
        shares.append(mask.mean())
        if index in (0, 45, 89):
            name = f"devil_{preset}_v00000_f{index:03d}.png"
            assert (read_image(assets / "metrics" / "devil_masks" / name)[..., 0] > 0).tolist() == mask.tolist()
    assert digest.hexdigest() == expected["sha256_packbits_90f"]
    assert np.mean(shares) == pytest.approx(expected["fg_fraction_mean"], abs=1e-12)
    assert union.mean() == expected["union_fraction"]
    assert [DevilMasks(preset, index).seed for index in range(3)] == expected["seeds_first3"]


def test_presets_are_the_published_ones(assets):
    golden = json.loads((assets / "metrics" / "devil_masks" / "masks_golden.json").read_text())["presets"]
    assert {f"devil_{name}" for name in PRESETS} == set(golden)


@pytest.mark.parametrize(
    ("preset", "index", "seed", "brush", "first", "last"),
    [
        ("fgs-l_fgm-h_fgd-h", 7, 3638918503, 80, (466.0244371593, 633.6023573451), (1002.5744371593, 558.9476426549)),
        (
            "fgs-h_fgm-l_fgd-l",
            999,
            3043451800,
            269,
            (1008.5792466456, 594.2018673798),
            (1121.9428830092, 594.2018673798),
        ),
    ],
)
def test_strokes_are_the_same_everywhere(preset, index, seed, brush, first, last):
    """Figures of the generator that reproduces the official masks, for machines without these."""
    video = DevilMasks(preset, index)
    assert (video.seed, video.stroke.brush) == (seed, brush)
    np.testing.assert_allclose(video.stroke.points[0].mean(1), first, rtol=1e-9)
    np.testing.assert_allclose(video.stroke.points[89].mean(1), last, rtol=1e-9)


def test_frames_come_in_any_order_and_in_the_contract_of_masks():
    video = DevilMasks("fgs-h_fgm-h_fgd-h", 3, frames=6, size=SMALL)
    assert isinstance(video, MaskVideo)
    assert len(video) == 6
    backwards = [video.frame(index) for index in reversed(range(6))][::-1]
    assert all((one == other).all() for one, other in zip(backwards, video, strict=True))
    stack = video.stack()
    assert stack.shape == (6, 1, *SMALL)
    assert stack.dtype == np.uint8
    assert set(np.unique(stack)) == {0, 1}
    assert stack[2, 0].tolist() == video.frame(2).tolist()
    with pytest.raises(IndexError, match="0 to 5, not 6"):
        video.frame(6)


def test_a_longer_video_begins_with_the_same_frames_and_reverse_turns_it_round():
    short, long = (DevilMasks("fgs-l_fgm-h_fgd-h", 1, frames=frames, size=SMALL) for frames in (3, 8))
    assert all((long.frame(index) == short.frame(index)).all() for index in range(3))
    back = DevilMasks("fgs-l_fgm-h_fgd-h", 1, frames=8, size=SMALL, reverse=True)
    assert back.stack().tolist() == long.stack()[::-1].tolist()


def test_other_sizes_cover_and_are_cut_about_the_centre():
    full = DevilMasks("fgs-h_fgm-l_fgd-l", 0, frames=1).frame(0)
    half = DevilMasks("fgs-h_fgm-l_fgd-l", 0, frames=1, size=(540, 960)).frame(0)
    assert half.tolist() == full[1::2, 1::2].tolist()
    square = DevilMasks("fgs-h_fgm-l_fgd-l", 0, frames=1, size=(540, 540)).frame(0)
    assert square.tolist() == half[:, 210:750].tolist()


def test_presets_differ_as_their_names_say():
    def measured(preset):
        sizes, unions = [], []
        for index in range(3):
            video = DevilMasks(preset, index, size=(54, 96))
            stack = np.stack([video.frame(time) for time in range(0, 90, 6)])
            sizes.append(stack.mean())
            unions.append(stack.any(0).mean())
        return np.mean(sizes), np.mean(unions)

    values = {preset: measured(preset) for preset in PRESETS}
    for preset, (size, union) in values.items():
        if "fgs-l" in preset:
            assert size < 0.5 * values[preset.replace("fgs-l", "fgs-h")][0]
        if "fgd-l" in preset:
            assert union < 0.8 * values[preset.replace("fgd-l", "fgd-h")][1]


def test_a_calm_stroke_keeps_its_shape_and_moves_by_whole_pixels():
    stroke = move_stroke(calm(), seed=5, frames=4, size=(400, 600))
    steps = np.diff(stroke.points, axis=0)
    assert (steps == steps[:1, :, :1]).all()
    assert (steps == np.trunc(steps)).all()
    assert 0 < np.hypot(*steps[0, :, 0]) <= 3


def test_strokes_come_back_from_the_border():
    stroke = move_stroke(calm(speed=(40, 40)), seed=5, frames=60, size=(400, 600))
    assert (stroke.points >= 0).all()
    assert (stroke.points <= np.array([600, 400])[:, None]).all()
    turns = np.diff(np.sign(np.diff(stroke.points, axis=0)), axis=0)
    assert (turns != 0).any()


def test_the_first_frame_keeps_its_margin():
    points = move_stroke(calm(vertices=(30, 30), head_speed=(60, 90)), seed=1, frames=1, size=(400, 600)).points[0]
    assert (points >= 150).all()
    assert (points <= np.array([450, 250])[:, None]).all()


def test_the_pull_holds_a_restless_stroke_together():
    def extent(**changes):
        stroke = move_stroke(calm(restless=1.0, point_acceleration=8.0, **changes), 3, 60, (1000, 1000))
        return np.ptp(stroke.points[-1], axis=1).max()

    assert extent(reach=60.0) < 0.6 * extent(reach=None)


def test_splits_mix_their_presets_and_turn_half_of_the_videos_round():
    split = devil_masks("fgm-h")
    assert len(split) == 150
    assert split[0].size == (480, 832)
    assert {video.preset for video in split} == {preset for preset in PRESETS if "fgm-h" in preset}
    assert 50 < sum(video.reverse for video in split) < 100
    assert len({(video.preset, video.index) for video in split}) == 150
    assert [(v.preset, v.index, v.reverse) for v in split[:4]] == [
        ("fgs-l_fgm-h_fgd-h", 230, True),
        ("fgs-h_fgm-h_fgd-h", 668, True),
        ("fgs-l_fgm-h_fgd-l", 616, False),
        ("fgs-l_fgm-h_fgd-h", 363, True),
    ]
    assert [v.describe() for v in devil_masks("fgm-h", 20)] == [v.describe() for v in split[:20]]
    plain = devil_masks("devil_fgs-l_fgm-l_fgd-l", 3)
    assert [(video.preset, video.index, video.reverse) for video in plain] == [
        ("fgs-l_fgm-l_fgd-l", index, False) for index in range(3)
    ]
    assert {video.preset for video in devil_masks("all")} == set(PRESETS)
    assert all(devil_masks(name, 1) for name in MARGINAL_SPLITS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DevilMasks("fgs-l_fgm-l"), r"unknown mask preset 'fgs-l_fgm-l'; did you mean"),
        (lambda: DevilMasks("fgs-l_fgm-l_fgd-l", -1), "index >= 0"),
        (lambda: DevilMasks("fgs-l_fgm-l_fgd-l", seed=2**32), "between 0 and 2"),
        (lambda: DevilMasks("fgs-l_fgm-l_fgd-l", size=(0, 5)), "5x0"),
        (lambda: devil_masks("fgs"), "unknown mask split 'fgs'; did you mean"),
        (lambda: devil_masks("fgs-l_fgm-l_fgd-l", 1001), "has 1000 mask videos, asked for 1001"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_written_masks_read_back_and_the_manifest_repeats_them(tmp_path):
    videos = {f"{index:05d}": video for index, video in enumerate(devil_masks("fgd-l", 2, frames=3, size=SMALL))}
    manifest = write_mask_folder(videos, tmp_path / "é masks")
    assert manifest == json.loads((tmp_path / "é masks" / "masks.json").read_text(encoding="utf-8"))
    again = write_mask_folder(videos, tmp_path / "again")
    assert again["sha256"] == manifest["sha256"]
    for name, video in videos.items():
        entry = manifest["videos"][name]
        with open_video(tmp_path / "é masks" / name) as reader:
            read = [read_mask(image, name) for image in reader.get(range(3))]
        assert [mask.tolist() for mask in read] == [mask.tolist() for mask in video]
        repeated = DevilMasks(
            entry["preset"], entry["index"], frames=entry["frames"], size=entry["size"], reverse=entry["reverse"]
        )
        assert repeated.sha256() == entry["sha256"]
        assert repeated.seed == entry["seed"]
    with pytest.raises(DataError, match="is not empty"):
        write_mask_folder(videos, tmp_path / "again")


def test_the_hash_tells_masks_apart():
    hashes = {DevilMasks("fgs-l_fgm-h_fgd-l", index, frames=2, size=SMALL).sha256() for index in range(3)}
    assert len(hashes) == 3
    bits = b"".join(np.packbits(mask).tobytes() for mask in DevilMasks("fgs-l_fgm-h_fgd-l", 0, frames=2, size=(5, 3)))
    assert len(bits) == 2 * math.ceil(15 / 8)


def test_a_picture_is_no_mask():
    image = np.zeros((4, 4, 3), np.uint8)
    image[1, 1] = 255
    image[2, 2] = 250
    assert read_mask(image, "mask").sum() == 2
    image[0, 0] = 100
    with pytest.raises(DataError, match="frame 3 of 'x' is not a mask"):
        read_mask(image, "frame 3 of 'x'")
