"""Precision of super-resolution over a stream."""

from __future__ import annotations

import logging

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.inference import Context, NetworkMethod, chunked, engine_options, super_resolution
from framewright.models.registry import create_model


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast_changes_the_result_a_little(dtype: str) -> None:
    net = create_model("srvgg", num_feat=8, num_conv=1, upscale=2)
    frames = torch.rand(2, 3, 8, 8)
    context = Context("super_resolution", scale=2)

    def run(**options: str) -> torch.Tensor:
        method = NetworkMethod("mine", net, options=engine_options("super_resolution", options, "options"))
        return torch.cat([chunk.frames for chunk in method.process(chunked(frames), context)])

    exact, rounded = run(), run(autocast=dtype)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.05


def test_a_processor_without_instructions_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(super_resolution, "is_fast", lambda dtype, device: False)
    net = create_model("nearest", scale=2)
    context = Context("super_resolution", precision="bf16-mixed")
    with caplog.at_level(logging.WARNING):
        list(NetworkMethod("mine", net).process(chunked(torch.rand(1, 3, 4, 4)), context))
    assert "no instructions for torch.bfloat16" in caplog.text


def test_another_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="autocast"):
        engine_options("super_resolution", {"autocast": "float8"}, "options")
