"""A sweep's table in the formats of a benchmark table: JSON, Markdown, LaTeX, CSV, HTML, and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.files import write_text
from .ablation import Ablation
from .formats import aligned, csv_text, escape_latex, escape_markdown, printable, videos_csv
from .report import Written, render
from .results import MetricColumn, write_results
from .samples import Gallery
from .tables import MISSING, Cell, Table, heading, make_table


@dataclass(frozen=True)
class Key:
    """A changed setting: as a heading, and in full."""

    short: str
    full: str


@dataclass(frozen=True)
class ComparedCell:
    """A metric of a row and its difference to the base, formatted."""

    value: Cell
    difference: str
    difference_interval: str


@dataclass(frozen=True)
class GridRow:
    """One row, formatted."""

    name: str
    settings: tuple[str, ...]
    seeds: str
    cells: tuple[ComparedCell, ...]
    parameters: str
    base: bool


@dataclass(frozen=True)
class Grid:
    """The whole table, formatted.

    Attributes:
        keys: one column per changed setting.
        rows: one per setting.
        named: whether the rows have names that say more than their settings.
        compared: whether there is anything beside the base.
    """

    keys: tuple[Key, ...]
    rows: tuple[GridRow, ...]
    named: bool
    compared: bool


def write_ablation(ablation: Ablation, out: str | Path) -> Written:
    """Write all formats into the folder ``out``, each file atomically.

    Raises:
        FramewrightError: ``out`` cannot be written to.
    """
    out = Path(out)
    results = ablation.results
    written = Written(
        results=out / "results.json",
        markdown=out / "table.md",
        latex=out / "table.tex",
        csv=out / "table.csv",
        videos=out / "videos.csv",
        html=out / "report.html",
    )
    write_results(results, written.results)
    write_text(written.markdown, ablation_markdown(ablation))
    write_text(written.latex, ablation_latex(ablation))
    write_text(written.csv, ablation_csv(ablation))
    write_text(written.videos, videos_csv(results))
    page = render(
        "ablation.html",
        results,
        Gallery(),
        out,
        grid=make_grid(ablation),
        left_out=ablation.left_out,
        notes=_notes(ablation, make_table(results)),
    )
    write_text(written.html, page)
    return written


def make_grid(ablation: Ablation) -> Grid:
    """Format the whole table."""
    table = make_table(ablation.results)
    rows = []
    for row, formatted in zip(ablation.rows, table.rows, strict=True):
        cells = []
        for column, cell in zip(table.columns, formatted.cells, strict=True):
            difference, interval = MISSING, ""
            if row.name == ablation.base:
                difference = "base"
            elif column.key in row.differences:
                found = row.differences[column.key]
                difference = _signed(found.mean, column)
                if found.ci95 is not None:
                    interval = f"[{_signed(found.ci95[0], column)}, {_signed(found.ci95[1], column)}]"
            cells.append(ComparedCell(cell, difference, interval))
        settings = tuple(row.settings.get(key, MISSING) for key in ablation.keys)
        seeds = _seeds(row.seeds)
        rows.append(GridRow(row.name, settings, seeds, tuple(cells), formatted.parameters, row.name == ablation.base))
    short = _short(ablation.keys)
    # a row that is named after its values needs no name beside them
    named = not ablation.keys or any(
        row.name != ", ".join(f"{short[key]}={row.settings.get(key, MISSING)}" for key in ablation.keys)
        for row in ablation.rows
    )
    keys = tuple(Key(short[key], key) for key in ablation.keys)
    return Grid(keys, tuple(rows), named, len(rows) > 1)


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Dotted keys without the leading parts that are not needed to tell them apart."""
    short = {}
    for key in keys:
        parts = key.split(".")
        endings = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        others = [f".{other}" for other in keys if other != key]
        short[key] = next((e for e in endings if not any(o.endswith(f".{e}") for o in others)), key)
    return short


def _signed(value: float, column: MetricColumn) -> str:
    text = f"{value:+.{column.decimals}f}"
    # a difference that is printed as zero has no sign
    return text.lstrip("+-") if float(text) == 0 else text


def _seeds(seeds: Sequence[int | None]) -> str:
    known = sorted(seed for seed in seeds if seed is not None)
    return ", ".join(str(seed) for seed in known) if len(known) == len(seeds) <= 6 else str(len(seeds))


def _notes(ablation: Ablation, table: Table) -> tuple[str, ...]:
    return (
        table.notes
        if any(m.n for row in ablation.results.methods for m in row.metrics.values())
        else (
            f"{ablation.results.dataset}; {ablation.results.protocol.title}.",
            *table.notes[1:],
        )
    )


def _lines(
    ablation: Ablation, escape: Callable[[str], str], value: Callable[[Cell], str], delta: Callable[[ComparedCell], str]
) -> list[list[str]]:
    """Headings and rows for the plain formats."""
    grid, columns = make_grid(ablation), ablation.results.protocol.metrics
    head = [*(["row"] if grid.named else []), *(escape(key.short) for key in grid.keys), "seeds"]
    for column in columns:
        head += [heading(column), *(["Δ"] if grid.compared else [])]
    lines = [[*head, "parameters"]]
    for row in grid.rows:
        line = [*([escape(row.name)] if grid.named else []), *(escape(text) for text in row.settings), row.seeds]
        for cell in row.cells:
            line += [value(cell.value), *([delta(cell)] if grid.compared else [])]
        lines.append([*line, row.parameters])
    return lines


def _delta(cell: ComparedCell) -> str:
    return f"{cell.difference} {cell.difference_interval}".rstrip()


def ablation_text(ablation: Ablation) -> str:
    """An aligned table for a terminal; ``*`` marks the best value of a column."""

    def value(cell: Cell) -> str:
        return f"{cell.value}{'*' if cell.rank == 1 else ''} {cell.interval}".rstrip()

    table = make_table(ablation.results)
    lines = aligned(_lines(ablation, printable, value, _delta))
    lines += ["", *(printable(note) for note in _notes(ablation, table))]
    lines += [f"{MISSING} {printable(reason)}" for reason in table.reasons]
    lines += [f"not in the table: {printable(f'{run.name}: {run.reason}')}" for run in ablation.left_out]
    return "\n".join(lines) + "\n"


def ablation_markdown(ablation: Ablation) -> str:
    """A Markdown table; the best value is bold, the second underlined."""

    def value(cell: Cell) -> str:
        marked = {1: f"**{cell.value}**", 2: f"<u>{cell.value}</u>"}.get(cell.rank, cell.value)
        return f"{marked} {cell.interval}".rstrip()

    table = make_table(ablation.results)
    grid = _lines(ablation, escape_markdown, value, _delta)
    lines = [f"| {' | '.join(line)} |" for line in grid]
    lines.insert(1, "|" + "|".join([" --- "] + [" ---: "] * (len(grid[0]) - 1)) + "|")
    lines += ["", *(f"- {escape_markdown(note)}" for note in _notes(ablation, table))]
    lines += [f"- `{MISSING}` {escape_markdown(reason)}" for reason in table.reasons]
    lines += [f"- not in the table: {escape_markdown(f'{run.name}: {run.reason}')}" for run in ablation.left_out]
    return "\n".join(lines) + "\n"


def ablation_latex(ablation: Ablation) -> str:
    """A ``tabular`` for the booktabs package; the best value is bold, the second underlined."""
    marks = {1: r"\textbf{%s}", 2: r"\underline{%s}"}

    def small(text: str) -> str:
        return rf" {{\scriptsize {text}}}" if text else ""

    def value(cell: Cell) -> str:
        text = marks.get(cell.rank, "%s") % ("--" if cell.value == MISSING else cell.value)
        return text + small(cell.interval)

    def delta(cell: ComparedCell) -> str:
        text = "--" if cell.difference == MISSING else cell.difference
        # a hyphen is no minus sign
        text = f"${text}$" if text[0] in "+-0" and text != "--" else text
        return text + small(cell.difference_interval)

    table = make_table(ablation.results)
    grid, columns = make_grid(ablation), table.columns
    heads = [*(["Row"] if grid.named else []), *(escape_latex(key.short) for key in grid.keys), "Seeds"]
    for column in columns:
        arrow = r"$\uparrow$" if column.higher_is_better else r"$\downarrow$"
        unit = f" ({escape_latex(column.unit)})" if column.unit else ""
        heads += [f"{escape_latex(column.label)}{unit} {arrow}", *([r"$\Delta$"] if grid.compared else [])]
    heads.append("Parameters")
    comments = [*_notes(ablation, table), *table.reasons]
    comments += [f"not in the table: {run.name}: {run.reason}" for run in ablation.left_out]
    lines = [f"% {printable(comment)}" for comment in comments]
    lines += [rf"\begin{{tabular}}{{l{'c' * (len(heads) - 1)}}}", r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
    lines += [" & ".join(line) + r" \\" for line in _lines(ablation, escape_latex, value, delta)[1:]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def ablation_csv(ablation: Ablation) -> str:
    """One line per row, numbers in full precision; runs that are left out follow with their reason."""
    columns = ablation.results.protocol.metrics
    head = ["row", *ablation.keys, "seeds", "base"]
    parts = ("", "_ci95_low", "_ci95_high", "_sd_over_seeds", "_difference", "_difference_low", "_difference_high")
    for column in columns:
        head += [f"{column.key}{part}" for part in parts]
    lines: list[list[object]] = [[*head, "videos", "parameters", "runs", "left_out_because"]]
    for row, method in zip(ablation.rows, ablation.results.methods, strict=True):
        settings = [row.settings.get(key) for key in ablation.keys]
        seeds = " ".join("?" if seed is None else str(seed) for seed in row.seeds)
        line: list[object] = [row.name, *settings, seeds, int(row.name == ablation.base)]
        for column in columns:
            result, found = method.metrics[column.key], row.differences.get(column.key)
            line += [result.mean, *(result.ci95 or (None, None)), row.spread.get(column.key)]
            line += [found.mean, *(found.ci95 or (None, None))] if found is not None else [None, None, None]
        lines.append([*line, len(method.videos), method.cost.parameters, " ".join(row.runs), None])
    for run in ablation.left_out:
        empty: list[object] = [None] * (len(head) - 1 + 2)
        lines.append([run.setting, *empty, run.name, run.reason])
    return csv_text(lines)
