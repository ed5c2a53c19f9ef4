"""Clips chosen by motion and sharpness."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from framewright.core.errors import ConfigError, DataError
from framewright.pipeline.clips import find_shots, measure, select_clips
from framewright.video import open_video

from .conftest import Make, scene


def test_motion_is_told_in_percent_of_the_longer_side_per_second(write: Make) -> None:
    with open_video(write(scene(1, 12, step=1.0))) as reader:
        measured = measure(reader)
    assert measured.motion[0] == 0
    # a pixel of 64, 25 times a second
    assert float(np.median(measured.motion[1:])) == pytest.approx(100 / 64 * 25, rel=0.15)
    assert measured.looks.shape == (12, 576)
    assert np.linalg.norm(measured.looks, axis=1) == pytest.approx(1, abs=1e-5)


def test_clips_are_sharp_within_a_shot_and_move_as_wanted(write: Make) -> None:
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 5) for frame in scene(1, 30, 1.0)])
    frames = np.concatenate([soft, scene(2, 30, 0.0), scene(3, 30, 1.0)])
    with open_video(write(frames)) as reader:
        shots = find_shots(reader).shots
        assert [shot.first for shot in shots] == [0, 30, 60]
        measures = measure(reader, looks=False)
        both = select_clips(reader, shots, measures, seconds=0.8, count=2)
        assert [clip.shot for clip in both] == [1, 2]
        (moving,) = select_clips(reader, shots, measures, seconds=0.8, count=1, motion=(15, 90))
        assert moving.shot == 2
        assert moving.stop - moving.first == 20
        assert moving.end - moving.start == pytest.approx(0.8)
        every = select_clips(reader, shots, measures, seconds=0.4, count=99)
        assert all(a.stop <= b.first for a, b in pairwise(every))
        assert len(every) >= 6
        assert select_clips(reader, shots, measures, seconds=0.8, motion=(200, 900)) == []
        sharp = min(clip.sharpness for clip in both)
        assert {clip.shot for clip in select_clips(reader, shots, measures, 0.4, 99, min_sharpness=sharp / 2)} == {1, 2}
        with pytest.raises(DataError, match=r"the longest has 1\.20 s"):
            select_clips(reader, shots, measures, seconds=3)
        with pytest.raises(ConfigError, match="min_motion"):
            select_clips(reader, shots, measures, motion=(5, 1))
