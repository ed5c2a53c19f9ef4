"""The table of an evaluation as cells, and as text, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .results import MethodResult, MetricColumn, Results

MISSING = "-"


@dataclass(frozen=True)
class Cell:
    """One metric of one method, formatted.

    Attributes:
        value: the mean, or ``-``.
        interval: ``[low, high]``, or empty.
        rank: 1 for the best, 2 for the second (of three and more methods), 0 otherwise. Equal printed
            values share a rank.
    """

    value: str
    interval: str = ""
    rank: int = 0


@dataclass(frozen=True)
class PublishedCell:
    """A published value and how far ours is from it."""

    value: str
    difference: str
    source: str


@dataclass(frozen=True)
class TableRow:
    """One method."""

    name: str
    source: str
    cells: tuple[Cell, ...]
    published: tuple[PublishedCell | None, ...]
    parameters: str
    milliseconds: str


@dataclass(frozen=True)
class Table:
    """Everything that all formats print.

    Attributes:
        columns: one per metric.
        rows: one per method.
        has_published: per column, whether any method has a published value.
        reasons: a line per metric that is missing, with reason and remedy.
        notes: the protocol block.
        sources: where published values are printed.
    """

    columns: tuple[MetricColumn, ...]
    rows: tuple[TableRow, ...]
    has_published: tuple[bool, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]


def make_table(results: Results) -> Table:
    """Format a whole evaluation."""
    columns = tuple(results.protocol.metrics)
    marked = {column.key: ranks(results, column) for column in columns}
    rows = tuple(_row(method, columns, marked) for method in results.methods)
    has_published = tuple(any(row.published[index] for row in rows) for index in range(len(columns)))
    sources = dict.fromkeys(cell.source for row in rows for cell in row.published if cell is not None)
    return Table(columns, rows, has_published, _reasons(results), _notes(results), tuple(sources))


def heading(column: MetricColumn, up: str = "↑", down: str = "↓") -> str:
    """Label, unit and direction, for example ``PSNR (dB) ↑``."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.label}{unit} {up if column.higher_is_better else down}"


def number(value: float | None, column: MetricColumn) -> str:
    """A value with the column's decimals, or ``-``."""
    return MISSING if value is None else f"{value:.{column.decimals}f}"


def _row(method: MethodResult, columns: Sequence[MetricColumn], ranks: dict[str, dict[str, int]]) -> TableRow:
    cells, published = [], []
    for column in columns:
        result = method.metrics[column.key]
        interval = ""
        if result.ci95 is not None:
            interval = f"[{number(result.ci95[0], column)}, {number(result.ci95[1], column)}]"
        cells.append(Cell(number(result.mean, column), interval, ranks[column.key].get(method.name, 0)))
        reference = None
        if result.published is not None:
            difference = ""
            if result.mean is not None:
                difference = f"{result.mean - result.published.value:+.{column.decimals}f}"
            reference = PublishedCell(number(result.published.value, column), difference, result.published.source)
        published.append(reference)
    seconds = method.cost.seconds_per_frame
    return TableRow(
        method.name,
        method.source,
        tuple(cells),
        tuple(published),
        count_text(method.cost.parameters),
        MISSING if seconds is None else f"{seconds * 1000:.3g}" if seconds < 1 else f"{seconds * 1000:.0f}",
    )


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
    return (head, *results.protocol.description)


def printable(text: str) -> str:
    """One line without control characters (a method's name must not steer a terminal)."""
    return "".join(" " if char.isspace() else char for char in text if char.isspace() or char.isprintable())


def _grid(table: Table, name: Callable[[TableRow], str], value: Callable[[Cell], str]) -> list[list[str]]:
    """Headings and rows with everything that the plain formats show."""
    head = ["method"]
    for column, published in zip(table.columns, table.has_published, strict=True):
        head += [heading(column), "published"] if published else [heading(column)]
    grid = [[*head, "parameters", "ms/frame"]]
    for row in table.rows:
        line = [name(row)]
        for cell, reference, shown in zip(row.cells, row.published, table.has_published, strict=True):
            line.append(value(cell))
            if shown:
                line.append(_reference(reference))
        grid.append([*line, row.parameters, row.milliseconds])
    return grid


def _reference(cell: PublishedCell | None) -> str:
    if cell is None:
        return MISSING
    return f"{cell.value} ({cell.difference})" if cell.difference else cell.value


def plain_text(results: Results) -> str:
    """An aligned table for a terminal; ``*`` marks the best value of a column."""
    table = make_table(results)

    def value(cell: Cell) -> str:
        mark = "*" if cell.rank == 1 else " "
        return f"{cell.value}{mark} {cell.interval}".rstrip() if cell.interval else f"{cell.value}{mark}".rstrip()

    grid = _grid(table, lambda row: printable(row.name), value)
    lines = aligned(grid)
    lines += ["", *(printable(note) for note in table.notes)]
    lines += [f"{MISSING} {printable(reason)}" for reason in table.reasons]
    lines += [f"published: {printable(source)}" for source in table.sources]
    return "\n".join(lines) + "\n"


def aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table for a terminal: the first is the heading."""
    widths = [max(_width(line[index]) for line in grid) for index in range(len(grid[0]))]
    lines = ["  ".join(_pad(cell, width) for cell, width in zip(line, widths, strict=True)) for line in grid]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in lines]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def markdown(results: Results) -> str:
    """A Markdown table; the best value is bold, the second underlined."""
    table = make_table(results)

    def value(cell: Cell) -> str:
        marked = {1: f"**{cell.value}**", 2: f"<u>{cell.value}</u>"}.get(cell.rank, cell.value)
        return f"{marked} {cell.interval}".rstrip()

    grid = _grid(table, lambda row: escape_markdown(row.name), value)
    lines = [f"| {' | '.join(line)} |" for line in grid]
    lines.insert(1, "|" + "|".join([" --- "] + [" ---: "] * (len(grid[0]) - 1)) + "|")
    lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    lines += [f"- `{MISSING}` {escape_markdown(reason)}" for reason in table.reasons]
    lines += [f"- published: {escape_markdown(source)}" for source in table.sources]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it stands."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{char}" if char in "\\`*_[]|" else char for char in text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_LATEX.get(char, char) for char in printable(text))


def latex(results: Results) -> str:
    """A ``tabular`` for the booktabs package; the best value is bold, the second underlined."""
    table = make_table(results)
    marks = {1: r"\textbf{%s}", 2: r"\underline{%s}"}

    def value(cell: Cell) -> str:
        text = marks.get(cell.rank, "%s") % ("--" if cell.value == MISSING else cell.value)
        return rf"{text} {{\scriptsize {cell.interval}}}" if cell.interval else text

    heads = ["Method"]
    for column, published in zip(table.columns, table.has_published, strict=True):
        arrow = r"$\uparrow$" if column.higher_is_better else r"$\downarrow$"
        unit = f" ({escape_latex(column.unit)})" if column.unit else ""
        heads += [f"{escape_latex(column.label)}{unit} {arrow}", *(["published"] if published else [])]
    lines = [f"% {printable(note)}" for note in (*table.notes, *table.reasons, *table.sources)]
    lines += [
        rf"\begin{{tabular}}{{l{'c' * (len(heads) - 1)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        cells = [escape_latex(row.name)]
        for cell, reference, shown in zip(row.cells, row.published, table.has_published, strict=True):
            cells.append(value(cell))
            if shown:
                cells.append(reference.value if reference else "--")
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def table_csv(results: Results) -> str:
    """One line per method, numbers in full precision; empty fields where there is no value."""
    head = ["method"]
    for column in results.protocol.metrics:
        head += [f"{column.key}{part}" for part in ("", "_ci95_low", "_ci95_high", "_videos", "_frames", "_published")]
    lines: list[list[object]] = [[*head, "parameters", "seconds_per_frame", "source", "weights_sha256"]]
    for method in results.methods:
        line: list[object] = [method.name]
        for column in results.protocol.metrics:
            result = method.metrics[column.key]
            published = None if result.published is None else result.published.value
            line += [result.mean, *(result.ci95 or (None, None)), result.n, result.n_frames, published]
        cost = method.cost
        lines.append([*line, cost.parameters, cost.seconds_per_frame, method.source, method.weights_sha256])
    return csv_text(lines)


def videos_csv(results: Results) -> str:
    """One line per video and method."""
    keys = [column.key for column in results.protocol.metrics]
    lines: list[list[object]] = [["video", "method", *keys]]
    for video in results.methods[0].videos if results.methods else ():
        lines += [[video, m.name, *(m.videos[video].get(key) for key in keys)] for m in results.methods]
    return csv_text(lines)


def csv_text(lines: Sequence[Sequence[object]]) -> str:
    """Lines as CSV; None is an empty field."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()
