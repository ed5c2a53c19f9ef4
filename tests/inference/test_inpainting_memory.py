"""Bounded inpainting of long videos holds a few frames, whatever the length."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.inference import Chunk, Context, InpaintingOptions, NetworkMethod, inpainting
from framewright.inference.masked import MaskedStream
from framewright.inference.windows import Predictor
from framewright.models.registry import create_model, get_card

SCRIPT = Path(__file__).parents[2] / "perf" / "inpainting_video.py"


def noise(frames: int) -> Iterator[Chunk]:
    mask = torch.zeros(8, 1, 24, 32)
    mask[..., 8:16, 8:16] = 1
    for start in range(0, frames, 8):
        yield Chunk(start, torch.rand(8, 3, 24, 32), {"mask": mask})


@pytest.mark.parametrize("crop", [False, True])
def test_frames_and_features_are_dropped(crop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def remembered(kind: type[Any]) -> Any:
        return lambda *given: made.append(kind(*given)) or made[-1]

    monkeypatch.setattr(inpainting, "MaskedStream", remembered(MaskedStream))
    monkeypatch.setattr(inpainting, "Predictor", remembered(Predictor))
    net = create_model("sttn", **get_card("sttn").tiny)
    method = NetworkMethod("x", net, options=InpaintingOptions(mode="bounded", crop=crop))
    done = 0
    for chunk in method.process(noise(160), Context("inpainting")):
        stream, predictor = made
        done += len(chunk)
        # four references before, a window and its successor, two references ahead, and the rest of a chunk
        assert len(stream.frames) <= 4 + 16 + 20 + 8
        assert len(predictor.features) <= 4 + 11 + 2
    assert done == 160


def test_baselines_drop_frames_too(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[MaskedStream] = []
    monkeypatch.setattr(inpainting, "MaskedStream", lambda *given: streams.append(MaskedStream(*given)) or streams[-1])
    net = create_model("temporal_median", radius=2, reach=5)
    for _ in NetworkMethod("x", net).process(noise(160), Context("inpainting")):
        assert len(streams[0].frames) <= 5 + 16 + 5


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux")
def test_memory_does_not_grow_with_the_length() -> None:
    """100 against 1,000 frames of 160x96, each in a fresh process after a warm-up."""
    peaks = []
    for frames in (100, 1000):
        given = ("--small", "--size", "160x96", "--frames", str(frames), "--here")
        done = subprocess.run([sys.executable, str(SCRIPT), *given], check=True, stdout=subprocess.PIPE, text=True)
        peaks.append(json.loads(done.stdout)["peak"])
    assert peaks[1] - peaks[0] < 20
