"""A small set of videos and methods that count what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from framewright.benchmark import Benchmark, Protocol
from framewright.core.errors import FramewrightError
from framewright.datamodules.base import EvaluationDataset, EvaluationVideo
from framewright.inference import Chunk, Context
from framewright.models.card import PublishedResult
from torch import Tensor
from torch.nn import functional


class Videos(EvaluationDataset):
    """Smooth noise that drifts to the right; counts how often each video is loaded."""

    def __init__(self, lengths: tuple[int, ...] = (5, 7, 3, 5), ids: tuple[str, ...] | None = None) -> None:
        self.name = "drift"
        self.lengths = lengths
        self.ids = ids or tuple(f"group/clip {index}" for index in range(len(lengths)))
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> EvaluationVideo:
        if index >= len(self):
            raise IndexError(index)
        self.loaded.append(index)
        generator = torch.Generator().manual_seed(index)
        texture = torch.rand(1, 3, 8, 24, generator=generator)
        wide = functional.interpolate(texture, size=(32, 96), mode="bicubic").clamp(0, 1)[0]
        frames = [wide[:, :, 2 * time : 2 * time + 48] for time in range(self.lengths[index])]
        return EvaluationVideo(self.ids[index], torch.stack(frames).mul(255).round() / 255)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "videos": dict(zip(self.ids, self.lengths, strict=True))}


class Noisy:
    """The mean of two neighbours plus a constant error; may break down on one video."""

    def __init__(self, name: str, error: float, *, fail_on: str | None = None, cacheable: bool = True) -> None:
        self.name = name
        self.source = f"noisy {error}"
        self.error = error
        self.weights_sha256: str | None = None
        self.parameters: int | None = 1234
        self.published: tuple[PublishedResult, ...] = ()
        self.fail_on = fail_on
        self.cacheable = cacheable
        self.processed: list[str] = []

    def fingerprint(self) -> dict[str, Any] | None:
        return {"kind": "noisy", "error": self.error} if self.cacheable else None

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        self.processed.append(context.video_id)
        previous: Tensor | None = None
        position = 0
        for chunk in chunks:
            for frame in chunk.frames:
                if previous is not None:
                    if context.video_id == self.fail_on:
                        raise FramewrightError("the power went out")
                    yield Chunk(position, ((previous + frame) / 2 + self.error).clamp(0, 1)[None])
                    position += 1
                previous = frame


@pytest.fixture
def protocol() -> Protocol:
    return Protocol.from_mapping(
        {
            "name": "plain",
            "version": 3,
            "task": "interpolation",
            "metrics": [{"key": "psnr", "label": "PSNR"}, {"key": "ssim", "label": "SSIM", "metric": "ssim_rife"}],
            "description": ["Every second frame is predicted & compared."],
        }
    )


@pytest.fixture
def make_videos() -> Callable[..., Videos]:
    return Videos


@pytest.fixture
def make_method() -> Callable[..., Noisy]:
    return Noisy


@pytest.fixture
def make_benchmark(protocol: Protocol) -> Callable[..., Benchmark]:
    def make(methods: list[Noisy], dataset: Videos | None = None, **changes: Any) -> Benchmark:
        return Benchmark(
            "drift_v1", Videos() if dataset is None else dataset, changes.get("protocol", protocol), methods
        )

    return make
