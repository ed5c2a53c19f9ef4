"""The table of stabilization: the layout of the NUS set, methods beside somebody's results, and messages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.benchmark.protocol import load_protocol
from framewright.benchmark.runner import Benchmark, RunOptions, run
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.inference.specs import method_from_spec
from framewright.video import save_video

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture
def nus(tmp_path: Path) -> Path:
    """Two categories with a clip each."""
    import skimage.data

    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    generator = torch.Generator().manual_seed(1)
    for category in ("Regular", "running"):
        (tmp_path / "nus" / category).mkdir(parents=True)
        places = (torch.randn(16, 2, generator=generator) * 2).round().int().tolist()
        clip = torch.stack([photo[:, 100 + y : 196 + y, 150 + x : 278 + x] for x, y in places])
        save_video(clip, tmp_path / "nus" / category / "0.mp4")
    return tmp_path / "nus"


def test_layout_and_messages(nus: Path) -> None:
    one = create_evaluation_set({"name": "nus", "root": str(nus), "category": "Running"}, "stabilization")
    assert [video.id for video in one] == ["running/0"]
    assert one[0].frames.shape == (16, 3, 96, 128)
    assert not one.complete
    short = create_evaluation_set({"name": "shaky_videos", "root": str(nus), "max_frames": 5}, "stabilization")
    assert [len(video.frames) for video in short] == [5, 5]
    with pytest.raises(DataError, match="QuickRotation"):
        create_evaluation_set({"name": "nus", "root": str(nus)}, "stabilization")
    with pytest.raises(ConfigError, match="Regular"):
        create_evaluation_set({"name": "nus", "root": str(nus), "category": "Regula"}, "stabilization")


def test_table(nus: Path, tmp_path: Path) -> None:
    dataset = create_evaluation_set({"name": "shaky_videos", "root": str(nus)}, "stabilization")
    theirs = tmp_path / "theirs"
    for video in dataset:
        (theirs / video.id).parent.mkdir(parents=True, exist_ok=True)
        save_video(video.frames, theirs / f"{video.id}.mp4")
    specs = {
        "input": {"baseline": "unsmoothed", "inference": {"zoom": "none"}},
        "tripod": {"baseline": "tripod"},
        "theirs": {"folder": str(theirs)},
    }
    methods = [method_from_spec(name, spec, "stabilization").method for name, spec in specs.items()]
    protocol = load_protocol(CONFIGS / "protocol/stabilization_fast.yaml")
    results = run(Benchmark("stabilization_folder", dataset, protocol, methods), RunOptions(progress=False)).results
    rows = {method.name: method.metrics for method in results.methods}
    assert rows["tripod"]["steadiness"].mean > rows["input"]["steadiness"].mean + 0.3
    assert rows["tripod"]["itf_gain"].mean > 3
    assert rows["input"]["itf_gain"].mean == pytest.approx(0, abs=0.05)
    assert rows["theirs"]["cropping"].mean == pytest.approx(1, abs=0.01)
    assert rows["theirs"]["planned_acceleration"].mean is None
    assert rows["tripod"]["residual_shake"].mean is None
