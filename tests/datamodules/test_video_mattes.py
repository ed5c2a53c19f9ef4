from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import DataError
from framewright.datamodules.segmentation_sets import LabelledImages, LabelTransform, label_folder
from framewright.datamodules.sources import create_source, parse_data
from framewright.datamodules.video_mattes import CompositedClips
from framewright.video import write_image, write_labels


def layers(root: Path) -> Path:
    """A red disc on black in a clip of three frames, one such image, and a plain green and a plain blue background."""
    y, x = np.mgrid[:40, :60]
    disc = ((y - 20) ** 2 + (x - 30) ** 2 < 100)[..., None]
    for name in ("clip/0", "clip/1", "clip/2", "still"):
        write_image(root / "fgr" / f"{name}.png", (disc * np.array([200, 0, 0])).astype(np.uint8))
        write_image(root / "pha" / f"{name}.png", np.repeat(disc * 255, 3, 2).astype(np.uint8))
    for name, colour in (("plain", (0, 200, 0)), ("video/0", (0, 0, 200)), ("video/1", (0, 0, 100))):
        write_image(root / "bg" / f"{name}.png", np.full((30, 30, 3), colour, np.uint8))
    return root


def people(root: Path) -> LabelledImages:
    labels = np.zeros((20, 20), np.uint8)
    labels[:10] = 15
    labels[10:15] = 3
    write_image(root / "images" / "a.png", np.full((20, 20, 3), 90, np.uint8))
    write_labels(root / "labels" / "a.png", labels)
    return LabelledImages(label_folder(root, "train"), LabelTransform(32, scale=(1.0, 1.0), flip=0.0))


def test_clips_obey_the_equation_and_move(tmp_path: Path) -> None:
    root = layers(tmp_path)
    data = CompositedClips(root, root / "bg", frames=4, crop=32)
    assert len(data) == 2  # three frames are one piece of four, the image is one
    for index in range(2):
        sample = data.sample(index, np.random.default_rng(5))
        assert sample["image"].shape == (4, 3, 32, 32)
        alpha = sample["alpha"]
        expected = alpha * sample["foreground"] + (1 - alpha) * sample["background"]
        torch.testing.assert_close(sample["image"], expected)
        assert float(sample["image"].min()) >= 0
        assert float(sample["image"].max()) <= 1
        # of all frames some is covered, and what is covered moves
        assert (alpha.flatten(1).max(1).values > 0.99).all()
        assert float((alpha[0] - alpha[-1]).abs().max()) > 0.5
        again = data.sample(index, np.random.default_rng(5))
        assert torch.equal(sample["image"], again["image"])


def test_large_clips_and_people_beside_them(tmp_path: Path) -> None:
    root = layers(tmp_path / "mattes")
    labelled = people(tmp_path / "people")
    data = CompositedClips(root, root / "bg", 3, 32, high=(64, 2), people=(labelled, (15,)))
    sample = data.sample(0, np.random.default_rng(1))
    assert sample["high_image"].shape == (2, 3, 64, 64)
    assert sample["high_alpha"].shape == (2, 1, 64, 64)
    assert sample["person"].shape == (3, 3, 32, 32)
    assert sample["mask"].shape == (3, 1, 32, 32)
    assert float(sample["mask"][0, 0, :20, :20].mean()) == 0.5
    assert data.describe()["high"] == (64, 2)


def test_the_source_and_its_messages(tmp_path: Path) -> None:
    root = layers(tmp_path)
    values = {"name": "video_mattes", "root": str(root), "backgrounds": str(root / "bg"), "frames": 2, "crop": 32}
    source = create_source(parse_data(values), "matting")
    assert len(source.training()) == 3
    assert source.validation() is None
    (root / "pha" / "clip" / "1.png").unlink()
    with pytest.raises(DataError, match=r"frames of .*clip.* differ"):
        source.training()
    with pytest.raises(DataError, match=r"data\.backgrounds"):
        CompositedClips(root, None)
    with pytest.raises(DataError, match="0 foregrounds"):
        CompositedClips(root / "bg", root / "bg")
