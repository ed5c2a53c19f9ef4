"""Frames of videos in one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framewright.video import read_image, write_image
from framewright.video.montage import main


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Two folders of three frames, 8x6 and 16x12; frame i of the first is red 40 i, of the second green 40 i."""
    for channel, (name, size) in enumerate((("small", (6, 8)), ("large", (12, 16)))):
        for number in range(3):
            frame = np.zeros((*size, 3), np.uint8)
            frame[..., channel] = 40 * number
            write_image(tmp_path / name / f"{number}.png", frame)
    return [str(tmp_path / "small"), str(tmp_path / "large")]


def test_a_row_for_each_video_and_the_smaller_one_enlarged(clips: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert main([*clips, "--frames", "0", "2", "--out", str(out)]) == 0
    picture = read_image(out)
    assert picture.shape == (2 * 12 + 4, 2 * 16 + 4, 3)
    assert picture[:12, 20:].reshape(-1, 3).tolist() == [[80, 0, 0]] * 192
    assert picture[16:, 20:].reshape(-1, 3).tolist() == [[0, 80, 0]] * 192
    assert (picture[12:16] == 255).all()


def test_one_frame_of_each_is_one_row(clips: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    crop = ["--crop", "2", "3", "5", "4", "--zoom", "3"]
    assert main([*clips, "--frames", "1", *crop, "--labels", "a", "b", "--out", str(out)]) == 0
    picture = read_image(out)
    assert picture.shape == (18 + 12, 2 * 15 + 4, 3)
    assert picture[-1, 0].tolist() == [40, 0, 0]
    assert picture[-1, -1].tolist() == [0, 40, 0]


def test_a_column_over_time_and_a_bound_on_the_width(clips: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert main([clips[1], "--column", "3", "--out", str(out)]) == 0
    picture = read_image(out)
    assert picture.shape == (12, 3, 3)
    assert picture[5, :, 1].tolist() == [0, 40, 80]
    assert main([*clips, "--width", "20", "--out", str(out)]) == 0
    assert read_image(out).shape == (6, 20, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frames", "3"], "frames 0 to 2"),
        (["--labels", "one"], "--labels"),
        (["--crop", "10", "0", "10", "4"], "--crop"),
        (["--column", "16"], "no column 16"),
        (["--zoom", "0"], "--zoom"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], said: str, clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert main([*clips, *arguments, "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not out.exists()
