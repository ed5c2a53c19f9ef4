"""Benchmarks of optical flow: what is compared, what is weighed, what is shown, and the known values of Middlebury."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.benchmark import Benchmark, Protocol, RunOptions, load_protocol, run
from framewright.benchmark.problems import make_problem
from framewright.benchmark.report import write_reports
from framewright.cli.entry import compose
from framewright.cli.evaluate import evaluate
from framewright.core.errors import DataError, FramewrightError
from framewright.datamodules.base import EvaluationDataset, EvaluationVideo
from framewright.inference import Chunk, Context
from framewright.inference.specs import method_from_spec
from framewright.models.card import PublishedResult
from framewright.models.catalog import get_card, list_models
from framewright.ops.flow_colour import flow_to_colour
from framewright.video import read_image
from torch import Tensor

CONFIGS = Path(__file__).parents[2] / "configs"


class Pairs(EvaluationDataset):
    """Two frames each, of different sizes; the truth of the second is known in its left half only."""

    name = "pairs"
    sizes = ((16, 24), (32, 40))

    def __init__(self, **replaced: Tensor) -> None:
        self.replaced = replaced

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> EvaluationVideo:
        height, width = self.sizes[index]
        generator = torch.Generator().manual_seed(index)
        frames = torch.rand(2, 3, height, width, generator=generator).mul(255).round() / 255
        flow = torch.zeros(1, 2, height, width)
        flow[:, 0] = 2.0 * (index + 1)
        valid = torch.ones(1, 1, height, width)
        if index:
            valid[..., width // 2 :] = 0
            flow = flow * valid
        return EvaluationVideo(f"pair_{index}", frames, {"flow": flow, "valid": valid, **self.replaced})

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}


class Off:
    """The flow (2, 0) plus a constant error to the right."""

    weights_sha256: str | None = None
    parameters: int | None = None
    published: tuple[PublishedResult, ...] = ()

    def __init__(self, error: float, extras: bool = True) -> None:
        self.name, self.source = f"off {error}", "test"
        self.error, self.extras = error, extras
        self.runs = 0

    def fingerprint(self) -> dict[str, Any]:
        return {"error": self.error}

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        self.runs += 1
        frames = torch.cat([chunk.frames for chunk in chunks])[:-1]
        flow = torch.zeros(len(frames), 2, *frames.shape[2:])
        flow[:, 0] = 2 + self.error
        yield Chunk(0, frames, {"flow": flow} if self.extras else {})


def protocol(mean_over: str = "frames") -> Protocol:
    metrics = [{"key": "epe"}, {"key": "per_image", "metric": "epe", "options": {"pool": "images"}}, {"key": "fl_all"}]
    values = {"name": "t", "version": 1, "task": "flow", "mean_over": mean_over, "metrics": metrics}
    return Protocol.from_mapping(values)


def quick(**values: Any) -> RunOptions:
    return RunOptions(progress=False, resamples=50, **values)


# pixels with truth: 16 x 24 with an error of 1, then 32 x 20 with an error of 1 (2 + 1 against 4)
def test_pixels_or_images_weigh_the_same() -> None:
    found = run(Benchmark("b", Pairs(), protocol(), [Off(0.0)]), quick()).results.methods[0]
    assert found.metrics["epe"].mean == pytest.approx((16 * 24 * 0 + 32 * 20 * 2) / (16 * 24 + 32 * 20))
    assert found.metrics["per_image"].mean == 1
    assert found.metrics["fl_all"].mean == 0
    assert found.metrics["epe"].n_frames == found.metrics["per_image"].n_frames == 2, "flows, not pixels"
    assert found.frames["pair_1"] == {"epe": 640, "per_image": 1, "fl_all": 640}
    by_video = run(Benchmark("b", Pairs(), protocol("videos"), [Off(0.0)]), quick()).results.methods[0]
    assert by_video.metrics["epe"].mean == 1


def test_outliers_of_all_images_are_added_up() -> None:
    found = run(Benchmark("b", Pairs(), protocol(), [Off(3.5)]), quick()).results.methods[0]
    # 3.5 px off in the first pair, 1.5 px in the second
    assert found.metrics["fl_all"].mean == pytest.approx(100 * 384 / 1024)


def test_weights_are_known_from_the_cache(tmp_path: Path) -> None:
    methods = [Off(0.0), Off(1.0)]
    first = run(Benchmark("b", Pairs(), protocol(), methods), quick(cache=tmp_path))
    second = run(Benchmark("b", Pairs(), protocol(), methods), quick(cache=tmp_path))
    assert (second.computed, second.cached) == (0, 4)
    assert [m.metrics for m in second.results.methods] == [m.metrics for m in first.results.methods]


def test_results_are_shown_in_colour_with_error_and_warped_frame(tmp_path: Path) -> None:
    outcome = run(Benchmark("b", Pairs(), protocol(), [Off(1.0)]), quick(pictures=tmp_path))
    still = outcome.gallery.stills[0]
    panel = still.panels[1]
    assert panel.error is not None
    assert panel.warped is not None
    assert panel.caption == "EPE 1.000 px, PER IMAGE 1.000 px, FL ALL 0.00 %"
    assert "end-point error, black 0, yellow 1 px" in still.legend
    error = read_image(panel.error).astype(int)
    width = error.shape[1]
    half = width // 2 if still.video == "pair_1" else width
    assert error[:, : half - 8].min(axis=(0, 1))[0] > 200, "an error of a pixel is yellow"
    if half < width:
        assert error[:, half + 8 :].max() < 40, "nothing is known there"
    text = write_reports(outcome.results, tmp_path, outcome.gallery).html.read_text()
    assert "second frame warped by off 1.0" in text
    assert len(outcome.gallery.clips) == 2


def test_target_and_result_share_one_scale_and_unknown_flow_is_black() -> None:
    problem = make_problem(Pairs()[1], protocol(), torch.device("cpu"))
    assert problem.longest == 4
    assert float(problem.targets[..., 20:].max()) == 0
    made = Chunk(0, problem.sources[:1], {"flow": torch.full((1, 2, 32, 40), 2.0)})
    assert torch.equal(problem.scored(made), flow_to_colour(made.extras["flow"], 4.0))


def test_still_frames_have_a_scale_too() -> None:
    video = EvaluationVideo("still", torch.rand(2, 3, 8, 8), {"flow": torch.zeros(1, 2, 8, 8)})
    assert bool((make_problem(video, protocol(), torch.device("cpu")).targets == 1).all())


def test_procedural_scenes_give_flow_and_occlusion() -> None:
    truth = {"flow_forward_1": torch.ones(2, 2, 8, 8), "flow_forward_2": torch.ones(1, 2, 8, 8)}
    truth |= {"occlusion_forward_1": torch.zeros(2, 1, 8, 8)}
    problem = make_problem(EvaluationVideo("s", torch.rand(3, 3, 8, 8), truth), protocol(), torch.device("cpu"))
    assert {name: tuple(value.shape) for name, value in problem.given.items()} == {
        "flow": (2, 2, 8, 8),
        "occlusion": (2, 1, 8, 8),
        "valid": (2, 1, 8, 8),
    }


def test_bad_truth_and_bad_results_are_refused() -> None:
    def outcome(dataset: EvaluationDataset, method: Off) -> None:
        run(Benchmark("b", dataset, protocol(), [method]), quick())

    with pytest.raises(DataError, match=r"the flow of the video 'pair_0' is \(1, 2, 4, 4\)"):
        outcome(Pairs(flow=torch.zeros(1, 2, 4, 4)), Off(0.0))
    with pytest.raises(DataError, match="true flow of the video 'pair_0' is not a number"):
        outcome(Pairs(flow=torch.full((1, 2, 16, 24), float("nan"))), Off(0.0))
    with pytest.raises(DataError, match="returned no flow for the video 'pair_0'"):
        outcome(Pairs(), Off(0.0, extras=False))
    with pytest.raises(FramewrightError, match="not a number at frame 0 of the video 'pair_0'"):
        outcome(Pairs(), Off(float("nan")))
    with pytest.raises(DataError, match="optical flow needs two"):
        make_problem(EvaluationVideo("v", torch.rand(1, 3, 8, 8)), protocol(), torch.device("cpu"))
    with pytest.raises(DataError, match="has no true flow"):
        make_problem(EvaluationVideo("v", torch.rand(2, 3, 8, 8)), protocol(), torch.device("cpu"))


def test_matched_pixels_need_a_map_of_occlusion() -> None:
    regions = load_protocol(CONFIGS / "protocol" / "flow_regions.yaml")
    with pytest.raises(DataError, match="epe_matched needs a map of occluded pixels of the video 'pair_0'"):
        run(Benchmark("b", Pairs(), regions, [Off(0.0)]), quick())


@pytest.mark.parametrize("name", list_models("flow"))
def test_every_published_number_has_its_benchmark(name: str) -> None:
    card = get_card(name)
    for result in card.published:
        values = compose(CONFIGS, "evaluate", [f"benchmark=flow_{result.benchmark}"])
        assert result.metric in {metric.key for metric in Protocol.from_mapping(values["protocol"]).metrics}


def test_published_numbers_belong_to_weights_and_options(assets: Path) -> None:
    def published(**spec: Any) -> set[str]:
        weights = str(assets / "weights" / "raft-small.pth")
        method = method_from_spec("m", {"network": "raft_small", "weights": weights, **spec}, "flow").method
        return {result.benchmark for result in method.published}

    assert published() == set(), "published with 32 and 24 iterations"
    assert published(options={"num_flow_updates": 32}) == {"sintel_clean", "sintel_final"}
    assert published(options={"num_flow_updates": 24, "padding": "kitti"}) == {"kitti2015"}


KNOWN = {
    "raft_small": {"RubberWhale": 0.320, "Dimetrodon": 0.253, "Hydrangea": 0.314, "Grove2": 0.355, "Urban2": 0.530},
    "spynet": {"RubberWhale": 0.145, "Dimetrodon": 0.129, "Grove2": 0.184, "Urban2": 0.373},
    "zero_flow": {"RubberWhale": 1.256, "Dimetrodon": 2.058, "Hydrangea": 3.731, "Grove2": 3.090, "Urban2": 8.393},
}


@pytest.mark.slow
def test_middlebury_gives_the_known_errors(assets: Path, tmp_path: Path) -> None:
    """End-point errors of the official weights, measured independently of this package."""
    weights = {name: assets / "weights" / file for name, file in _WEIGHTS.items()}
    words = [
        "benchmark=flow_middlebury",
        f"data.root={assets / 'flow' / 'middlebury'}",
        f"out={tmp_path}",
        "device=cpu",
    ]
    words += [f"methods.{name}={{network: {name}, weights: '{path}'}}" for name, path in weights.items()]
    words += [f"methods.{name}={name}" for name in ("farneback", "dis", "zero_flow")]
    evaluate(compose(CONFIGS, "evaluate", [*words, "pictures.clips=0"]))
    methods = {method["name"]: method for method in json.loads((tmp_path / "results.json").read_text())["methods"]}
    for name, known in KNOWN.items():
        found = {video: values["epe"] for video, values in methods[name]["videos"].items()}
        assert {video: found[video] for video in known} == pytest.approx(known, abs=0.005), name
        assert methods[name]["metrics"]["epe"]["mean"] == pytest.approx(np.mean(list(found.values())))
    best = min(methods, key=lambda name: methods[name]["metrics"]["epe"]["mean"])
    assert best == "spynet"


_WEIGHTS = {"raft_small": "raft-small.pth", "spynet": "spynet_C.pth"}
