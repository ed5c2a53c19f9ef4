"""A pipeline as a method of a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ConfigError
from ..core.files import sha256_json
from ..inference.method import Chunk, Context
from ..models.card import PublishedResult
from .pipeline import Pipeline
from .stage import TIME, Settings

#: tasks whose results are frames
TASKS = ("inpainting", "interpolation", "stabilization", "style", "super_resolution")
#: what a benchmark of a task gives with the frames
GIVEN = {"inpainting": frozenset({"mask"})}


class PipelineMethod:
    """Runs a pipeline over the videos of a benchmark; each is one segment.

    Args:
        name: the row's name in a table.
        pipeline: its stages.
        task: of the benchmark.

    Raises:
        ConfigError: the results of such a benchmark are not frames.
    """

    weights_sha256: str | None = None
    parameters: int | None = None
    published: tuple[PublishedResult, ...] = ()

    def __init__(self, name: str, pipeline: Pipeline, task: str) -> None:
        if task not in TASKS:
            raise ConfigError(f"methods.{name}: a pipeline makes frames, it cannot be compared in {task}")
        self.name, self.pipeline = name, pipeline
        self.source = f"pipeline {pipeline.name}: " + "; ".join(
            f"{stage.name}: {', '.join(str(used) for used in stage.used())}" for stage in pipeline.stages
        )

    def fingerprint(self) -> Mapping[str, Any]:
        """Options of all stages and contents of all files."""
        return {"kind": "pipeline", "pipeline": sha256_json(self.pipeline.fingerprint())}

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        """Yield the result of one video; for interpolation the new frames only.

        Raises:
            ConfigError: the pipeline makes another number of frames than is asked for.
        """
        interpolation = context.task == "interpolation"
        factor = self.pipeline.factor
        wanted = len(context.timesteps) + 1 if interpolation else 1
        even = all(abs(t - (i + 1) / wanted) < 1e-6 for i, t in enumerate(context.timesteps))
        if factor != wanted or (interpolation and not even):
            raise ConfigError(
                f"method {self.name!r} makes {factor} frames of each, {context.task} asks for {wanted}"
                + (" at equal distances" if interpolation else "")
            )
        settings = Settings(context.device, context.precision, video_id=context.video_id)
        self.pipeline.load(settings)
        position = 0
        for chunk in self._results(_timed(chunks), settings):
            numbers = range(chunk.start, chunk.start + len(chunk))
            places = [place for place, number in enumerate(numbers) if not interpolation or number % factor]
            if places:
                extras = {key: value[places] for key, value in chunk.extras.items() if key != TIME}
                yield Chunk(position, chunk.frames[places], extras)
                position += len(places)

    def _results(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        with tempfile.TemporaryDirectory(prefix="framewright-") as folder:
            for place, stage in enumerate(self.pipeline.stages):
                if stage.prepares:
                    held = list(chunks)
                    kept = Path(folder) / str(place)
                    kept.mkdir()
                    stage.prepare(iter(held), kept, settings)
                    stage.prepared(kept)
                    chunks = iter(held)
                chunks = stage.run(chunks, settings)
            yield from chunks


def _timed(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        numbers = torch.arange(chunk.start, chunk.start + len(chunk), dtype=torch.float64)
        yield Chunk(chunk.start, chunk.frames, {**chunk.extras, TIME: numbers})
