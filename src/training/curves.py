"""Training curves as one picture."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from ..core.files import atomic_path

#: name of the picture in a run folder
CURVES = "curves.png"


def plot_curves(metrics_csv: Path, picture: Path) -> None:
    """Plot every column of ``metrics.csv`` over the iteration, training and validation in panels of their own.

    Nothing is written when the file has no rows.
    """
    series: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    with open(metrics_csv, newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            for key, value in row.items():
                if key != "iteration" and value:
                    series[key][0].append(int(row["iteration"]))
                    series[key][1].append(float(value))
    if not series:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-len(series) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (key, (iterations, values)) in enumerate(sorted(series.items())):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.plot(iterations, values, "o-" if len(values) < 20 else "-", markersize=3, linewidth=1.2)
        axes.set_title(key, fontsize=10)
        axes.set_xlabel("iteration", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
