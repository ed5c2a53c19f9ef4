from __future__ import annotations

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.transforms import (
    TripletTransform,
    images_to_tensor,
    limit_size,
    resize_image,
)


def images(height=24, width=32, count=3):
    """Every pixel of every image is distinct, so that a crop or turn can be told from its values."""
    values = np.random.default_rng(7).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return list(values)


def apply(transform, frames, seed=0, timestep=0.25):
    return transform(frames, timestep, np.random.default_rng(seed), "clip.mp4")


def test_without_augmentation_the_images_arrive_unchanged():
    frames = images()
    sample = apply(TripletTransform.none(), frames)
    for name, frame in zip(("image0", "target", "image1"), frames, strict=True):
        expected = torch.from_numpy(frame).permute(2, 0, 1).float() / 255
        assert sample[name].dtype == torch.float32
        assert sample[name].is_contiguous()
        torch.testing.assert_close(sample[name], expected, rtol=0, atol=0)
    assert sample["timestep"].shape == ()
    assert sample["timestep"].item() == 0.25


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("channel_flip", lambda x: x[..., ::-1]),
        ("vertical_flip", lambda x: x[:, ::-1]),
        ("horizontal_flip", lambda x: x[:, :, ::-1]),
        ("time_reversal", lambda x: x[::-1]),
    ],
)
def test_each_switch_does_its_own_thing(option, expected):
    frames = images()
    transform = TripletTransform(
        **{
            "crop": None,
            "channel_flip": 0,
            "vertical_flip": 0,
            "horizontal_flip": 0,
            "time_reversal": 0,
            "rotation": 0,
            option: 1,
        }
    )
    sample = apply(transform, frames)
    got = torch.stack([sample["image0"], sample["target"], sample["image1"]])
    torch.testing.assert_close(got, images_to_tensor(expected(np.stack(frames))), rtol=0, atol=0)
    assert sample["timestep"].item() == (0.75 if option == "time_reversal" else 0.25)


def test_rotation_gives_each_of_the_four_directions():
    frames = images(16, 16)
    transform = TripletTransform(16, channel_flip=0, vertical_flip=0, horizontal_flip=0, time_reversal=0, rotation=0.75)
    turns = [images_to_tensor(np.rot90(frames[1], k)) for k in range(4)]
    seen = np.zeros(4, dtype=int)
    for seed in range(200):
        target = apply(transform, frames, seed)["target"]
        (k,) = [k for k in range(4) if torch.equal(target, turns[k])]
        seen[k] += 1
    assert seen.min() > 25


def test_crop_is_the_same_window_in_all_three_and_reaches_every_border():
    frames = images(10, 12)
    transform = TripletTransform.none(crop=(8, 9))
    tensors = [images_to_tensor(frame) for frame in frames]
    windows = set()
    for seed in range(200):
        sample = apply(transform, frames, seed)
        hits = [
            (y, x)
            for y in range(3)
            for x in range(4)
            if all(
                torch.equal(sample[name], tensor[:, y : y + 8, x : x + 9])
                for name, tensor in zip(("image0", "target", "image1"), tensors, strict=True)
            )
        ]
        assert len(hits) == 1
        windows.update(hits)
    assert len(windows) == 12


def test_sample_depends_on_the_generator_only():
    frames = images(40, 40)
    transform = TripletTransform(crop=16)
    first, again, other = (apply(transform, frames, seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["image0"], other["image0"])


def test_switching_one_part_off_leaves_the_others_as_they_were():
    frames = images(40, 40)
    for seed in range(20):
        full = apply(TripletTransform(16, channel_flip=1.0), frames, seed)
        plain = apply(TripletTransform(16, channel_flip=0.0), frames, seed)
        assert torch.equal(full["image0"], plain["image0"].flip(0))


def test_images_smaller_than_the_crop():
    frames = [np.full((10, 40, 3), value, np.uint8) for value in (0, 100, 200)]
    sample = apply(TripletTransform.none(crop=20), frames)
    assert sample["target"].shape == (3, 20, 20)
    assert torch.all(sample["target"] == 100 / 255)
    strict = TripletTransform(20, small="error")
    with pytest.raises(DataError, match=r"clip\.mp4: 40x10 is smaller than the crop 20x20"):
        apply(strict, frames)
    assert strict.enlarges(10, 40)
    assert not strict.enlarges(20, 20)


def test_half_scale_shows_twice_the_scene_but_never_less_than_the_crop():
    ramp = np.repeat(np.arange(32, dtype=np.uint8)[None, :, None] * 4, 32, axis=0)
    frames = [np.repeat(ramp, 3, axis=2)] * 3
    base = {"channel_flip": 0, "vertical_flip": 0, "horizontal_flip": 0, "time_reversal": 0, "rotation": 0}
    halved = apply(TripletTransform(16, half_scale=1.0, **base), frames)["target"]
    assert torch.allclose(halved[0, 0].diff(), torch.tensor(8 / 255))
    kept = apply(TripletTransform(17, half_scale=1.0, **base), frames)["target"]
    assert torch.allclose(kept[0, 0].diff(), torch.tensor(4 / 255))


def test_wrong_settings_and_wrong_images_are_named():
    with pytest.raises(ConfigError, match=r"rotation=0\.75 needs a square crop"):
        TripletTransform(crop=(64, 96))
    with pytest.raises(ConfigError, match=r"vertical_flip=1\.5"):
        TripletTransform(vertical_flip=1.5)
    with pytest.raises(ConfigError, match="crop=0"):
        TripletTransform(crop=0)
    with pytest.raises(ConfigError, match="small='shrink'"):
        TripletTransform(small="shrink")
    with pytest.raises(DataError, match=r"clip\.mp4: expected three RGB images"):
        apply(TripletTransform.none(), [*images()[:2], images(8, 8)[0]])


def test_resize_and_limit():
    assert limit_size(1080, 1920, 960) == (540, 960)
    assert limit_size(100, 50, 200) == (100, 50)
    assert limit_size(100, 50, None) == (100, 50)
    block = np.kron(np.array([[0, 200], [100, 60]], np.uint8), np.ones((4, 4), np.uint8))
    small = resize_image(np.stack([block] * 3, axis=-1), 2, 2)
    assert small[..., 0].tolist() == [[0, 200], [100, 60]]
