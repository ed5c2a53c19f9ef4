"""One method on one video: run it, compare every frame, keep what was asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core.errors import DataError, FramewrightError, WeightsError
from ..inference import Chunk, Method
from ..metrics import FrameMetric, create_frame_metric, metric_entry
from .problems import Problem
from .protocol import MetricChoice, Protocol
from .results import MetricColumn


@dataclass(frozen=True)
class Column:
    """A metric that is ready to measure, or the reason why it is not."""

    record: MetricColumn
    metric: FrameMetric | None
    reason: str = ""

    @property
    def key(self) -> str:
        """Of the column in ``results.json``."""
        return self.record.key


@dataclass
class Row:
    """What is known about one method on one video.

    Attributes:
        video_id: of the video.
        frames: number of output frames.
        seconds: spent in the method itself, without loading, metrics and writing.
        values: per metric key one value per frame; None for a frame that the metric leaves out.
    """

    video_id: str
    frames: int
    seconds: float
    values: dict[str, list[float | None]] = field(default_factory=dict)

    def sum_and_count(self, key: str) -> tuple[float, int]:
        """Sum over the measured frames (exactly rounded) and their number."""
        measured = [value for value in self.values[key] if value is not None]
        return math.fsum(measured), len(measured)


def make_columns(protocol: Protocol, device: torch.device, *, strict: bool = False) -> list[Column]:
    """Create the protocol's metrics.

    Args:
        protocol: names them.
        device: where they compute.
        strict: raise where a metric's weights are absent, instead of leaving its column empty.

    Raises:
        ConfigError: a metric is unknown or refuses its options.
        WeightsError: with ``strict``, weights are absent.
    """
    return [_make_column(choice, device, strict) for choice in protocol.metrics]


def _make_column(choice: MetricChoice, device: torch.device, strict: bool) -> Column:
    shared: dict[str, Any] = {
        "key": choice.key,
        "label": choice.heading,
        "metric": choice.registered_name,
        "options": choice.options,
    }
    known = metric_entry(choice.registered_name).cls
    record = MetricColumn(**shared, unit=known.unit, higher_is_better=known.higher_is_better, decimals=known.decimals)
    try:
        return Column(record, create_frame_metric(choice.registered_name, **choice.options).to(device))
    except WeightsError as error:
        if strict:
            raise
        return Column(record, None, str(error))


def score(
    method: Method,
    problem: Problem,
    columns: list[Column],
    keep: Callable[[int, Tensor], None] | None = None,
) -> Row:
    """Run a method over one video and measure each output frame.

    Args:
        method: to be run.
        problem: sources, targets and context.
        columns: metrics; those that are not available are skipped.
        keep: called with the position and the frames ``(N, 3, H, W)`` of each chunk of the result.

    Raises:
        DataError: the method returned a wrong number or size of frames.
        FramewrightError: a metric is not a number.
    """
    available = [(column.key, column.metric) for column in columns if column.metric is not None]
    values: dict[str, list[float | None]] = {key: [] for key, _ in available}
    device = problem.context.device
    position, seconds = 0, 0.0
    output = method.process(problem.chunks(), problem.context)
    while True:
        started = time.perf_counter()
        chunk = next(output, None)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - started
        if chunk is None:
            break
        target = _matching_target(method, problem, chunk, position)
        if keep is not None:
            keep(position, chunk.frames)
        prediction, target = chunk.frames.to(device), target.to(device)
        for key, metric in available:
            measured = metric.frame_values(prediction, target)
            values[key] += _frame_list(metric, measured, method, key, problem.context.video_id, position)
        position += len(chunk)
    if position != len(problem.targets):
        raise DataError(
            f"method {method.name!r} returned {position} frames for the video {problem.context.video_id!r}, "
            f"expected {len(problem.targets)}"
        )
    return Row(problem.context.video_id, position, seconds, values)


def frame_of(method: Method, problem: Problem, index: int) -> Tensor:
    """Output frame ``index`` of a method, ``(3, H, W)``; the video is run only as far as necessary."""
    position = 0
    for chunk in method.process(problem.chunks(), problem.context):
        if index < position + len(chunk):
            return chunk.frames[index - position]
        position += len(chunk)
    raise DataError(f"method {method.name!r} returned only {position} frames for {problem.context.video_id!r}")


def _matching_target(method: Method, problem: Problem, chunk: Chunk, position: int) -> Tensor:
    video = problem.context.video_id
    if chunk.start != position:
        raise DataError(
            f"method {method.name!r} returned frame {chunk.start} of the video {video!r} where frame {position} was due"
        )
    target = problem.targets[position : position + len(chunk)]
    if len(target) < len(chunk):
        raise DataError(
            f"method {method.name!r} returned more than the expected {len(problem.targets)} frames "
            f"for the video {video!r}"
        )
    if chunk.frames.shape != target.shape:
        found, expected = (f"{t.shape[-1]}x{t.shape[-2]}" for t in (chunk.frames, target))
        raise DataError(
            f"method {method.name!r}: frames of the video {video!r} are {found}, expected {expected} (width x height)"
        )
    return target


def _frame_list(
    metric: FrameMetric, values: Tensor, method: Method, key: str, video: str, position: int
) -> list[float | None]:
    if torch.isnan(values).any():
        first = position + int(torch.isnan(values).nonzero()[0])
        raise FramewrightError(
            f"{key} of method {method.name!r} is not a number at frame {first} of the video {video!r}; "
            "the method's output is probably not finite"
        )
    # one frame at a time, because the metric decides frame by frame what an infinite value counts as
    summaries = [metric.summarise(value[None]) for value in values.cpu()]
    return [float(total) if int(count) else None for total, count in summaries]
