from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
import unicodedata
from fractions import Fraction

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError, VideoError
from framewright.core.files import sha256_json
from framewright.datamodules import folder_index
from framewright.datamodules.folder import FolderEvaluation, FolderTriplets, luma_jump
from framewright.datamodules.folder_index import (
    FolderIndex,
    name_fraction,
    split_frames,
    split_names,
)
from framewright.datamodules.position import PositionDataset, PositionSampler
from framewright.datamodules.readers import ReaderCache
from framewright.datamodules.transforms import TripletTransform
from framewright.video import VideoWriter, write_image
from torch.utils.data import DataLoader

PLAIN = TripletTransform.none()
ODD_NAMES = ("a clip, two = three.mp4", "Übung 動画.mp4", 'it\'s "quoted".mkv')


def grey(value, size=(32, 48)):
    return np.full((*size, 3), value, np.uint8)


def write_frames(folder, count=7, base=0, size=(32, 48)):
    """A frame folder; frame ``i`` is grey of value ``base + i``."""
    for index in range(count):
        write_image(folder / f"frame {index}.png", grey(base + index, size))
    return folder


def write_video(path, count=12, base=40, size=(32, 48)):
    """A video file; frame ``i`` is grey of about ``base + 4 i``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.with_name("being written.mp4")
    with VideoWriter(target, fps=Fraction(25), size=size, crf=1) as writer:
        writer.write(np.stack([grey(base + 4 * index, size) for index in range(count)]))
    return target.rename(path)


def value(image):
    return round(float(image.mean()) * 255)


@pytest.fixture
def mixed(tmp_path):
    root = tmp_path / "my videos, 2024 = é"
    for name in ODD_NAMES:
        write_video(root / name)
    write_frames(root / "scene 1" / "frames")
    write_frames(root / "scene 1" / "frames_mask")
    write_frames(root / "scene 2", count=9)
    write_frames(root / "Annotations" / "scene 2")
    write_frames(root / "too short", count=2)
    (root / "notes.txt").write_text("x")
    return root


def test_videos_and_frame_folders_are_found_and_masks_left_out(mixed, caplog):
    folder_index._reported.clear()
    index = FolderIndex(mixed)
    assert sorted(video.name for video in index.videos) == sorted([*ODD_NAMES, "scene 1/frames", "scene 2"])
    assert index.excluded == ["Annotations/scene 2", "scene 1/frames_mask"]
    assert index.too_short == ["too short"]
    assert "left out 2 that match" in caplog.text
    assert "scene 1/frames_mask" in caplog.text
    caplog.clear()
    FolderIndex(mixed)
    assert caplog.text == ""
    everything = FolderIndex(mixed, exclude=())
    assert len(everything.videos) == 7
    assert {v.name for v in FolderIndex(mixed, exclude=["*.mp4", "SCENE 1*"]).videos} == {
        ODD_NAMES[2],
        "scene 2",
        "Annotations/scene 2",
    }


def test_ids_are_results_folders_and_unique(tmp_path):
    write_frames(tmp_path / "deep" / "er")
    write_video(tmp_path / "same.mp4")
    write_video(tmp_path / "same.mkv")
    write_video(tmp_path / "v1.5 final.mp4")
    ids = {video.name: video.id for video in FolderIndex(tmp_path).videos}
    assert ids == {
        "deep/er": "deep/er",
        "same.mp4": "same.mp4",
        "same.mkv": "same.mkv",
        "v1.5 final.mp4": "v1.5 final",
    }


def test_split_depends_on_the_name_only_and_is_80_10_10():
    names = [f"clips/{i:05d}.mp4" for i in range(5000)]
    splits = split_names(names)
    counts = {split: list(splits.values()).count(split) for split in ("train", "val", "test")}
    assert counts == {
        "train": pytest.approx(4000, rel=0.05),
        "val": pytest.approx(500, rel=0.15),
        "test": pytest.approx(500, rel=0.15),
    }
    some = split_names(names[:300])
    assert all(splits[name] == split for name, split in some.items())
    assert splits[names[0]] == ("train" if name_fraction(names[0]) < 0.8 else splits[names[0]])
    composed, decomposed = (unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD"))
    assert name_fraction(composed) == name_fraction(decomposed)


def test_known_hash_never_changes():
    # recorded splits depend on it: sha256("clips/é 1.mp4" in UTF-8) begins with these digits
    assert name_fraction("clips/é 1.mp4") == 0xB400685AB13D4C69 / 2**64


@pytest.mark.parametrize("count", range(3, 12))
def test_no_split_is_empty_from_three_videos_on(count):
    for trial in range(30):
        names = [f"{trial}-{i}" for i in range(count)]
        splits = split_names(names)
        assert set(splits.values()) == {"train", "val", "test"}
        assert splits == split_names(names[::-1])
        order = sorted(names, key=name_fraction)
        ranks = [["train", "val", "test"].index(splits[name]) for name in order]
        assert ranks == sorted(ranks)
        natural = {
            name: "train" if name_fraction(name) < 0.8 else "val" if name_fraction(name) < 0.9 else "test"
            for name in names
        }
        if set(natural.values()) == {"train", "val", "test"}:
            assert splits == natural


def test_split_by_time():
    assert split_frames(100) == {"train": (0, 80), "val": (80, 90), "test": (90, 100)}
    assert split_frames(9) == {"train": (0, 3), "val": (3, 6), "test": (6, 9)}
    assert split_frames(8) == {"train": (0, 8)}


def test_one_video_is_split_by_time(tmp_path):
    write_frames(tmp_path / "only", count=40)
    train = FolderTriplets(tmp_path, transform=PLAIN)
    val = FolderEvaluation(tmp_path, split="val")
    test = FolderEvaluation(tmp_path, split="test")
    assert train.describe()["split_by"] == "time"
    targets = {value(train.sample(i, np.random.default_rng(0))["target"]) for i in range(len(train))}
    assert targets == set(range(1, 31))
    assert [value(frame) for frame in val[0].frames] == [32, 33, 34]
    assert [value(frame) for frame in test[0].frames] == [36, 37, 38]


def test_a_root_that_is_a_frame_folder_is_one_video(tmp_path):
    root = write_frames(tmp_path / "seven frames", count=7)
    videos = FolderEvaluation(root, split="all")
    assert len(videos) == 1
    video = videos[0]
    assert video.id == "seven frames"
    assert video.frames.shape == (7, 3, 32, 48)
    assert [value(frame) for frame in video.frames] == list(range(7))
    assert len(FolderTriplets(root, split="all")) == 5
    with pytest.raises(DataError, match=r"nothing to use for split=val .*split=all"):
        FolderEvaluation(root, split="val")


def test_a_root_that_is_a_video_file(tmp_path):
    path = write_video(tmp_path / ODD_NAMES[0])
    videos = FolderEvaluation(path, split="all")
    assert [video.id for video in videos] == ["a clip, two = three"]
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt' is a file, but not a video"):
        FolderIndex(tmp_path / "notes.txt")


def test_images_beside_videos_are_no_video(tmp_path):
    write_frames(tmp_path, count=3)
    write_video(tmp_path / "clip.mp4")
    assert [video.name for video in FolderIndex(tmp_path).videos] == ["clip.mp4"]


def test_triplets_cover_every_start_of_every_video_once(mixed):
    dataset = FolderTriplets(mixed, split="all", transform=PLAIN)
    assert len(dataset) == 3 * 10 + 5 + 7
    seen = []
    for index in range(len(dataset)):
        sample = dataset.sample(index, np.random.default_rng(index))
        first, middle, last = (value(sample[key]) for key in ("image0", "target", "image1"))
        assert last - middle == pytest.approx(middle - first, abs=2)
        assert middle > first
        assert sample["timestep"].item() == 0.5
        seen.append(first)
    assert len(dataset._readers) == 4
    assert seen.count(0) == 2
    with pytest.raises(IndexError):
        dataset.sample(len(dataset), np.random.default_rng(0))


def test_steps_and_any_timestep(tmp_path):
    write_frames(tmp_path / "x", count=20)
    dataset = FolderTriplets(tmp_path, split="all", transform=PLAIN, steps=(3, 1), timestep="any")
    assert len(dataset) == 18
    seen = set()
    for seed in range(300):
        sample = dataset.sample(seed % 18, np.random.default_rng(seed))
        first, middle, last = (value(sample[key]) for key in ("image0", "target", "image1"))
        assert first == seed % 18
        assert sample["timestep"].item() == pytest.approx((middle - first) / (last - first))
        seen.add((middle - first, last - first))
    assert seen == {(1, 2), *((j, 6) for j in range(1, 6))}
    last = dataset.sample(17, np.random.default_rng(0))
    assert value(last["image1"]) == 19


def test_scene_cuts_are_avoided(tmp_path):
    folder = tmp_path / "cut"
    for index in range(24):
        write_image(folder / f"{index}.png", grey(20 if index < 12 else 220))
    free = FolderTriplets(tmp_path, split="all", transform=PLAIN)
    careful = FolderTriplets(tmp_path, split="all", transform=PLAIN, scene_cut=0.2)
    across = free.sample(11, np.random.default_rng(0))
    assert value(across["image0"]) != value(across["image1"])
    for index in (10, 11):
        for seed in range(20):
            sample = careful.sample(index, np.random.default_rng(seed))
            assert value(sample["image0"]) == value(sample["target"]) == value(sample["image1"])
    assert luma_jump(np.stack([grey(0), grey(255), grey(255)])) == pytest.approx(1.0)


def test_a_video_of_nothing_but_cuts_still_gives_samples(tmp_path):
    folder = tmp_path / "flicker"
    for index in range(12):
        write_image(folder / f"{index}.png", grey(250 * (index % 2)))
    dataset = FolderTriplets(tmp_path, split="all", transform=PLAIN, scene_cut=0.1)
    assert dataset.sample(0, np.random.default_rng(0))["target"].shape == (3, 32, 48)


def test_small_videos_are_upscaled_and_named(mixed):
    dataset = FolderTriplets(mixed, split="all", transform=TripletTransform(crop=40))
    assert dataset.sample(0, np.random.default_rng(0))["target"].shape == (3, 40, 40)
    assert len(dataset.describe()["upscaled_to_crop"]) == 5


def test_evaluation_options(tmp_path):
    write_frames(tmp_path / "long", count=30, size=(40, 80))
    write_frames(tmp_path / "short", count=4, size=(10, 20))
    videos = FolderEvaluation(tmp_path, split="all", max_frames=8, max_size=40, step=3)
    assert [video.id for video in videos] == ["long"]
    video = videos[0]
    assert [value(frame) for frame in video.frames] == [0, 3, 6, 9, 12, 15, 18]
    assert video.frames.shape[2:] == (20, 40)
    assert videos.describe()["used"] == {"long": {"first": 0, "last": 18, "frames": 7}}
    everything = FolderEvaluation(tmp_path, split="all", max_frames=None)
    assert [len(video.frames) for video in everything] == [29, 3]
    assert [video.id for video in FolderEvaluation(tmp_path, split="all", max_videos=1)] == ["long"]
    with pytest.raises(IndexError):
        everything[2]


def test_no_frame_is_in_two_splits(mixed):
    parts = {
        split: {(s.video.name, frame) for s in FolderIndex(mixed).segments(split) for frame in range(s.start, s.stop)}
        for split in ("train", "val", "test", "all")
    }
    assert not parts["train"] & parts["val"]
    assert not parts["train"] & parts["test"]
    assert not parts["val"] & parts["test"]
    assert parts["train"] | parts["val"] | parts["test"] == parts["all"]


def test_manifest_names_content_and_split_but_no_place(mixed, tmp_path):
    manifest = FolderTriplets(mixed).describe()
    text = json.dumps(manifest)
    assert str(tmp_path) not in text
    entry = next(video for video in manifest["videos"] if video["name"] == "scene 1/frames")
    assert (entry["frames"], entry["height"], entry["width"], entry["hashed"]) == (7, 32, 48, "names")
    assert {split for video in manifest["videos"] for split in video["parts"]} == {"train", "val", "test"}
    moved = mixed.rename(tmp_path / "elsewhere")
    assert FolderTriplets(moved).describe() == manifest
    write_video(moved / ODD_NAMES[0], base=60)
    changed = FolderTriplets(moved).describe()
    assert [a["name"] for a, b in zip(changed["videos"], manifest["videos"], strict=True) if a != b] == [ODD_NAMES[0]]


def test_large_files_are_hashed_at_their_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_index, "_HASHED_WHOLE", 100)
    monkeypatch.setattr(folder_index, "_HASHED_END", 64)
    write_video(tmp_path / "large.mp4")
    (video,) = FolderIndex(tmp_path).videos
    assert video.hashed == "ends"
    data = (tmp_path / "large.mp4").read_bytes()
    assert video.sha256 == hashlib.sha256(str(len(data)).encode() + data[:64] + data[-64:]).hexdigest()


def test_second_start_opens_no_video(mixed, monkeypatch):
    first = FolderIndex(mixed).describe()

    def fail(*args, **kwargs):
        raise AssertionError("opened again")

    monkeypatch.setattr(folder_index, "open_video", fail)
    assert FolderIndex(mixed).describe() == first
    (mixed / "scene 2" / "frame 8.png").unlink()
    with pytest.raises(AssertionError, match="opened again"):
        FolderIndex(mixed)


def test_a_damaged_memory_is_ignored(mixed, tmp_path, monkeypatch):
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path / "cache"))
    first = FolderIndex(mixed).describe()
    (file,) = (tmp_path / "cache").rglob("*.json")
    for text in (
        "",
        "[]",
        '{"version": 1, "videos": 3}',
        '{"version": 1, "videos": {"scene 2": {"stamp": 1}}}',
    ):
        file.write_text(text)
        assert FolderIndex(mixed).describe() == first


def test_an_unwritable_memory_is_no_obstacle(mixed, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path / "file"))
    assert len(FolderIndex(mixed).videos) == 5


def test_corrupt_clips_are_named_or_skipped(mixed, caplog):
    folder_index._reported.clear()
    (mixed / "broken é.mp4").write_bytes(b"\0" * 4000)
    with pytest.raises(VideoError, match=r"broken é\.mp4"):
        FolderIndex(mixed)
    index = FolderIndex(mixed, on_error="skip")
    assert len(index.videos) == 5
    assert list(index.unreadable) == ["broken é.mp4"]
    assert "broken é.mp4" in caplog.text
    assert index.describe()["unreadable"] == ["broken é.mp4"]


def test_a_file_damaged_after_the_start_is_named(tmp_path):
    write_frames(tmp_path / "x", count=5)
    dataset = FolderTriplets(tmp_path, split="all", transform=PLAIN)
    (tmp_path / "x" / "frame 2.png").write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"frame 2\.png"):
        dataset.sample(0, np.random.default_rng(0))
    (tmp_path / "x" / "frame 2.png").unlink()
    with pytest.raises(DataError):
        FolderTriplets(tmp_path, split="all", transform=PLAIN, steps=(2,)).sample(0, np.random.default_rng(0))


def test_missing_and_empty_roots_are_told(tmp_path):
    with pytest.raises(DataError, match=r"data=folder needs a folder: set data\.root=<folder>"):
        FolderIndex(None)
    with pytest.raises(DataError, match=r"nowhere' does not exist; set data\.root=<folder>"):
        FolderIndex(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no video in .*Found: \(an empty folder\)"):
        FolderIndex(tmp_path)
    (tmp_path / "notes.txt").touch()
    write_frames(tmp_path / "masks")
    with pytest.raises(DataError, match=r"Found: 'masks/', 'notes\.txt'\. Left out by exclude=.*: masks"):
        FolderIndex(tmp_path)
    write_frames(tmp_path / "pair", count=2)
    with pytest.raises(DataError, match=r"none of the 1 videos .* Fewer than 3 frames: pair"):
        FolderIndex(tmp_path)


def test_wrong_options_are_told(tmp_path):
    write_frames(tmp_path / "x", count=12)
    for options, message in (
        ({"split": "tarin"}, "split='tarin'.*did you mean 'train'"),
        ({"steps": ()}, r"steps=\[\]"),
        ({"steps": (0,)}, r"steps=\[0\]"),
        ({"timestep": "all"}, "timestep='all'"),
        ({"scene_cut": 40}, "scene_cut=40"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
    ):
        with pytest.raises(ConfigError, match=message):
            FolderTriplets(tmp_path, **options)
    for options, message in (
        ({"max_frames": 2}, "max_frames=2"),
        ({"step": 0}, "step=0"),
        ({"max_size": 0}, "max_size=0"),
    ):
        with pytest.raises(ConfigError, match=message):
            FolderEvaluation(tmp_path, split="all", **options)
    with pytest.raises(DataError, match=r"no video has 13 frames there"):
        FolderTriplets(tmp_path, split="all", steps=(6,))


def test_workers_read_the_same_samples(mixed):
    dataset = FolderTriplets(mixed, split="all", transform=TripletTransform(crop=16), steps=(1, 2))
    dataset.sample(0, np.random.default_rng(0))  # a reader is open when the workers start

    def samples(workers):
        sampler = PositionSampler(32, len(dataset), seed=1, batch_size=4)
        loader = DataLoader(PositionDataset(dataset, seed=1), batch_size=4, sampler=sampler, num_workers=workers)
        return [batch["target"] for batch in loader]

    torch.testing.assert_close(samples(2), samples(0), rtol=0, atol=0)


def test_pickled_copies_start_without_readers(mixed):
    dataset = FolderTriplets(mixed, split="all", transform=PLAIN)
    before = dataset.sample(3, np.random.default_rng(0))
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(copy._readers) == 0
    assert torch.equal(copy.sample(3, np.random.default_rng(0))["target"], before["target"])


def test_reader_cache_keeps_the_last_used(tmp_path):
    paths = [write_frames(tmp_path / name, count=2) for name in "abc"]
    cache = ReaderCache(2)
    first = cache.get(paths[0])
    cache.get(paths[1])
    assert cache.get(paths[0]) is first
    cache.get(paths[2])
    assert len(cache) == 2
    assert cache.get(paths[0]) is first
    cache.close()
    assert len(cache) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_can_be_recorded(tmp_path):
    write_frames(tmp_path / os.fsdecode(b"caf\xe9"), count=5)
    dataset = FolderTriplets(tmp_path, split="all", transform=PLAIN)
    assert dataset.sample(0, np.random.default_rng(0))["target"].shape == (3, 32, 48)
    assert len(sha256_json(dataset.describe())) == 64
    assert FolderEvaluation(tmp_path, split="all")[0].id.encode() == b"caf\\udce9"


def test_real_clips(assets):
    index = FolderIndex(assets / "clips")
    assert not any("mask" in video.name for video in index.videos)
    assert any(video.name.endswith(".mp4") for video in index.videos)
    assert any(video.path.is_dir() for video in index.videos)
    sizes = {split: len(index.segments(split)) for split in ("train", "val", "test")}
    assert min(sizes.values()) >= 1
    sample = FolderTriplets(assets / "clips").sample(0, np.random.default_rng(0))
    assert sample["target"].shape == (3, 224, 224)
    sintel = FolderEvaluation(assets / "interpolation" / "sintel_7_frames", split="all")
    assert sintel[0].frames.shape[0] == 7
