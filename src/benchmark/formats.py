"""The table of an evaluation as text, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence

from .results import Results
from .tables import EXTRAS, MISSING, TIED, Cell, PublishedCell, Table, TableRow, heading, make_table


def printable(text: str) -> str:
    """One line without control characters (a method's name must not steer a terminal)."""
    return "".join(" " if char.isspace() else char for char in text if char.isspace() or char.isprintable())


def _grid(table: Table, name: Callable[[TableRow], str], value: Callable[[Cell], str]) -> list[list[str]]:
    """Headings and rows with everything that the plain formats show."""
    head = ["method"]
    for column, published in zip(table.columns, table.has_published, strict=True):
        head += [heading(column), "published"] if published else [heading(column)]
    grid = [[*head, *(extra.heading for extra in table.extras)]]
    for row in table.rows:
        line = [name(row)]
        for cell, reference, shown in zip(row.cells, row.published, table.has_published, strict=True):
            line.append(value(cell))
            if shown:
                line.append(_reference(reference))
        grid.append([*line, *(cell.value for cell in row.extras)])
    return grid


def _reference(cell: PublishedCell | None) -> str:
    if cell is None:
        return MISSING
    return f"{cell.value} ({cell.difference})" if cell.difference else cell.value


def plain_text(results: Results) -> str:
    """An aligned table for a terminal; ``*`` marks the best value of a column."""
    table = make_table(results)

    def value(cell: Cell) -> str:
        mark = "*" if cell.rank == 1 else TIED if cell.tied else " "
        return f"{cell.value}{mark} {cell.interval}".rstrip()

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
        return f"{marked}{TIED if cell.tied else ''} {cell.interval}".rstrip()

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
        text += r"$^{\dagger}$" if cell.tied else ""
        return rf"{text} {{\scriptsize {cell.interval}}}" if cell.interval else text

    heads = ["Method"]
    for column, published in zip(table.columns, table.has_published, strict=True):
        arrow = r"$\uparrow$" if column.higher_is_better else r"$\downarrow$"
        unit = f" ({escape_latex(column.unit)})" if column.unit else ""
        heads += [f"{escape_latex(column.label)}{unit} {arrow}", *(["published"] if published else [])]
    heads += [escape_latex(extra.heading) for extra in table.extras]
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
                cells.append(_latex_reference(reference))
        cells += ["--" if cell.value == MISSING else cell.value for cell in row.extras]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_reference(cell: PublishedCell | None) -> str:
    if cell is None:
        return "--"
    # a hyphen is no minus sign
    return rf"{cell.value} {{\scriptsize (${cell.difference}$)}}" if cell.difference else cell.value


def table_csv(results: Results) -> str:
    """One line per method, numbers in full precision; empty fields where there is no value."""
    head = ["method"]
    parts = ("", "_ci95_low", "_ci95_high", "_p_value", "_videos", "_frames", "_published")
    for column in results.protocol.metrics:
        head += [f"{column.key}{part}" for part in parts]
    lines: list[list[object]] = [[*head, *(extra.key for extra in EXTRAS), "source", "weights_sha256"]]
    for method in results.methods:
        line: list[object] = [method.name]
        for column in results.protocol.metrics:
            result = method.metrics[column.key]
            published = None if result.published is None else result.published.value
            line += [result.mean, *(result.ci95 or (None, None)), result.p_value]
            line += [result.n, result.n_frames, published]
        lines.append([*line, *(extra.of(method) for extra in EXTRAS), method.source, method.weights_sha256])
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
