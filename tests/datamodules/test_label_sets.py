from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.datamodules.matting_sets import CompositedForegrounds, MattingEvaluation
from framewright.datamodules.segmentation_sets import LabelTransform
from framewright.datamodules.sources import create_source, parse_data
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def save(path: Path, pixels: Pixels, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(path)


def colours(height: int = 40, width: int = 60, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def labels(height: int = 40, width: int = 60) -> Pixels:
    made = np.zeros((height, width), np.uint8)
    made[:, width // 2 :] = 7
    made[0] = 255
    return made


def make_voc(root: Path) -> Path:
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_01", "2007_02"):
        save(base / "JPEGImages" / f"{name}.jpg", colours())
        save(base / "SegmentationClass" / f"{name}.png", labels(), palette=True)
    lists = base / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_01\n")
    (lists / "val.txt").write_text("2007_02\n")
    return root


def test_voc_trains_and_evaluates(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    values = {"name": "voc", "root": str(root), "split": "train", "crop": 33, "validation_crop": 21}
    source = create_source(parse_data(values), "segmentation")
    dataset = source.training()
    sample = dataset.sample(0, np.random.default_rng(3))
    again = dataset.sample(0, np.random.default_rng(3))
    assert sample["image"].shape == (3, 33, 33)
    assert set(sample["labels"].unique().tolist()) <= {0, 7, 255}
    assert torch.equal(sample["labels"], again["labels"])
    validation = source.validation()
    assert validation is not None
    video = validation[0]
    assert video.id == "2007_02"
    assert not validation.complete
    assert video.frames.shape == (1, 3, 21, 21)
    assert video.truth["labels"].shape == (1, 21, 21)
    whole = create_evaluation_set({"name": "voc", "root": str(root)}, "segmentation")
    assert torch.equal(whole[0].truth["labels"][0], torch.from_numpy(labels()).long())
    with pytest.raises(ConfigError, match="not of 'flow'"):
        create_evaluation_set({"name": "voc", "root": str(root)}, "flow")


def test_cityscapes_ids_become_training_classes(tmp_path: Path) -> None:
    ids = np.full((16, 32), 4, np.uint8)
    ids[:, :8], ids[:, 8:16] = 7, 33
    save(tmp_path / "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png", colours(16, 32))
    save(tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png", ids)
    video = create_evaluation_set({"name": "cityscapes", "root": str(tmp_path)}, "segmentation")[0]
    found = video.truth["labels"][0, 0]
    assert [int(found[x]) for x in (0, 8, 16)] == [0, 18, 255]


def test_coloured_label_maps_and_other_sizes_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.jpg", colours())
    save(tmp_path / "labels" / "a.png", colours())
    data = create_evaluation_set({"name": "label_folder", "root": str(tmp_path)}, "segmentation")
    with pytest.raises(DataError, match="mode RGB"):
        data[0]
    save(tmp_path / "labels" / "a.png", labels(20, 20))
    with pytest.raises(DataError, match="is 20x20, its image is 60x40"):
        data[0]
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(DataError, match=r"have no labels/<name>\.png: a\.jpg"):
        create_evaluation_set({"name": "label_folder", "root": str(tmp_path)}, "segmentation")


def test_outside_of_a_small_image_nothing_has_a_label() -> None:
    transform = LabelTransform(crop=64, scale=(1.0, 1.0), flip=0.0)
    sample = transform(colours(), labels(), np.random.default_rng(0))
    assert (sample["labels"][40:] == 255).all()
    assert (sample["labels"][:, 60:] == 255).all()
    assert torch.equal(sample["labels"][:40, :60], torch.from_numpy(labels()).long())
    assert (sample["image"][:, 41:, 61:] - sample["image"][:, :40, :60].mean((1, 2))[:, None, None]).abs().max() < 0.01


def soft(height: int = 48, width: int = 64) -> Pixels:
    ramp = np.clip(np.linspace(-200, 455, width), 0, 255).astype(np.uint8)
    return np.repeat(ramp[None], height, 0)


def test_composition1k_and_clips(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / "one" / "merged" / f"cat_{index}.png", colours(48, 64, index))
        save(tmp_path / "one" / "trimaps" / f"cat_{index}.png", soft())
    save(tmp_path / "one" / "alpha" / "cat.png", soft())
    images = create_evaluation_set({"name": "composition1k", "root": str(tmp_path / "one")}, "matting")
    assert [video.id for video in images] == ["cat_0", "cat_1"]
    assert not images.complete
    assert images[1].truth["trimap"].shape == (1, 1, 48, 64)
    for index in range(3):
        save(tmp_path / "two" / "clip" / "com" / f"{index:04d}.png", colours(48, 64, index))
        save(tmp_path / "two" / "clip" / "pha" / f"{index:04d}.png", soft())
    clips = create_evaluation_set({"name": "videomatte", "root": str(tmp_path / "two")}, "matting")
    assert clips[0].frames.shape == (3, 3, 48, 64)
    assert set(clips[0].truth) == {"alpha"}
    save(tmp_path / "one" / "alpha" / "cat.png", soft(48, 60))
    with pytest.raises(DataError, match="differ in size"):
        images[0]
    with pytest.raises(DataError, match="It holds"):
        MattingEvaluation(tmp_path / "one" / "alpha")


def test_composites_obey_the_equation(tmp_path: Path) -> None:
    save(tmp_path / "fg" / "cat.png", colours(48, 64, 1))
    save(tmp_path / "alpha" / "cat.png", soft())
    save(tmp_path / "bg" / "street.jpg", colours(30, 30, 2))
    dataset = CompositedForegrounds(tmp_path, crop=32, repeats=5)
    assert len(dataset) == 5
    sample = dataset.sample(3, np.random.default_rng(1))
    alpha = sample["alpha"]
    expected = alpha * sample["foreground"] + (1 - alpha) * sample["background"]
    torch.testing.assert_close(sample["image"], expected)
    assert sample["image"].shape == (3, 32, 32)
    fractional = (alpha > 0.01) & (alpha < 0.99)
    assert fractional.any()
    assert (sample["trimap"][fractional] == 0.5).all()
    (tmp_path / "bg" / "street.jpg").unlink()
    with pytest.raises(DataError, match="0 backgrounds"):
        CompositedForegrounds(tmp_path)


def coco(root: Path) -> Path:
    """One image with a dog over a person, a crowd of dogs, and a category that VOC does not have."""
    save(root / "val2017" / "000000000007.jpg", colours(40, 60))
    save(root / "train2017" / "000000000007.jpg", colours(40, 60))
    save(root / "train2017" / "000000000008.jpg", colours(40, 60))

    def thing(category: int, shape: object, area: int, image: int = 7) -> dict[str, object]:
        return {"image_id": image, "category_id": category, "segmentation": shape, "area": area}

    # columns first: the two last ones
    crowd = {"counts": [58 * 40, 2 * 40], "size": [40, 60]}
    found = [
        thing(1, [[2, 4, 12, 4, 12, 14, 2, 14]], 900),
        thing(18, [[8, 4, 20, 4, 20, 14, 8, 14], [30, 30, 34, 30, 34, 34, 30, 34]], 136),
        thing(18, crowd, 80),
        thing(90, [[40, 0, 50, 0, 50, 40, 40, 40]], 400),
        thing(1, [[0, 0, 30, 0, 30, 30, 0, 30]], 900, image=8),
    ]
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (8, 7)]
    (root / "annotations").mkdir()
    for split, kept in (("train", images), ("val", images[1:])):
        content = {"images": kept, "annotations": found}
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    return root


def test_coco_with_the_classes_of_voc(tmp_path: Path) -> None:
    values = {"name": "coco_voc", "root": str(coco(tmp_path))}
    expected = torch.zeros(40, 60, dtype=torch.int64)
    expected[4:14, 2:8] = 15
    expected[4:14, 8:12] = 255  # claimed by both
    expected[4:14, 12:20] = expected[30:34, 30:34] = expected[:, 58:] = 12
    video = create_evaluation_set(values, "segmentation")[0]
    assert video.id == "000000000007"
    assert torch.equal(video.truth["labels"][0], expected)
    # one image has too little to learn from
    assert len(create_source(parse_data(values), "segmentation").training()) == 1
    smaller = create_evaluation_set({**values, "shorter": 20}, "segmentation")[0]
    assert smaller.frames.shape == (1, 3, 20, 30)
    assert smaller.truth["labels"].shape == (1, 20, 30)
    with pytest.raises(ConfigError, match="crop or shorter, not both"):
        create_evaluation_set({**values, "shorter": 20, "crop": 20}, "segmentation")
    (tmp_path / "annotations" / "instances_val2017.json").write_text('{"images": 3}')
    with pytest.raises(DataError, match="cannot read the annotations"):
        create_evaluation_set(values, "segmentation")
