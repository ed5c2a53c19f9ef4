"""Scoring folders from the command line: killed and started again, columns by name, mistakes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.video import write_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folders é, =")
    for video in range(5):
        texture = np.random.default_rng(video).integers(0, 255, (60, 120, 3)).astype(np.uint8).repeat(3, 0).repeat(3, 1)
        for index in range(12):
            frame = texture[:, 3 * index : 3 * index + 240]
            write_image(root / "gt" / f"v{video}" / f"{index:03d}.png", frame)
            write_image(root / "made" / f"v{video}" / f"{index:03d}.png", frame // 2)
    return root


def command(folders: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, str(ROOT / "evaluate.py"), "benchmark=folders", "device=cpu", "resamples=100"),
        *(f"gt={folders / 'gt'}", f"methods.made={folders / 'made'}", f"out={out}", "pictures.clips=0"),
        *more,
    ]


def results(out: Path) -> Any:
    value = json.loads((out / "results.json").read_text())
    return [{key: method[key] for key in ("metrics", "videos", "frames")} for method in value["methods"]]


def test_killed_and_started_again(folders: Path, tmp_path: Path) -> None:
    columns = "metrics=[psnr,warp_error_farneback,fsim]"
    program = subprocess.Popen(
        command(folders, tmp_path / "out", columns), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600

    def rows() -> list[Path]:
        return [path for path in (tmp_path / "out" / "cache").rglob("0*.json") if "-" not in path.name]

    while not rows() and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    program.send_signal(signal.SIGKILL)
    program.wait()
    finished = len(rows())
    assert 1 <= finished < 5, "the test is about an evaluation in the middle"
    assert not (tmp_path / "out" / "results.json").exists()
    again = subprocess.run(command(folders, tmp_path / "out", columns), capture_output=True, text=True, check=True)
    assert f"{finished} of 5 rows were known" in again.stdout
    # the flow of the video at hand may have been finished when its row was not
    computed, known = map(
        int, re.findall(r"flow_farneback computed for (\d+) videos, known for (\d+)", again.stdout)[0]
    )
    assert computed + known == 5 - finished
    assert known <= 1
    subprocess.run(command(folders, tmp_path / "whole", columns), capture_output=True, check=True)
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_absent_weights_are_told_below_the_table(folders: Path, tmp_path: Path) -> None:
    columns = "metrics=[psnr,lpips_alex]"
    done = subprocess.run(command(folders, tmp_path, columns), capture_output=True, text=True, check=True)
    assert "- LPIPS ALEX" in done.stdout or "- LPIPS (AlexNet)" in done.stdout
    assert "alexnet-owt-7be5be79.pth" in done.stdout
    (method,) = results(tmp_path)
    assert method["metrics"]["lpips_alex"]["mean"] is None
    assert method["metrics"]["psnr"]["mean"] is not None
    strict = subprocess.run(command(folders, tmp_path, columns, "strict=true"), capture_output=True, text=True)
    assert strict.returncode != 0
    assert "alexnet-owt-7be5be79.pth" in strict.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("metrics=[psnrr]", "unknown metric 'psnrr'; did you mean 'psnr'"),
        ("metric_options.ssim.windw=3", "no option 'windw'"),
        ("metric_options.vfid.mode=eval", "unknown column 'vfid'"),
        ("protocol=devil", "has no masks of holes"),
        ("methods.made=frame_average", "compares stored results: give a folder"),
    ],
)
def test_mistakes_are_one_line(folders: Path, tmp_path: Path, more: str, message: str) -> None:
    done = subprocess.run(command(folders, tmp_path, more), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
