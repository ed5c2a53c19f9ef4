from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.transforms import TripletTransform
from framewright.datamodules.vimeo90k import (
    Vimeo90KSeptuplet,
    Vimeo90KSeptupletEvaluation,
    Vimeo90KTriplet,
    Vimeo90KTripletEvaluation,
)
from framewright.video import write_image

PLAIN = TripletTransform.none()


def build(root, prefix, frames, train=20, test=3, size=(256, 448), written=None):
    """A data set in the published layout; image ``im<k>`` of sequence ``s`` is grey of value ``10 s + k``."""
    names = [f"{1 + i // 5:05d}/{1 + i % 5:04d}" for i in range(train + test)]
    (root / "sequences").mkdir(parents=True)
    (root / f"{prefix}_trainlist.txt").write_text("\n".join(names[:train]) + "\n\n", encoding="utf-8")
    (root / f"{prefix}_testlist.txt").write_text("\r\n".join(names[train:]) + "\r\n", encoding="utf-8")
    for number, name in enumerate(names):
        if written is None or number in written:
            for frame in range(1, frames + 1):
                image = np.full((*size, 3), 10 * number + frame, np.uint8)
                write_image(root / "sequences" / name / f"im{frame}.png", image)
    return root


@pytest.fixture(scope="module")
def triplet(tmp_path_factory):
    return build(tmp_path_factory.mktemp("data é, =") / "vimeo_triplet", "tri", 3)


@pytest.fixture(scope="module")
def septuplet(tmp_path_factory):
    return build(tmp_path_factory.mktemp("data") / "my copy", "sep", 7, size=(16, 28))


def value(image):
    assert torch.all(image == image.flatten()[0])
    return round(float(image.flatten()[0]) * 255)


def test_first_95_percent_train_and_the_rest_validates(triplet):
    train = Vimeo90KTriplet(triplet, transform=PLAIN)
    val = Vimeo90KTripletEvaluation(triplet, split="val")
    test = Vimeo90KTripletEvaluation(triplet)
    assert (len(train), len(val), len(test)) == (19, 1, 3)
    assert val.ids == ["00004/0005"]
    assert test.ids == ["00005/0001", "00005/0002", "00005/0003"]
    sample = train.sample(18, np.random.default_rng(0))
    assert [value(sample[key]) for key in ("image0", "target", "image1")] == [181, 182, 183]
    assert sample["image0"].shape == (3, 256, 448)
    assert sample["timestep"].item() == 0.5


def test_default_augmentation_is_the_published_one(triplet):
    sample = Vimeo90KTriplet(triplet).sample(0, np.random.default_rng(0))
    assert sample["target"].shape == (3, 224, 224)


def test_evaluation_videos(triplet):
    videos = list(Vimeo90KTripletEvaluation(triplet))
    assert [video.id for video in videos] == ["00005/0001", "00005/0002", "00005/0003"]
    assert videos[1].frames.shape == (3, 3, 256, 448)
    assert [value(frame) for frame in videos[1].frames] == [211, 212, 213]
    some = Vimeo90KTripletEvaluation(triplet, limit=2)
    assert some.ids == ["00005/0001", "00005/0002"]
    assert some.describe()["subset"] == some.ids
    assert some.name == "vimeo90k_triplet_test"


def test_the_parent_folder_is_accepted_too(triplet):
    assert len(Vimeo90KTriplet(triplet.parent)) == 19


def test_septuplet_draws_all_35_ordered_triples(septuplet):
    dataset = Vimeo90KSeptuplet(septuplet, transform=PLAIN, check_size=False)
    seen = set()
    for seed in range(500):
        sample = dataset.sample(2, np.random.default_rng(seed))
        i, j, k = (value(sample[key]) - 20 for key in ("image0", "target", "image1"))
        assert 1 <= i < j < k <= 7
        assert sample["timestep"].item() == pytest.approx((j - i) / (k - i))
        seen.add((i, j, k))
    assert len(seen) == 35
    videos = Vimeo90KSeptupletEvaluation(septuplet, check_size=False)
    assert videos[0].frames.shape == (7, 3, 16, 28)


def test_manifest_is_json_and_does_not_depend_on_the_place(triplet):
    manifest = Vimeo90KTriplet(triplet).describe()
    assert manifest == Vimeo90KTriplet(triplet.parent).describe()
    assert str(triplet) not in json.dumps(manifest)
    assert manifest["sequences"] == 19
    assert len(manifest["list_sha256"]) == 64


def test_data_sets_survive_pickling(triplet):
    dataset = pickle.loads(pickle.dumps(Vimeo90KTriplet(triplet)))
    assert dataset.sample(0, np.random.default_rng(0))["image0"].shape == (3, 224, 224)


def test_wrong_size_is_an_error_unless_relaxed(septuplet):
    with pytest.raises(DataError, match=r"im\d\.png' is 28x16, expected 448x256"):
        Vimeo90KSeptuplet(septuplet).sample(0, np.random.default_rng(0))


def test_wrong_layouts_are_told(tmp_path, septuplet):
    with pytest.raises(DataError, match=r"needs a folder: set data\.root=<folder> to the unpacked vimeo_triplet"):
        Vimeo90KTriplet(None)
    with pytest.raises(DataError, match=r"no such place' does not exist; set data\.root"):
        Vimeo90KTriplet(tmp_path / "no such place")
    for name in ("a.txt", "b.mp4", "c", "d", "e", "f", "g", "h"):
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        Vimeo90KTriplet(tmp_path)
    message = str(caught.value)
    assert "Missing: sequences, tri_trainlist.txt, tri_testlist.txt" in message
    assert "'a.txt', 'b.mp4', 'c', 'd', 'e', 'f' and 2 more" in message
    with pytest.raises(DataError, match="looks like the Vimeo90K septuplet data set"):
        Vimeo90KTriplet(septuplet)


def test_damaged_copies_are_told(tmp_path):
    root = build(tmp_path / "copy", "tri", 3, size=(8, 8), written={0, 1, 19})
    (root / "sequences/00001/0002/im2.png").unlink()
    dataset = Vimeo90KTriplet(root, transform=PLAIN, check_size=False, train_fraction=1.0)
    with pytest.raises(DataError, match=r"missing image '.*0002/im2\.png'; its folder holds 'im1\.png', 'im3\.png'"):
        dataset.sample(1, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"missing image '.*0003/im1\.png'.*does not exist"):
        dataset.sample(2, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"lists '00005/0001', but there is no folder"):
        Vimeo90KTripletEvaluation(root)
    with pytest.raises(DataError, match="the val split is empty"):
        Vimeo90KTripletEvaluation(root, split="val", train_fraction=1.0)
    (root / "sequences/00001/0001/im1.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"0001/im1\.png"):
        dataset.sample(0, np.random.default_rng(0))
    (root / "tri_trainlist.txt").write_text("00001/0001\n../../secret\n")
    with pytest.raises(DataError, match=r"entry 2 of .* is '\.\./\.\./secret'"):
        Vimeo90KTriplet(root)
    (root / "tri_trainlist.txt").unlink()
    with pytest.raises(DataError, match=r"tri_trainlist\.txt' is missing"):
        Vimeo90KTriplet(root)


def test_wrong_options_are_told(triplet):
    with pytest.raises(ConfigError, match="split='train'"):
        Vimeo90KTripletEvaluation(triplet, split="train")
    with pytest.raises(ConfigError, match="train_fraction=0"):
        Vimeo90KTriplet(triplet, train_fraction=0)
    with pytest.raises(ConfigError, match="limit=0"):
        Vimeo90KTripletEvaluation(triplet, limit=0)
