"""Geometry of the report's plots; the HTML template draws them as inline SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .results import MetricColumn, Results
from .tables import heading, number

# Okabe and Ito's colours, distinguishable with all kinds of colour vision
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7A6A00", "#666666")

MOST_ROWS = 40
_WIDTH, _LABEL, _RIGHT, _TOP, _BOTTOM = 900.0, 210.0, 16.0, 8.0, 30.0


@dataclass(frozen=True)
class Dot:
    """A value of a method on a video."""

    x: float
    y: float
    colour: str
    tooltip: str


@dataclass(frozen=True)
class Plot:
    """One metric per video: a row of dots for each video, or, for many videos, sorted curves.

    Attributes:
        title: of the metric.
        width, height: of the drawing.
        left, right, bottom: of the area inside the axes.
        ticks: positions and labels on the x axis.
        rows: positions and names of videos; empty for curves.
        dots: values.
        curves: colour and SVG points of each method.
        caption: how to read it.
    """

    title: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    ticks: tuple[tuple[float, str], ...]
    rows: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]
    curves: tuple[tuple[str, str], ...]
    caption: str


def colour(index: int) -> str:
    """Of the method at this place in the table."""
    return COLOURS[index % len(COLOURS)]


def video_plot(results: Results, column: MetricColumn) -> Plot | None:
    """Plot a metric over the videos; None where nothing was measured."""
    key = column.key
    values = [v[key] for method in results.methods for v in method.videos.values() if v.get(key) is not None]
    finite = [value for value in values if value is not None]
    if not finite:
        return None
    ticks = _ticks(min(finite), max(finite))
    videos = list(results.methods[0].videos)
    rows_wanted = len(videos) <= MOST_ROWS
    left = _LABEL if rows_wanted else 16.0
    inner = len(videos) * 22.0 if rows_wanted else 240.0
    scale = (_WIDTH - left - _RIGHT) / (ticks[-1] - ticks[0])
    bottom = _TOP + inner

    def x(value: float) -> float:
        return round(left + (value - ticks[0]) * scale, 2)

    rows: list[tuple[float, str]] = []
    dots: list[Dot] = []
    curves: list[tuple[str, str]] = []
    if rows_wanted:
        for place, video in enumerate(videos):
            y = _TOP + (place + 0.5) * 22.0
            rows.append((y, _short(video)))
            for index, method in enumerate(results.methods):
                value = method.videos[video].get(key)
                if value is not None:
                    tooltip = f"{method.name}, {video}: {number(value, column)} {column.unit}".rstrip()
                    dots.append(Dot(x(value), y, colour(index), tooltip))
        caption = "One row per video; point at a dot for its method and value."
    else:
        for index, method in enumerate(results.methods):
            ordered = sorted(v for video in videos if (v := method.videos[video].get(key)) is not None)
            step = inner / max(len(ordered) - 1, 1)
            points = " ".join(f"{x(v):g},{bottom - i * step:.1f}" for i, v in enumerate(ordered))
            curves.append((colour(index), points))
        caption = f"Videos of each method in increasing order, from 0 % (bottom) to 100 % (top) of {len(videos)}."
    labels = tuple((x(tick), _tick_label(tick, ticks)) for tick in ticks)
    return Plot(
        heading(column),
        _WIDTH,
        bottom + _BOTTOM,
        left,
        _WIDTH - _RIGHT,
        bottom,
        labels,
        tuple(rows),
        tuple(dots),
        tuple(curves),
        caption,
    )


def _ticks(low: float, high: float) -> list[float]:
    """About six round values that enclose the data."""
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 5
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [index * step for index in range(first, last + 1)]


def _tick_label(tick: float, ticks: list[float]) -> str:
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) - 1e-9))
    step = round((ticks[1] - ticks[0]) * 10**decimals, 6)
    return f"{tick:.{decimals if step == int(step) else decimals + 1}f}"


def _short(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"…{name[-(most - 1) :]}"
