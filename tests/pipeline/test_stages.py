"""What each stage does to a tiny video, and how stages are put together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, FramewrightError
from framewright.inference import Context, chunked
from framewright.pipeline import Execution, PipelineMethod, Settings, build_pipeline, run_pipeline
from framewright.pipeline.stage import MethodStage
from framewright.video import open_video, save_video, write_image
from framewright.video.encoding import Encoding

from .conftest import HEIGHT, WIDTH, pixels

BOX = [2, 6, 8, 8]


def edited(stages: Mapping[str, Any], video: Path, settings: Settings, segment: int | None = 5) -> np.ndarray:
    target = video.parent / "edited.mkv"
    run_pipeline(build_pipeline("test", stages), video, target, settings, Execution(Encoding("ffv1"), segment=segment))
    with open_video(target) as reader:
        return reader.get(range(len(reader)))


def mask_of(number: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[6:14, 2 + number : 10 + number] = True
    return mask


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(12):
        write_image(folder / f"{number:03d}.png", np.repeat(mask_of(number)[..., None] * np.uint8(128), 3, 2))
    return folder


def test_an_object_goes(video: Path, masks: Path, settings: Settings) -> None:
    background = pixels(40)  # the square is outside
    made = edited({"mask": {"path": str(masks), "grow": 1}, "inpaint": True}, video, settings)
    for number in (0, 5, 11):
        error = np.abs(made[number].astype(float) - background)[mask_of(number)].mean()
        assert error < 25
        assert error < 0.4 * np.abs(pixels(number).astype(float) - background)[mask_of(number)].mean()
        # far from the mask nothing has changed but the compression of the source and of chroma
        assert np.abs(made[number, 18:].astype(float) - pixels(number)[18:]).mean() < 4


def test_a_box_is_tracked(video: Path, settings: Settings) -> None:
    green = {"background": [0, 255, 0]}
    made = edited({"mask": {"box": BOX}, "replace_background": green}, video, settings).astype(int)
    for number in (0, 6, 11):
        inside = mask_of(number)
        front = np.abs(made[number] - pixels(number)).mean(2)[inside]
        behind = np.abs(made[number] - np.array([0, 255, 0])).mean(2)[~inside]
        assert (front < 40).mean() > 0.7
        assert (behind < 40).mean() > 0.9


def test_the_subject_moves_into_another_video(video: Path, masks: Path, tmp_path: Path, settings: Settings) -> None:
    other = tmp_path / "other.mp4"
    save_video(np.full((12, 48, 64, 3), (20, 40, 200), np.uint8), other, fps=25)
    made = edited({"mask": {"path": str(masks)}, "fuse": {"other": str(other), "feather": 0}}, video, settings).astype(
        int
    )
    assert np.abs(made[3] - (20, 40, 200)).mean(2)[~mask_of(3)].mean() < 15
    assert np.abs(made[3] - pixels(3)).mean(2)[mask_of(3)].mean() < 15


def test_frames_between_along_the_given_motion(video: Path, settings: Settings) -> None:
    alone = edited({"retime": {"factor": 3}}, video, settings)
    given = edited({"motion": {"trajectories": 2}, "retime": {"factor": 3, "motion": True}}, video, settings)
    assert len(alone) == len(given) == 34
    assert np.abs(alone.astype(int) - given).mean() < 1


def test_motion_of_another_video(video: Path, tmp_path: Path, settings: Settings) -> None:
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(40, 220, (16, 24)), np.ones((4, 4))).astype(np.uint8)
    frames = np.stack([np.repeat(scene[8:32, 8 + t : 40 + t, None], 3, 2) for t in range(12)])
    other = tmp_path / "other.mp4"
    save_video(frames, other, fps=25, crf=2)
    plain, moved = (
        edited(stages, video, settings)
        for stages in ({"denoise": {"strength": 0.1}}, {"transfer_motion": {"motion_of": str(other)}})
    )
    # everything wanders to the left by one pixel for each frame
    inner = np.abs(moved[4, 2:-2, 2:-8].astype(int) - plain[4, 2:-2, 6:-4]).mean()
    assert inner < 0.5 * np.abs(moved[4, 2:-2, 2:-8].astype(int) - plain[4, 2:-2, 2:-8]).mean()


def test_restyle(video: Path, tmp_path: Path, settings: Settings) -> None:
    write_image(tmp_path / "red.png", np.full((8, 8, 3), (200, 10, 10), np.uint8))
    made = edited({"restyle": {"reference": str(tmp_path / "red.png")}}, video, settings)
    assert made[..., 0].mean() > 2 * made[..., 2].mean()


def test_every_stage_at_once(video: Path, masks: Path, tmp_path: Path, settings: Settings) -> None:
    other = tmp_path / "other.mp4"
    save_video(np.full((5, 48, 64, 3), (20, 40, 200), np.uint8), other, fps=25)
    stages = {
        "motion": True,
        "retime": {"motion": True},
        "mask": {"path": str(masks)},
        "fuse": {"other": str(other)},
        "restyle": {"reference": str(other)},
        "replace_background": {"background": [9, 9, 9]},
        "upscale": True,
    }
    made = edited(stages, video, settings)
    assert made.shape == (23, 2 * HEIGHT, 2 * WIDTH, 3)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"inpaint": True}, r"stages.inpaint reads mask, which no earlier stage gives \(given by: mask\)"),
        ({"mask": {"box": BOX}, "upscale": True, "inpaint": True}, "no longer true after stages.upscale"),
        ({"mask": {"subject": "dog"}, "inpaint": True}, "a subject needs a segmentation network"),
        ({"mask": {"subject": "dgo", "network": "deeplabv3plus"}, "inpaint": True}, "unknown subject 'dgo'.*'dog'"),
        ({"mask": {"box": BOX, "path": "x"}, "inpaint": True}, "give one of path, subject and box"),
        ({"mask": {"path": "/absent"}, "inpaint": True}, "there is no '/absent'"),
        ({"replace_background": True}, "needs a background"),
        ({"restyle": True}, "needs a reference"),
        ({"fuse": True}, "needs the other video"),
        ({"transfer_motion": True}, "motion_of="),
        ({"denoise": "telea"}, "has no method to choose"),
        ({"upscale": 3}, "must be a mapping"),
        ({"big": {"stage": "upscal"}}, "unknown stage 'upscal'"),
    ],
)
def test_wrong_stages_are_told_of_before_anything_is_loaded(stages: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_pipeline("test", stages)


def test_masks_of_another_length_or_size(video: Path, masks: Path, tmp_path: Path, settings: Settings) -> None:
    (masks / "011.png").unlink()
    stages = {"mask": {"path": str(masks)}, "inpaint": True}
    with pytest.raises(FramewrightError, match="has 11 masks, the video has 12 frames"):
        edited(stages, video, settings)
    write_image(tmp_path / "small.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(FramewrightError, match=r"are 8x8, the video is 32x24"):
        edited({"mask": {"path": str(tmp_path / "small.png")}, "inpaint": True}, video, settings)
    with pytest.raises(FramewrightError, match=r"outside of 32x24"):
        edited({"mask": {"box": [50, 2, 3, 3]}, "inpaint": True}, video, settings)


def test_helpers_that_nobody_reads_are_left_out() -> None:
    pipeline = build_pipeline("test", {"mask": {"box": BOX}, "upscale": "nearest"})
    assert [stage.name for stage in pipeline.stages] == ["upscale"]
    twice = build_pipeline("test", {"first": {"stage": "upscale"}, "upscale": True})
    assert [stage.name for stage in twice.stages] == ["first", "upscale"]


def test_reach_and_segments() -> None:
    pipeline = build_pipeline("test", {"retime": True, "mask": {"box": BOX, "smooth": 3}, "inpaint": True})
    # of the 33 frames that the later stages look back, two lie between each two of the source
    assert pipeline.reach() == (2 + 15, 1 + 2 + 15)
    assert pipeline.output_frames(10) == 19
    assert [len(part) for part in pipeline.segments(700)] == [280, 280, 140]


def test_a_pipeline_is_a_method_of_a_benchmark() -> None:
    frames = torch.rand(5, 3, HEIGHT, WIDTH)
    retime = PipelineMethod("ours", build_pipeline("retime", {"stabilize": True, "retime": True}), "interpolation")
    made = list(retime.process(chunked(frames, 2), Context("interpolation")))
    assert [number for chunk in made for number in range(chunk.start, chunk.start + len(chunk))] == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="makes 2 frames of each, interpolation asks for 4"):
        list(retime.process(chunked(frames, 2), Context("interpolation", timesteps=(0.25, 0.5, 0.75))))
    # the mask comes with the frames
    remove = build_pipeline("remove_object", {"mask": {"box": BOX}, "inpaint": "telea"}, frozenset({"mask"}))
    mask = torch.zeros(5, 1, HEIGHT, WIDTH)
    mask[:, :, 4:9, 4:9] = 1
    holes = frames * (1 - mask)
    (filled,) = PipelineMethod("ours", remove, "inpainting").process(
        chunked(holes, extras={"mask": mask}), Context("inpainting")
    )
    assert torch.equal(filled.frames * (1 - mask), holes)
    assert (filled.frames * mask).sum() > 0
    with pytest.raises(ConfigError, match="cannot be compared in flow"):
        PipelineMethod("ours", remove, "flow")


@pytest.mark.parametrize(
    ("chosen", "options"),
    [
        ({}, {"iterations": 60}),
        ({"baseline": "closed_form", "options": {"iterations": 7}}, {"iterations": 7}),
        ({"baseline": "grabcut"}, None),
        ({"network": "grabcut"}, None),
    ],
)
def test_defaults_are_those_of_one_baseline(chosen: dict[str, Any], options: dict[str, int] | None) -> None:
    pipeline = build_pipeline("test", {"mask": {"box": BOX}, "replace_background": {"background": [0, 0, 0], **chosen}})
    stage = pipeline.stages[-1]
    assert isinstance(stage, MethodStage)
    assert stage.chosen.spec.get("options") == options
    stage.load(Settings(torch.device("cpu")))


def test_every_baseline_of_upscale_has_its_scale() -> None:
    for name in ("bicubic", "nearest"):
        (stage,) = build_pipeline("test", {"upscale": {"baseline": name, "scale": 3}}).stages
        assert isinstance(stage, MethodStage)
        assert stage.chosen.spec["options"] == {"scale": 3}
