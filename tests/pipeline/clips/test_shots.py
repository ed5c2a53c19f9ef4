"""Shots and key frames of videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from framewright.core.errors import ConfigError
from framewright.pipeline.clips import Shot, ShotSettings, contact_sheet, find_key_frames, find_shots
from framewright.pipeline.clips.measures import sharpness
from framewright.video import find_videos, open_video, write_image

from .conftest import Frames, Make, scene


def blurred(frames: Frames) -> Frames:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 2.5) for frame in frames])


def three_scenes() -> Frames:
    return np.concatenate([scene(1, 25), scene(2, 30), scene(3, 20)])


@pytest.mark.parametrize("detector", ["adaptive", "content"])
def test_the_shots_of_a_video_are_found_with_their_times(write: Make, detector: str) -> None:
    path = write(three_scenes())
    seen: list[tuple[int, int]] = []
    with open_video(path) as reader:
        found = find_shots(reader, ShotSettings(detector=detector), lambda done, total: seen.append((done, total)))  # type: ignore[arg-type]
    assert [(shot.first, shot.stop) for shot in found.shots] == [(0, 25), (25, 55), (55, 75)]
    assert [shot.start for shot in found.shots] == pytest.approx([0, 1, 2.2])
    assert [shot.end for shot in found.shots] == pytest.approx([1, 2.2, 3])
    assert len(found.scores) == 75
    assert set(np.argsort(found.scores)[-2:]) == {25, 55}
    assert seen[-1] == (75, 75)


def test_times_of_a_variable_rate_and_no_detector(write: Make) -> None:
    frames = np.concatenate([scene(1, 20), scene(2, 20)])
    times = np.cumsum([0.0, *([0.02, 0.05] * 20)][:40])
    with open_video(write(frames, times=times.round(3).tolist())) as reader:
        cut = find_shots(reader).shots[1]
        assert cut.first == 20
        assert cut.start == pytest.approx(float(times[20]), abs=1e-3)
        (whole,) = find_shots(reader, ShotSettings(detector="none")).shots
        assert (whole.first, whole.stop) == (0, 40)


def test_real_clips_one_after_the_other_are_cut_where_they_meet(assets: Path, tmp_path: Path) -> None:
    folders = [assets / "clips" / name / name for name in ("tennis", "bmx-trees")]
    assert all(find_videos(folder) for folder in folders)
    joined: list[Frames] = []
    for folder in folders:
        with open_video(folder) as reader:
            joined += [cv2.resize(frame, (160, 96), interpolation=cv2.INTER_AREA) for frame in reader.get(range(30))]
    for number, frame in enumerate(joined):
        write_image(tmp_path / f"{number:03d}.png", frame)
    with open_video(tmp_path) as reader:
        for detector in ("adaptive", "content"):
            shots = find_shots(reader, ShotSettings(detector=detector)).shots  # type: ignore[arg-type]
            assert 30 in [shot.first for shot in shots]
        assert [shot.first for shot in find_shots(reader).shots] == [0, 30]


def test_an_animated_film_has_the_cut_that_pyscenedetect_finds(assets: Path) -> None:
    with open_video(assets / "clips" / "onepiece_demo.mp4") as reader:
        found = find_shots(reader, ShotSettings(detector="content"))
    assert [shot.first for shot in found.shots] == [0, 100]


def test_key_frames(write: Make) -> None:
    frames = scene(4, 40)
    soft = blurred(frames)
    soft[27] = frames[27]
    assert sharpness(frames[27]) > 2 * sharpness(soft[26])
    with open_video(write(soft)) as reader:
        shot = Shot(0, 40, 0.0, 1.6)
        (sharpest,) = find_key_frames(reader, [shot], "sharpest")
        assert sharpest.frame == 27
        assert sharpest.time == pytest.approx(27 / 25)
        (middle,) = find_key_frames(reader, [shot], "middle")
        assert middle.frame == 20
        several = find_key_frames(reader, [shot], "sharpest", count=4)
        assert [key.frame // 8 for key in several][:1] != [key.frame // 8 for key in several][-1:]
        assert len({key.frame for key in several}) == 4
        assert 27 in [key.frame for key in several]
        (alone,) = find_key_frames(reader, [Shot(3, 4, 0.12, 0.16)], "representative", count=5)
        assert alone.frame == 3
        with pytest.raises(ConfigError, match="choice"):
            find_key_frames(reader, [shot], "best")  # type: ignore[arg-type]


def test_a_representative_frame_is_typical_of_its_shot(write: Make) -> None:
    # most of the shot shows one thing, a sharper part another
    frames = np.concatenate([blurred(scene(1, 30, 0.1)), scene(6, 10, 0.1)])
    with open_video(write(frames)) as reader:
        (key,) = find_key_frames(reader, [Shot(0, 40, 0.0, 1.6)])
        assert key.frame < 30
        (sharpest,) = find_key_frames(reader, [Shot(0, 40, 0.0, 1.6)], "sharpest")
        assert sharpest.frame >= 30


def test_a_contact_sheet_has_rows_of_pictures_of_any_size() -> None:
    frames = [np.full((30 + 10 * n, 80, 3), 20 * n, np.uint8) for n in range(7)]
    sheet = contact_sheet(frames, [f"número {n}" for n in range(7)], columns=3, width=40)
    assert sheet.shape == (3 * (45 + 20), 3 * 40, 3)
    assert sheet[20 + 5, 45].tolist() == [20, 20, 20]
