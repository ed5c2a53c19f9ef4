"""The command that writes a procedural video: the same frames every time, and masks that fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framewright.datamodules.scenes.__main__ import main
from framewright.datamodules.scenes.clip import clip_scene, clip_settings, write_clip
from framewright.video import open_video, read_image

SMALL = ["--size", "48x32", "--frames", "4"]


def test_the_same_seed_gives_the_same_file_and_another_one_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert main([str(tmp_path / f"{name}.mp4"), *SMALL, "--seed", seed]) == 0
    files = [(tmp_path / f"{name}.mp4").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    with open_video(tmp_path / "a.mp4") as reader:
        assert (len(reader), reader.size) == (4, (32, 48))
    assert "4 frames of 48x32" in capsys.readouterr().out


def test_masks_are_where_the_nearest_object_is(tmp_path: Path) -> None:
    scene = clip_scene(clip_settings(4, 32, 48), 3)
    write_clip(scene, tmp_path / "clip.mp4", tmp_path / "mask")
    write_clip(scene, tmp_path / "clip.mp4", tmp_path / "mask.mp4")
    with open_video(tmp_path / "mask.mp4") as reader:
        video = reader.get(range(4))
    for time in range(4):
        frame = scene.render(float(time))
        mask = read_image(tmp_path / "mask" / f"{time:06d}.png")[..., 0] > 0
        assert 0 < mask.sum() < mask.size / 2
        # what the object changes by more than half its own difference lies under the mask, and all is inside the frame
        behind, colour = frame.composite(without=-1), scene.foreground(float(time))
        changed = np.abs(frame.composite() - behind) > 0.51 * np.abs(colour - behind) + 1e-3
        assert changed.any()
        assert not (changed.any(-1) & ~mask).any()
        inner = np.zeros_like(mask)
        inner[1:-1, 1:-1] = True
        assert not (mask & ~inner).any()
        assert ((video[time, ..., 0] > 64) == mask).mean() > 0.99


def test_shake_noise_and_paint_leave_the_scene_as_it_is() -> None:
    settings = clip_settings(4, 32, 48)
    still, shaken = clip_scene(settings, 3), clip_scene(settings, 3, shake=4)
    assert still.parameters()["objects"] == shaken.parameters()["objects"]
    assert not np.array_equal(still.image(2), shaken.image(2))
    assert np.array_equal(still.image(2), shaken.steady().image(2))


def test_a_folder_of_masks_is_replaced_and_a_folder_of_other_files_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = ["--mask", str(tmp_path / "mask")]
    (tmp_path / "mask").mkdir()
    (tmp_path / "mask" / "000007.png").write_bytes(b"of a longer clip")
    assert main([str(tmp_path / "a.mp4"), *SMALL, *mask]) == 0
    assert sorted(path.name for path in (tmp_path / "mask").iterdir()) == [f"{i:06d}.png" for i in range(4)]
    (tmp_path / "mask" / "holiday.jpg").write_bytes(b"dear")
    assert main([str(tmp_path / "b.mp4"), *SMALL, *mask]) == 2
    assert "holiday.jpg" in capsys.readouterr().err
    assert (tmp_path / "mask" / "holiday.jpg").exists()
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "47x32"], "--size=47x32"),
        (["--size", "8x8"], "at least 16"),
        (["--frames", "0"], "frames=0"),
        (["--frames", "many"], "--frames"),
        (["--noise", "-1"], "--noise"),
        (["--appearance", "duks"], "duks"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "a.mp4"), *arguments]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_video_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "a.txt"), *SMALL]) == 2
    assert "a.txt" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
