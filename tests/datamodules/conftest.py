"""Fixtures of the data sets."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def published() -> ModuleType:
    """The functions that write small data sets in their published layouts."""
    spec = importlib.util.spec_from_file_location("published_layouts", Path(__file__).with_name("published_layouts.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
