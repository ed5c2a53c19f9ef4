"""The program that checks data sets, on images with labels, mattes and shaky videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from framewright.core.errors import DataError
from framewright.datamodules.check import check
from framewright.video import write_image, write_labels

FRAME, LABELS = np.full((8, 12, 3), 90, np.uint8), np.ones((8, 12), np.uint8)


def image(path: Path) -> None:
    write_image(path, FRAME)


def voc(root: Path) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    lists = base / "ImageSets" / "Segmentation"
    for name, folder in (("a", "SegmentationClass"), ("b", "SegmentationClassAug")):
        image(base / "JPEGImages" / f"{name}.jpg")
        write_labels(base / folder / f"{name}.png", LABELS)
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("a\n")
    (lists / "train_aug.txt").write_text("b\n")


def cityscapes(root: Path) -> None:
    image(root / "leftImg8bit/val/ulm/ulm_1_2_leftImg8bit.png")
    write_labels(root / "gtFine/val/ulm/ulm_1_2_gtFine_labelIds.png", LABELS)
    image(root / "leftImg8bit/train/bonn/bonn_1_2_leftImg8bit.png")
    write_labels(root / "gtFine/train/bonn/bonn_1_2_gtFine_labelIds.png", LABELS)


def coco(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    files = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2)]
    for entry in files:
        image(root / "val2017" / str(entry["file_name"]))
    content = {"images": files, "annotations": []}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


def label_folder(root: Path) -> None:
    for split in ("train", "val"):
        image(root / split / "images" / "x.jpg")
        write_labels(root / split / "labels" / "x.png", LABELS)


def composites(root: Path) -> None:
    for folder in ("fg", "alpha", "bg"):
        image(root / folder / "cat.png")


def matting(root: Path) -> None:
    for name in ("merged/cat_1", "merged/cat_2", "alpha/cat", "trimaps/cat"):
        image(root / f"{name}.png")


def layers(root: Path) -> None:
    for folder in ("fgr", "pha"):
        image(root / folder / "still.png")
        for number in range(2):
            image(root / folder / "clip" / f"{number}.png")


def clips(root: Path) -> None:
    for clip in ("a", "b"):
        for folder in ("com", "pha"):
            for number in range(2):
                image(root / clip / folder / f"{number}.png")


def shaky(root: Path) -> None:
    for clip in ("Regular/1", "regular crowd/2", "Crowd/3"):
        for number in range(2):
            image(root / clip / f"{number}.png")


# sequences, files, and one file to damage
CASES: dict[str, tuple[Callable[[Path], None], list[str], int, str]] = {
    "voc": (voc, ["a", "b"], 4, "VOCdevkit/VOC2012/SegmentationClassAug/b.png"),
    "cityscapes": (cityscapes, ["bonn/bonn_1_2", "ulm/ulm_1_2"], 4, "gtFine/val/ulm/ulm_1_2_gtFine_labelIds.png"),
    "coco_voc": (coco, ["1", "2"], 2, "val2017/2.jpg"),
    "label_folder": (label_folder, ["train/x", "val/x"], 4, "val/labels/x.png"),
    "matting_composites": (composites, ["fg/cat.png", "bg/cat.png"], 3, "alpha/cat.png"),
    "video_mattes": (layers, ["fgr/still.png", "fgr/clip"], 6, "pha/clip/1.png"),
    "composition1k": (matting, ["cat_1", "cat_2"], 4, "alpha/cat.png"),
    "matting_folder": (matting, ["cat_1", "cat_2"], 4, "merged/cat_2.png"),
    "videomatte": (clips, ["a", "b"], 8, "b/pha/1.png"),
    "nus": (shaky, ["Regular/1", "Crowd/3"], 4, "Crowd/3/1.png"),
    "shaky_videos": (shaky, ["Regular/1", "regular crowd/2", "Crowd/3"], 6, "Crowd/3/1.png"),
}


@pytest.mark.parametrize("name", CASES)
def test_sound_and_damaged(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, sequences, files, victim = CASES[name]
    root = tmp_path / "data"
    make(root)
    record = tmp_path / "m.json"
    assert check(name, root, manifest=record, partial=True) == 0
    manifest = json.loads(record.read_text())
    assert set(manifest["sequences"]) == set(sequences)
    assert len(manifest["files"]) == files
    (root / victim).write_bytes((root / victim).read_bytes()[:40])
    assert check(name, root, manifest=record, partial=True) == 1
    damaged = victim.removeprefix("VOCdevkit/VOC2012/")
    assert json.loads(record.read_text())["damaged"] == [damaged]
    assert damaged in capsys.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_another_folder_says_what_is_expected(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    if name == "shaky_videos":
        assert check(name, tmp_path, manifest=tmp_path.parent / "m.json") == 1
        return
    with pytest.raises(DataError, match=r"notes\.txt"):
        check(name, tmp_path, manifest=tmp_path.parent / "m.json")


def test_a_picture_in_place_of_labels_and_another_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label_folder(tmp_path)
    image(tmp_path / "val/labels/x.png")
    write_labels(tmp_path / "train/labels/x.png", LABELS[:, :9])
    assert check("label_folder", tmp_path, manifest=tmp_path / "m.json") == 1
    out = capsys.readouterr().out
    assert "has the mode RGB" in out
    assert "train/x: its frames differ in size: train/labels/x.png is 9x8, the first is 12x8" in out
