"""DAVIS and YouTube-VOS in folders and zips: lists, clips, test videos and their masks."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.core.seeding import position_rng
from framewright.datamodules.check import check
from framewright.datamodules.clips import ClipSection
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.datamodules.frame_store import FrameStore, resize_frames
from framewright.datamodules.masks.stored import MaskFiles, ObjectMasks, dilate
from framewright.datamodules.sources import create_source, parse_data
from framewright.video import write_image

H, W = 30, 53
VIDEOS = {"bear": 7, "bus": 9, "swan": 6, "train": 1}
SMALL = {"size": [24, 40]}


def picture(seed: int, height: int = H, width: int = W) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return resize_frames([coarse], (height, width), "bicubic")[0]


def write_video(folder: Path, frames: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for index in range(frames):
        write_image(folder / f"{index:05d}.jpg", picture(100 * seed + index))


def write_annotation(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        image = np.zeros((H, W, 3), np.uint8)
        # a dark red, as palettes have it for the first object; it moves one pixel a frame
        image[8:20, 5 + number : 15 + number, 0] = 128
        write_image(folder / f"{number:05d}.png", image)


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets") / "DAVIS"
    for seed, (name, frames) in enumerate(VIDEOS.items()):
        write_video(root / "JPEGImages" / "480p" / name, frames, seed)
        write_annotation(root / "Annotations" / "480p" / name, range(frames))
    (root / "test.json").write_text(json.dumps({"bear": 7, "train": 1}))
    (root / "train.json").write_text(json.dumps({"bus": 9, "swan": 6}))
    return root


@pytest.fixture(scope="module")
def zipped(davis: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zips") / "youtube-vos"
    (root / "JPEGImages").mkdir(parents=True)
    for name in VIDEOS:
        with zipfile.ZipFile(root / "JPEGImages" / f"{name}.zip", "w") as archive:
            for path in (davis / "JPEGImages" / "480p" / name).iterdir():
                archive.write(path, path.name)
            archive.writestr("__MACOSX/._00000.jpg", b"no image")
    for name in ("test.json", "train.json"):
        (root / name).write_text((davis / name).read_text())
    return root


def source(name: str, root: Path | None, **options: object):
    values = {"name": name, "root": None if root is None else str(root), **SMALL, **options}
    return create_source(parse_data(values), "inpainting")


def evaluation(name: str, root: Path | None, **options: object):
    values = {"name": name, "root": None if root is None else str(root), **SMALL, **options}
    return create_evaluation_set(values, "inpainting")


def test_a_sample_is_a_clip_with_its_masks(davis):
    dataset = source("davis", davis).training()
    assert len(dataset) == 2
    seen = set()
    for position in range(12):
        sample = dataset.sample(position % 2, position_rng(3, position))
        assert {key: tuple(value.shape) for key, value in sample.items()} == {
            "target": (5, 3, 24, 40),
            "mask": (5, 1, 24, 40),
        }
        assert all(value.dtype == torch.float32 and value.is_contiguous() for value in sample.values())
        assert sample["target"].min() >= 0
        assert sample["target"].max() <= 1
        assert set(sample["mask"].unique().tolist()) == {0.0, 1.0}
        seen.add(bool((sample["mask"] == sample["mask"][:1]).all()))
    assert seen == {True, False}
    json.dumps(dataset.describe(), allow_nan=False)
    assert dataset.describe()["frames"] == 15


def test_samples_depend_on_the_generator_alone(davis):
    dataset = source("davis", davis, masks={"kind": "mixed", "shares": {"bezier": 1, "object": 1}}).training()
    first = dataset.sample(1, position_rng(1, 5))
    dataset.sample(0, position_rng(1, 6))
    again = dataset.sample(1, position_rng(1, 5))
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_zips_and_folders_give_equal_samples(davis, zipped):
    for position in range(4):
        one, two = (
            source(name, root).training().sample(position % 2, position_rng(0, position))
            for name, root in (("davis", davis), ("youtube_vos", zipped))
        )
        assert all(torch.equal(one[key], two[key]) for key in one)
    folder, archive = evaluation("davis", davis)[0], evaluation("youtube_vos", zipped)[0]
    assert folder.id == archive.id == "bear"
    assert torch.equal(folder.frames, archive.frames)
    assert torch.equal(folder.truth["mask"], archive.truth["mask"])
    stores = FrameStore(davis / "JPEGImages/480p/bear"), FrameStore(zipped / "JPEGImages/bear.zip")
    assert stores[0].sha256() == stores[1].sha256()


def test_frames_are_mirrored_and_masks_are_not(davis):
    plain = source("davis", davis, horizontal_flip=0.0).training().sample(0, position_rng(2))
    mirrored = source("davis", davis, horizontal_flip=1.0).training().sample(0, position_rng(2))
    assert torch.equal(plain["target"].flip(-1), mirrored["target"])
    assert torch.equal(plain["mask"], mirrored["mask"])


def test_clips_are_scattered_or_consecutive_half_of_the_time():
    section, rng = ClipSection(), position_rng(0)
    clips = [section.choose(rng, 100) for _ in range(400)]
    assert all(clip == sorted(set(clip)) and len(clip) == 5 and clip[0] >= 0 and clip[-1] < 100 for clip in clips)
    close = sum(clip[-1] - clip[0] == 4 for clip in clips)
    assert 160 < close < 240
    starts = [clip[0] for clip in clips if clip[-1] - clip[0] == 4]
    assert min(starts) < 10
    assert max(starts) > 85


def test_clips_with_references_and_a_span():
    section, rng = ClipSection(frames=5, scattered=0.0, references=3, span=20), position_rng(0)
    for _ in range(100):
        clip = section.choose(rng, 90)
        local, references = clip[:5], clip[5:]
        assert local == list(range(local[0], local[0] + 5))
        assert references == sorted(set(references))
        assert not set(local) & set(references)
        assert max(clip) - min(clip) < 20
    assert ClipSection(frames=3, references=2).choose(rng, 5) == pytest.approx([0, 1, 2, 3, 4], abs=4)
    with pytest.raises(ConfigError, match="a clip has 5 frames, the video 4"):
        ClipSection().choose(rng, 4)


def test_videos_shorter_than_a_clip_are_left_out_and_told(davis, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = source("davis", davis, split="all", clip={"frames": 7}).training()
    assert [video.id for video in dataset.videos] == ["bear", "bus"]
    assert dataset.describe()["too_short"] == ["swan", "train"]
    assert "left out 2 videos of fewer than 7 frames" in caplog.text
    with pytest.raises(DataError, match="none of the 2 videos has the 20 frames of a clip"):
        source("davis", davis, clip={"frames": 20}).training()


def test_objects_of_other_videos_are_the_masks(davis):
    masks = {"kind": "object", "grow": 0}
    sample = source("davis", davis, masks=masks, size=[H, W]).training().sample(0, position_rng(0))
    areas = sample["mask"].sum((1, 2, 3))
    assert set(areas.tolist()) == {120.0}
    columns = [int(mask[0].any(0).nonzero()[0]) for mask in sample["mask"]]
    assert all(5 <= column < 15 for column in columns)
    own = source("davis", davis, masks=masks | {"own": 1.0}, size=[H, W], horizontal_flip=0.0, clip={"scattered": 0})
    sample = own.training().sample(0, position_rng(0))
    assert np.diff([int(mask[0].any(0).nonzero()[0]) for mask in sample["mask"]]).tolist() == [1, 1, 1, 1]


def test_sparse_annotations_hold_and_swing_back(tmp_path):
    write_annotation(tmp_path / "sparse", range(0, 11, 5))
    masks = ObjectMasks(FrameStore(tmp_path / "sparse"), 25, (H, W), grow=0)
    assert masks.length == 11
    first = [int(mask.any(0).nonzero()[0][0]) - 5 for mask in masks]
    assert first[:11] == [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10]
    assert first[11:21] == [5, 5, 5, 5, 5, 0, 0, 0, 0, 0]
    grown = ObjectMasks(FrameStore(tmp_path / "sparse"), 1, (H, W), grow=2).frame(0)
    assert grown.sum() > masks.frame(0).sum()
    one = tmp_path / "one"
    write_annotation(one, range(1))
    assert (
        ObjectMasks(FrameStore(one), 3, (H, W)).stack().sum(axis=(1, 2, 3)).tolist()
        == [12 * 10 + 4 * 2 * (12 + 10) + 4 * 6] * 3
    )


def test_objects_without_annotations_are_one_message(zipped):
    with pytest.raises(DataError, match="no video has a folder of annotations"):
        source("youtube_vos", zipped, masks={"kind": "object"}).training()


def test_held_out_videos_validate(davis):
    held = source("davis", davis, held_out=1, validation_frames=4)
    (video,) = held.validation()
    trained = [video.id for video in held.training().videos]
    assert len(trained) == 1
    assert {video.id, *trained} == {"bus", "swan"}
    assert video.frames.shape == (4, 3, 24, 40)
    assert video.truth["mask"].shape == (4, 1, 24, 40)
    assert source("davis", davis).validation() is None
    with pytest.raises(ConfigError, match=r"held_out=2: expected from 0 to 1"):
        source("davis", davis, held_out=2).training()


def test_training_on_test_videos_is_told(davis, caplog):
    with caplog.at_level(logging.WARNING):
        source("davis", davis, split="all").training()
    assert "2 of the 4 training videos are test videos, such as 'bear'" in caplog.text


def test_the_test_videos_have_seeded_masks_and_the_manifest_says_which(davis, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = evaluation("davis", davis)
    assert "2 videos with 8 frames; the published tables have 50 with 3455" in caplog.text
    assert not dataset.complete
    assert [video.id for video in dataset] == ["bear", "train"]
    assert [dataset.frame_count(index) for index in range(2)] == [7, 1]
    bear, single = dataset
    assert bear.frames.shape == (7, 3, 24, 40)
    assert single.truth["mask"].shape == (1, 1, 24, 40)
    assert (bear.truth["mask"] == bear.truth["mask"][0]).all()
    assert not torch.equal(bear.truth["mask"][0], single.truth["mask"][0])
    manifest = dataset.describe()
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["masks"]["seed"] == 0
    assert set(manifest["masks"]["sha256"]) == {"bear", "train"}
    assert manifest["lists"].keys() == {"test.json"}
    assert evaluation("davis", davis).describe() == manifest
    other = evaluation("davis", davis, mask_seed=1)
    assert other.describe()["masks"]["sha256"] != manifest["masks"]["sha256"]
    assert not torch.equal(other[0].truth["mask"], bear.truth["mask"])
    assert torch.equal(evaluation("davis", davis, videos=1)[0].truth["mask"], bear.truth["mask"])
    assert (evaluation("davis", davis, masks="moving_blobs", dilation=0)[0].truth["mask"].std(0) > 0).any()


def test_frames_are_those_of_pillow(davis):
    from PIL import Image

    with Image.open(davis / "JPEGImages/480p/bear/00003.jpg") as image:
        expected = np.asarray(image.convert("RGB").resize((40, 24), Image.Resampling.BICUBIC))
    found = (evaluation("davis", davis)[0].frames[3] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_released_masks_are_read_thresholded_and_dilated(davis, tmp_path):
    mask = np.zeros((H, W), np.uint8)
    mask[10, 20] = 128
    for index in range(7):
        (tmp_path / "bear").mkdir(exist_ok=True)
        write_image(tmp_path / "bear" / f"{index:05d}.png", mask)
    write_image(tmp_path / "train.png", mask)
    options = {"masks": "files", "masks_root": str(tmp_path), "size": None}
    bear, single = evaluation("davis", davis, **options)
    # a cross that grew four times is a diamond of radius 4
    assert bear.truth["mask"].sum((1, 2, 3)).tolist() == [41.0] * 7
    assert single.truth["mask"].sum() == 41
    assert evaluation("davis", davis, **options, dilation=0)[0].truth["mask"].sum() == 7
    (tmp_path / "bear" / "00006.png").unlink()
    with pytest.raises(DataError, match="'bear' has 7 frames but 6 masks"):
        evaluation("davis", davis, **options)[0]
    (tmp_path / "train.png").unlink()
    with pytest.raises(DataError, match="no masks for the video 'train'"):
        evaluation("davis", davis, **options)[1]
    with pytest.raises(DataError, match=r"set data\.masks_root=<folder>"):
        evaluation("davis", davis, masks="files")[0]
    with pytest.raises(ConfigError, match=r"belongs to data\.masks=files"):
        evaluation("davis", davis, masks_root=str(tmp_path))


def test_annotated_objects_as_masks_of_test_videos(davis):
    other = evaluation("davis", davis, masks="object", dilation=0, size=None)
    own = evaluation("davis", davis, masks="own_object", dilation=0, size=None)
    assert own[0].truth["mask"][3, 0].nonzero()[0].tolist() == [8, 8]
    # the next video has one frame
    assert (other[0].truth["mask"] == own[1].truth["mask"][0]).all()
    assert torch.equal(other[1].truth["mask"][0], own[0].truth["mask"][0])


def test_lists_of_the_archives(davis, tmp_path):
    root = tmp_path / "davis"
    root.mkdir()
    (root / "JPEGImages").symlink_to(davis / "JPEGImages")
    with pytest.raises(
        DataError, match=r"no list of the test videos .* expected test\.json or ImageSets/2016/train\.txt"
    ):
        evaluation("davis", root)
    for year, split, names in (("2016", "train", "bear"), ("2016", "val", "bus"), ("2017", "train", "swan\nbus\n")):
        (root / "ImageSets" / year).mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / year / f"{split}.txt").write_text(names)
    assert [video.id for video in evaluation("davis", tmp_path)] == ["bear", "bus"]
    assert len(source("davis", root).training()) == 2
    (root / "mine.txt").write_text("swan\n")
    assert [video.id for video in evaluation("davis", root, list_file="mine.txt")] == ["swan"]
    (root / "mine.txt").write_text("swan\nsnow\n")
    with pytest.raises(DataError, match=r"1 of the 2 videos of the test list are not there, the first is 'snow'"):
        evaluation("davis", root, list_file="mine.txt")


def test_unpacked_archives_of_youtube_vos(davis, tmp_path):
    for split, name in (("train", "swan"), ("test", "bear")):
        base = tmp_path / f"{split}_all_frames"
        (base / "JPEGImages").mkdir(parents=True)
        (base / "JPEGImages" / name).symlink_to(davis / "JPEGImages/480p" / name)
    (tmp_path / "train_all_frames" / "meta.json").write_text('{"videos": {"swan": {"objects": {}}}}')
    assert [video.id for video in source("youtube_vos", tmp_path).training().videos] == ["swan"]
    assert [video.id for video in evaluation("youtube_vos", tmp_path)] == ["bear"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"a": 0}', '["../x"]', "3", "{"])
def test_damaged_lists_are_named(davis, tmp_path, text):
    (tmp_path / "JPEGImages").symlink_to(davis / "JPEGImages" / "480p")
    (tmp_path / "test.json").write_text(text)
    with pytest.raises(DataError, match=r"test\.json"):
        evaluation("davis", tmp_path)


def test_wrong_roots_are_one_message(davis, tmp_path):
    with pytest.raises(DataError, match=r"DAVIS needs a folder: set data\.root=<folder>"):
        evaluation("davis", None)
    (tmp_path / "frames").mkdir()
    with pytest.raises(DataError, match=r"not laid out as expected; .*JPEGImages/<video>.zip.* Found: 'frames/'"):
        source("youtube_vos", tmp_path).training()
    with pytest.raises(ConfigError, match="no samples for the task 'flow'"):
        create_source(parse_data({"name": "davis"}), "flow")
    with pytest.raises(ConfigError, match="not for the task 'flow'"):
        create_evaluation_set({"name": "davis", "root": str(davis)}, "flow")


def test_frames_that_differ_from_the_list_are_told(davis, tmp_path, caplog):
    (tmp_path / "JPEGImages").symlink_to(davis / "JPEGImages" / "480p")
    (tmp_path / "test.json").write_text('{"bear": 70}')
    with caplog.at_level(logging.WARNING):
        evaluation("davis", tmp_path)
    assert "bear: 7 frames, listed 70" in caplog.text
    (tmp_path / "train.json").write_text('{"train": 70}')
    with pytest.raises(DataError, match="has 1 frames, the list says 70 and a clip needs 5"):
        source("davis", tmp_path).training().sample(0, position_rng(0))


def test_damaged_zips_are_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"a\.zip.*not a zip file"):
        len(FrameStore(tmp_path / "a.zip"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("video/00000.jpg", b"\xff\xd8 cut short")
    assert FrameStore(tmp_path / "b.zip").names == ["video/00000.jpg"]
    with pytest.raises(DataError, match=r"b\.zip:video/00000\.jpg"):
        FrameStore(tmp_path / "b.zip").read([0])
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("readme.txt", b"")
    with pytest.raises(DataError, match=r"no images in .*c\.zip"):
        len(FrameStore(tmp_path / "c.zip"))


def test_the_check_reads_both_layouts(davis, zipped, tmp_path, capsys):
    assert check("davis", davis, manifest=tmp_path / "davis.json", progress=False) == 0
    assert "4 sequences, 23 frames" in capsys.readouterr().out
    assert check("youtube_vos", zipped, manifest=tmp_path / "zips.json", progress=False) == 0
    assert "4 sequences, 23 frames, 4 files" in capsys.readouterr().out
    shutil.copytree(zipped, tmp_path / "cut")
    (tmp_path / "cut" / "JPEGImages" / "bear.zip").write_bytes(b"cut")
    assert check("youtube_vos", tmp_path / "cut", manifest=tmp_path / "zips.json", progress=False) == 1
    assert "JPEGImages/bear.zip: cannot read" in capsys.readouterr().out


def test_a_promised_frame_that_is_missing_is_found_by_the_check(davis, tmp_path, capsys):
    write_video(tmp_path / "JPEGImages" / "bear", 3, 1)
    (tmp_path / "test.json").write_text('{"bear": 4}')
    assert check("davis", tmp_path, progress=False) == 1
    assert "JPEGImages/bear/00003.jpg: missing" in capsys.readouterr().out


def test_masks_of_another_aspect_ratio_are_refused_where_frames_keep_theirs(tmp_path):
    write_image(tmp_path / "mask.png", np.zeros((20, 20), np.uint8))
    masks = MaskFiles(tmp_path / "mask.png", "clip", 5, (20, 40))
    with pytest.raises(DataError, match=r"'clip' .* are 20x20, its frames 40x20"):
        masks.frame(0)
    assert MaskFiles(tmp_path / "mask.png", "clip", 5, (20, 40), any_aspect=True).frame(4).shape == (20, 40)
    assert dilate(np.ones((3, 3), bool), 4).all()
