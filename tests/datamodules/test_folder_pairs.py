"""Folders of ground truth and masks in the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framewright.core.errors import DataError
from framewright.datamodules.folder_pairs import FolderPairs
from framewright.video import write_image

SIZE = (24, 32)


def write_video(folder: Path, pattern: str, values: list[int], size: tuple[int, int] = SIZE) -> None:
    for index, value in enumerate(values):
        write_image(folder / pattern.format(index), np.full((*size, 3), value, np.uint8))


def hole_image(value: int = 255, size: tuple[int, int] = SIZE) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    image[4:8, 10:20] = value
    return image


def test_frame_folders_with_masks_per_frame(tmp_path: Path) -> None:
    for name in ("b", "a/x"):
        write_video(tmp_path / "gt" / name, "{:05d}.png", [10, 20, 30])
        for index in range(3):
            # 0/128 masks are masks too
            write_image(tmp_path / "masks" / name / f"{index:05d}.png", hole_image(128))
    data = FolderPairs(tmp_path / "gt", tmp_path / "masks")
    assert [video.id for video in data] == ["a/x", "b"]
    video = data[0]
    assert (video.frames.mean((1, 2, 3)) * 255).tolist() == pytest.approx([10, 20, 30])
    mask = video.truth["mask"]
    assert mask.shape == (3, 1, *SIZE)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert bool(mask[:, :, 4:8, 10:20].all())
    assert int(mask.sum()) == 3 * 40


def test_devils_layout_has_black_holes_and_ignores_results_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "clip0"
    for index in range(2):
        write_image(folder / f"frame_{index:04d}_gt.png", np.full((*SIZE, 3), 50, np.uint8))
        write_image(folder / f"frame_{index:04d}_mask.png", 255 - hole_image())
        write_image(folder / f"frame_{index:04d}_pred.png", np.full((*SIZE, 3), 200, np.uint8))
    video = FolderPairs(tmp_path)[0]
    assert video.frames.shape == (2, 3, *SIZE)
    assert float(video.frames.max()) == pytest.approx(50 / 255)
    assert int(video.truth["mask"].sum()) == 2 * 40
    assert int(FolderPairs(tmp_path, hole="white")[0].truth["mask"].sum()) == 2 * (24 * 32 - 40)


@pytest.mark.parametrize("place", ["v.png", "v/00000.png"])
def test_one_mask_holds_for_all_frames(tmp_path: Path, place: str) -> None:
    write_video(tmp_path / "gt" / "v", "{:05d}.png", [1, 2, 3, 4])
    write_image(tmp_path / "masks" / place, hole_image())
    mask = FolderPairs(tmp_path / "gt", tmp_path / "masks", max_frames=3)[0].truth["mask"]
    assert mask.shape[0] == 3
    assert int(mask.sum()) == 3 * 40


def test_blurred_edges_of_lossy_masks_are_cut_in_the_middle(tmp_path: Path) -> None:
    write_video(tmp_path / "gt" / "v", "{:05d}.png", [1])
    write_image(tmp_path / "masks" / "v.jpg", hole_image())
    mask = FolderPairs(tmp_path / "gt", tmp_path / "masks")[0].truth["mask"]
    assert int(mask.sum()) == pytest.approx(40, abs=6)


def test_masks_below_the_ground_truth_are_no_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "v", "{:05d}.png", [1, 2])
    write_video(tmp_path / "masks" / "v", "{:05d}.png", [0, 0])
    data = FolderPairs(tmp_path, tmp_path / "masks")
    assert [video.id for video in data] == ["v"]
    assert not data[0].truth["mask"].any()


def test_manifest_follows_content(tmp_path: Path) -> None:
    write_video(tmp_path / "v", "{:05d}.png", [1, 2])
    before = FolderPairs(tmp_path).describe()
    assert FolderPairs(tmp_path).describe() == before
    write_video(tmp_path / "v", "{:05d}.png", [1, 3])
    assert FolderPairs(tmp_path).describe() != before


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, r"no masks for the video 'v': expected a folder .*masks/v, an image"),
        ({"v/0.png": SIZE, "v/1.png": SIZE}, "has 3 frames but 2 masks"),
        ({"v.png": (24, 40)}, "masks of the video 'v' are 40x24, its frames 32x24"),
    ],
)
def test_wrong_masks_are_named(tmp_path: Path, masks: dict[str, tuple[int, int]], message: str) -> None:
    write_video(tmp_path / "gt" / "v", "{:05d}.png", [1, 2, 3])
    (tmp_path / "masks").mkdir()
    for name, size in masks.items():
        write_image(tmp_path / "masks" / name, hole_image(255, size))
    with pytest.raises(DataError, match=message):
        _ = FolderPairs(tmp_path / "gt", tmp_path / "masks")[0]


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set gt=<folder> to a folder with one folder of frames"):
        FolderPairs(None)
    with pytest.raises(DataError, match="holds no videos"):
        FolderPairs(tmp_path)
    write_video(tmp_path / "gt" / "v", "{:05d}.png", [1])
    with pytest.raises(DataError, match=r"masks=<folder>.*of masks"):
        FolderPairs(tmp_path / "gt", tmp_path / "nowhere")
