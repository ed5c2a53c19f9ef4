"""Real methods and real metrics on procedural videos."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.benchmark import Benchmark, RunOptions, load_protocol, method_from_spec, run
from framewright.datamodules.base import EvaluationDataset
from framewright.datamodules.scenes import ScenesEvaluation
from framewright.inference import Context, FolderMethod, chunked, split_frames
from framewright.video import write_image
from framewright.video.montage import to_uint8

PROTOCOL = Path(__file__).parents[2] / "configs" / "protocol" / "interpolation.yaml"
TASK = "interpolation"


@pytest.fixture(scope="module")
def scenes() -> EvaluationDataset:
    return ScenesEvaluation("scenes_eval_v1", task=TASK, videos=2)


def test_motion_compensation_beats_the_average(scenes: EvaluationDataset) -> None:
    methods = [method_from_spec(name, name, TASK).method for name in ("frame_average", "dis_warp")]
    results = run(Benchmark("scenes", scenes, load_protocol(PROTOCOL), methods)).results
    average, warped = (results.method(name).metrics for name in ("frame_average", "dis_warp"))
    assert average["psnr"].mean is not None
    assert warped["psnr"].mean is not None
    assert warped["psnr"].mean > average["psnr"].mean + 3
    assert results.ranking("ssim") == ["dis_warp", "frame_average"]


def test_stored_8_bit_results_score_exactly_like_the_method_itself(tmp_path: Path, scenes: EvaluationDataset) -> None:
    average = method_from_spec("average", "frame_average", TASK).method
    for video in scenes:
        sources = split_frames(video.frames).sources
        chunks = list(average.process(chunked(sources), Context(TASK, video_id=video.id)))
        for index, frame in enumerate(to_uint8(torch.cat([chunk.frames for chunk in chunks]))):
            write_image(tmp_path / "theirs" / video.id / f"{index:03d}.png", frame)
    theirs = FolderMethod("theirs", tmp_path / "theirs")
    options = RunOptions(cache=tmp_path / "cache")
    results = run(Benchmark("scenes", scenes, load_protocol(PROTOCOL), [average, theirs]), options).results
    for key in ("psnr", "ssim"):
        mine, stored = (results.method(name).metrics[key] for name in ("average", "theirs"))
        assert stored.mean == pytest.approx(mine.mean, abs=1e-6)
        assert stored.ci95 == pytest.approx(mine.ci95, abs=1e-6)
