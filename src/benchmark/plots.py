"""Geometry of the report's plots; the HTML template draws them as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .results import MethodResult, MetricColumn, Results
from .tables import heading, number

# Okabe and Ito's colours, distinguishable with all kinds of colour vision
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7A6A00", "#666666")

# the second and third time that a colour is used
_SHAPES = ("circle", "square", "diamond")
_DASHES = ("", "7 4", "2 3")

MOST_ROWS = 40
#: beyond it curves have no dots to point at, which would make the page heavy
MOST_CURVE_DOTS = 3000
_WIDTH, _LABEL, _RIGHT, _TOP, _BOTTOM = 900.0, 210.0, 16.0, 8.0, 30.0
_ROW = 24.0


@dataclass(frozen=True)
class Look:
    """What tells a method from the others: colour, shape of dots and swatch, dashes of curves."""

    colour: str
    shape: str
    dashes: str

    def path(self, x: float, y: float, radius: float) -> str:
        """SVG path of a dot."""
        r = radius
        match self.shape:
            case "circle":
                return f"M{x - r:g} {y:g}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0z"
            case "square":
                return f"M{x - r:g} {y - r:g}h{2 * r:g}v{2 * r:g}h{-2 * r:g}z"
            case _:
                r = 1.3 * radius
                return f"M{x:g} {y - r:g}l{r:g} {r:g}l{-r:g} {r:g}l{-r:g} {-r:g}z"


@dataclass(frozen=True)
class Dot:
    """A value of a method on a video."""

    path: str
    colour: str
    tooltip: str


@dataclass(frozen=True)
class Curve:
    """All values of a method in increasing order."""

    look: Look
    points: str


@dataclass(frozen=True)
class Extreme:
    """The worst and the best video of a method, and its values there."""

    method: str
    worst: str
    worst_video: str
    best: str
    best_video: str


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
        curves: one per method; empty for rows of dots.
        caption: how to read it.
        extremes: one per method with values.
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
    curves: tuple[Curve, ...]
    caption: str
    extremes: tuple[Extreme, ...]


def look(index: int) -> Look:
    """Of the method at this place in the table."""
    turn = index // len(COLOURS) % len(_SHAPES)
    return Look(COLOURS[index % len(COLOURS)], _SHAPES[turn], _DASHES[turn])


def video_plot(results: Results, column: MetricColumn) -> Plot | None:
    """Plot a metric over the videos; None where nothing was measured per video."""
    key = column.key
    found = [v for method in results.methods for video in method.videos.values() if (v := video.get(key)) is not None]
    if not found:
        return None
    ticks = _ticks(min(found), max(found))
    videos = list(results.methods[0].videos)
    rows_wanted = len(videos) <= MOST_ROWS
    longest = max(len(_short(video)) for video in videos)
    left = min(_LABEL, 7.0 * longest + 24) if rows_wanted else 16.0
    inner = len(videos) * _ROW if rows_wanted else 240.0
    scale = (_WIDTH - left - _RIGHT) / (ticks[-1] - ticks[0])
    bottom = _TOP + inner

    def x(value: float) -> float:
        return round(left + (value - ticks[0]) * scale, 2)

    rows: tuple[tuple[float, str], ...] = ()
    curves: tuple[Curve, ...] = ()
    if rows_wanted:
        rows = tuple((_TOP + (place + 0.5) * _ROW, _short(video)) for place, video in enumerate(videos))
        dots = _row_dots(results, column, x)
        caption = "One row per video; point at a dot for its method and value."
    else:
        curves, dots = _sorted_curves(results, column, x, bottom, inner)
        caption = f"Videos of each method in increasing order, from 0 % (bottom) to 100 % (top) of {len(videos)}."
    return Plot(
        title=heading(column),
        width=_WIDTH,
        height=bottom + _BOTTOM,
        left=left,
        right=_WIDTH - _RIGHT,
        bottom=bottom,
        ticks=tuple((x(tick), _tick_label(tick, ticks)) for tick in ticks),
        rows=rows,
        dots=dots,
        curves=curves,
        caption=caption,
        extremes=_extremes(results, column),
    )


def _tooltip(method: str, video: str, value: float, column: MetricColumn) -> str:
    return f"{video}, {method}: {number(value, column)} {column.unit}".rstrip()


def _row_dots(results: Results, column: MetricColumn, x: Callable[[float], float]) -> tuple[Dot, ...]:
    """A row of dots per video; methods lie a little above each other, so that equal values do not hide one."""
    dots = []
    methods = results.methods
    step = min(3.0, (_ROW - 10) / max(len(methods) - 1, 1))
    radius = 5.0 if len(methods) <= 6 else 4.0
    for place, video in enumerate(methods[0].videos):
        middle = _TOP + (place + 0.5) * _ROW
        for index, method in enumerate(methods):
            value = method.videos[video].get(column.key)
            if value is not None:
                y = round(middle + (index - (len(methods) - 1) / 2) * step, 2)
                shape = look(index)
                tooltip = _tooltip(method.name, video, value, column)
                dots.append(Dot(shape.path(x(value), y, radius), shape.colour, tooltip))
    return tuple(dots)


def _sorted_curves(
    results: Results, column: MetricColumn, x: Callable[[float], float], bottom: float, inner: float
) -> tuple[tuple[Curve, ...], tuple[Dot, ...]]:
    """The values of each method in increasing order, with dots to point at where there are not too many."""
    curves, dots = [], []
    dotted = sum(len(method.videos) for method in results.methods) <= MOST_CURVE_DOTS
    for index, method in enumerate(results.methods):
        shape = look(index)
        ordered = _ordered(method, column)
        step = inner / max(len(ordered) - 1, 1)
        places = [(x(value), round(bottom - i * step, 1)) for i, (value, _) in enumerate(ordered)]
        curves.append(Curve(shape, " ".join(f"{a:g},{b:g}" for a, b in places)))
        if dotted:
            for (value, video), (a, b) in zip(ordered, places, strict=True):
                dots.append(Dot(shape.path(a, b, 3.0), shape.colour, _tooltip(method.name, video, value, column)))
    return tuple(curves), tuple(dots)


def _ordered(method: MethodResult, column: MetricColumn) -> list[tuple[float, str]]:
    """Values and videos, the least first."""
    return sorted((v, video) for video, values in method.videos.items() if (v := values.get(column.key)) is not None)


def _extremes(results: Results, column: MetricColumn) -> tuple[Extreme, ...]:
    extremes = []
    for method in results.methods:
        ordered = _ordered(method, column)
        if ordered:
            worst, best = (ordered[0], ordered[-1]) if column.higher_is_better else (ordered[-1], ordered[0])
            extremes.append(Extreme(method.name, number(worst[0], column), worst[1], number(best[0], column), best[1]))
    return tuple(extremes)


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
