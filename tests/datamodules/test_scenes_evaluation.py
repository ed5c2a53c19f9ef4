"""scenes_eval_v1 never changes, moves as stated, and carries the truth for every task."""

from __future__ import annotations

import json

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.datamodules.scenes import (
    EVALUATION_TEXTURES,
    TASKS,
    TRAINING_TEXTURES,
    VERSIONS,
    ScenesEvaluation,
    motion_statistics,
    scene_motion,
)

# (video, frame, row, column): RGB in 8-bit levels
PIXELS = {
    (0, 7, 121, 130): [163, 153, 140],
    (0, 2, 59, 12): [172, 92, 48],
    (0, 0, 5, 46): [181, 125, 87],
    (0, 7, 124, 232): [51, 22, 14],
    (4, 4, 116, 246): [144, 72, 37],
    (4, 6, 120, 138): [126, 127, 127],
    (4, 5, 177, 71): [193, 114, 60],
    (4, 7, 128, 2): [173, 99, 51],
    (9, 3, 163, 141): [147, 145, 145],
    (9, 0, 145, 185): [126, 129, 129],
    (9, 7, 35, 24): [118, 123, 123],
    (9, 7, 6, 138): [133, 134, 134],
    (17, 0, 58, 123): [131, 109, 69],
    (17, 3, 77, 9): [161, 161, 162],
    (17, 0, 25, 4): [118, 104, 78],
    (17, 6, 100, 165): [152, 158, 142],
    (23, 2, 117, 194): [143, 146, 139],
    (23, 3, 88, 253): [138, 140, 134],
    (23, 7, 186, 97): [138, 140, 134],
    (23, 6, 180, 165): [114, 115, 113],
}
# mean RGB of frame 4, in 8-bit levels
MEANS = [
    [153.29, 99.95, 73.67],
    [92.18, 98.11, 78.89],
    [145.71, 143.95, 144.75],
    [120.25, 114.4, 109.57],
    [157.11, 102.95, 70.84],
    [172.69, 118.63, 87.6],
    [96.49, 94.04, 88.52],
    [145.21, 136.16, 146.84],
    [144.29, 95.18, 66.09],
    [130.3, 130.93, 129.15],
    [146.23, 94.57, 68.82],
    [134.33, 91.92, 70.6],
    [164.72, 150.75, 139.11],
    [118.6, 76.32, 57.56],
    [171.2, 156.15, 149.49],
    [104.97, 102.21, 101.56],
    [141.22, 132.48, 126.78],
    [129.82, 115.7, 99.03],
    [108.94, 115.93, 108.1],
    [102.37, 61.9, 56.88],
    [141.99, 134.43, 131.63],
    [121.1, 111.73, 111.42],
    [135.5, 133.01, 137.1],
    [123.01, 123.06, 119.67],
]


@pytest.fixture(scope="module")
def everything() -> dict[str, torch.Tensor]:
    video = ScenesEvaluation(task="all")[2]
    return {"frames": video.frames, **video.truth}


@pytest.mark.parametrize("version", list(VERSIONS))
def test_parameters_have_not_changed(version: str) -> None:
    evaluation = ScenesEvaluation(version)
    assert evaluation.parameters_sha256() == evaluation.version.parameters_sha256
    assert len(evaluation) == {"scenes_eval_v1": 24, "scenes_val_v1": 8}[version]


def test_validation_uses_no_photograph_of_the_evaluation() -> None:
    validation, evaluation = (
        ScenesEvaluation(v).describe()["photographs"] for v in ("scenes_val_v1", "scenes_eval_v1")
    )
    assert set(validation) == set(TRAINING_TEXTURES)
    assert set(evaluation) == set(EVALUATION_TEXTURES)
    assert not set(validation.values()) & set(evaluation.values())


def test_validation_motion_is_as_stated() -> None:
    evaluation = ScenesEvaluation("scenes_val_v1")
    pairs = [scene_motion(evaluation.scene(index)) for index in range(8)]
    motion = motion_statistics([flow for flow, _ in pairs], [occlusion for _, occlusion in pairs])
    assert motion.mean == pytest.approx(evaluation.version.motion.mean, rel=1e-2)


def test_pixels_have_not_changed() -> None:
    evaluation = ScenesEvaluation("scenes_eval_v1")
    for index, expected in enumerate(MEANS):
        # the middle frame alone: all of them would take as long as the evaluation
        image = torch.from_numpy(evaluation.scene(index).image(4.0))
        found = image.mean((0, 1)) * 255
        torch.testing.assert_close(found, torch.tensor(expected), atol=0.1, rtol=0)
    videos = {index: evaluation[index].frames for index in {key[0] for key in PIXELS}}
    for (index, frame, row, column), expected in PIXELS.items():
        found = videos[index][frame, :, row, column] * 255
        torch.testing.assert_close(found, torch.tensor(expected).float(), atol=1.5, rtol=0)


def test_motion_is_as_stated() -> None:
    evaluation = ScenesEvaluation("scenes_eval_v1")
    pairs = [scene_motion(evaluation.scene(index)) for index in range(24)]
    motion = motion_statistics([flow for flow, _ in pairs], [occlusion for _, occlusion in pairs])
    for name, value in evaluation.version.motion._asdict().items():
        assert getattr(motion, name) == pytest.approx(value, rel=1e-2), name
    assert motion.mean >= 6
    assert motion.above_8 >= 0.3


def test_interpolation_carries_frames_only() -> None:
    video = ScenesEvaluation()[0]
    assert video.id == "scene_00"
    assert video.frames.shape == (9, 3, 192, 256)
    assert video.frames.dtype == torch.float32
    assert not video.truth
    levels = video.frames * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert torch.equal(video.frames, ScenesEvaluation()[0].frames)


def test_iteration_stops_and_ids_are_unique() -> None:
    evaluation = ScenesEvaluation(videos=2)
    assert [video.id for video in evaluation] == ["scene_00", "scene_01"]
    with pytest.raises(IndexError, match="2 videos"):
        evaluation[2]


def test_everything_has_the_documented_shape(everything: dict[str, torch.Tensor]) -> None:
    expected = {
        "frames": (9, 3, 192, 256),
        "labels": (9, 192, 256),
        "alpha": (9, 1, 192, 256),
        "trimap": (9, 1, 192, 256),
        "foreground": (9, 3, 192, 256),
        "background": (9, 3, 192, 256),
        "mask": (9, 1, 192, 256),
        "target": (9, 3, 192, 256),
        "trajectory": (9, 4),
        "smooth": (9, 4),
        "low": (9, 3, 48, 64),
        "shaky": (9, 3, 192, 256),
    }
    for step in (1, 2):
        for direction in ("forward", "backward"):
            expected[f"flow_{direction}_{step}"] = (9 - step, 2, 192, 256)
            expected[f"occlusion_{direction}_{step}"] = (9 - step, 1, 192, 256)
    assert {name: tuple(value.shape) for name, value in everything.items()} == expected


def test_everything_is_consistent(everything: dict[str, torch.Tensor]) -> None:
    alpha = everything["alpha"]
    composed = alpha * everything["foreground"] + (1 - alpha) * everything["background"]
    torch.testing.assert_close(composed, everything["frames"], atol=1e-6, rtol=0)
    outside = everything["mask"].expand_as(composed) == 0
    assert torch.equal(everything["frames"][outside], everything["target"][outside])
    torch.testing.assert_close(everything["target"], everything["background"])
    assert (everything["mask"][alpha > 0] == 1).all()
    # two steps are one after the other: the background's flow at a pixel that stays background
    one, two = everything["flow_forward_1"], everything["flow_forward_2"]
    assert 1.5 < two.abs().mean() / one[:-1].abs().mean() < 2.5


@pytest.mark.parametrize("task", [task for task in TASKS if task != "flow"])
def test_each_task_gives_the_same_truth_as_all(task: str, everything: dict[str, torch.Tensor]) -> None:
    video = ScenesEvaluation(task=task)[2]
    given = {"stabilization": "shaky"}.get(task, "frames")
    torch.testing.assert_close(video.frames, everything[given], atol=1.5 / 255, rtol=0)
    names = set(video.truth) - {"steady"}
    if task == "style":  # drawn for it alone, see test_style_sets
        assert names == {"reference", "styled"}
        return
    assert (names != set()) == (task != "interpolation")
    if task == "super_resolution":
        # rounded to 8 bits before and after reducing
        torch.testing.assert_close(video.truth["lr"], everything["low"], atol=1.5 / 255, rtol=0)
    for name in names - {"lr"}:
        torch.testing.assert_close(video.truth[name], everything[name], atol=0.51 / 255, rtol=0)


def test_flow_is_between_every_second_frame(everything: dict[str, torch.Tensor]) -> None:
    video = ScenesEvaluation(task="flow")[2]
    torch.testing.assert_close(video.frames, everything["frames"][::2], atol=0.51 / 255, rtol=0)
    assert set(video.truth) == {"flow", "valid", "occlusion"}
    assert torch.equal(video.truth["flow"], everything["flow_forward_2"][::2])
    assert torch.equal(video.truth["occlusion"], everything["occlusion_forward_2"][::2])
    assert torch.equal(video.truth["valid"], torch.ones(4, 1, 192, 256))


def test_inpainting_is_equal_outside_the_hole_after_rounding() -> None:
    video = ScenesEvaluation(task="inpainting")[5]
    outside = video.truth["mask"].expand_as(video.frames) == 0
    assert torch.equal(video.frames[outside], video.truth["target"][outside])


def test_manifest_is_json() -> None:
    manifest = ScenesEvaluation().describe()
    assert json.loads(json.dumps(manifest, allow_nan=False)) == manifest
    assert manifest["dataset"] == "scenes_eval_v1"


def test_unknown_names_are_one_message() -> None:
    with pytest.raises(ConfigError, match="did you mean 'scenes_eval_v1'"):
        ScenesEvaluation("scenes_eval_v2")
    with pytest.raises(ConfigError, match="did you mean 'flow'"):
        ScenesEvaluation(task="flwo")
    with pytest.raises(ConfigError, match="videos=25"):
        ScenesEvaluation(videos=25)
