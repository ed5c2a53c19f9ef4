"""The table of an evaluation as formatted cells; the formats print them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .comparison import LEVEL, least_p_value
from .results import MethodResult, MetricColumn, MetricResult, Results

MISSING = "-"
TIED = "†"


@dataclass(frozen=True)
class Cell:
    """One metric of one method, formatted.

    Attributes:
        value: the mean, or ``-``.
        interval: ``[low, high]``, or empty.
        rank: 1 for the best, 2 for the second (of three and more methods), 0 otherwise. Equal printed
            values share a rank.
        tied: whether the difference to the best of the column may be chance.
        p_value: of that difference, as text; empty for the best and where nothing was tested.
        number: the value in full precision, to sort by.
    """

    value: str
    interval: str = ""
    rank: int = 0
    tied: bool = False
    p_value: str = ""
    number: float | None = None


@dataclass(frozen=True)
class PublishedCell:
    """A published value and how far ours is from it."""

    value: str
    difference: str
    source: str


@dataclass(frozen=True)
class Extra:
    """A column beside the metrics: what a method costs, and its average rank.

    Attributes:
        heading: for people.
        key: in CSV.
        of: its value of a method, None where it is not known.
        text: of a value.
    """

    heading: str
    key: str
    of: Callable[[MethodResult], float | None]
    text: Callable[[float], str]


@dataclass(frozen=True)
class TableRow:
    """One method."""

    name: str
    source: str
    cells: tuple[Cell, ...]
    published: tuple[PublishedCell | None, ...]
    parameters: str
    extras: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Everything that all formats print.

    Attributes:
        columns: one per metric.
        rows: one per method.
        has_published: per column, whether any method has a published value.
        extras: the columns after the metrics that have a value of any method.
        reasons: a line per metric that is missing, with reason and remedy.
        notes: the protocol block.
        sources: where published values are printed.
    """

    columns: tuple[MetricColumn, ...]
    rows: tuple[TableRow, ...]
    has_published: tuple[bool, ...]
    extras: tuple[Extra, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]


def make_table(results: Results) -> Table:
    """Format a whole evaluation."""
    columns = tuple(results.protocol.metrics)
    marked = {column.key: ranks(results, column) for column in columns}
    extras = tuple(e for e in EXTRAS if any(e.of(method) is not None for method in results.methods))
    rows = tuple(_row(method, columns, marked, extras) for method in results.methods)
    has_published = tuple(any(row.published[index] for row in rows) for index in range(len(columns)))
    sources = dict.fromkeys(cell.source for row in rows for cell in row.published if cell is not None)
    return Table(columns, rows, has_published, extras, _reasons(results), _notes(results), tuple(sources))


def heading(column: MetricColumn, up: str = "↑", down: str = "↓") -> str:
    """Label, unit and direction, for example ``PSNR (dB) ↑``."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.label}{unit} {up if column.higher_is_better else down}"


def number(value: float | None, column: MetricColumn) -> str:
    """A value with the column's decimals, or ``-``."""
    return MISSING if value is None else f"{value:.{column.decimals}f}"


def _row(
    method: MethodResult,
    columns: Sequence[MetricColumn],
    ranks: dict[str, dict[str, int]],
    extras: Sequence[Extra],
) -> TableRow:
    cells, published = [], []
    for column in columns:
        result = method.metrics[column.key]
        cells.append(_cell(result, column, ranks[column.key].get(method.name, 0)))
        reference = None
        if result.published is not None:
            difference = ""
            if result.mean is not None:
                difference = f"{result.mean - result.published.value:+.{column.decimals}f}"
            reference = PublishedCell(number(result.published.value, column), difference, result.published.source)
        published.append(reference)
    values = [(extra, extra.of(method)) for extra in extras]
    return TableRow(
        method.name,
        method.source,
        tuple(cells),
        tuple(published),
        count_text(method.cost.parameters),
        tuple(Cell(MISSING if value is None else extra.text(value), number=value) for extra, value in values),
    )


def _cell(result: MetricResult, column: MetricColumn, rank: int) -> Cell:
    interval = ""
    if result.ci95 is not None:
        interval = f"[{number(result.ci95[0], column)}, {number(result.ci95[1], column)}]"
    p_value = ""
    if result.p_value is not None:
        p_value = "p < 0.001" if result.p_value < 0.001 else f"p = {result.p_value:.3f}"
    tied = result.p_value is not None and result.p_value > LEVEL
    return Cell(number(result.mean, column), interval, rank, tied, p_value, result.mean)


def ranks(results: Results, column: MetricColumn) -> dict[str, int]:
    """Best (1) and second (2), compared as printed, so that equal numbers are marked alike."""
    means = {method.name: method.metrics[column.key].mean for method in results.methods}
    printed = {name: round(mean, column.decimals) for name, mean in means.items() if mean is not None}
    if len(printed) < 2:
        return {}
    levels = sorted(set(printed.values()), reverse=column.higher_is_better)
    # among two methods the second is simply the other one
    marked = levels[: 2 if len(printed) > 2 else 1]
    return {name: levels.index(value) + 1 for name, value in printed.items() if value in marked}


def count_text(parameters: int | None) -> str:
    """A number of parameters for people."""
    if parameters is None:
        return MISSING
    if parameters >= 100_000:
        return f"{parameters / 1e6:.2f} M"
    return f"{parameters / 1e3:.1f} k" if parameters >= 1000 else str(parameters)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g}" if seconds < 1 else f"{seconds * 1000:.0f}"


def _giga(count: float) -> str:
    return f"{count / 1e9:.3g}" if count < 1e12 else f"{count / 1e9:.0f}"


def _tenths_of_giga(count: float) -> str:
    return f"{count / 1e9:.1f}"


EXTRAS = (
    Extra("average rank", "average_rank", lambda method: method.average_rank, lambda rank: f"{rank:.2f}"),
    Extra("parameters", "parameters", lambda method: method.cost.parameters, lambda count: count_text(int(count))),
    Extra("MACs/frame (G)", "macs_per_frame", lambda method: method.cost.macs_per_frame, _giga),
    Extra("MACs of 8 frames of 432x240 (G)", "macs_of_clip", lambda method: method.cost.macs_of_clip, _tenths_of_giga),
    Extra("ms/frame", "seconds_per_frame", lambda method: method.cost.seconds_per_frame, _milliseconds),
    Extra("peak memory (MB)", "peak_memory_mb", lambda method: method.cost.peak_memory_mb, lambda mb: f"{mb:.0f}"),
)


def _reasons(results: Results) -> tuple[str, ...]:
    lines: dict[str, None] = {}
    for column in results.protocol.metrics:
        missing = [(m.name, m.metrics[column.key].reason) for m in results.methods if m.metrics[column.key].reason]
        for reason in dict.fromkeys(reason for _, reason in missing):
            names = [name for name, other in missing if other == reason]
            who = "" if len(names) == len(results.methods) else f" of {', '.join(names)}"
            lines[f"{column.label}{who}: {reason}"] = None
    return tuple(lines)


def _notes(results: Results) -> tuple[str, ...]:
    metrics = [metric for method in results.methods for metric in method.metrics.values()]
    videos = max((metric.n for metric in metrics), default=0)
    frames = max((metric.n_frames for metric in metrics), default=0)
    counted = f"{videos} video{'' if videos == 1 else 's'}, {frames} frame{'' if frames == 1 else 's'}"
    head = f"{results.dataset}: {counted}; protocol {results.protocol.title}."
    return (head, *results.protocol.description, *_test_notes(results))


def _test_notes(results: Results) -> list[str]:
    """What the marks of the tests mean, and what was not tested."""
    notes = []
    columns = results.protocol.metrics
    tests = {c.key: sum(m.metrics[c.key].p_value is not None for m in results.methods) for c in columns}
    how = "two-sided paired permutation test over videos, Holm-corrected for the number of methods"
    found = [p for m in results.methods for metric in m.metrics.values() if (p := metric.p_value) is not None]
    if any(p_value > LEVEL for p_value in found):
        notes.append(f"{TIED}: may be as good as the best of its column (p > {LEVEL:g}; {how}).")
    elif found:
        notes.append(f"Every tested method differs from the best of its column (p <= {LEVEL:g}; {how}).")
    hopeless = []
    for column in columns:
        videos = min((m.metrics[column.key].n for m in results.methods if m.metrics[column.key].n), default=0)
        if tests[column.key] and least_p_value(videos, tests[column.key]) > LEVEL:
            hopeless.append(column.label)
    if hopeless:
        notes.append(f"Too few videos to tell so many methods from the best by this test: {', '.join(hopeless)}.")
    untested: dict[str, dict[str, None]] = {}
    for method in results.methods:
        for column in columns:
            if reason := method.metrics[column.key].p_reason:
                untested.setdefault(reason, {})[column.label] = None
    notes += [f"Not tested against the best: {', '.join(labels)} ({reason})." for reason, labels in untested.items()]
    if any(method.average_rank is not None for method in results.methods):
        notes.append("Average rank: mean place over the columns that have a value of every method.")
    return notes
