"""The table of a sweep: one row per setting, over all seeds, each compared with a base."""

from __future__ import annotations

import statistics as python_statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..core.errors import ConfigError, DataError, nearest
from ..core.provenance import command_line, environment
from .results import Cost, MethodResult, MetricResult, ProtocolRecord, Results, finite
from .statistics import Floats, MeanOver, crossed_bootstrap, quantile_interval, t_interval


@dataclass(frozen=True)
class Measurement:
    """What was measured of one run.

    Attributes:
        protocol: how.
        dataset: name of the data set.
        data_manifest: SHA-256 of its manifest.
        result: the run's row.
    """

    protocol: ProtocolRecord
    dataset: str
    data_manifest: str
    result: MethodResult

    @property
    def comparable(self) -> tuple[str, ...]:
        """Two measurements stand in one table only where this is the same."""
        metrics = ",".join(column.model_dump_json() for column in self.protocol.metrics)
        return self.protocol.title, self.protocol.mean_over, metrics, self.data_manifest


@dataclass(frozen=True)
class Trial:
    """One finished run of a sweep.

    Attributes:
        name: of the run.
        setting: the row that it belongs to.
        settings: what the row changes, as shown.
        seed: of the run; None where it is not known.
        measurement: of the run.
    """

    name: str
    setting: str
    settings: Mapping[str, str]
    seed: int | None
    measurement: Measurement


@dataclass(frozen=True)
class LeftOut:
    """A run that is not in the table, and why."""

    name: str
    setting: str
    reason: str


@dataclass(frozen=True)
class Difference:
    """A metric minus that of the base row, and its 95 % interval where there is one."""

    mean: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class AblationRow:
    """One setting.

    Attributes:
        name: of the row.
        settings: value by changed key.
        runs: names of its runs.
        seeds: of its runs.
        spread: per metric the standard deviation over seeds; None for one seed.
        differences: per metric; empty for the base.
    """

    name: str
    settings: Mapping[str, str]
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    spread: Mapping[str, float | None]
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class Ablation:
    """A whole table.

    Attributes:
        results: the rows as an evaluation's results; its methods are the rows in the same order.
        keys: the changed settings, which are columns.
        rows: one per setting.
        base: name of the row that the others are compared with.
        left_out: runs that failed, are not finished, or were measured otherwise.
        notes: what the numbers and intervals are.
    """

    results: Results
    keys: tuple[str, ...]
    rows: tuple[AblationRow, ...]
    base: str
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = field(default=())


def make_ablation(
    name: str,
    trials: Sequence[Trial],
    keys: Sequence[str],
    base: str | None = None,
    left_out: Sequence[LeftOut] = (),
    *,
    resamples: int = 10_000,
) -> Ablation:
    """Put the runs of a sweep into one table.

    The value of a row is the mean over its seeds. Where values per video are known, intervals come from a bootstrap
    over videos and seeds (:func:`~framewright.benchmark.statistics.crossed_bootstrap`), and the difference to the
    base is paired over videos; otherwise they are Student's t over seeds.

    Args:
        name: of the sweep.
        trials: its finished runs, rows in the order of the table.
        keys: the changed settings.
        base: the row that the others are compared with; None: the first.
        left_out: runs without a measurement, which are listed below the table.
        resamples: of the bootstrap.

    Raises:
        ConfigError: ``base`` names no row.
        DataError: there is not one finished run.
    """
    if not trials:
        listed = "".join(f"\n  {run.name}: {run.reason}" for run in left_out)
        raise DataError(f"{name}: there is no finished run to make a table of{listed}")
    names = list(dict.fromkeys(trial.setting for trial in trials))
    if base is not None and base not in names:
        unfinished = any(run.setting == base for run in left_out)
        why = "has no finished run yet" if unfinished else f"is no row{nearest(base, names)}"
        raise ConfigError(f"base: {base!r} {why}; name another with base=<row> (rows: {'; '.join(names)})")
    base = base or names[0]
    reference = next(trial for trial in trials if trial.setting == base).measurement
    kept, excluded = [], list(left_out)
    for trial in trials:
        if trial.measurement.comparable == reference.comparable:
            kept.append(trial)
        else:
            reason = f"was measured on other data or under another protocol than {base!r}"
            excluded.append(LeftOut(trial.name, trial.setting, reason))
    groups = {
        row: group for row in names if (group := sorted((t for t in kept if t.setting == row), key=lambda t: t.name))
    }
    statistics = _Statistics(list(groups.values()), list(groups).index(base), reference.protocol, resamples)
    rows, methods = [], []
    for place, (row, group) in enumerate(groups.items()):
        columns = reference.protocol.metrics
        differences = {column.key: d for column in columns if (d := statistics.difference(place, column.key))}
        spread = {column.key: statistics.spread(place, column.key) for column in columns}
        seeds = tuple(trial.seed for trial in group)
        shown = AblationRow(row, group[0].settings, tuple(t.name for t in group), seeds, spread, differences)
        rows.append(shown)
        methods.append(statistics.method(place, shown))
    notes = _notes(reference, base, rows, statistics)
    results = Results(
        benchmark=name,
        protocol=reference.protocol.model_copy(update={"description": [*reference.protocol.description, *notes]}),
        dataset=reference.dataset,
        data_manifest=reference.data_manifest,
        command=command_line(),
        environment=environment(),
        methods=methods,
        **_extra(keys, base, excluded),
    )
    return Ablation(results, tuple(keys), tuple(rows), base, tuple(excluded), notes)


def _extra(keys: Sequence[str], base: str, left_out: Sequence[LeftOut]) -> dict[str, Any]:
    runs = [{"run": run.name, "row": run.setting, "reason": run.reason} for run in left_out]
    return {"ablation": {"keys": list(keys), "base": base, "left_out": runs}}


class _Statistics:
    """Values, intervals and differences of all rows, per metric."""

    def __init__(self, groups: list[list[Trial]], base: int, protocol: ProtocolRecord, resamples: int) -> None:
        self.groups = groups
        self.base = base
        self.protocol = protocol
        videos = [set(trial.measurement.result.videos) for group in groups for trial in group]
        self.videos = [v for v in groups[0][0].measurement.result.videos if all(v in found for found in videos)]
        self.over_videos = len(self.videos) >= 2
        self.over_seeds = any(len(group) > 1 for group in groups)
        self._replicates: dict[str, list[Floats]] = {}
        self._resamples = resamples

    def means(self, place: int, key: str) -> list[float]:
        """One value per seed; empty if one of them is missing."""
        found = [trial.measurement.result.metrics[key].mean for trial in self.groups[place]]
        return [value for value in found if value is not None] if None not in found else []

    def spread(self, place: int, key: str) -> float | None:
        """Standard deviation over seeds."""
        means = self.means(place, key)
        return python_statistics.stdev(means) if len(means) > 1 else None

    def interval(self, place: int, key: str) -> tuple[float, float] | None:
        """Of a row's value."""
        if not self.means(place, key):
            return None
        if self._has_videos(key):
            return quantile_interval(self._drawn(key)[place])
        return t_interval(self.means(place, key))

    def difference(self, place: int, key: str) -> Difference | None:
        """Of a row to the base; None for the base itself and where a value is missing."""
        ours, theirs = self.means(place, key), self.means(self.base, key)
        if place == self.base or not ours or not theirs:
            return None
        mean = python_statistics.fmean(ours) - python_statistics.fmean(theirs)
        if self._has_videos(key):
            return Difference(mean, quantile_interval(self._drawn(key)[place] - self._drawn(key)[self.base]))
        return Difference(mean, t_interval(ours, theirs))

    def _has_videos(self, key: str) -> bool:
        """A value of the whole set, such as a Frechet distance, is not made of values per video."""
        return self.over_videos and self._mean_over(key) != "set"

    def _mean_over(self, key: str) -> Literal["frames", "videos", "set"]:
        return self.protocol.mean_over_of(next(c for c in self.protocol.metrics if c.key == key))

    def _drawn(self, key: str) -> list[Floats]:
        if key not in self._replicates:
            rows = [self._sums(group, key) for group in self.groups]
            mean_over: MeanOver = "videos" if self._mean_over(key) == "videos" else "frames"
            self._replicates[key] = crossed_bootstrap(rows, mean_over, resamples=self._resamples)
        return self._replicates[key]

    def _sums(self, group: list[Trial], key: str) -> tuple[Floats, Floats]:
        sums, counts = np.zeros((len(group), len(self.videos))), np.zeros((len(group), len(self.videos)))
        for seed, trial in enumerate(group):
            result = trial.measurement.result
            for place, video in enumerate(self.videos):
                value = result.videos[video].get(key)
                if value is not None:
                    counts[seed, place] = result.frames.get(video, {}).get(key, 1)
                    sums[seed, place] = value * counts[seed, place]
        return sums, counts

    def method(self, place: int, row: AblationRow) -> MethodResult:
        """The row as one of an evaluation's results; values per video are means over seeds."""
        results = [trial.measurement.result for trial in self.groups[place]]
        metrics = {}
        for column in self.protocol.metrics:
            first = results[0].metrics[column.key]
            means = self.means(place, column.key)
            reasons = [r.metrics[column.key].reason for r in results if r.metrics[column.key].reason]
            metrics[column.key] = MetricResult(
                mean=finite(python_statistics.fmean(means)) if means else None,
                ci95=self.interval(place, column.key),
                n=first.n,
                n_frames=first.n_frames,
                unit=column.unit,
                higher_is_better=column.higher_is_better,
                reason=None if means else (reasons[0] if reasons else "there is no value"),
            )
        seconds = [r.cost.seconds_per_frame for r in results if r.cost.seconds_per_frame is not None]
        extra: dict[str, Any] = {"ablation": _row_extra(row)}
        return MethodResult(
            name=row.name,
            source=", ".join(row.runs),
            weights_sha256=results[0].weights_sha256 if len(results) == 1 else None,
            metrics=metrics,
            videos={video: self._video(results, video) for video in self.videos},
            frames={video: results[0].frames.get(video, {}) for video in self.videos},
            cost=Cost(
                parameters=results[0].cost.parameters,
                seconds_per_frame=python_statistics.median(seconds) if seconds else None,
                macs_per_frame=results[0].cost.macs_per_frame,
                macs_of_clip=results[0].cost.macs_of_clip,
                peak_memory_mb=max((mb for r in results if (mb := r.cost.peak_memory_mb) is not None), default=None),
            ),
            **extra,
        )

    def _video(self, results: Sequence[MethodResult], video: str) -> dict[str, float | None]:
        values: dict[str, float | None] = {}
        for column in self.protocol.metrics:
            found = [v for r in results if (v := r.videos[video].get(column.key)) is not None]
            values[column.key] = python_statistics.fmean(found) if len(found) == len(results) else None
        return values


def _row_extra(row: AblationRow) -> dict[str, Any]:
    return {
        "settings": dict(row.settings),
        "runs": list(row.runs),
        "seeds": list(row.seeds),
        "spread_over_seeds": dict(row.spread),
        "difference_to_base": {
            key: {"mean": d.mean, "ci95": None if d.ci95 is None else list(d.ci95)}
            for key, d in row.differences.items()
        },
    }


def _notes(reference: Measurement, base: str, rows: Sequence[AblationRow], statistics: _Statistics) -> tuple[str, ...]:
    seeds = sorted({len(row.runs) for row in rows})
    counted = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    value = f"In this table each value is the mean over the seeds of a row ({counted})"
    if statistics.over_videos and statistics.over_seeds:
        how = (
            f"Its 95 % intervals: bootstrap over {len(statistics.videos)} videos and over seeds, drawn independently "
            "(a row with one seed: over videos only); with few seeds they are somewhat too narrow"
        )
        paired = "the same videos are drawn for both rows"
    elif statistics.over_videos:
        how = f"Its 95 % intervals: bootstrap over {len(statistics.videos)} videos; one seed says nothing about seeds"
        paired = "the same videos are drawn for both rows"
    elif statistics.over_seeds:
        how, paired = "Its 95 % intervals: Student's t over seeds", "Welch's t over seeds"
    else:
        how, paired = "No intervals: there is one seed, and no values per video", ""
    difference = f"Δ: difference to {base!r}" + (f", with its 95 % interval ({paired})" if paired else "")
    return f"{value}. {how}.", f"{difference}."
