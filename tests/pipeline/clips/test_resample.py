"""Constant frame rates: exact times, and frames from the right places."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from framewright.core.errors import ConfigError
from framewright.pipeline.clips import resample, resampling
from framewright.video import open_video, probe

from .conftest import SIZE, Make, clicks, scene


def ramp(count: int, first: int = 20, step: int = 4) -> np.ndarray:
    """Grey frames, each brighter than the one before."""
    levels = (first + step * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, *SIZE, 3)).copy()


def levels(path: object) -> np.ndarray:
    with open_video(path) as reader:  # type: ignore[arg-type]
        return reader.get(range(len(reader))).mean(axis=(1, 2, 3))


def test_a_plan_says_between_which_frames_each_new_one_lies() -> None:
    plan = resampling(np.arange(5) / 25, 0.2, Fraction(50))
    assert plan.left.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert plan.weight == pytest.approx([0, 0.5] * 4 + [0, 0])
    slower = resampling(10 + np.arange(10) / 30, 10 + 10 / 30, Fraction(24))
    assert slower.left.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert slower.weight == pytest.approx([0, 0.25, 0.5, 0.75] * 2)
    # times rounded to milliseconds are those of the frames
    rounded = resampling(np.round(np.arange(90) * 1001 / 30000, 3), 90 * 1001 / 30000, Fraction(30000, 1001))
    assert rounded.left.tolist() == list(range(90))
    assert not rounded.weight.any()
    with pytest.raises(ConfigError, match="above 0"):
        resampling(np.arange(3.0), 3.0, Fraction(0))


def test_times_are_exact_and_sound_is_kept(write: Make, tmp_path: object) -> None:
    # frames of 25 and of 12.5 per second, by turns
    times = np.cumsum([0, *([40, 80] * 20)])[:40] / 1000
    source = write(ramp(40), times=times.tolist(), sound=clicks(2.4))
    target = source.with_name("constant.mp4")
    rate = Fraction(30000, 1001)
    count = resample(source, target, rate)
    info = probe(target)
    assert info.exact_fps == rate
    assert info.frames == count == round(probe(source).duration * rate)
    assert abs(info.duration - probe(source).duration) <= 1 / 29.97
    with open_video(target) as reader:
        assert reader.timestamps == pytest.approx(np.arange(count) * 1001 / 30000, abs=1e-9)
    nearest = [int(np.argmin(np.abs(times - t - 1e-9))) for t in np.arange(count) * 1001 / 30000]
    assert np.abs(levels(target) - (20 + 4 * np.array(nearest))).max() < 2.5
    assert len(info.audio) == 1
    assert _packets(target) == _packets(source)


def test_blend_is_linear_and_flow_follows_the_motion(write: Make) -> None:
    source = write(ramp(12))
    target = source.with_name("double.mp4")
    assert resample(source, target, 50, "blend") == 24
    assert levels(target)[:23] == pytest.approx(20 + 2 * np.arange(23), abs=2.5)
    moving = write(scene(3, 10, 8.0), "moving.mp4")
    assert resample(moving, source.with_name("flow.mp4"), 50, "flow") == 20
    between = scene(3, 19, 4.0)
    errors = {}
    resample(moving, source.with_name("blend.mp4"), 50, "blend")
    for name in ("flow", "blend"):
        with open_video(source.with_name(f"{name}.mp4")) as reader:
            made = reader.get(range(1, 19, 2)).astype(int)
        errors[name] = float(np.abs(made - between[1::2])[:, 8:-8, 8:-8].mean())
    assert errors["flow"] < 0.6 * errors["blend"]


def test_nothing_is_mixed_across_a_cut(write: Make) -> None:
    frames = np.concatenate([ramp(20, 10, 1), ramp(20, 200, 1)])
    source = write(frames)
    target = source.with_name("double.mp4")
    resample(source, target, 100, "blend")
    assert not np.any((levels(target) > 35) & (levels(target) < 194))
    from framewright.pipeline.clips import ShotSettings

    resample(source, target, 100, "blend", shots=ShotSettings(detector="none"))
    assert np.any((levels(target) > 35) & (levels(target) < 194))


def test_wrong_requests_leave_nothing_behind(write: Make) -> None:
    source = write(ramp(4))
    with pytest.raises(ConfigError, match="overwrite"):
        resample(source, source, 30)
    with pytest.raises(ConfigError, match="neither an interpolation method"):
        resample(source, source.with_name("b.mp4"), 30, "flow", network="nothing")
    with pytest.raises(ConfigError, match="is for flow"):
        resample(source, source.with_name("b.mp4"), 30, "flow", network="dis")
    with pytest.raises(ConfigError, match="nearest, blend, flow"):
        resample(source, source.with_name("b.mp4"), 30, "magic")  # type: ignore[arg-type]
    assert [path.name for path in source.parent.iterdir()] == [source.name]


def _packets(path: object) -> list[tuple[int | None, bytes]]:
    import av

    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]
