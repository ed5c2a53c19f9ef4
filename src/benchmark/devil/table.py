"""The table by slices: what an attribute costs each method."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.files import make_directory, write_text
from ..formats import csv_text, escape_latex, escape_markdown, printable
from ..results import MethodResult, MetricColumn, MetricResult, Results
from ..statistics import aggregate, bootstrap_interval
from ..tables import MISSING, Cell, Table, heading, make_table
from .scoring import ATTRIBUTES
from .slices import Slice

_SET_METRIC = "a distance between two sets of videos has no value per video; evaluate the slice's videos by themselves"


@dataclass(frozen=True)
class SliceTable:
    """A table of one row per slice and method.

    Attributes:
        slices: with the results restricted to their videos, and how many of these were evaluated.
    """

    slices: tuple[tuple[Slice, Results, int], ...]

    def markdown(self) -> str:
        """With the best value of each slice in bold and its 95 % interval."""
        head = ["slice", "method", *(heading(column) for column in self._columns), "videos"]
        lines = [f"| {' | '.join(head)} |", "|" + "|".join([" --- "] * 2 + [" ---: "] * (len(head) - 2)) + "|"]
        for piece, table, evaluated in self._tables():
            for row in table.rows:
                cells = [_marked(cell, "**{}**", "<u>{}</u>") for cell in row.cells]
                line = [piece.name, escape_markdown(row.name), *cells, str(evaluated)]
                lines.append(f"| {' | '.join(line)} |")
        return "\n".join([*lines, "", *(f"- {escape_markdown(note)}" for note in self.notes())]) + "\n"

    def latex(self) -> str:
        """A ``tabular`` for the booktabs package."""
        heads = ["Slice", "Method"]
        for column in self._columns:
            unit = f" ({escape_latex(column.unit)})" if column.unit else ""
            arrow = r"$\uparrow$" if column.higher_is_better else r"$\downarrow$"
            heads.append(f"{escape_latex(column.label)}{unit} {arrow}")
        lines = [f"% {printable(note)}" for note in self.notes()]
        lines += [rf"\begin{{tabular}}{{ll{'c' * len(self._columns)}}}", r"\toprule", " & ".join(heads) + r" \\"]
        for piece, table, _ in self._tables():
            lines.append(r"\midrule")
            for row in table.rows:
                values = [_marked(cell, r"\textbf{{{}}}", r"\underline{{{}}}", interval=False) for cell in row.cells]
                values = ["--" if value == MISSING else value for value in values]
                lines.append(" & ".join([escape_latex(piece.name), escape_latex(row.name), *values]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def csv(self) -> str:
        """Numbers in full precision; empty fields where there is no value."""
        keys = [column.key for column in self._columns]
        head = [f"{key}{part}" for key in keys for part in ("", "_ci95_low", "_ci95_high", "_videos")]
        lines: list[list[object]] = [["slice", "attribute", "level", "method", *head]]
        for piece, results, _ in self.slices:
            for method in results.methods:
                line: list[object] = [piece.name, piece.attribute, piece.level, method.name]
                for key in keys:
                    metric = method.metrics[key]
                    line += [metric.mean, *(metric.ci95 or (None, None)), metric.n]
                lines.append(line)
        return csv_text(lines)

    def notes(self) -> list[str]:
        """What stands below the table."""
        first = self.slices[0][1]
        attributes = dict.fromkeys(piece.attribute for piece, _, _ in self.slices)
        notes = [
            f"{first.dataset}; protocol {first.protocol.title}; mean over {first.protocol.mean_over}.",
            "; ".join(f"{key}: {ATTRIBUTES.get(key, key)}" for key in attributes)
            + "; -l: least of it, -h: most of it.",
            *first.protocol.description,
        ]
        for piece, _, evaluated in self.slices:
            if evaluated < len(piece.videos):
                notes.append(f"{piece.name}: {evaluated} of its {len(piece.videos)} videos are in the results.")
        reasons = dict.fromkeys(reason for _, table, _ in self._tables() for reason in table.reasons)
        return [*notes, *(f"{MISSING} {reason}" for reason in reasons)]

    @property
    def _columns(self) -> Sequence[MetricColumn]:
        return self.slices[0][1].protocol.metrics

    def _tables(self) -> Iterable[tuple[Slice, Table, int]]:
        return ((piece, make_table(results), evaluated) for piece, results, evaluated in self.slices)


def _marked(cell: Cell, best: str, second: str, interval: bool = True) -> str:
    text = {1: best, 2: second}.get(cell.rank, "{}").format(cell.value)
    return f"{text} {cell.interval}".rstrip() if interval else text


def slice_table(results: Results, slices: Sequence[Slice]) -> SliceTable:
    """Restrict the results of an evaluation to each slice.

    The aggregate is that of the results' protocol, over their values per video.

    Raises:
        DataError: the results have none of a slice's videos, or there is no slice or method.
    """
    if not slices or not results.methods:
        raise DataError("a table by slices needs at least one slice and one method")
    evaluated = set.intersection(*(set(method.videos) for method in results.methods))
    rows = []
    for piece in slices:
        videos = [name for name in piece.videos if name in evaluated]
        if not videos:
            example = next(iter(sorted(evaluated)), "none")
            raise DataError(
                f"the results have none of the {len(piece.videos)} videos of slice {piece.name!r} "
                f"(such as {piece.videos[0] if piece.videos else 'none'!r}); theirs are named like {example!r}"
            )
        methods = [_restricted(method, results, videos) for method in results.methods]
        rows.append((piece, results.model_copy(update={"methods": methods}), len(videos)))
    return SliceTable(tuple(rows))


def _restricted(method: MethodResult, results: Results, videos: Sequence[str]) -> MethodResult:
    metrics = {}
    for column in results.protocol.metrics:
        whole = method.metrics[column.key]
        values = {name: method.videos[name].get(column.key) for name in videos}
        measured = {name: value for name, value in values.items() if value is not None}
        plain: dict[str, Any] = {"unit": whole.unit, "higher_is_better": whole.higher_is_better}
        over = results.protocol.mean_over_of(column)
        if over == "set" or not measured:
            reason = whole.reason or (_SET_METRIC if over == "set" else "none of the slice's videos has a value")
            metrics[column.key] = MetricResult(mean=None, ci95=None, n=0, n_frames=0, reason=reason, **plain)
            continue
        counts = np.array([method.frames.get(name, {}).get(column.key, 1) for name in measured], np.float64)
        sums = np.array(list(measured.values()), np.float64) * counts
        metrics[column.key] = MetricResult(
            mean=aggregate(sums, counts, over),
            ci95=bootstrap_interval(sums, counts, over),
            n=len(measured),
            n_frames=int(counts.sum()),
            **plain,
        )
    kept = {name: method.videos[name] for name in videos}
    frames = {name: method.frames[name] for name in videos if name in method.frames}
    return method.model_copy(update={"metrics": metrics, "videos": kept, "frames": frames})


def write_slice_table(table: SliceTable, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``slices.md``, ``slices.tex`` and ``slices.csv``.

    Raises:
        FramewrightError: the folder cannot be written to.
    """
    root = make_directory(folder)
    texts = {"slices.md": table.markdown(), "slices.tex": table.latex(), "slices.csv": table.csv()}
    for name, text in texts.items():
        write_text(root / name, text)
    return [root / name for name in texts]
