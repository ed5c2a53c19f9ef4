"""Images in and out, and finding videos."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from framewright.core.errors import DataError, VideoError
from framewright.video import find_videos, is_frame_folder, is_video_file, read_image, write_image
from framewright.video.discover import natural_key

Make = Callable[..., Path]
NOISE = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bild, ünïcode = 日本{suffix}"
    write_image(path, NOISE)
    assert np.array_equal(read_image(path), NOISE)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_round_trip(tmp_path: Path, suffix: str) -> None:
    smooth = np.stack(np.meshgrid(np.arange(64), np.arange(48), [100]), -1)[..., 0, :].astype(np.uint8) * 2
    write_image(tmp_path / f"a{suffix}", smooth, quality=98)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - smooth).mean() < 2


def test_other_pixel_types(tmp_path: Path) -> None:
    import cv2

    grey = NOISE[:, :, 0]
    write_image(tmp_path / "grey.png", grey)
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[:, :, None], 3, 2))
    deep = NOISE.astype(np.uint16) * 257
    deep[0, 0] = (65535, 127, 129)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[:, :, ::-1])
    expected = np.rint(deep / 257).astype(np.uint8)
    assert np.array_equal(read_image(tmp_path / "deep.png"), expected)
    alpha = np.dstack([NOISE[:, :, ::-1], grey])
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)
    assert np.array_equal(read_image(tmp_path / "alpha.png"), NOISE)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".ppm", ".webp"])
def test_damaged_images(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    write_image(path, NOISE)
    content = path.read_bytes()
    for length in (0, 40, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="cut"):
            read_image(path)
    with pytest.raises(DataError, match="missing"):
        read_image(tmp_path / f"missing{suffix}")


def test_wrong_arguments(tmp_path: Path) -> None:
    for wrong in (NOISE.astype(np.float32), NOISE[..., :2], NOISE[None]):
        with pytest.raises(ValueError, match="expected uint8"):
            write_image(tmp_path / "a.png", wrong)  # type: ignore[arg-type]
    with pytest.raises(VideoError, match="no image format"):
        write_image(tmp_path / "a.xyz", NOISE)
    assert list(tmp_path.iterdir()) == []


def test_natural_order() -> None:
    names = ["frame10.png", "frame2.png", "Frame1.png", "frame02.png", "10.png", "9.png", "a1b20", "a1b3"]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["9.png", "10.png", "a1b3", "a1b20", "Frame1.png", "frame02.png", "frame2.png", "frame10.png"]


def test_find_videos(tmp_path: Path, frame_folder: Make) -> None:
    for name in ("b/clip10.MP4", "b/clip2.mp4", "c.webm", ".hidden/x.mp4", "b/._clip2.mp4", "raw/z.avi", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    frame_folder("d/frames", 3)
    frame_folder("d/masks", 3)
    frame_folder("d/single", 1)
    os.symlink(tmp_path, tmp_path / "d" / "loop")

    def found(*exclude: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path, exclude)]

    everything = ["b/clip2.mp4", "b/clip10.MP4", "c.webm", "d/frames", "d/masks", "raw/z.avi"]
    assert found() == everything
    assert found("masks", "raw/*", "c.*") == ["b/clip2.mp4", "b/clip10.MP4", "d/frames"]
    assert find_videos(tmp_path / "d" / "frames") == [tmp_path / "d" / "frames"]
    assert is_frame_folder(tmp_path / "d" / "frames")
    assert not is_frame_folder(tmp_path / "d" / "single")
    assert is_video_file(tmp_path / "c.webm")
    assert not is_video_file(tmp_path / "d" / "frames")
    with pytest.raises(DataError, match="is not a folder"):
        find_videos(tmp_path / "nowhere")
