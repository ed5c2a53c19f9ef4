"""Scenes and folders as data for inpainting: clips with masks, and videos with holes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.benchmark.problems import make_problem
from framewright.benchmark.protocol import load_protocol
from framewright.core.errors import ConfigError, DataError
from framewright.core.seeding import position_rng
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.datamodules.folder_clips import find_masks
from framewright.datamodules.scenes import ScenesEvaluation
from framewright.datamodules.sources import create_source, parse_data
from framewright.video import write_image

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
H, W = 33, 47


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frame folders of 12 numbered frames: frame i of video v has red 10 v and green 20 i."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(4):
        folder = root / f"video{number}"
        folder.mkdir()
        for index in range(12):
            image = np.zeros((H, W, 3), np.uint8)
            image[..., 0], image[..., 1] = 10 * number, 20 * index
            image[:, : W // 2, 2] = 200
            write_image(folder / f"{index:05d}.png", image)
    return root


def source(name: str, **options: object):
    return create_source(parse_data({"name": name, **options}), "inpainting")


PLAIN = {"crop": 32, "rotation": 0, "channel_flip": 0, "vertical_flip": 0, "horizontal_flip": 0, "time_reversal": 0}


def test_scenes_give_clips_and_masks_of_every_kind():
    dataset = source("scenes", crop=[48, 64], settings={"frames": 4}).training()
    object_like = 0
    for position in range(15):
        sample = dataset.sample(0, position_rng(1, position))
        assert {name: tuple(value.shape) for name, value in sample.items()} == {
            "target": (4, 3, 48, 64),
            "mask": (4, 1, 48, 64),
        }
        assert set(sample["mask"].unique().tolist()) == {0.0, 1.0}
        assert all(value.dtype == torch.float32 and value.is_contiguous() for value in sample.values())
        object_like += bool(sample["mask"].mean((1, 2, 3)).std() > 0)
    assert 2 <= object_like <= 14
    again = dataset.sample(9, position_rng(1, 3))
    assert torch.equal(again["target"], dataset.sample(0, position_rng(1, 3))["target"])
    assert dataset.describe()["masks"]["kind"] == "mixed"


def test_scenes_with_the_object_as_hole_do_not_show_it():
    dataset = source("scenes", crop=48, masks={"kind": "object"}).training()
    sample = dataset.sample(0, position_rng(4))
    plain = create_source(parse_data({"name": "scenes", "crop": 48}), "interpolation").training()
    assert "masks" not in plain.describe()
    assert sample["target"].shape == (5, 3, 48, 48)


def test_scenes_to_evaluate_on_have_seeded_masks():
    dataset = create_evaluation_set({"name": "scenes", "videos": 2}, "inpainting")
    video = dataset[1]
    assert video.frames.shape == (9, 3, 192, 256)
    assert set(video.truth) == {"mask"}
    assert video.truth["mask"].shape == (9, 1, 192, 256)
    assert dataset.frame_count(1) == 9
    assert torch.equal(video.frames, ScenesEvaluation(task="interpolation")[1].frames)
    manifest = dataset.describe()
    assert json.loads(json.dumps(manifest)) == manifest
    whole = create_evaluation_set({"name": "scenes"}, "inpainting")
    assert whole.describe()["masks"]["sha256"].items() >= manifest["masks"]["sha256"].items()


def test_scenes_without_their_nearest_object():
    dataset = create_evaluation_set({"name": "scenes", "masks": "object", "videos": 1}, "inpainting")
    video, shown = dataset[0], ScenesEvaluation(task="inpainting")[0]
    outside = video.truth["mask"].expand_as(video.frames) == 0
    assert torch.equal(video.frames[outside], shown.frames[outside])
    assert not torch.equal(video.frames, shown.frames)
    assert dataset.describe()["masks"] == {"kind": "object"}


def test_scenes_validate_on_seeded_masks():
    assert source("scenes").validation().describe()["masks"]["kind"] == "stationary_free_form"
    assert source("scenes", validation=None).validation() is None


def test_a_folder_gives_clips_whose_masks_belong_to_their_frames(videos):
    dataset = source("folder", root=str(videos), **PLAIN, masks={"moving": 1.0}).training()
    assert len(dataset) == 12 * sum(len(segment) == 12 for segment in dataset.segments)
    consecutive = 0
    for position in range(30):
        sample = dataset.sample(position % len(dataset), position_rng(7, position))
        assert sample["target"].shape == (5, 3, 32, 32)
        assert sample["mask"].shape == (5, 1, 32, 32)
        numbers = (sample["target"][:, 1, 0, 0] * 255 / 20).round().int()
        assert (numbers.diff() > 0).all()
        consecutive += bool((numbers.diff() == 1).all())
    assert 8 <= consecutive <= 22


def test_steps_and_spans_of_a_folder(videos):
    clip = {"frames": 3, "scattered": 0.0, "span": 7}
    dataset = source("folder", root=str(videos), **PLAIN, clip=clip, steps=[2]).training()
    sample = dataset.sample(5, position_rng(0))
    numbers = (sample["target"][:, 1, 0, 0] * 255 / 20).round().int()
    assert numbers.diff().tolist() == [2, 2]
    clip["scattered"] = 1.0
    dataset = source("folder", root=str(videos), **PLAIN, clip=clip).training()
    for position in range(20):
        numbers = (dataset.sample(position % 12, position_rng(1, position))["target"][:, 1, 0, 0] * 255 / 20).round()
        assert numbers[-1] - numbers[0] < 7
    with pytest.raises(ConfigError, match=r"span=4 is shorter than a clip, which has 5 frames"):
        source("folder", root=str(videos), clip={"span": 4}).training()


def test_frames_are_augmented_and_masks_are_not(videos):
    def first(**changes):
        values = {**PLAIN, "crop": 33, "size": [33, 33], **changes}
        return source("folder", root=str(videos), **values).training().sample(0, position_rng(0))

    plain, mirrored, reversed_ = first(), first(horizontal_flip=1), first(time_reversal=1)
    assert torch.equal(plain["target"].flip(-1), mirrored["target"])
    assert torch.equal(plain["mask"], mirrored["mask"])
    # masks follow their frames
    assert torch.equal(plain["target"].flip(0), reversed_["target"])
    assert torch.equal(plain["mask"].flip(0), reversed_["mask"])


def test_a_folder_has_no_annotated_objects(videos):
    with pytest.raises(ConfigError, match="data=folder has no annotated objects"):
        source("folder", root=str(videos), masks={"kind": "object"}).training()


def test_a_folder_validates_on_seeded_masks(videos):
    validation = source("folder", root=str(videos), validation_frames=4).validation()
    video = validation[0]
    assert video.frames.shape == (4, 3, H, W)
    assert video.truth["mask"].shape == (4, 1, H, W)
    assert validation.frame_count(0) == 4


def test_a_folder_with_its_own_masks(videos, tmp_path):
    root = tmp_path / "clips"
    for number in range(2):
        shutil.copytree(videos / f"video{number}", root / f"case{number}" / f"video{number}")
    mask = np.zeros((2 * H, 2 * W), np.uint8)
    mask[10:20, 10:20] = 128
    write_image(root / "case0" / "video0_masks.png", mask)
    (root / "case1" / "masks").mkdir()
    for index in range(12):
        frame = np.zeros((H, W), np.uint8)
        frame[index, :3] = 255
        write_image(root / "case1" / "masks" / f"{index}.png", frame)
    values = {"name": "folder", "root": str(root), "masks": "files", "dilation": 0, "step": 2, "max_frames": 4}
    one, two = create_evaluation_set(values, "inpainting")
    assert one.id == "case0/video0"
    assert one.truth["mask"].sum((1, 2, 3)).tolist() == [25.0] * 4
    assert two.truth["mask"][:, 0, :, 0].argmax(1).tolist() == [0, 2, 4, 6]
    (root / "case0" / "video0_masks.png").unlink()
    with pytest.raises(DataError, match=r"no masks for the video .*video0'.*video0_masks or video0_mask"):
        create_evaluation_set(values, "inpainting")[0]
    with pytest.raises(ConfigError, match=r"'clips_all' has no masks 'object'; data\.masks is one of .*files"):
        create_evaluation_set({**values, "masks": "object"}, "inpainting")


def test_masks_beside_a_video_are_found(tmp_path):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk_mask").mkdir()
    (tmp_path / "masks").mkdir()
    assert find_masks(tmp_path / "walk", alone=True).name == "walk_mask"
    (tmp_path / "walk_mask").rmdir()
    assert find_masks(tmp_path / "walk", alone=True).name == "masks"
    with pytest.raises(DataError, match="no masks"):
        find_masks(tmp_path / "walk", alone=False)


def test_unknown_masks_are_named(videos):
    with pytest.raises(ConfigError, match=r"data\.masks"):
        create_evaluation_set({"name": "folder", "root": str(videos), "masks": "strokes"}, "inpainting")


def test_the_protocol_of_the_table_takes_these_videos(videos):
    protocol = load_protocol(CONFIGS / "protocol" / "inpainting_table.yaml")
    video = create_evaluation_set({"name": "folder", "root": str(videos)}, "inpainting")[0]
    problem = make_problem(video, protocol, torch.device("cpu"))
    shown = torch.cat([chunk.frames for chunk in problem.chunks()])
    assert shown.shape == problem.targets.shape == (12, 3, H, W)
    hole = video.truth["mask"].expand_as(video.frames) > 0
    assert (shown[hole] == 0).all()
    assert torch.equal(shown[~hole], video.frames[~hole])
    assert torch.equal(problem.preview(3), shown[3])


def test_real_clips(assets):
    values = {"name": "folder", "root": str(assets / "clips"), "masks": "files", "max_frames": 3}
    dataset = create_evaluation_set({**values, "exclude": ["*mask*", "onepiece*"]}, "inpainting")
    assert [dataset.videos.video_id(index) for index in range(3)] == [
        "bmx-trees/bmx-trees",
        "dogs_jump/dogs_jump_orig",
        "tennis/tennis",
    ]
    for video in dataset:
        assert video.frames.shape == (3, 3, 240, 432)
        assert 0.005 < video.truth["mask"].mean() < 0.3


def test_counts_of_the_official_lists(assets):
    from framewright.datamodules.vos_layouts import VOS_SETS, read_list

    for name, folder in (("davis", "davis"), ("youtube_vos", "youtube-vos")):
        for split, (videos, frames) in VOS_SETS[name].published.items():
            listed = read_list(assets / "inpainting" / "splits" / folder / f"{split}.json", name)
            assert (len(listed), sum(listed.values())) == (videos, frames)
