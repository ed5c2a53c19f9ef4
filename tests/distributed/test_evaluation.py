"""One, two and too many processes make the same table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from framewright.benchmark import Benchmark, Protocol, RunOptions
from framewright.benchmark import run as run_benchmark
from framewright.core.processes import Group

from ..benchmark.conftest import Noisy, Videos
from .conftest import ROOT

ARGUMENTS = [
    "benchmark=interpolation_scenes",
    "methods.average=frame_average",
    "resamples=100",
    "pictures.clips=2",
    "pictures.clip_frames=2",
]


def table(folder: Path, processes: int, *extra: str) -> dict[str, Any]:
    """The results without what is not a result."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*launcher, str(ROOT / "evaluate.py"), *ARGUMENTS, f"out={folder}", *extra],
        cwd=folder.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results: ") == done.stdout.count("methods.average: ") == 1, "only the first one speaks"
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    for key in ("command", "environment"):
        del results[key]
    for method in results["methods"]:
        # time and memory are measured
        del method["cost"]["seconds_per_frame"], method["cost"]["peak_memory_mb"]
    return results


def test_two_processes_make_the_table_of_one(tmp_path: Path) -> None:
    one = table(tmp_path / "one", 1, "data.videos=3")
    two = table(tmp_path / "two", 2, "data.videos=3")
    assert one == two
    assert len(one["methods"][0]["videos"]) == 3
    for folder in ("clips", "stills"):
        assert len(list((tmp_path / "one" / folder).iterdir())) == len(list((tmp_path / "two" / folder).iterdir())) > 0
    rows = list((tmp_path / "two" / "cache").rglob("0*.json"))
    assert len(rows) == 3, "each video was computed once"


@pytest.mark.slow
def test_a_process_without_a_video(tmp_path: Path) -> None:
    assert table(tmp_path / "out", 2, "data.videos=1")["methods"][0]["metrics"]["psnr"]["n"] == 1


class Share(Group):
    """One of several processes, whose partners' values are given."""

    def __init__(self, rank: int, size: int, others: list[Any]) -> None:
        object.__setattr__(self, "rank", rank)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "others", others)

    def gather(self, value: Any) -> list[Any]:
        self.others.append(value)  # type: ignore[attr-defined]
        return list(self.others)  # type: ignore[attr-defined]


def test_whole_videos_in_turn() -> None:
    protocol = Protocol.from_mapping(
        {"name": "plain", "version": 1, "task": "interpolation", "metrics": [{"key": "psnr", "label": "PSNR"}]}
    )

    def run(method: Noisy, group: Group) -> Any:
        return run_benchmark(
            Benchmark("drift", Videos(), protocol, [method]), RunOptions(group=group, resamples=100, command="x")
        )

    shares: list[Any] = []
    for rank in range(3):
        method = Noisy("m", 0.03)
        outcome = run(method, Share(rank, 3, shares))
        assert method.processed == [f"group/clip {index}" for index in range(rank, 4, 3)]
    whole = run(Noisy("m", 0.03), Group())
    assert outcome.computed == whole.computed == 4
    ours, theirs = (value.results.to_json()["methods"][0] for value in (outcome, whole))
    assert list(ours["videos"].items()) == list(theirs["videos"].items())
    assert ours["metrics"] == theirs["metrics"]
