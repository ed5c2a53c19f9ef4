"""Runs small enough for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framewright.cli.entry import compose
from framewright.cli.train import train

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

TINY = [
    "debug=tiny",
    "final=null",
    "trainer.progress=false",
    "trainer.threads=1",
    "data.workers=0",
]


@pytest.fixture
def run_training(tmp_path: Path) -> Callable[..., Path]:
    """Call with overrides; trains in this process and returns the run folder."""

    def call(*overrides: str, name: str = "run") -> Path:
        typed = [*TINY, *overrides]
        if not any(override.startswith("resume=") for override in overrides):
            # merged with what the experiment validates; a continued run has that already
            typed += [f"run.dir={tmp_path / name}", "validation.metrics={psnr: {}}"]
        values: dict[str, Any] = compose(CONFIGS, "train", typed)
        return train(values, typed, CONFIGS)

    return call
