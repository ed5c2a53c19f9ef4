"""``results.json``: the interface between an evaluation and everything that is made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core.errors import DataError
from ..core.files import write_json

SCHEMA = 1


class _Part(BaseModel):
    """Unknown keys are kept, so that files of later versions with the same schema number stay readable."""

    model_config = ConfigDict(
        extra="allow", strict=True, allow_inf_nan=False, populate_by_name=True, protected_namespaces=()
    )


class Published(_Part):
    """A number from the literature and where it is printed."""

    value: float
    source: str
    variant: str = ""


class MetricResult(_Part):
    """One cell of the table.

    Attributes:
        mean: the aggregate over the data set; None where it could not be measured, see ``reason``.
        ci95: 95 % interval of the aggregate; None for fewer than two videos.
        n: number of videos.
        n_frames: number of frames.
        unit: such as ``dB``; empty for a pure number.
        higher_is_better: direction.
        published: the literature's number for this method on this benchmark.
        reason: why there is no value and what to do about it; only beside ``mean: null``.
        p_value: of the difference to the best method of the column, Holm-adjusted; see
            :func:`~framewright.benchmark.comparison.compare`. None for the best itself, and where nothing was tested.
        p_reason: why nothing was tested; only beside a value that is not the best.
    """

    mean: float | None
    ci95: tuple[float, float] | None = Field(strict=False)
    n: int = Field(ge=0)
    n_frames: int = Field(ge=0)
    unit: str
    higher_is_better: bool
    published: Published | None = None
    reason: str | None = None
    p_value: float | None = Field(default=None, ge=0, le=1)
    p_reason: str | None = None

    @model_validator(mode="after")
    def _reason_for_null(self) -> MetricResult:
        if (self.mean is None) != bool(self.reason):
            raise ValueError("a reason stands beside mean: null, and only there")
        return self


class Cost(_Part):
    """What a method costs.

    Attributes:
        parameters: of its networks.
        seconds_per_frame: the median over videos of its seconds per output frame.
        macs_per_frame: multiplications with addition per output frame, the mean over the data set's frames.
        macs_of_clip: for inpainting: of one forward pass over 8 frames of 432x240, which papers print as FLOPs.
        peak_memory_mb: the most memory that it held at once on its device, in units of 10^6 bytes.
    """

    parameters: int | None = None
    seconds_per_frame: float | None = None
    macs_per_frame: float | None = None
    macs_of_clip: float | None = None
    peak_memory_mb: float | None = None


class MethodResult(_Part):
    """One row of the table, with its values per video (``{id: {key: value}}``).

    ``frames`` says how many frames, or whatever its column counts (flow: pixels), each of these values is the mean of.
    ``average_rank`` is the mean over the columns of the method's place, 1 for the best.
    """

    name: str
    source: str
    weights_sha256: str | None
    metrics: dict[str, MetricResult]
    videos: dict[str, dict[str, float | None]]
    frames: dict[str, dict[str, int]] = Field(default_factory=dict)
    cost: Cost = Field(default_factory=Cost)
    average_rank: float | None = None


class MetricColumn(_Part):
    """How a metric was computed and how to print it.

    Attributes:
        key: of the column.
        label: its heading.
        metric: name in the registry.
        options: keywords of the metric.
        unit: such as ``dB``; empty for a pure number.
        higher_is_better: direction.
        decimals: digits after the point.
        mean_over: what weighs the same in the mean: every item (``frames``), every video, or nothing, because the
            value is one of the whole set; None: as the protocol says.
        items: what one value belongs to: a ``frame``, a ``pair`` of them, a ``clip``, a ``video``.
    """

    key: str
    label: str
    metric: str
    options: dict[str, Any]
    unit: str
    higher_is_better: bool
    decimals: int = Field(ge=0)
    mean_over: Literal["frames", "videos", "set"] | None = None
    items: str = "frame"


class ProtocolRecord(_Part):
    """The protocol as it was when the numbers were made."""

    name: str
    version: int
    task: str
    mean_over: Literal["frames", "videos"]
    description: list[str]
    metrics: list[MetricColumn]

    @property
    def title(self) -> str:
        """Name and version, as cited."""
        return f"{self.name} v{self.version}"

    def mean_over_of(self, column: MetricColumn) -> Literal["frames", "videos", "set"]:
        """What the mean of a column is over."""
        return column.mean_over or self.mean_over


class Results(_Part):
    """A whole evaluation.

    Attributes:
        schema_number: written as ``schema``.
        benchmark: its name.
        protocol: how it was measured.
        dataset: name of the data set.
        data_manifest: SHA-256 of the data set's manifest; two results with the same one saw the same data.
        command: the command line, ready to be typed again.
        environment: see :func:`framewright.core.provenance.environment`.
        methods: rows in the order asked for.
    """

    schema_number: Literal[1] = Field(default=1, alias="schema")
    benchmark: str
    protocol: ProtocolRecord
    dataset: str
    data_manifest: str
    command: str
    environment: dict[str, Any]
    methods: list[MethodResult]

    @model_validator(mode="after")
    def _rectangular(self) -> Results:
        names = [method.name for method in self.methods]
        if len(set(names)) != len(names):
            raise ValueError("method names must be unique")
        keys = [column.key for column in self.protocol.metrics]
        for method in self.methods:
            if list(method.metrics) != keys:
                raise ValueError(f"method {method.name!r} has the metrics {list(method.metrics)}, expected {keys}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The plain, strictly JSON-able form."""
        value = self.model_dump(mode="json", by_alias=True)
        for method in value["methods"]:
            for metric in method["metrics"].values():
                for name in ("reason", "p_value", "p_reason"):
                    if metric[name] is None:
                        del metric[name]
        return value

    def ranking(self, key: str) -> list[str]:
        """Names of the methods with a value for ``key``, best first; equal values keep the table's order."""
        measured = [method for method in self.methods if method.metrics[key].mean is not None]
        sign = -1 if self.column(key).higher_is_better else 1
        return [method.name for method in sorted(measured, key=lambda m: sign * (m.metrics[key].mean or 0.0))]

    def column(self, key: str) -> MetricColumn:
        """The column of a metric's key."""
        return next(column for column in self.protocol.metrics if column.key == key)

    def method(self, name: str) -> MethodResult:
        """The row of a method."""
        return next(method for method in self.methods if method.name == name)


def write_results(results: Results, path: str | Path) -> None:
    """Write ``results.json``, atomically and as strict JSON."""
    write_json(path, results.to_json())


def read_results(path: str | Path) -> Results:
    """Read and check a ``results.json``.

    Raises:
        DataError: missing, not strict JSON, another schema, or fields that are missing or of a wrong type.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise DataError(f"cannot read the results {str(path)!r}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise DataError(f"{path} is not a results file of schema {SCHEMA} (found {found!r})")
    try:
        return Results.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(_describe(p["loc"], p["msg"]) for p in error.errors())
        raise DataError(f"{path} is not a valid results file: {problems}") from None


def _describe(location: Iterable[int | str], message: str) -> str:
    path = ".".join(str(part) for part in location) or "file"
    return f"{path}: {message.removeprefix('Value error, ')}"


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not strict JSON")


def finite(value: float) -> float | None:
    """``value``, or None for NaN and infinity, which JSON cannot hold."""
    return value if math.isfinite(value) else None
