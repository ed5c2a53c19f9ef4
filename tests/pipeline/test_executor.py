"""Whole files: frames, times and sound survive, an interrupted run continues, and nothing half-written is left."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.core.errors import ConfigError, FramewrightError, VideoError
from framewright.inference import Chunk
from framewright.pipeline import Execution, Settings, build_pipeline, run_pipeline
from framewright.pipeline.stages.upscale import Upscale
from framewright.video import open_video, probe
from framewright.video.encoding import Encoding
from framewright.video.segments import SegmentWriter

from .conftest import HEIGHT, STAMPS, WIDTH, sound_of, write_video


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_upscale_keeps_times_and_sound(video: Path, tmp_path: Path, settings: Settings) -> None:
    target = tmp_path / "out.mp4"
    seen: list[tuple[int, int]] = []
    pipeline = build_pipeline("upscale", {"upscale": {"scale": 2}})
    run = run_pipeline(pipeline, video, target, settings, Execution(segment=5, progress=lambda *n: seen.append(n)))
    assert (run.frames, run.size, run.reused) == (12, (2 * HEIGHT, 2 * WIDTH), 0)
    with open_video(target) as made, open_video(video) as source:
        assert np.array_equal(made.timestamps, source.timestamps)
        assert made.size == (2 * HEIGHT, 2 * WIDTH)
        small = made.get(range(12))[:, ::2, ::2].astype(float)
        assert np.abs(small - source.get(range(12))).mean() < 8
    assert sound_of(target) == sound_of(video)
    assert probe(target).duration == pytest.approx(probe(video).duration)
    assert seen[0] == (0, 12)
    assert seen[-1] == (12, 12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "source.mp4"]
    assert {"decode", "upscale", "encode", "join"} <= run.timeline.busy.keys()


@pytest.mark.parametrize("segment", [None, 5])
def test_retime_is_exact(video: Path, tmp_path: Path, settings: Settings, segment: int | None) -> None:
    target = tmp_path / "out.mp4"
    run = run_pipeline(build_pipeline("retime", {"retime": True}), video, target, settings, Execution(segment=segment))
    assert run.frames == 23
    with open_video(target) as made, open_video(video) as source:
        assert len(made) == 23
        assert np.allclose(made.timestamps[::2], source.timestamps, atol=1e-9)
        assert np.allclose(made.timestamps[1::2], (source.timestamps[1:] + source.timestamps[:-1]) / 2, atol=1e-3)
        assert (np.diff(made.timestamps) > 0).all()
        assert np.abs(made.get(range(0, 23, 2)).astype(float) - source.get(range(12))).mean() < 3
    assert probe(target).duration == pytest.approx(probe(video).duration, abs=1e-6)
    assert sound_of(target) == sound_of(video)


def test_segments_do_not_change_the_frames(video: Path, tmp_path: Path, settings: Settings) -> None:
    pipeline = build_pipeline("enhance", {"denoise": True, "stabilize": True, "upscale": True})
    lossless = Encoding("ffv1")
    frames = []
    for overlap, segment in (("none", None), ("files", 5), ("stages", 4)):
        target = tmp_path / f"{overlap}.mkv"
        run_pipeline(pipeline, video, target, settings, Execution(lossless, overlap, segment))  # type: ignore[arg-type]
        with open_video(target) as made:
            frames.append(made.get(range(12)))
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[0], frames[2])


@pytest.mark.parametrize("overlap", ["files", "stages"])
def test_an_interrupted_run_continues(
    video: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, overlap: Any
) -> None:
    pipeline = build_pipeline("upscale", {"upscale": True})
    execution = Execution(segment=4, overlap=overlap)
    whole, target = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    run_pipeline(pipeline, video, whole, settings, execution)
    original, calls = Upscale.run, []

    def failing(self: Upscale, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, chunks, settings)

    with monkeypatch.context() as patch:
        patch.setattr(Upscale, "run", failing)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(pipeline, video, target, settings, execution)
    # nobody reads the video any more
    assert not [thread for thread in threading.enumerate() if thread.name == "framewright-ahead"]
    assert not target.exists()
    assert (tmp_path / ".out.mp4.work").is_dir()
    notes: list[str] = []
    run = run_pipeline(pipeline, video, target, settings, Execution(segment=4, note=notes.append))
    assert run.reused == 8
    assert "8 of 12" in notes[0]
    assert digest(target) == digest(whole)
    assert not list(tmp_path.glob(".*"))


def test_work_of_another_plan_is_not_used(
    video: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr("framewright.pipeline.executor.join_segments", _raise(VideoError("no")))
        with pytest.raises(VideoError):
            run_pipeline(build_pipeline("upscale", {"upscale": True}), video, target, settings)
    run = run_pipeline(build_pipeline("upscale", {"upscale": {"scale": 3}}), video, target, settings)
    assert (run.reused, run.size) == (0, (3 * HEIGHT, 3 * WIDTH))


def test_a_full_disk_leaves_nothing_under_the_final_name(
    video: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"older")
    monkeypatch.setattr(SegmentWriter, "_mux", _raise(OSError(28, "No space left on device")))
    with pytest.raises(VideoError, match="No space left on device"):
        run_pipeline(build_pipeline("upscale", {"upscale": True}), video, target, settings)
    assert target.read_bytes() == b"older"
    assert not list(tmp_path.glob(".*"))


def test_bad_places(video: Path, tmp_path: Path, settings: Settings) -> None:
    pipeline = build_pipeline("upscale", {"upscale": True})
    with pytest.raises(ConfigError, match="overwrite the video"):
        run_pipeline(pipeline, video, video, settings)
    with pytest.raises(ConfigError, match="h264 is written into files ending in"):
        run_pipeline(pipeline, video, tmp_path / "out.webm", settings)
    with pytest.raises(VideoError, match="no video"):
        run_pipeline(pipeline, tmp_path / "absent.mp4", tmp_path / "out.mp4", settings)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(FramewrightError, match=r"text\.mp4"):
        run_pipeline(pipeline, tmp_path / "text.mp4", tmp_path / "out.mp4", settings)
    assert not (tmp_path / "out.mp4").exists()
    single = write_video(tmp_path / "single.mp4", [0], sound=False)
    with pytest.raises(ConfigError, match="has 1"):
        run_pipeline(build_pipeline("retime", {"retime": True}), single, tmp_path / "out.mp4", settings)


def test_two_runs_of_one_output(video: Path, tmp_path: Path, settings: Settings) -> None:
    pipeline, target = build_pipeline("upscale", {"upscale": True}), tmp_path / "out.mp4"
    messages: list[str] = []

    def again(done: int, total: int) -> None:
        if done == 1:
            with pytest.raises(FramewrightError, match="another run") as caught:
                run_pipeline(pipeline, video, target, settings)
            messages.append(str(caught.value))

    run_pipeline(pipeline, video, target, settings, Execution(progress=again))
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("options", "suffix", "format"),
    [({"codec": "hevc", "quality": 30}, ".mp4", "yuv420p"), ({"pixel_format": "yuv444p"}, ".mkv", "yuv444p")],
)
def test_output_codecs(
    video: Path, tmp_path: Path, settings: Settings, options: dict[str, Any], suffix: str, format: str
) -> None:
    target = tmp_path / f"out{suffix}"
    execution = Execution(Encoding(**options), segment=5)
    run_pipeline(build_pipeline("denoise", {"denoise": True}), video, target, settings, execution)
    info = probe(target)
    assert (info.codec, info.pixel_format) == (options.get("codec", "h264"), format)
    with open_video(target) as made:
        assert np.allclose(made.timestamps, np.array(STAMPS) / 1000, atol=1e-3)


def _raise(error: Exception) -> Any:
    def raising(*args: Any, **kwargs: Any) -> Any:
        raise error

    return raising
