"""After any augmentation image 2, warped by the flow, is still image 1."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.flow_geometry import FlowPair, apply_maps, crop_map, flip_map, inside, resize_map
from framewright.datamodules.flow_photometry import Chromatic, Eraser, Jitter
from framewright.datamodules.flow_transforms import AffineGeometry, FlowTransform, ScaleGeometry, recipe
from framewright.ops import warp

HEIGHT, WIDTH = 120, 160
STRONG = ScaleGeometry(1.0, -0.4, 0.8, 1.0, 0.3, 0.5, 0.5)
SAME = AffineGeometry(0.2, 0.4, 0.3, 0.2, 0.2, 0, 0, 0)


def texture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    waves = [np.sin(0.06 * x + 0.02 * y), np.cos(0.05 * y - 0.03 * x), np.sin(0.04 * (x + y) + 1)]
    return np.stack(waves, axis=-1) * 100 + 128


def smooth_pair(sparse: bool = False, unknown: bool = False, size: tuple[int, int] = (HEIGHT, WIDTH)) -> FlowPair:
    """Image 1 is image 2, warped by a smooth flow of up to 8 pixels."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    u, v = 4 + 3 * np.sin(0.03 * y), -2 + 2 * np.cos(0.02 * x) + 0.02 * y
    valid = np.ones(size, bool)
    if sparse:
        valid = np.random.default_rng(1).random(size) < 0.2
    if unknown:
        valid[30:60, 40:90] = False
    flow = np.where(valid[..., None], np.stack([u, v], axis=-1), 0).astype(np.float32)
    images = [np.rint(texture(*place)).astype(np.uint8) for place in ((x + u, y + v), (x, y))]
    return FlowPair(images[0], images[1], flow, valid, sparse)


def differences(sample: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of image 1 and the warped image 2 in 8-bit levels, where the flow is known and stays within the image."""
    flow = sample["flow"]
    height, width = flow.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    to_x, to_y = x + flow[0], y + flow[1]
    counts = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1) & (sample["valid"][0] > 0)
    assert counts.sum() > 20
    warped = warp(sample["image2"][None], flow[None])[0]
    return (warped - sample["image1"]).abs()[:, counts] * 255


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    "geometry",
    [
        None,
        STRONG,
        ScaleGeometry(1.0, 0.8, 0.8, 0, 0, 0, 0),
        ScaleGeometry(1.0, -0.5, -0.5, 1.0, 0.2, 0, 0),
        ScaleGeometry(0, 0, 0, 0, 0, 1.0, 0),
        ScaleGeometry(0, 0, 0, 0, 0, 0, 1.0),
        ScaleGeometry(margin=(20, 50)),
        SAME,
        AffineGeometry(0.2, 0.4, 0.3, 0.2, 0.2),
        AffineGeometry(0.1, 0.2, 0.3, 0.2, 0.2, horizontal_flip=1.0, vertical_flip=1.0),
    ],
    ids=["crop", "strong", "enlarge", "shrink", "mirror", "upside", "margin", "affine", "relative", "affine-flip"],
)
def test_geometry_keeps_images_and_flow_together(geometry, sparse: bool) -> None:
    transform = FlowTransform((64, 80), geometry)
    for seed in range(6):
        sample = transform(smooth_pair(sparse, unknown=True), np.random.default_rng(seed))
        assert {name: tuple(value.shape) for name, value in sample.items()} == {
            "image1": (3, 64, 80),
            "image2": (3, 64, 80),
            "flow": (2, 64, 80),
            "valid": (1, 64, 80),
        }
        assert all(value.dtype == torch.float32 for value in sample.values())
        found = differences(sample)
        # sparse flow stands at the nearest whole pixel: off by up to half a pixel of a texture of 6 levels per pixel
        assert found.max() < (8 if sparse else 3.5)
        assert found.mean() < (2 if sparse else 1)
        unknown = sample["valid"].expand(2, -1, -1) == 0
        assert (sample["flow"][unknown] == 0).all()


def test_the_check_itself_sees_a_wrong_flow() -> None:
    sample = FlowTransform((64, 80), STRONG)(smooth_pair(), np.random.default_rng(0))
    sample["flow"] *= 1.3
    assert differences(sample).max() > 8


def test_values_scale_with_the_image_and_change_sign_with_a_flip() -> None:
    flow = np.full((20, 30, 2), (3.0, -2.0), np.float32)
    image = np.zeros((20, 30, 3), np.uint8)
    pair = FlowPair(image, image, flow, np.ones((20, 30), bool))
    double = resize_map((20, 30), (40, 90))
    assert apply_maps(pair, double, double, (40, 90)).flow[5, 5] == pytest.approx([9, -4])
    mirrored = flip_map((20, 30), False, True)
    assert apply_maps(pair, mirrored, mirrored, (20, 30)).flow[5, 5] == pytest.approx([-3, -2])
    # the second image is cut 4 pixels farther right: everything in it moves 4 to the left
    apart = apply_maps(pair, crop_map(0, 0), crop_map(0, 4), (10, 10))
    assert apart.flow[5, 5] == pytest.approx([-1, -2])


def test_a_plain_crop_is_exact() -> None:
    pair = smooth_pair(unknown=True)
    mapped = apply_maps(pair, crop_map(7, 11), crop_map(7, 11), (50, 60))
    for name in ("image1", "image2", "flow", "valid"):
        np.testing.assert_array_equal(getattr(mapped, name), getattr(pair, name)[7:57, 11:71])


@pytest.mark.parametrize("sparse", [False, True])
def test_unknown_pixels_never_leak_into_known_ones(sparse: bool) -> None:
    pair = smooth_pair(sparse, unknown=True)
    constant = pair._replace(flow=np.repeat(pair.valid[..., None], 2, axis=2).astype(np.float32) * 2)
    for seed in range(5):
        sample = FlowTransform((64, 80), ScaleGeometry(1, 0.3, 0.3, 0, 0, 0, 0))(constant, np.random.default_rng(seed))
        known = sample["flow"][:, sample["valid"][0] > 0]
        ratio = known / 2 / 2**0.3
        assert (ratio - 1).abs().max() < 0.02


def test_outside_the_source_the_flow_is_unknown() -> None:
    pair = smooth_pair()
    mapped = apply_maps(pair, crop_map(-10, -20), crop_map(-10, -20), (HEIGHT, WIDTH))
    assert not mapped.valid[:10].any()
    assert not mapped.valid[:, :20].any()
    assert mapped.valid[10:, 20:].all()
    np.testing.assert_array_equal(
        mapped.image1[:10, 20:], np.broadcast_to(pair.image1[0, : WIDTH - 20], (10, WIDTH - 20, 3))
    )


def test_flownet_geometry_stays_within_both_images() -> None:
    geometry, size, crop = AffineGeometry(), (384, 512), (320, 448)
    different = 0
    for seed in range(30):
        maps = geometry.draw(size, crop, np.random.default_rng(seed))
        assert inside(maps.first, size, crop)
        assert inside(maps.second, size, crop)
        different += not np.allclose(maps.first, maps.second)
    assert different > 20


@pytest.mark.parametrize("photometry", [Jitter(asymmetric=0.0), Chromatic(relative=0.0, noise=0.0)], ids=type)
def test_the_same_colours_for_both_images_keep_them_together(photometry) -> None:
    changes = []
    for seed in range(5):
        sample = FlowTransform((64, 80), None, photometry)(smooth_pair(), np.random.default_rng(seed))
        plain = FlowTransform((64, 80))(smooth_pair(), np.random.default_rng(seed))
        assert 0 <= sample["image1"].min() <= sample["image1"].max() <= 1
        assert differences(sample).mean() < 2
        torch.testing.assert_close(sample["flow"], plain["flow"])
        changes.append(float((sample["image1"] - plain["image1"]).abs().mean()))
    assert min(changes) > 0.005


def test_asymmetric_jitter_differs_between_the_images() -> None:
    pair = smooth_pair()
    pair = pair._replace(image2=pair.image1)
    for probability, same in ((0.0, True), (1.0, False)):
        sample = FlowTransform(None, None, Jitter(asymmetric=probability))(pair, np.random.default_rng(0))
        assert torch.allclose(sample["image1"], sample["image2"]) == same


def test_jitter_of_nothing_changes_nothing() -> None:
    images = np.random.default_rng(0).random((2, 8, 9, 3), dtype=np.float32)
    done = Jitter(0, 0, 0, 0).apply(images.copy(), np.random.default_rng(0))
    np.testing.assert_allclose(done, images, atol=2e-6)


def test_hue_turns_red_into_green() -> None:
    red = np.zeros((2, 4, 4, 3), np.float32)
    red[..., 0] = 1
    jitter = Jitter(0, 0, 0, 0.5, asymmetric=0)
    turned = [jitter.apply(red, np.random.default_rng(seed))[0, 0, 0] for seed in range(20)]
    assert all(colour.max() == pytest.approx(1) and colour.min() == pytest.approx(0, abs=1e-5) for colour in turned)
    assert len({int(colour.argmax()) for colour in turned}) == 3


def test_noise_is_different_in_the_two_images() -> None:
    grey = np.full((2, 64, 64, 3), 0.5, np.float32)
    settings = {"gamma": (1, 1), "colour": (1, 1), "contrast": (0, 0), "brightness": 0, "relative": 0}
    done = Chromatic(**settings, noise=0.04).apply(grey, np.random.default_rng(3))
    assert 0 < (done[0] - 0.5).std() <= 0.045
    assert abs(np.corrcoef(done[0].ravel(), done[1].ravel())[0, 1]) < 0.05


def test_eraser_fills_rectangles_of_the_second_image_with_its_mean() -> None:
    pair = smooth_pair()
    before = pair.image2.copy()
    transform = FlowTransform(None, None, None, Eraser(1.0, 10, 20))
    for seed in range(5):
        sample = transform(pair, np.random.default_rng(seed))
        changed = (sample["image2"] * 255 - torch.from_numpy(before).permute(2, 0, 1)).abs().amax(0) > 0.5
        assert 0 < changed.sum() <= 2 * 19 * 19
        assert len(sample["image2"][:, changed].unique(dim=1).T) == 1
        torch.testing.assert_close(sample["flow"], torch.from_numpy(pair.flow).permute(2, 0, 1))
    np.testing.assert_array_equal(pair.image2, before)
    assert Eraser(0.0).apply(before, np.random.default_rng(0)) is before


@pytest.mark.parametrize("name", ["raft", "pwcnet", "none"])
@pytest.mark.parametrize("sparse", [False, True])
def test_recipes_depend_on_the_generator_alone(name: str, sparse: bool) -> None:
    transform = recipe(name, "sintel", (64, 80), sparse)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = transform(smooth_pair(sparse), np.random.default_rng(5))
    second = transform(smooth_pair(sparse), np.random.default_rng(5))
    other = transform(smooth_pair(sparse), np.random.default_rng(6))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["image1"], other["image1"])
    described = transform.describe()
    assert json.loads(json.dumps(described)) == {**described, **json.loads(json.dumps(described))}


def test_raft_has_the_published_settings() -> None:
    chairs = recipe("raft", "flying_chairs", (368, 496))
    assert chairs.geometry == ScaleGeometry(0.8, -0.1, 1.0, 0.8, 0.2, 0.5, 0.1)
    assert chairs.photometry == Jitter(0.4, 0.4, 0.4, 0.5 / 3.14, 0.2)
    assert chairs.eraser == Eraser(0.5, 50, 100)
    kitti = recipe("raft", "kitti2015", (288, 960), sparse=True)
    assert kitti.geometry == ScaleGeometry(0.8, -0.2, 0.4, 0.0, 0.2, 0.0, 0.0, (20, 50))
    assert kitti.photometry == Jitter(0.3, 0.3, 0.3, 0.3 / 3.14, 0.0)


def test_settings_change_single_values() -> None:
    changed = recipe("raft", "sintel", 64, settings={"geometry": {"max_scale": 0.9}, "eraser": {"probability": 0}})
    assert changed.geometry == ScaleGeometry(min_scale=-0.2, max_scale=0.9)
    assert changed.eraser == Eraser(0)
    assert changed.crop_size == (64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"geometri": {}}, "did you mean 'geometry'"),
        ({"geometry": {"max_scal": 1}}, "did you mean 'max_scale'"),
        ({"geometry": {"min_scale": 2}}, "exceeds"),
        ({"photometry": {"hue": 0.7}}, "hue=0.7"),
        ({"eraser": {"least": 0}}, "least=0"),
        ({"eraser": {"probability": "often"}}, "not usable"),
        ({"geometry": 3}, "not usable"),
    ],
)
def test_wrong_settings_are_one_message(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe("raft", "sintel", 64, settings=settings)


def test_unknown_recipe() -> None:
    with pytest.raises(ConfigError, match="did you mean 'raft'"):
        recipe("rafft")
    with pytest.raises(ConfigError, match="nothing to set"):
        recipe("none", settings={"eraser": {}})


@pytest.mark.parametrize("name", ["raft", "pwcnet", "none"])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (40, 33)])
@pytest.mark.parametrize("sparse", [False, True])
def test_images_smaller_than_the_crop_are_enlarged(name: str, size: tuple[int, int], sparse: bool) -> None:
    sample = recipe(name, "", (48, 52), sparse)(smooth_pair(sparse, size=size), np.random.default_rng(0))
    assert sample["image1"].shape == (3, 48, 52)
    assert torch.isfinite(sample["flow"]).all()


def test_whole_images_keep_their_size() -> None:
    sample = recipe("none")(smooth_pair(), np.random.default_rng(0))
    assert sample["image1"].shape == (3, HEIGHT, WIDTH)
    torch.testing.assert_close(sample["flow"], torch.from_numpy(smooth_pair().flow).permute(2, 0, 1))


def test_different_sizes_are_refused() -> None:
    pair = smooth_pair()
    with pytest.raises(DataError, match=r"the pair: .* image 2 160x119"):
        recipe("raft", crop=64)(pair._replace(image2=pair.image2[1:]), np.random.default_rng(0), "the pair")


def test_samples_hold_no_more_memory_than_they_show() -> None:
    sample = recipe("raft", crop=64)(smooth_pair(), np.random.default_rng(0))
    for value in sample.values():
        assert value.is_contiguous()
        assert value.untyped_storage().nbytes() == value.numel() * 4
