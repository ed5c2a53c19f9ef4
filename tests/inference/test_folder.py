"""Somebody else's results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.inference import Context, FolderMethod, chunked
from framewright.video import VideoWriter, write_image


def _frames(count: int, height: int = 16, width: int = 24) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _write_folder(folder: Path, frames: np.ndarray) -> None:
    for index, frame in enumerate(frames):
        write_image(folder / f"{index}.png", frame)


def _read(method: FolderMethod, video_id: str, sources: int = 5, size: tuple[int, int] = (16, 24)) -> torch.Tensor:
    chunks = chunked(torch.rand(sources, 3, *size), 2)
    parts = list(method.process(chunks, Context("interpolation", video_id=video_id)))
    starts = [part.start for part in parts]
    assert starts == sorted(set(starts))
    return torch.cat([part.frames for part in parts])


def test_frame_folder_is_read_exactly_and_in_natural_order(tmp_path: Path) -> None:
    frames = _frames(12)
    _write_folder(tmp_path / "group a" / "clip=1", frames)
    result = _read(FolderMethod("theirs", tmp_path, chunk_frames=5), "group a/clip=1", sources=13)
    assert torch.equal(result, torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255)


def test_video_file_is_read(tmp_path: Path) -> None:
    frames = np.stack([np.full((32, 48, 3), 40 + 30 * index, np.uint8) for index in range(4)])
    with VideoWriter(tmp_path / "clip.v1.mp4", fps=8, size=(32, 48)) as writer:
        writer.write(frames)
    result = _read(FolderMethod("theirs", tmp_path), "clip.v1", size=(32, 48))
    expected = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    assert (result - expected).abs().max() < 0.03


def test_single_image_for_a_triplet(tmp_path: Path) -> None:
    frame = _frames(1)[0]
    write_image(tmp_path / "00001" / "0001.png", frame)
    result = _read(FolderMethod("theirs", tmp_path), "00001/0001", sources=2)
    assert torch.equal(result[0], torch.from_numpy(frame).permute(2, 0, 1).float() / 255)


def test_folder_with_a_single_frame(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(1))
    assert _read(FolderMethod("theirs", tmp_path), "clip", sources=2).shape == (1, 3, 16, 24)


def test_id_with_video_suffix_finds_the_folder_of_frames(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(4))
    assert _read(FolderMethod("theirs", tmp_path), "clip.mp4").shape[0] == 4


def test_wrong_number_names_folder_found_and_expected(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(3))
    with pytest.raises(DataError, match=r"'theirs': .*clip has 3 frames, expected 4"):
        _read(FolderMethod("theirs", tmp_path), "clip")


def test_whole_video_in_place_of_new_frames_gets_a_hint(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(9))
    with pytest.raises(DataError, match=r"has 9 frames, expected 4.*leave out the input frames"):
        _read(FolderMethod("theirs", tmp_path), "clip")


def test_wrong_size_names_both(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(4, 18, 24))
    with pytest.raises(DataError, match="are 24x18, expected 24x16"):
        _read(FolderMethod("theirs", tmp_path), "clip")


def test_missing_video_says_what_is_there(tmp_path: Path) -> None:
    _write_folder(tmp_path / "other", _frames(4))
    with pytest.raises(DataError, match=r"nothing for the video 'clip'.*it holds other"):
        _read(FolderMethod("theirs", tmp_path), "clip")


def test_two_candidates_are_refused(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(4))
    write_image(tmp_path / "clip.png", _frames(1)[0])
    with pytest.raises(DataError, match="both match"):
        _read(FolderMethod("theirs", tmp_path), "clip")


@pytest.mark.parametrize("video_id", ["../clip", "/etc/clip", "", "a/../../clip"])
def test_ids_cannot_leave_the_folder(tmp_path: Path, video_id: str) -> None:
    _write_folder(tmp_path / "clip", _frames(4))
    (tmp_path / "results").mkdir()
    with pytest.raises(DataError, match="not a path inside"):
        _read(FolderMethod("theirs", tmp_path / "results"), video_id)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        FolderMethod("theirs", tmp_path / "no")


def test_fingerprint_follows_the_files(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(2))
    before = FolderMethod("theirs", tmp_path).fingerprint()
    assert FolderMethod("another name", tmp_path).fingerprint() == before
    _write_folder(tmp_path / "clip", _frames(3))
    assert FolderMethod("theirs", tmp_path).fingerprint() != before
