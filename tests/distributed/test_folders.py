"""Metrics of whole videos and of sets give the same table for any number of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.video import write_image

from ..recipes import write_recipe
from .conftest import ROOT


def write_videos(folder: Path, videos: int) -> None:
    for video in range(videos):
        rng = np.random.default_rng(video)
        texture = rng.integers(0, 255, (64, 128, 3)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
        for index in range(3 + video):
            frame = texture[:64, 3 * index : 3 * index + 96]
            hole = np.zeros((64, 96), np.uint8)
            hole[10:30, 20:50] = 255
            write_image(folder / "gt" / f"v{video}" / f"{index}.png", frame)
            write_image(folder / "masks" / f"v{video}.png", hole)
            write_image(folder / "made" / f"v{video}" / f"{index}.png", frame // 2)


def evaluate(folder: Path, processes: int, fid: Path) -> dict[str, Any]:
    out = folder / f"out{processes}"
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    arguments = [
        "benchmark=folders",
        "protocol=inpainting_table",
        f"gt={folder / 'gt'}",
        f"masks={folder / 'masks'}",
        f"methods.made={folder / 'made'}",
        "metrics=[psnr,psnr_pooled,psnr_hole,warp_error_mask_dis,tof,fid]",
        "metric_options.tof.crop=none",
        "metric_options.tof.cut=0",
        f"metric_options.fid.weights={fid}",
        "metric_options.fid.dimension=64",
        "resamples=100",
        "pictures.clips=0",
        "device=cpu",
        f"out={out}",
    ]
    done = subprocess.run(
        [*launcher, str(ROOT / "evaluate.py"), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (method,) = json.loads((out / "results.json").read_text())["methods"]
    return {key: method[key] for key in ("metrics", "videos", "frames")}


# one process without any video, and one with more than others
@pytest.mark.parametrize(("videos", "processes"), [(2, 3), pytest.param(4, 3, marks=pytest.mark.slow)])
def test_any_number_of_processes_makes_the_same_table(tmp_path: Path, videos: int, processes: int) -> None:
    write_videos(tmp_path, videos)
    fid = write_recipe(tmp_path, "fid_inception")
    one, many = (evaluate(tmp_path, number, fid) for number in (1, processes))
    assert many["videos"].keys() == one["videos"].keys()
    assert many["frames"] == one["frames"]
    for key, metric in one["metrics"].items():
        assert metric["mean"] is not None, key
        assert many["metrics"][key]["mean"] == pytest.approx(metric["mean"], rel=1e-9), key
        assert (many["metrics"][key]["n"], many["metrics"][key]["n_frames"]) == (metric["n"], metric["n_frames"])
    frames = sum(3 + video for video in range(videos))
    assert one["metrics"]["fid"]["n_frames"] == one["metrics"]["psnr"]["n_frames"] == frames
