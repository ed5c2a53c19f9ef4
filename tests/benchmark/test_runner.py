"""Methods x videos."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.benchmark import Protocol, RunOptions, run, runner
from framewright.core.errors import ConfigError, DataError, FramewrightError, WeightsError
from framewright.inference import Chunk, Context, FolderMethod
from framewright.metrics import create_metric
from framewright.models.card import PublishedResult
from framewright.video import open_video, read_image, write_image
from framewright.video.montage import to_uint8

Make = Callable[..., Any]


def _options(tmp_path: Path, **changes: Any) -> RunOptions:
    return RunOptions(**{"cache": tmp_path / "cache", "resamples": 200, "command": "x", **changes})


def _numbers(outcome: Any) -> Any:
    value = outcome.results.to_json()
    for method in value["methods"]:
        method["cost"].pop("seconds_per_frame")
    return value


def test_values_equal_the_metrics_themselves(make_benchmark: Make, make_method: Make, make_videos: Make) -> None:
    method = make_method("m", 0.03)
    results = run(make_benchmark([method], make_videos()), RunOptions(resamples=200)).results
    psnr, ssim = create_metric("psnr"), create_metric("ssim_rife")
    for video in make_videos():
        single = create_metric("psnr")
        sources, targets = video.frames[::2], video.frames[1::2]
        prediction = ((sources[:-1] + sources[1:]) / 2 + 0.03).clamp(0, 1)
        for metric in (psnr, ssim, single):
            metric.update(prediction, targets)
        assert results.method("m").videos[video.id]["psnr"] == pytest.approx(float(single.compute()), abs=1e-9)
    found = results.method("m").metrics
    assert found["psnr"].mean == pytest.approx(float(psnr.compute()), abs=1e-9)
    assert found["ssim"].mean == pytest.approx(float(ssim.compute()), abs=1e-9)
    assert (found["psnr"].n, found["psnr"].n_frames) == (4, 8)
    interval = found["psnr"].ci95
    assert interval is not None
    assert interval[0] < found["psnr"].mean < interval[1]


def test_each_video_is_loaded_once_for_all_methods(make_benchmark: Make, make_method: Make, make_videos: Make) -> None:
    videos = make_videos()
    outcome = run(make_benchmark([make_method("a", 0.01), make_method("b", 0.02)], videos))
    assert videos.loaded == [0, 1, 2, 3]
    assert (outcome.computed, outcome.cached) == (8, 0)
    assert [method.name for method in outcome.results.methods] == ["a", "b"]
    assert list(outcome.results.methods[0].videos) == list(videos.ids)
    assert outcome.results.ranking("psnr") == ["a", "b"]


def test_interrupted_evaluation_continues(
    tmp_path: Path, make_benchmark: Make, make_method: Make, make_videos: Make
) -> None:
    with pytest.raises(FramewrightError, match="power"):
        run(make_benchmark([make_method("m", 0.03, fail_on="group/clip 2")]), _options(tmp_path))
    again, videos = make_method("m", 0.03), make_videos()
    outcome = run(make_benchmark([again], videos), _options(tmp_path))
    assert again.processed == ["group/clip 2", "group/clip 3"]
    assert videos.loaded == [2, 3]
    assert (outcome.computed, outcome.cached) == (2, 2)
    whole = run(make_benchmark([make_method("m", 0.03)]), _options(tmp_path, cache=None))
    assert _numbers(outcome) == _numbers(whole)


def test_nothing_is_computed_twice_with_pictures(tmp_path: Path, make_benchmark: Make, make_method: Make) -> None:
    options = _options(tmp_path, pictures=tmp_path / "out", clips=2)
    first = run(make_benchmark([make_method("m", 0.03)]), options)
    again = make_method("m", 0.03)
    second = run(make_benchmark([again]), options)
    assert again.processed == []
    assert _numbers(first) == _numbers(second)
    assert first.gallery == second.gallery


def test_cache_is_keyed_by_everything_that_matters(
    tmp_path: Path, make_benchmark: Make, make_method: Make, make_videos: Make, protocol: Protocol
) -> None:
    options = _options(tmp_path)
    run(make_benchmark([make_method("m", 0.03)]), options)

    def computed(method: Any, **changes: Any) -> int:
        return run(make_benchmark([method], **changes), options).computed

    assert computed(make_method("renamed", 0.03)) == 0
    assert computed(make_method("m", 0.04)) == 4
    weights = make_method("m", 0.03)
    weights.weights_sha256 = "ab" * 32
    assert computed(weights) == 4
    assert computed(make_method("m", 0.03), dataset=make_videos((5, 7, 3, 3))) == 4
    assert computed(make_method("m", 0.03), protocol=protocol.model_copy(update={"version": 4})) == 4
    assert computed(make_method("m", 0.03, cacheable=False)) == 4


def test_damaged_cache_entries_are_computed_again(tmp_path: Path, make_benchmark: Make, make_method: Make) -> None:
    options = _options(tmp_path)
    run(make_benchmark([make_method("m", 0.03)]), options)
    rows = sorted((tmp_path / "cache").rglob("00000*.json"))
    rows[0].write_text("{")
    value = json.loads(rows[1].read_text())
    next(iter(value["columns"].values()))["values"].pop()
    rows[1].write_text(json.dumps(value))
    assert run(make_benchmark([make_method("m", 0.03)]), options).computed == 2


def test_identical_frames_follow_the_metrics_rule(make_benchmark: Make, make_method: Make, make_videos: Make) -> None:
    class Perfect(type(make_method("p", 0.0))):  # type: ignore[misc]
        def process(self, chunks: Any, context: Context) -> Any:
            targets = next(v for v in make_videos() if v.id == context.video_id).frames[1::2]
            yield Chunk(0, targets)

    results = run(make_benchmark([Perfect("perfect", 0.0)])).results
    assert results.method("perfect").metrics["psnr"].mean == 100.0
    assert results.method("perfect").metrics["ssim"].mean == pytest.approx(1.0)


def test_excluded_frames_leave_a_reason(
    make_benchmark: Make, make_method: Make, make_videos: Make, protocol: Protocol
) -> None:
    class Perfect(type(make_method("p", 0.0))):  # type: ignore[misc]
        def process(self, chunks: Any, context: Context) -> Any:
            yield Chunk(0, next(v for v in make_videos() if v.id == context.video_id).frames[1::2])

    values = protocol.model_dump()
    values["metrics"][0]["options"] = {"infinite": "exclude"}
    results = run(make_benchmark([Perfect("p", 0.0)], protocol=Protocol.from_mapping(values))).results
    metric = results.method("p").metrics["psnr"]
    assert metric.mean is None
    assert metric.n == 0
    assert "every prediction equals its target" in str(metric.reason)
    assert results.method("p").videos["group/clip 0"]["psnr"] is None


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.rand(1, 3, 32, 48), "returned 1 frames for the video 'group/clip 0', expected 2"),
        (torch.rand(5, 3, 32, 48), "more than the expected 2 frames"),
        (torch.rand(2, 3, 32, 40), "are 40x32, expected 48x32"),
        (torch.full((2, 3, 32, 48), torch.nan), "not a number at frame 0 of the video 'group/clip 0'"),
    ],
)
def test_wrong_output_is_named(make_benchmark: Make, make_method: Make, frames: torch.Tensor, message: str) -> None:
    class Wrong(type(make_method("w", 0.0))):  # type: ignore[misc]
        def process(self, chunks: Any, context: Context) -> Any:
            yield Chunk(0, frames)

    with pytest.raises(FramewrightError, match=message):
        run(make_benchmark([Wrong("w", 0.0)]))


def test_absent_metric_weights_leave_a_dash_or_are_an_error(
    make_benchmark: Make, make_method: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(key: str, **options: Any) -> Any:
        if key == "ssim_rife":
            raise WeightsError("the weights x.pth are absent; put them at /there")
        return create_metric(key, **options)

    monkeypatch.setattr("framewright.benchmark.scoring.create_metric", create)
    results = run(make_benchmark([make_method("m", 0.03)])).results
    metric = results.method("m").metrics["ssim"]
    assert metric.mean is None
    assert metric.reason == "the weights x.pth are absent; put them at /there"
    assert results.method("m").metrics["psnr"].mean is not None
    with pytest.raises(WeightsError, match=r"x\.pth"):
        run(make_benchmark([make_method("m", 0.03)]), RunOptions(strict=True))


def test_column_whose_weights_arrived_later_is_computed(
    tmp_path: Path, make_benchmark: Make, make_method: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(key: str, **options: Any) -> Any:
        if key == "ssim_rife":
            raise WeightsError("absent")
        return create_metric(key, **options)

    with monkeypatch.context() as patch:
        patch.setattr("framewright.benchmark.scoring.create_metric", create)
        run(make_benchmark([make_method("m", 0.03)]), _options(tmp_path))
    outcome = run(make_benchmark([make_method("m", 0.03)]), _options(tmp_path))
    assert outcome.computed == 4
    assert outcome.results.method("m").metrics["ssim"].mean is not None


def test_published_numbers_of_this_benchmark(make_benchmark: Make, make_method: Make) -> None:
    method = make_method("m", 0.03)
    method.published = (
        PublishedResult("elsewhere", "psnr", 1.0, "paper"),
        PublishedResult("drift_v1", "psnr", 35.5, "paper, table 2"),
        PublishedResult("drift_v1", "ssim_rife", 0.97, "paper, table 2"),
    )
    benchmark = make_benchmark([method])
    prefixed = dataclasses.replace(benchmark, name="interpolation_drift_v1")
    metrics = run(prefixed).results.method("m").metrics
    assert metrics == run(benchmark).results.method("m").metrics
    assert metrics["psnr"].published is not None
    assert metrics["psnr"].published.value == 35.5
    assert metrics["ssim"].published is not None
    assert metrics["ssim"].published.value == 0.97


def test_pictures(tmp_path: Path, make_benchmark: Make, make_method: Make) -> None:
    outcome = run(
        make_benchmark([make_method("a/b", 0.02), make_method("target", 0.1)]),
        _options(tmp_path, pictures=tmp_path / "out", clips=2, clip_frames=2),
    )
    assert len(outcome.gallery.clips) == 2
    clip = outcome.gallery.clips[0]
    assert clip.labels == ("inputs", "a/b", "target (method)", "target")
    with open_video(clip.path) as reader:
        assert len(reader) == 5, "three inputs and the two frames between them"
        assert reader.size[1] == 4 * 48
    roles = [still.title for still in outcome.gallery.stills]
    assert roles[0] == "Worst case of a/b (PSNR, SSIM)"
    assert len(roles) >= 2
    still = outcome.gallery.stills[0]
    worst = min(v["psnr"] for v in outcome.results.method("a/b").videos.values())
    assert [panel.label for panel in still.panels] == ["inputs", "a/b", "target", "target"]
    assert float(still.panels[1].caption.split()[1]) <= worst
    for panel in still.panels:
        assert read_image(panel.image).shape == (32, 48, 3)
        assert panel.image.resolve().is_relative_to((tmp_path / "out").resolve())
    small, large = (read_image(still.panels[index].error).mean() for index in (1, 2))
    assert small < large, "an error of 0.02 is darker than one of 0.1"


def test_error_names(make_benchmark: Make, make_method: Make, make_videos: Make) -> None:
    with pytest.raises(ConfigError, match="at least one method"):
        run(make_benchmark([]))
    with pytest.raises(ConfigError, match="two methods are called 'm'"):
        run(make_benchmark([make_method("m", 0.1), make_method("m", 0.2)]))
    with pytest.raises(DataError, match="has no videos"):
        run(make_benchmark([make_method("m", 0.1)], make_videos(())))
    with pytest.raises(DataError, match="two videos of the data set have the id 'x'"):
        run(make_benchmark([make_method("m", 0.1)], make_videos((3, 3), ("x", "x"))))
    with pytest.raises(DataError, match=r"'group/clip 0' cannot be used: .* needs 3 frames, got 2"):
        run(make_benchmark([make_method("m", 0.1)], make_videos((2,))))


def test_memory_does_not_grow_with_the_number_of_videos(
    make_benchmark: Make, make_method: Make, make_videos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one problem (video) is alive when the next one is made."""
    import gc
    import weakref

    alive: list[weakref.ref[Any]] = []
    most = 0
    original = runner.make_problem

    def make(*arguments: Any, **keywords: Any) -> Any:
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        problem = original(*arguments, **keywords)
        alive.append(weakref.ref(problem))
        return problem

    monkeypatch.setattr(runner, "make_problem", make)
    run(make_benchmark([make_method("m", 0.1)], make_videos((3,) * 5)))
    assert len(alive) == 5
    assert most <= 1


def test_the_next_video_is_read_while_the_last_result_is_measured(
    make_benchmark: Make, make_method: Make, make_videos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = make_videos()
    seen: list[tuple[str, list[int]]] = []
    original = runner.score

    def score(method: Any, problem: Any, columns: Any, keep: Any, truth: Any, made: Any, ran: Any) -> Any:
        assert ran is None
        seen.append((method.name, list(videos.loaded)))
        row = original(method, problem, columns, keep, truth, made, ran)
        seen.append(("begun" if made else "alone", []))
        return row

    monkeypatch.setattr(runner, "score", score)
    run(make_benchmark([make_method("a", 0.01), make_method("b", 0.02)], videos))
    assert videos.loaded == [0, 1, 2, 3]
    # methods are timed with nothing beside them; the costs are measured on the first video
    assert seen[2] == ("b", [0])
    assert [name for name, _ in seen[1::2]] == ["alone", "alone", *["alone", "begun"] * 2, "alone", "alone"]


def test_a_folder_of_results_is_read_before_its_turn(
    tmp_path: Path, make_benchmark: Make, make_videos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = make_videos()
    for video in videos:
        for place, frame in enumerate(to_uint8(video.frames[1::2])):
            write_image(tmp_path / "made" / video.id / f"{place:03d}.png", frame)
    videos.loaded.clear()
    read: list[bool] = []
    original = runner.score

    def score(method: Any, problem: Any, columns: Any, keep: Any, truth: Any, made: Any, ran: Any) -> Any:
        read.append(ran is not None and torch.equal(ran.frames, problem.scored(next(method.process(*asked(problem))))))
        return original(method, problem, columns, keep, truth, made, ran)

    def asked(problem: Any) -> tuple[Any, Context]:
        return problem.outline(), problem.context

    monkeypatch.setattr(runner, "score", score)
    outcome = run(make_benchmark([FolderMethod("made", tmp_path / "made")], videos))
    assert read == [True] * 4
    assert videos.loaded == [0, 1, 2, 3]
    # the other way of reading them
    monkeypatch.setattr(runner, "run_method", lambda method, problem: None)
    assert _numbers(run(make_benchmark([FolderMethod("made", tmp_path / "made")], videos))) == _numbers(outcome)


def test_unreadable_video_is_told_of_after_the_rows_before_it(
    tmp_path: Path, make_benchmark: Make, make_method: Make, make_videos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = make_videos()
    load = type(videos).__getitem__

    def broken(self: Any, index: int) -> Any:
        if index == 2:
            raise DataError("clip 2 is damaged")
        return load(self, index)

    monkeypatch.setattr(type(videos), "__getitem__", broken)
    with pytest.raises(DataError, match="clip 2 is damaged"):
        run(make_benchmark([make_method("m", 0.03)], videos), _options(tmp_path))
    monkeypatch.undo()
    outcome = run(make_benchmark([make_method("m", 0.03)]), _options(tmp_path))
    assert (outcome.computed, outcome.cached) == (2, 2)
