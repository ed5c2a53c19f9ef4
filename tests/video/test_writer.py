"""Writing videos: complete files or none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import FramewrightError, VideoError
from framewright.video import VideoWriter, load_video, open_video, save_video

from .numbered import numbered_frame, one_line, read_numbers


def frames(count: int, height: int = 48, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.stack([numbered_frame(number, height, width) for number in range(count)])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "neuer ordner" / f"ausgabe 'ü'{suffix}"
    with VideoWriter(path, Fraction(24000, 1001), (48, 64)) as writer:
        writer.write(frames(10))
        writer.write(frames(20)[10:])
        assert not path.exists(), "it appears when it is complete"
    with open_video(path) as reader:
        assert reader.fps == Fraction(24000, 1001)
        read = reader.get(range(20))
    assert read_numbers(read) == list(range(20))
    difference = np.abs(read.astype(int) - frames(20))
    assert difference[:, :10].mean() < 3, "colours survive"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_file_is_plain_h264_with_colour_tags(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4", 25, (48, 64)) as writer:
        writer.write(frames(3))
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_range) == (1, 1, 1)


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25, (37, 51), crf=8) as writer:
        writer.write(frames(4, 37, 51))
    reader = open_video(tmp_path / "a.mp4")
    assert reader.size == (38, 52)
    assert read_numbers(reader.get(range(4))[:, :37, :51]) == list(range(4))


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("an earlier result")

    def write(*batches: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
        with VideoWriter(path, 25, (48, 64)) as writer:
            for batch in batches:
                writer.write(batch)

    with pytest.raises(ValueError, match=r"expected uint8 frames \(N, 48, 64, 3\)"):
        write(frames(3), frames(1, 50, 64))
    assert path.read_text() == "an earlier result"
    path.unlink()
    with pytest.raises(VideoError, match="no frame was written"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments(tmp_path: Path) -> None:
    for name, fps, size in (("a.gif", 25, (8, 8)), ("a.mp4", 0, (8, 8)), ("a.mp4", 25, (0, 8))):
        with pytest.raises(VideoError) as caught:
            VideoWriter(tmp_path / name, fps, size)
        one_line(caught, name)
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(FramewrightError, match="cannot write to the folder"):
        VideoWriter(blocker / "a.mp4", 25, (8, 8)).__enter__()
    with pytest.raises(VideoError, match="with block"):
        VideoWriter(tmp_path / "a.mp4", 25, (48, 64)).write(frames(1))


def test_save_video_takes_tensors_and_arrays(tmp_path: Path) -> None:
    video = torch.from_numpy(frames(18)).permute(0, 3, 1, 2).float() / 255
    save_video(video, tmp_path / "tensor.mp4", 25)
    save_video(frames(18), tmp_path / "array.mp4", 25)
    one, two = load_video(tmp_path / "tensor.mp4"), load_video(tmp_path / "array.mp4")
    assert torch.equal(one, two)
    assert (one - video).abs().mean() < 0.02
    save_video(video * 3 - 1, tmp_path / "clipped.mp4", 25)
    for wrong in (video[0], video.to(torch.uint8), video.permute(0, 2, 3, 1)):
        with pytest.raises(ValueError, match="expected a float tensor"):
            save_video(wrong, tmp_path / "b.mp4")
    with pytest.raises(ValueError, match="expected a uint8 array"):
        save_video(frames(2).astype(np.float32), tmp_path / "b.mp4")  # type: ignore[arg-type]
