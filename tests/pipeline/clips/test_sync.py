"""Two videos brought together by time stamps, sound, and what they show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from framewright.core.errors import DataError, VideoError
from framewright.pipeline.clips import align_audio, align_frames, align_timestamps
from framewright.pipeline.clips.sync import change_correlation, monotone_path, phase_correlation
from framewright.video import open_video
from framewright.video.sound import read_sound

from .conftest import Make, clicks, scene, wandering


def test_time_stamps_pair_the_nearest_frames(write: Make) -> None:
    first, second = write(scene(1, 10), "a.mp4"), write(scene(1, 8), "b.mp4", times=[0.1 * n for n in range(8)])
    with open_video(first) as a, open_video(second) as b:
        assert align_timestamps(a, b).pairs.tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 4]
        assert align_timestamps(a, b, 0.55).pairs.tolist() == [5, 6, 6, 7, 7, 7, 7, -1, -1, -1]
        assert align_timestamps(a, b, -0.2).pairs.tolist() == [-1, -1, -1, -1, 0, 0, 0, 1, 1, 2]


def test_sound_is_read_as_mono_at_a_rate_and_at_its_time(write: Make) -> None:
    path = write(scene(1, 50), sound=clicks(2))
    sound = read_sound(path, 8000)
    assert sound.rate == 8000
    assert len(sound.samples) / 8000 == pytest.approx(2, abs=0.06)
    loud = np.flatnonzero(np.abs(sound.samples) > 0.2) / 8000 + sound.start
    for time in (0.31, 0.55, 1.02, 1.17, 1.64):
        assert np.abs(loud - time - 0.001).min() < 2e-3
    assert len(read_sound(path, 8000, seconds=0.5).samples) == 4000
    with pytest.raises(VideoError, match="has no sound"):
        read_sound(write(scene(1, 5), "mute.mp4"))


@pytest.mark.parametrize("delay", [0.4, -0.25])
def test_the_sound_tells_the_offset(write: Make, delay: float) -> None:
    first = write(scene(1, 80), "a.mp4", sound=clicks(3.2))
    second = write(scene(2, 80), "b.mp4", sound=0.2 * clicks(3.2, delay))
    with open_video(first) as a, open_video(second) as b:
        found = align_audio(a, b)
        assert found.offset == pytest.approx(delay, abs=2e-3)
        assert found.confidence > 0.3
        assert found.pairs[40] == 40 + round(delay * 25)
        assert (found.pairs < 0).sum() == pytest.approx(abs(delay) * 25, abs=1)
        near = align_audio(a, b, max_offset=0.1)
        assert abs(near.offset) <= 0.1
        assert near.confidence < found.confidence


def test_silence_cannot_be_aligned(write: Make) -> None:
    quiet = write(scene(1, 30), "a.mp4", sound=np.zeros(48000, np.float32))
    with open_video(quiet) as a, pytest.raises(DataError, match="is silent"):
        align_audio(a, a)


def test_phase_correlation_hears_through_a_filter() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(size=4000).astype(np.float32)
    # another microphone: duller, and with noise
    heard = np.convolve(sound[300:], [0.5, 0.3, 0.2], "full").astype(np.float32) + rng.normal(0, 0.2, 3702)
    lags, scores = phase_correlation(sound, heard.astype(np.float32))
    assert lags[np.argmax(scores)] == pytest.approx(-300, abs=1)


@pytest.mark.parametrize(("fps", "start"), [(25, 17), (50, -9)])
def test_frames_tell_the_offset_of_another_size_exposure_and_rate(write: Make, fps: int, start: int) -> None:
    first = wandering(120)
    count, step = 120, 25 / fps
    second = np.stack([wandering(1, round(start + n * step))[0] for n in range(count)])
    second = (second * 0.6 + 20).astype(np.uint8)
    with open_video(write(first, "a.mp4")) as a, open_video(write(second, "b.mp4", fps=fps)) as b:
        found = align_frames(a, b)
        assert found.offset == pytest.approx(-start / 25, abs=1.01 / fps)
        assert found.confidence > 0.2
        frames = np.flatnonzero(found.pairs >= 0)
        assert len(frames) > 40
        shown = start + found.pairs[frames] * step
        assert np.abs(shown - frames).max() <= 1


def test_a_still_background_and_a_still_video(write: Make) -> None:
    background = np.tile(scene(7, 1, 0), (100, 1, 1, 1))
    way = wandering(100)
    for n in range(100):
        x = int(20 + 18 * np.sin(n / 6) * np.cos(n / 19))
        background[n, 20:30, x : x + 10] = 250
    second = background[30:]
    with open_video(write(background, "a.mp4")) as a, open_video(write(second, "b.mp4")) as b:
        assert align_frames(a, b).offset == pytest.approx(-30 / 25, abs=0.02)
    still = write(np.tile(way[:1], (20, 1, 1, 1)), "c.mp4")
    with (
        open_video(still) as c,
        open_video(write(way, "d.mp4")) as d,
        pytest.raises(DataError, match="nothing changes"),
    ):
        align_frames(c, d)


def test_warp_follows_a_video_that_changes_its_pace(write: Make) -> None:
    # the second one stands still for a while, then runs twice as fast
    order = [*range(20), *([20] * 8), *range(21, 60, 2), *range(60, 80)]
    first, second = wandering(80), wandering(80)[order]
    with open_video(write(first, "a.mp4")) as a, open_video(write(second, "b.mp4")) as b:
        found = align_frames(a, b, warp=True)
    assert np.all(np.diff(found.pairs) >= 0)
    assert found.confidence > 0.9
    shown = np.array(order)[found.pairs]
    assert np.abs(shown - np.arange(80)).max() <= 1


def test_change_correlation_is_pearsons_over_the_overlap() -> None:
    rng = torch.Generator().manual_seed(0)
    one, other = torch.randn(30, 40, generator=rng), torch.randn(22, 40, generator=rng) + 3
    lags, scores = change_correlation(one, other, 5)
    assert lags.tolist() == list(range(-25, 18))
    for lag, score in zip(lags.tolist(), scores.tolist(), strict=True):
        begin, end = max(0, -lag), min(30, 22 - lag)
        a, b = one[begin:end].double(), other[begin + lag : end + lag].double()
        a, b = a - a.mean(0), b - b.mean(0)
        assert score == pytest.approx(float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()), abs=1e-9)


def test_monotone_path_is_the_cheapest() -> None:
    cost = np.random.default_rng(1).random((5, 6)).astype(np.float32)
    path = monotone_path(cost, 1.0, 2)

    def price(columns: tuple[int, ...]) -> float:
        steps = np.diff(columns)
        return sum(float(cost[i, c]) for i, c in enumerate(columns)) + 1e-3 * float(np.abs(steps - 1).sum())

    every = [columns for columns in np.ndindex(*([6] * 5)) if all(0 <= step <= 2 for step in np.diff(columns))]
    assert price(tuple(path)) == pytest.approx(min(price(columns) for columns in every))


def test_sizes_do_not_matter(write: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    from framewright.video import write_image

    folder = tmp_path_factory.mktemp("large")
    for n, frame in enumerate(wandering(60, 12)):
        write_image(folder / f"{n:03d}.png", cv2.resize(frame, (130, 96), interpolation=cv2.INTER_CUBIC))
    with open_video(write(wandering(60), "a.mp4")) as a, open_video(folder) as b:
        assert align_frames(a, b).offset == pytest.approx(-12 / 25)
