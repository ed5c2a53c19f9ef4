"""One method on one video: run it, measure what it made, keep what was asked for."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import DataError, FramewrightError, WeightsError
from ..core.files import sha256_json
from ..inference import Chunk, FolderMethod, Method, NetworkMethod, StyleOptions
from ..metrics import BenchmarkMetric, SetMetric, Shared, ValueMetric, VideoPair, create_metric, metric_entry
from .problems import Problem, View
from .protocol import MetricChoice, Protocol
from .results import MetricColumn

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Column:
    """A metric that is ready to measure, or the reason why it is not."""

    record: MetricColumn
    metric: BenchmarkMetric | None
    reason: str = ""

    @property
    def key(self) -> str:
        """Of the column in ``results.json``."""
        return self.record.key

    @property
    def identity(self) -> str:
        """Short hash of everything that a stored value depends on besides the frames."""
        weights = None if self.metric is None else self.metric.weights_sha256
        return sha256_json({"metric": self.record.metric, "options": self.record.options, "weights": weights})[:12]


@dataclass
class Row:
    """What is known about one method on one video.

    Attributes:
        video_id: of the video.
        frames: number of output frames.
        seconds: spent in the method itself, without loading, metrics and writing.
        values: per metric key one value per item (frame, pair, clip ...); None for one that the metric leaves out.
        features: per key of a metric of sets, the vectors of the result and of the ground truth.
        weights: per key of a metric that weighs its items, how much each of its values counts (pixels, say).
    """

    video_id: str
    frames: int
    seconds: float
    values: dict[str, list[float | None]] = field(default_factory=dict)
    features: dict[str, tuple[Features, Features]] = field(default_factory=dict)
    weights: dict[str, list[int]] = field(default_factory=dict)

    def items(self, key: str) -> int:
        """Number of measured items."""
        return sum(value is not None for value in self.values[key])

    def sum_and_count(self, key: str) -> tuple[float, int]:
        """Sum over the measured items (exactly rounded) and their number; both weighted where items have weights."""
        weights = self.weights.get(key) or [1] * len(self.values[key])
        pairs = zip(self.values[key], weights, strict=True)
        measured = [(value * weight, weight) for value, weight in pairs if value is not None]
        sums, count = [part for part, _ in measured], sum(weight for _, weight in measured)
        if any(math.isinf(part) for part in sums):
            return sum(sums), count
        return math.fsum(sums), count

    def knows(self, column: Column) -> bool:
        """Whether the row holds what a column needs."""
        return column.key in (self.features if isinstance(column.metric, SetMetric) else self.values)


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
    return [_make_column(choice, protocol, device, strict) for choice in protocol.metrics]


def _make_column(choice: MetricChoice, protocol: Protocol, device: torch.device, strict: bool) -> Column:
    known = metric_entry(choice.registered_name).cls
    of_sets = issubclass(known, SetMetric)
    shared: dict[str, Any] = {
        "key": choice.key,
        "label": choice.heading,
        "metric": choice.registered_name,
        "options": choice.options,
        "unit": known.unit,
        "higher_is_better": known.higher_is_better,
        "decimals": known.decimals,
        "items": known.items,
        "mean_over": "set" if of_sets else choice.mean_over or protocol.mean_over,
    }
    record = MetricColumn(**shared)
    try:
        return Column(record, create_metric(choice.registered_name, **choice.options).to(device).eval())
    except WeightsError as error:
        if strict:
            raise
        return Column(record, None, str(error))


class Ran(NamedTuple):
    """What a method made of a video.

    Attributes:
        frames: ``(N, 3, H, W)``, as they are scored.
        results: what it made beside them, by name, the time axis first.
        seconds: spent in it.
    """

    frames: Tensor
    results: dict[str, Tensor]
    seconds: float


def score(
    method: Method,
    problem: Problem,
    columns: Sequence[Column],
    keep: Callable[[int, Tensor], None] | None = None,
    truth: Shared | None = None,
    made: Callable[[], None] | None = None,
    ran: Ran | None = None,
) -> Row:
    """Run a method over one video and measure what it made.

    Args:
        method: to be run.
        problem: sources, targets and context.
        columns: metrics; those that are not available are skipped.
        keep: called with the position and the frames ``(N, 3, H, W)``, as they are scored, of each chunk.
        truth: what is known of the video's ground truth, shared by all methods.
        made: called when the method has finished, before anything is measured.
        ran: what :func:`run_method` returned for it, if it has run already.

    Raises:
        DataError: the method returned a wrong number or size of frames, or a metric cannot be measured on the video.
        FramewrightError: a metric is not a number.
    """
    frames, results, seconds = ran or run_method(method, problem, keep)
    row = Row(problem.context.video_id, len(frames), seconds)
    if made is not None:
        made()
    device = problem.context.device
    try:
        pair = VideoPair(
            frames.to(device),
            problem.targets.to(device),
            None if problem.mask is None else problem.mask.to(device),
            video_id=row.video_id,
            truth=truth if truth is not None else Shared(),
            pairs_before=problem.pairs_before,
            scale=problem.scale,
            given={name: value.to(device) for name, value in _given(method, problem).items()},
            results={name: value.to(device) for name, value in results.items()},
        )
    except ValueError as error:
        raise DataError(f"method {method.name!r}: {error}") from None
    _measure_all(columns, pair, row, method)
    return row


def _given(method: Method, problem: Problem) -> Mapping[str, Tensor]:
    """What metrics compare with; a method with a reference of its own is measured against that."""
    options = method.options if isinstance(method, NetworkMethod) else None
    own = options.read() if isinstance(options, StyleOptions) else None
    return problem.given if own is None else {**problem.given, "reference": own}


def _measure_all(columns: Sequence[Column], pair: VideoPair, row: Row, method: Method) -> None:
    """Measure every column; on a CPU the simple metrics at the same time, each on one core.

    Their many small operations gain nothing from several cores each, and lose time by handing work to and fro.
    """
    device = pair.prediction.device

    def measure(column: Column, metric: BenchmarkMetric) -> None:
        # these settings belong to a thread
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            _measure(column, metric, pair, row, method)

    present = [(column, column.metric) for column in columns if column.metric is not None]
    cores = torch.get_num_threads()
    simple = [entry for entry in present if entry[1].simple]
    if device.type != "cpu" or cores == 1 or len(simple) < 2:
        simple = []
    for column, metric in present:
        if (column, metric) not in simple:
            measure(column, metric)
        else:
            with torch.no_grad(), _naming(column, method):
                metric.check(pair)
                metric.prepare(pair)
    if simple:
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(min(cores, len(simple))) as pool:
                for future in [pool.submit(measure, *entry) for entry in simple]:
                    future.result()
        finally:
            torch.set_num_threads(cores)
    for kept in (row.values, row.features, row.weights):
        _in_order(kept, [column.key for column in columns])


def _in_order(kept: dict[str, Any], keys: Sequence[str]) -> None:
    """Sort a dictionary as ``keys`` are."""
    for key in keys:
        if key in kept:
            kept[key] = kept.pop(key)


def run_method(method: Method, problem: Problem, keep: Callable[[int, Tensor], None] | None = None) -> Ran:
    """Run a method over one video; ``keep`` and errors as in :func:`score`."""
    device = problem.context.device
    position, seconds = 0, 0.0
    made: list[Tensor] = []
    beside: dict[str, list[Tensor]] = {}
    stored = isinstance(method, FolderMethod)
    output = method.process(problem.outline() if stored else problem.chunks(), problem.context)
    while True:
        started = time.perf_counter()
        chunk = next(output, None)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - started
        if chunk is None:
            break
        _check_chunk(method, problem, chunk, position)
        frames = problem.scored(chunk)
        results = problem.results(chunk)
        for result in (frames, *results.values()):
            _check_numbers(result, method, problem, position)
        if keep is not None:
            keep(position, frames)
        made.append(frames)
        for name, extra in results.items():
            beside.setdefault(name, []).append(extra)
        position += len(chunk)
    if position != len(problem.targets):
        raise DataError(
            f"method {method.name!r} returned {position} frames for the video {problem.context.video_id!r}, "
            f"expected {len(problem.targets)}"
        )
    joined = {name: torch.cat(parts) for name, parts in beside.items()}
    return Ran(torch.cat(made) if made else problem.targets[:0], joined, seconds)


def _check_numbers(result: Tensor, method: Method, problem: Problem, position: int) -> None:
    # a sum tells it at a tenth of the cost; one that overflows is looked at again
    if bool(torch.isfinite(result.sum())):
        return
    broken = ~torch.isfinite(result).reshape(len(result), -1).all(1)
    if bool(broken.any()):
        first = position + int(broken.nonzero()[0])
        raise FramewrightError(
            f"the output of method {method.name!r} is not a number at frame {first} of the video "
            f"{problem.context.video_id!r}"
        )


def _measure(column: Column, metric: BenchmarkMetric, pair: VideoPair, row: Row, method: Method) -> None:
    key = column.key
    with _naming(column, method):
        metric.check(pair)
        if isinstance(metric, SetMetric):
            predicted, real = (vectors.float().cpu() for vectors in metric.pair_features(pair))
            if not bool(torch.isfinite(predicted).all() and torch.isfinite(real).all()):
                raise _not_a_number(key, method, row.video_id)
            row.features[key] = (predicted.numpy(), real.numpy())
        elif isinstance(metric, ValueMetric):
            row.values[key] = _value_list(metric, metric.values(pair).cpu(), key, method, row.video_id)
            weights = metric.weights(pair)
            if weights is not None:
                row.weights[key] = [int(weight) for weight in weights.cpu()]


@contextlib.contextmanager
def _naming(column: Column, method: Method) -> Iterator[None]:
    """What does not suit a metric becomes an error that names it and the method."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{column.key} of method {method.name!r} cannot be measured: {error}") from None


def views_of(method: Method, problem: Problem, wanted: Sequence[int]) -> dict[int, View]:
    """Some output frames of a method for people; the video is run only as far as necessary.

    Raises:
        DataError: the method returns too few frames.
    """
    found: dict[int, View] = {}
    position = 0
    for chunk in method.process(problem.chunks(), problem.context):
        for index in wanted:
            if position <= index < position + len(chunk):
                found[index] = problem.view(chunk, index)
        if len(found) == len(set(wanted)):
            return found
        position += len(chunk)
    raise DataError(f"method {method.name!r} returned only {position} frames for {problem.context.video_id!r}")


def _check_chunk(method: Method, problem: Problem, chunk: Chunk, position: int) -> None:
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
    if problem.longest is not None:
        flow = chunk.extras.get("flow")
        expected_flow = (len(chunk), 2, *target.shape[2:])
        if flow is None or tuple(flow.shape) != expected_flow:
            found_flow = "no flow" if flow is None else f"a flow of shape {tuple(flow.shape)}"
            raise DataError(
                f"method {method.name!r} returned {found_flow} for the video {video!r}, expected {expected_flow}"
            )
    if chunk.frames.shape != target.shape:
        found, expected = (f"{t.shape[-1]}x{t.shape[-2]}" for t in (chunk.frames, target))
        raise DataError(
            f"method {method.name!r}: frames of the video {video!r} are {found}, expected {expected} (width x height)"
        )


def _value_list(metric: ValueMetric, values: Tensor, key: str, method: Method, video: str) -> list[float | None]:
    # one value at a time, because the metric decides value by value what an infinite one counts as
    summaries = [metric.summarise(value[None]) for value in values]
    found = [float(total) if int(count) else None for total, count in summaries]
    for position, value in enumerate(found):
        if value is not None and math.isnan(value):
            raise _not_a_number(key, method, video, f"{metric.items} {position}")
    return found


def _not_a_number(key: str, method: Method, video: str, where: str = "") -> FramewrightError:
    place = f" at {where}" if where else ""
    return FramewrightError(f"{key} of method {method.name!r} is not a number{place} of the video {video!r}")
