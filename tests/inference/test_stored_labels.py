from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import DataError
from framewright.inference import Context, FolderMethod, chunked
from framewright.video import write_image, write_labels
from PIL import Image

LABELS = np.random.default_rng(0).integers(0, 21, (11, 6, 8), dtype=np.uint8)


def found(folder: Path, frames: int, size: tuple[int, int] = (6, 8)) -> torch.Tensor:
    method = FolderMethod("theirs", folder)
    chunks = chunked(torch.rand(frames, 3, *size), 4)
    made = list(method.process(chunks, Context("segmentation", video_id="a/clip")))
    assert [chunk.start for chunk in made] == list(range(0, frames, 4))
    return torch.cat([chunk.extras["labels"] for chunk in made])


def test_maps_of_a_video_in_natural_order(tmp_path: Path) -> None:
    for index, labels in enumerate(LABELS):
        write_labels(tmp_path / "a" / "clip" / f"{index}.png", labels)
    assert np.array_equal(found(tmp_path, 11).numpy(), LABELS)
    with pytest.raises(DataError, match="has 11 label maps, expected 12 for the video 'a/clip'"):
        found(tmp_path, 12)
    with pytest.raises(DataError, match="8x6, expected 9x6"):
        found(tmp_path, 11, (6, 9))


def test_a_palette_image_for_a_single_frame(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    palette = Image.fromarray(LABELS[0], mode="P")
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "a" / "clip.png")
    assert np.array_equal(found(tmp_path, 1)[0].numpy(), LABELS[0])
    write_labels(tmp_path / "a" / "clip" / "0.png", LABELS[0])
    with pytest.raises(DataError, match="keep only one kind"):
        found(tmp_path, 1)


def test_pictures_are_no_labels(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "clip.png", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DataError, match="mode RGB; expected a palette or grey PNG"):
        found(tmp_path, 1)
    (tmp_path / "a" / "clip.png").unlink()
    with pytest.raises(DataError, match=r"holds no label map of the video 'a/clip'; expected .*clip.png"):
        found(tmp_path, 1)
