"""Runs of several processes, started as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TINY = [
    "debug=tiny",
    "final=null",
    "trainer.progress=false",
    "data.workers=0",
    "validation.metrics={psnr: {}}",
    "validation.videos=3",
]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.threads=1"]
# everything that has a state, and what several devices are used with
RECIPE = [
    *TINY,
    *TWO,
    "trainer.precision=bf16-mixed",
    "optim.gradient_clip=0.1",
    "optim.iterations=60",
    "validation.every=20",
    "checkpoint.every=1",
    "checkpoint.monitor=val/psnr",
]


def start(tmp_path: Path, *arguments: str, program: str = "train.py", **environment: str) -> subprocess.Popen[str]:
    """Start a program in a session of its own; its output is read with ``communicate``."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / program), *arguments],
        cwd=tmp_path,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an uninterrupted run by two processes."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder, *RECIPE, f"run.dir={folder / 'whole'}", WANDB_MODE="disabled")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return folder / "whole"
