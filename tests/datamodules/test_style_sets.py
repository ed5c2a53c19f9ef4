"""Data of style transfer: painted scenes, and folders of unpaired videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.core.seeding import position_rng
from framewright.datamodules.scenes import APPEARANCES, Scene, ScenesDataset, SceneSettings, ScenesEvaluation
from framewright.datamodules.scenes.appearance import paint
from framewright.datamodules.sources import create_source, parse_data
from framewright.datamodules.style_sets import ReferencedVideos, UnpairedClips
from framewright.ops.warp import warp
from PIL import Image


def write_videos(root: Path, colour: tuple[int, int, int], frames: int = 12, size: tuple[int, int] = (40, 56)) -> None:
    """Three frame folders whose frames are numbered in the red channel."""
    for name in ("x", "y", "z"):
        folder = root / name
        folder.mkdir(parents=True)
        for t in range(frames):
            image = np.full((*size, 3), colour, np.uint8)
            image[..., 0] = 10 * t
            Image.fromarray(image).save(folder / f"{t:03d}.png")


@pytest.mark.parametrize("name", sorted(APPEARANCES))
def test_paint_keeps_what_is_seen(name: str) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    painted = paint(ramp, name)
    assert np.array_equal(painted, paint(ramp, name))
    luma = painted.astype(float) @ [0.299, 0.587, 0.114]
    columns = luma.mean(0)
    # what was brighter is brighter
    assert columns[40] < columns[100] < columns[160] < columns[220]
    assert np.abs(painted.astype(float) - ramp).mean() > 10


def test_paint_moves_with_what_it_is_on() -> None:
    settings = SceneSettings(height=64, width=64, frames=3, quality="exact")
    scene = Scene(settings, position_rng(5, 0)).painted("dusk")
    frames = [scene.render(float(t)) for t in range(2)]
    flow, hidden = scene.flow(frames[1], 0.0)
    first, second = (torch.from_numpy(frame.composite()).permute(2, 0, 1)[None] for frame in frames)
    moved = warp(first, torch.from_numpy(flow)[None])
    seen = torch.from_numpy(~hidden)[None, None].expand_as(second)
    assert (moved - second)[seen].abs().mean() < 0.03


def test_the_evaluation_set_knows_the_true_result() -> None:
    videos = ScenesEvaluation("scenes_eval_v1", "style", videos=2, appearances=["ink"])
    plain = ScenesEvaluation("scenes_eval_v1", "interpolation", videos=2)
    video = videos[0]
    assert torch.equal(video.frames, plain[0].frames)
    assert video.truth["styled"].shape == video.truth["reference"].shape == video.frames.shape
    # the reference shows another scene, in the same paint as the result
    assert torch.equal(
        video.truth["reference"], ScenesEvaluation("scenes_eval_v1", "style", 2, ["ink"])[1].truth["styled"]
    )
    assert set(videos.describe()["appearances"]) == {"ink"}
    with pytest.raises(ConfigError, match="unknown appearance 'inc'; expected one of .*; did you mean 'ink'"):
        ScenesEvaluation("scenes_eval_v1", "style", appearances=["inc"])
    with pytest.raises(ConfigError, match="name at least one"):
        ScenesDataset("style", appearances=[])


def test_clips_of_two_folders(tmp_path: Path) -> None:
    write_videos(tmp_path / "content", (0, 0, 0))
    write_videos(tmp_path / "style", (0, 255, 0), frames=5, size=(64, 48))
    section = parse_data(
        {
            "name": "style_folders", "content": str(tmp_path / "content"), "style": str(tmp_path / "style"),
            "crop": 32, "step": 2, "validation_frames": 4, "reference_frames": 2,
        }
    )
    source = create_source(section, "style")
    data = source.training()
    assert len(data) == 12 - 4
    sample = data.sample(3, position_rng(1, 0))
    assert sample["a"].shape == sample["b"].shape == (3, 3, 32, 32)
    assert (sample["a"][:, 0, 0, 0] * 255).round().tolist() == [30, 50, 70]
    assert sample["a"][:, 1].max() == 0
    assert sample["b"][:, 1].min() == 1
    again = data.sample(3, position_rng(1, 0))
    assert torch.equal(sample["b"], again["b"])
    validation = source.validation()
    assert validation is not None
    video = validation[0]
    assert video.frames.shape == (4, 3, 40, 56)
    assert video.truth["reference"].shape == (2, 3, 64, 48)
    assert validation.frame_count(0) == 4
    described = data.describe()
    assert described["content"]["videos"]
    assert described["step"] == 2


def test_whole_frames_at_a_size(tmp_path: Path) -> None:
    for name in ("content", "style"):
        write_videos(tmp_path / name, (9, 9, 9))
    data = UnpairedClips(tmp_path / "content", tmp_path / "style", size=(36, 36))
    # the crop of 256 enlarges
    assert data.sample(0, position_rng(1, 0))["a"].shape == (3, 3, 256, 256)


def test_missing_folders_are_named(tmp_path: Path) -> None:
    write_videos(tmp_path / "content", (9, 9, 9))
    with pytest.raises(DataError, match="nowhere"):
        ReferencedVideos(tmp_path / "content", tmp_path / "nowhere")
    with pytest.raises(DataError, match="no video has 40 frames"):
        UnpairedClips(tmp_path / "content", tmp_path / "content", frames=40)
