"""Training samples of procedural scenes: one contract per task, purity, settings and photographs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.core.seeding import position_rng
from framewright.datamodules.scenes import (
    CLASSES,
    EVALUATION_TEXTURES,
    TASKS,
    TRAINING_TEXTURES,
    ScenesDataset,
    load_texture,
    motion_statistics,
    textures,
)
from framewright.datamodules.scenes.shapes import random_shape, rasterise
from torch import Tensor

H, W = 64, 80


def samples(task: str, count: int = 6, **options: object) -> list[dict[str, Tensor]]:
    dataset = ScenesDataset(task, H, W, **options)  # type: ignore[arg-type]
    return [dataset.sample(0, position_rng(21, position)) for position in range(count)]


SHAPES = {
    "interpolation": {"image0": (3, H, W), "image1": (3, H, W), "target": (3, H, W), "timestep": ()},
    "flow": {
        "image1": (3, H, W),
        "image2": (3, H, W),
        "flow": (2, H, W),
        "flow_backward": (2, H, W),
        "occlusion": (1, H, W),
        "occlusion_backward": (1, H, W),
    },
    "segmentation": {"image": (3, H, W), "labels": (H, W)},
    "matting": {
        "image": (3, H, W),
        "alpha": (1, H, W),
        "trimap": (1, H, W),
        "foreground": (3, H, W),
        "background": (3, H, W),
    },
    "inpainting": {"video": (5, 3, H, W), "mask": (5, 1, H, W), "target": (5, 3, H, W)},
    "super_resolution": {"target": (3, H, W), "lr": (3, H // 4, W // 4)},
    "stabilization": {"video": (16, 3, H, W), "trajectory": (16, 4), "smooth": (16, 4)},
    "style": {"a": (3, 3, H, W), "b": (3, 3, H, W), "flow": (2, 2, H, W), "occlusion": (2, 1, H, W)},
}


@pytest.mark.parametrize("task", TASKS)
def test_names_shapes_types_and_ranges(task: str) -> None:
    for sample in samples(task, 3):
        assert {name: tuple(value.shape) for name, value in sample.items()} == SHAPES[task]
        for name, value in sample.items():
            assert value.dtype == (torch.int64 if name == "labels" else torch.float32), name
            assert value.is_contiguous(), name
            if not name.startswith(("flow", "trajectory", "smooth", "labels")):
                assert value.min() >= 0, name
                assert value.max() <= 1, name


@pytest.mark.parametrize("task", TASKS)
def test_samples_depend_on_the_generator_alone(task: str) -> None:
    dataset = ScenesDataset(task, 48, 48)
    first = dataset.sample(3, position_rng(1, 5))
    dataset.sample(0, position_rng(1, 6))
    copy = pickle.loads(pickle.dumps(dataset))
    second = copy.sample(99, position_rng(1, 5))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = dataset.sample(3, position_rng(1, 6))
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_interpolation_target_lies_between() -> None:
    ends, middle = [], []
    for sample in samples("interpolation", 12):
        assert sample["timestep"] == 0.5
        average = (sample["image0"] + sample["image1"]) / 2
        ends.append((sample["image0"] - sample["image1"]).abs().mean())
        middle.append((sample["target"] - average).abs().mean())
    assert 0 < sum(middle) < sum(ends)
    random = [float(sample["timestep"]) for sample in samples("interpolation", 12, timestep="any")]
    assert len(set(random)) == 12
    assert 0 < min(random) < 0.5 < max(random) < 1


def test_training_motion_covers_the_evaluation_set() -> None:
    dataset = ScenesDataset("flow")
    drawn = [dataset.sample(0, position_rng(31, position)) for position in range(150)]
    motion = motion_statistics([sample["flow"] for sample in drawn])
    assert 6 < motion.mean < 9
    assert 0.3 < motion.above_8 < 0.5
    assert 0 < motion.above_24 < 0.05
    assert motion.largest > 28


def test_segmentation_uses_every_class() -> None:
    labels = torch.stack([sample["labels"] for sample in samples("segmentation", 40)])
    assert set(labels.unique().tolist()) == set(range(len(CLASSES)))
    assert 0.3 < (labels == 0).float().mean() < 0.9


def test_matting_composes_exactly() -> None:
    soft = 0
    for sample in samples("matting", 12):
        alpha = sample["alpha"]
        composed = alpha * sample["foreground"] + (1 - alpha) * sample["background"]
        torch.testing.assert_close(composed, sample["image"], atol=1e-6, rtol=0)
        trimap = sample["trimap"]
        assert set(trimap.unique().tolist()) <= {0.0, 0.5, 1.0}
        assert (alpha[trimap == 1] > 0.99).all()
        assert (alpha[trimap == 0] < 0.01).all()
        assert (trimap == 1).any()
        soft += int(((alpha > 0.1) & (alpha < 0.9)).sum())
    assert soft > 1000


def test_inpainting_differs_only_in_the_hole() -> None:
    for sample in samples("inpainting"):
        hole = sample["mask"].expand_as(sample["video"]) > 0
        assert torch.equal(sample["video"][~hole], sample["target"][~hole])
        assert not torch.equal(sample["video"][hole], sample["target"][hole])
        assert 0.02 < sample["mask"].mean() < 0.8


def test_super_resolution_scales() -> None:
    (sample,) = samples("super_resolution", 1, scale=2)
    assert sample["lr"].shape == (3, H // 2, W // 2)
    torch.testing.assert_close(sample["lr"].mean(), sample["target"].mean(), atol=5e-3, rtol=0)


def test_photographs_are_disjoint_and_inside_the_package() -> None:
    training = {entry.sha256 for entry in TRAINING_TEXTURES.values()}
    evaluation = {entry.sha256 for entry in EVALUATION_TEXTURES.values()}
    assert len(training) == len(TRAINING_TEXTURES) >= 8
    assert len(evaluation) == len(EVALUATION_TEXTURES) >= 5
    assert not training & evaluation
    # the stereo partner and other shots of an evaluation photograph would give it away too
    files = {entry.file for entry in TRAINING_TEXTURES.values()}
    assert not any(file.startswith("motorcycle") for file in files)
    for name in (*TRAINING_TEXTURES, *EVALUATION_TEXTURES):
        levels = load_texture(name)
        assert levels[0].shape[2] == 3
        assert levels[0].dtype == np.uint8
        assert levels[1].shape[0] == levels[0].shape[0] // 2


@pytest.mark.parametrize(("split", "allowed"), [("train", TRAINING_TEXTURES), ("eval", EVALUATION_TEXTURES)])
def test_scenes_use_their_split_only(split: str, allowed: dict[str, object]) -> None:
    from framewright.datamodules.scenes import Scene, SceneSettings

    used = set()
    for position in range(40):
        scene = Scene(SceneSettings(height=32, width=32, textures=split), position_rng(41, position))
        used |= {scene.background.name, *(item.surface.name for item in scene.objects)}
    assert used == set(allowed)


def test_a_missing_or_changed_photograph_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textures, "texture_folder", lambda: tmp_path)
    load = textures.load_texture.__wrapped__
    with pytest.raises(DataError, match=r"coffee\.png.* is missing"):
        load("coffee")
    (tmp_path / "coffee.png").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"coffee\.png.*sha256"):
        load("coffee")
    with pytest.raises(DataError, match="unknown texture 'tea'"):
        load("tea")


def test_alpha_masks_are_soft_and_end_before_their_border() -> None:
    for position in range(30):
        shape = random_shape(position_rng(51, position), hair=0.5, softness=2.0, radius=20.0)
        mask = rasterise(shape, 20.0, 1.25)
        assert mask.max() > 200
        assert ((mask > 0) & (mask < 255)).any()
        assert not mask[[0, -1]].any()
        assert not mask[:, [0, -1]].any()
        farthest = max(np.hypot(*contour.T).max() for contour in shape.contours)
        assert farthest <= 1 + 1e-9
        if shape.strands is not None:
            assert np.hypot(shape.strands[..., 0], shape.strands[..., 1]).max() <= 1


def test_mask_area_is_that_of_the_shape() -> None:
    shape = random_shape(position_rng(52), hair=0.0, softness=0.0, radius=30.0, solid=True)
    x, y = shape.contours[0].T
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) * 30**2
    assert rasterise(shape, 30.0, 1.0).sum() / 255 == pytest.approx(area, rel=0.02)


def test_manifest_is_json_and_changes_with_the_settings() -> None:
    first, second = ScenesDataset().describe(), ScenesDataset(settings={"spin": 0.0}).describe()
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first != second
    assert set(first["photographs"]) == set(TRAINING_TEXTURES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "flwo"}, "did you mean 'flow'"),
        ({"settings": {"camera_moton": 3}}, "did you mean 'camera_motion'"),
        ({"settings": {"objects": [5, 2]}}, "objects="),
        ({"settings": {"objects": 3}}, "objects=3"),
        ({"settings": {"spin": -1}}, "spin=-1"),
        ({"settings": {"zoom": "fast"}}, "zoom='fast'"),
        ({"height": 112.5}, "height=112.5"),
        ({"settings": {"textures": "test"}}, "textures='test'"),
        ({"settings": {"frames": 1}}, "frames >= 3"),
        ({"task": "super_resolution", "scale": 3}, "scale=3"),
        ({"height": 8}, "height=8"),
        ({"timestep": "often"}, "timestep='often'"),
    ],
)
def test_bad_values_are_one_message(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ScenesDataset(**options)  # type: ignore[arg-type]
