"""Metrics of whole videos and of sets in a benchmark: masks, what is shared, what is kept, what is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright import metrics
from framewright.benchmark import Benchmark, Protocol, RunOptions, run
from framewright.core.errors import DataError
from framewright.datamodules.base import EvaluationDataset, EvaluationVideo
from framewright.metrics import MetricEntry, SetMetric, Shared, VideoMetric, VideoPair
from torch import Tensor

Make = Callable[..., Any]


class HoleError(VideoMetric):
    """Mean absolute error in the hole of each frame."""

    key, needs_mask, higher_is_better = "hole_error", True, False

    def values(self, pair: VideoPair) -> Tensor:
        assert pair.mask is not None
        error = ((pair.prediction - pair.target).abs() * pair.mask).sum((1, 2, 3)).double()
        return error / (3 * pair.mask.sum((1, 2, 3)))


class Flicker(VideoMetric):
    """Something of consecutive frames that needs something dear of the ground truth."""

    key, items, minimum_frames, higher_is_better = "flicker", "pair", 2, False

    def values(self, pair: VideoPair) -> Tensor:
        self.check(pair)
        motion = pair.truth.get("motion", {"gain": 1}, lambda: {"motion": pair.target.diff(dim=0)}, keep=True)
        return (pair.prediction.diff(dim=0) - motion["motion"]).abs().double().mean((1, 2, 3))


class Colours(SetMetric):
    """Distance of mean colours."""

    key, dimension = "colours", 3

    def features(self, frames: Tensor, shared: Shared) -> Tensor:
        return shared.get("colours", {}, lambda: {"features": frames.mean((2, 3))}, keep=True)["features"]

    def distance(self, predicted: Tensor, real: Tensor) -> Tensor:
        return (predicted.double().mean(0) - real.double().mean(0)).norm()


class Holes(EvaluationDataset):
    """Noise with a square hole that the last frame does not have."""

    name = "holes"

    def __init__(self, videos: int = 5, masked: bool = True) -> None:
        self.videos, self.masked = videos, masked
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return self.videos

    def __getitem__(self, index: int) -> EvaluationVideo:
        if index >= len(self):
            raise IndexError(index)
        self.loaded.append(index)
        frames = torch.rand(4 + index, 3, 24, 32, generator=torch.Generator().manual_seed(index))
        mask = torch.zeros(len(frames), 1, 24, 32)
        mask[:-1, :, 4:12, 8:20] = 1
        truth = {"mask": mask} if self.masked else {}
        return EvaluationVideo(f"v{index}", frames.mul(255).round() / 255, truth)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "videos": self.videos, "masked": self.masked}


class Fill:
    """Fills holes with a constant, and damages what is known."""

    def __init__(self, name: str, value: float, *, fail_on: str = "") -> None:
        self.name, self.source, self.value, self.fail_on = name, f"fill {value}", value, fail_on
        self.weights_sha256, self.parameters, self.published = None, None, ()
        self.processed: list[str] = []

    def fingerprint(self) -> dict[str, Any]:
        return {"fill": self.value}

    def process(self, chunks: Any, context: Any) -> Any:
        if context.video_id == self.fail_on:
            raise DataError("the power went out")
        self.processed.append(context.video_id)
        for chunk in chunks:
            mask = chunk.extras["mask"]
            assert not (chunk.frames * mask).any(), "a method must not see what it is to guess"
            yield type(chunk)(chunk.start, torch.where(mask > 0, self.value, (chunk.frames + 0.1).clamp(0, 1)))


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    for metric in (HoleError, Flicker, Colours):
        monkeypatch.setitem(metrics._METRICS, metric.key, MetricEntry(metric, {}))


def protocol(*keys: str, **changes: Any) -> Protocol:
    values = {"name": "holes", "version": 1, "task": "inpainting", "composite": True, **changes}
    return Protocol.from_mapping({**values, "metrics": [{"key": key} for key in keys]})


ALL = ("psnr", "hole_error", "flicker", "colours")


def bench(methods: list[Any], keys: tuple[str, ...] = ALL, data: Holes | None = None, **changes: Any) -> Benchmark:
    return Benchmark("holes", data or Holes(), protocol(*keys, **changes), methods)


def test_values_are_those_of_the_metrics_on_composited_frames() -> None:
    results = run(bench([Fill("m", 0.5)]), RunOptions(resamples=100)).results.method("m")
    errors, frames = [], []
    for video in Holes():
        mask = video.truth["mask"]
        error = torch.where(mask > 0, (0.5 - video.frames).abs(), torch.zeros(()))
        errors += [float(e.sum() / (3 * m.sum())) for e, m in zip(error, mask, strict=True) if m.any()]
        frames.append(torch.where(mask > 0, 0.5, video.frames))
    assert results.metrics["hole_error"].mean == pytest.approx(sum(errors) / len(errors), abs=1e-6)
    assert results.metrics["hole_error"].n_frames == sum(range(4, 9)) - 5, "frames without a hole do not count"
    assert results.metrics["flicker"].n_frames == sum(range(4, 9)) - 5
    made = torch.cat(frames).mean((0, 2, 3))
    real = torch.cat([video.frames for video in Holes()]).mean((0, 2, 3))
    assert results.metrics["colours"].mean == pytest.approx(float((made - real).norm()), abs=1e-6)
    assert results.metrics["colours"].ci95 is not None
    assert results.videos["v0"]["colours"] is None


def test_second_method_computes_nothing_of_the_ground_truth(tmp_path: Path) -> None:
    options = RunOptions(cache=tmp_path, resamples=50)
    both = run(bench([Fill("a", 0.4), Fill("b", 0.5)]), options)
    assert both.truth == {"colours": (5, 0), "motion": (5, 0)}
    later = run(bench([Fill("c", 0.6)]), options)
    assert later.truth == {"colours": (0, 5), "motion": (0, 5)}
    fresh = run(bench([Fill("c", 0.6)]), RunOptions(resamples=50))
    assert fresh.results.method("c").metrics == later.results.method("c").metrics


def test_column_that_is_added_later_leaves_the_others_known(tmp_path: Path) -> None:
    options = RunOptions(cache=tmp_path, resamples=50)
    run(bench([Fill("m", 0.5)], ("psnr", "colours")), options)
    less = Fill("m", 0.5)
    assert run(bench([less], ("colours",)), options).computed == 0
    assert less.processed == []
    more = run(bench([Fill("m", 0.5)]), options)
    assert more.computed == 5
    assert more.truth == {"motion": (5, 0)}, "only the missing columns are measured"
    assert run(bench([Fill("m", 0.5)], ("flicker", "psnr")), options).computed == 0


def test_interrupted_evaluation_keeps_finished_videos(tmp_path: Path) -> None:
    options = RunOptions(cache=tmp_path, resamples=50)
    with pytest.raises(DataError, match="power"):
        run(bench([Fill("m", 0.5, fail_on="v3")]), options)
    again, data = Fill("m", 0.5), Holes()
    outcome = run(bench([again], data=data), options)
    assert again.processed == ["v3", "v4"]
    whole = run(bench([Fill("m", 0.5)]), RunOptions(resamples=50))
    assert outcome.results.method("m").metrics == whole.results.method("m").metrics


def test_damaged_features_are_computed_again(tmp_path: Path) -> None:
    options = RunOptions(cache=tmp_path, resamples=50)
    run(bench([Fill("m", 0.5)]), options)
    arrays = sorted(path for path in tmp_path.rglob("000002-*.npz") if "truth" not in path.parts)
    arrays[0].write_bytes(arrays[0].read_bytes()[:50])
    assert run(bench([Fill("m", 0.5)]), options).computed == 1


def test_infinite_values_survive_the_cache(tmp_path: Path) -> None:
    options = RunOptions(cache=tmp_path, resamples=50)
    values = protocol("psnr", composite=False).model_dump()
    values["metrics"][0]["options"] = {"infinite": "largest", "rounded": False}

    class Perfect(Fill):
        def process(self, chunks: Any, context: Any) -> Any:
            for chunk in chunks:
                video = next(v for v in Holes() if v.id == context.video_id)
                part = video.frames[chunk.start : chunk.start + len(chunk)]
                # one perfect video, the others wrong by a constant that differs
                yield type(chunk)(chunk.start, part if context.video_id == "v1" else part * 0.9)

    data = Benchmark("holes", Holes(), Protocol.from_mapping({**values, "mean_over": "videos"}), [Perfect("p", 0.0)])
    first, second = run(data, options), run(data, options)
    assert (first.computed, second.computed) == (5, 0)
    assert first.results.method("p") == second.results.method("p")
    found = first.results.method("p").metrics["psnr"]
    others = [float(v["psnr"] or 0) for name, v in first.results.method("p").videos.items() if name != "v1"]
    assert found.mean == pytest.approx((sum(others) + max(others)) / 5)
    assert first.results.method("p").videos["v1"]["psnr"] is None


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (Holes(masked=False), {}, "video 'v0' has no masks of holes"),
        (Holes(masked=False), {"task": "any"}, "composites with them"),
        (Holes(masked=False), {"task": "any", "composite": False}, "hole_error needs masks"),
    ],
)
def test_missing_masks_are_told(data: Holes, changes: dict[str, Any], message: str) -> None:
    class Same(Fill):
        def process(self, chunks: Any, context: Any) -> Any:
            yield from chunks

    with pytest.raises(DataError, match=message):
        run(bench([Same("m", 0.5)], ("hole_error",), data, **changes))


def test_too_few_frames_are_told() -> None:
    class Short(Holes):
        def __getitem__(self, index: int) -> EvaluationVideo:
            video = super().__getitem__(index)
            return EvaluationVideo(video.id, video.frames[:1], {"mask": video.truth["mask"][:1]})

    with pytest.raises(DataError, match="flicker needs at least 2 frames of the video 'v0', got 1"):
        run(bench([Fill("m", 0.5)], ("flicker",), Short()))


def test_columns_are_chosen_by_key() -> None:
    own = protocol("psnr", "flicker")
    assert own.choose(None) is own
    chosen = own.choose(["colours", "psnr"])
    assert [choice.key for choice in chosen.metrics] == ["colours", "psnr"]
    assert "colours is not part of the protocol" in chosen.description[-1]
    with pytest.raises(Exception, match=r"unknown metric 'flickr'.*did you mean 'flicker'"):
        own.choose(["flickr"])
