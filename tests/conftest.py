"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real clips, weights and official outputs; required wherever FRAMEWRIGHT_ASSETS is set."""
    folder = os.environ.get("FRAMEWRIGHT_ASSETS")
    if not folder:
        pytest.skip("needs the reference assets: set FRAMEWRIGHT_ASSETS to their folder")
    path = Path(folder)
    assert path.is_dir(), f"FRAMEWRIGHT_ASSETS={folder} is not a folder"
    return path


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's weight caches, downloads official weights, or talks to W&B."""
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "torch"))
    monkeypatch.setenv("FRAMEWRIGHT_OFFLINE", "1")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path_factory.getbasetemp() / "wandb"))
    torch.manual_seed(0)
