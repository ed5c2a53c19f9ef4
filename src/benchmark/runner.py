"""Methods x videos: every video is loaded once, every row computed once."""

from __future__ import annotations

import statistics as python_statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..core.ahead import ReadAhead
from ..core.errors import ConfigError, DataError
from ..core.files import sha256_json
from ..core.processes import Group
from ..core.provenance import command_line, environment
from ..datamodules.base import EvaluationDataset
from ..inference import Context, FolderMethod, Method
from ..metrics import ValueMetric
from ..video.montage import to_uint8
from .aggregates import column_result, video_value
from .cache import MethodCache, Pictures, StoredTruth
from .comparison import compare
from .cost import measure_cost
from .problems import Problem, View, make_problem
from .protocol import Protocol
from .results import (
    Cost,
    MethodResult,
    MetricResult,
    ProtocolRecord,
    Published,
    Results,
)
from .samples import Clip, FrameKeeper, Gallery, pick_cases, write_clip, write_still
from .scoring import Column, Ran, Row, make_columns, run_method, score, views_of


@dataclass(frozen=True)
class Benchmark:
    """A data set, a protocol, and the methods to compare.

    Published numbers are found by ``name``, with or without the task in front: the numbers that cards give
    for ``vimeo90k`` stand in the table of ``interpolation_vimeo90k``.
    """

    name: str
    dataset: EvaluationDataset
    protocol: Protocol
    methods: Sequence[Method]


@dataclass(frozen=True)
class RunOptions:
    """How to run a benchmark; nothing in here changes a number beyond rounding errors.

    Attributes:
        device: of networks and metrics.
        precision: ``32-true`` or ``bf16-mixed``, see :class:`framewright.inference.Context`.
        cache: folder of known rows; None computes everything.
        pictures: folder for ``clips/`` and ``stills/``; None writes no pictures.
        clips: number of videos, from the first, shown side by side.
        clip_frames: output frames per clip.
        clip_fps: speed of the clips.
        cases: at most so many examples, the worst and the best of the columns.
        resamples: of the bootstrap, and draws of the paired test.
        seed: of both.
        strict: a metric whose weights are absent is an error.
        progress: show a progress line; None: if stderr is a terminal.
        command: recorded in the results; None: the running command.
        group: the processes that share the videos, whole ones in turn; by default this process alone.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "32-true"
    cache: Path | None = None
    pictures: Path | None = None
    clips: int = 3
    clip_frames: int = 24
    clip_fps: int = 6
    cases: int = 8
    resamples: int = 10_000
    seed: int = 0
    strict: bool = False
    progress: bool | None = None
    command: str | None = None
    group: Group = field(default_factory=Group)


@dataclass(frozen=True)
class Outcome:
    """A finished evaluation.

    Attributes:
        results: what goes into ``results.json``.
        gallery: the pictures that were written.
        manifest: of the data set, in full.
        computed: number of rows (method x video) that were computed.
        cached: number of rows that were known before.
        truth: per intermediate result of the ground truth (flow, features ...), how many videos' were computed and
            how many were known from earlier evaluations.
    """

    results: Results
    gallery: Gallery
    manifest: Mapping[str, Any]
    computed: int
    cached: int
    truth: Mapping[str, tuple[int, int]]


def run(benchmark: Benchmark, options: RunOptions | None = None) -> Outcome:
    """Run all methods over all videos and put the table together.

    Videos are loaded one at a time, the next one while the present one is measured, and each only if a row or a clip
    of it is missing. Rows go to the cache as soon as they are finished, so that an interrupted evaluation continues
    where it stopped.

    With several processes, each computes every n-th video, and then all have all rows; only the first one makes
    the stills. A video is never divided, so that nothing is counted twice and a method that carries a state from
    frame to frame gives the same result for any number of processes.

    Raises:
        ConfigError: no methods, two of one name, an unknown metric, a task without benchmark.
        DataError: a video cannot be read, or a method returned a wrong number or size of frames.
        WeightsError: with ``strict``, the weights of a metric are absent.
    """
    return _Run(benchmark, options or RunOptions()).execute()


@dataclass
class _State:
    """One method during a run."""

    method: Method
    cache: MethodCache
    found: dict[int, Row] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """In the order of the data set."""
        return [self.found[index] for index in sorted(self.found)]


@dataclass(frozen=True)
class _Video:
    """What the cache knows of a video: per method its row, and its cost if this is the first video."""

    index: int
    rows: Sequence[Row | None]
    costs: Sequence[Mapping[str, Any] | None]
    clip: bool


@dataclass(frozen=True)
class _Ready:
    """A video that was read, and what the first method made of it, if that was read too."""

    problem: Problem
    first: Ran | None = None


class _Run:
    def __init__(self, benchmark: Benchmark, options: RunOptions) -> None:
        _check_names(benchmark.methods)
        self.benchmark = benchmark
        self.options = options
        self.protocol = benchmark.protocol
        self.manifest = benchmark.dataset.describe()
        self.manifest_sha256 = sha256_json(self.manifest)
        self.columns = make_columns(self.protocol, options.device, strict=options.strict)
        context = Context(self.protocol.task, device=options.device, precision=options.precision)
        self.states = [
            _State(method, MethodCache(options.cache, method, self.protocol, self.manifest_sha256, context))
            for method in benchmark.methods
        ]
        self.truth = StoredTruth(options.cache, self.protocol, self.manifest_sha256, context)
        self.truth_counts: dict[str, tuple[int, int]] = {}
        self.costs = [Cost(parameters=state.method.parameters) for state in self.states]
        self.gallery = Gallery()
        self.frame_counts: list[int] = []
        self.computed = 0
        self.clips: dict[int, Clip] = {}

    def execute(self) -> Outcome:
        videos = len(self.benchmark.dataset)
        if videos == 0:
            raise DataError(f"the data set {self.benchmark.dataset.name!r} has no videos")
        group = self.options.group
        hidden = None if self.options.progress is None else not self.options.progress
        mine = range(group.rank, videos, group.size)
        with tqdm(
            total=len(mine) * len(self.states), desc=self.benchmark.name, unit="row", disable=hidden or group.rank > 0
        ) as progress:
            self._videos(mine, progress)
        self._share()
        _check_ids(self.states[0].rows)
        self._stills()
        results = self._results()
        cached = videos * len(self.states) - self.computed
        return Outcome(results, self.gallery, self.manifest, self.computed, cached, self.truth_counts)

    def _share(self) -> None:
        """Give all rows and clips to every process."""
        counts = (self.truth.computed, self.truth.loaded)
        mine = (self.computed, self.clips, [state.found for state in self.states], counts, self.costs)
        shares = self.options.group.gather(mine)
        self.computed = sum(share[0] for share in shares)
        clips = {index: clip for share in shares for index, clip in share[1].items()}
        self.gallery.clips.extend(clips[index] for index in sorted(clips))
        for number, state in enumerate(self.states):
            state.found = {index: row for share in shares for index, row in share[2][number].items()}
        for name in sorted({name for share in shares for part in share[3] for name in part}):
            computed, loaded = (sum(share[3][part].get(name, 0) for share in shares) for part in (0, 1))
            self.truth_counts[name] = (computed, loaded)
        # the first process has the first video, on which the cost is measured
        self.costs = shares[0][4]

    def _videos(self, mine: Sequence[int], progress: tqdm[Any]) -> None:
        """All videos of this process, the next one read while the results of the last method are measured.

        Not earlier, because methods are timed (folders of results are not), and not before the costs are known,
        because memory is measured.
        """
        waiting = [video for video in map(self._known, mine) if not self._settle(video, progress)]
        with ReadAhead(lambda place: self._ready(waiting[place])) as ahead:
            for place, video in enumerate(waiting):
                begin = partial(ahead.begin, place + 1) if place + 1 < len(waiting) else None
                self._video(video, ahead.get(place), begin, progress)

    def _ready(self, video: _Video) -> _Ready:
        """A video and, if the results of a folder come first, these."""
        problem = self._problem(video.index)
        method = self.states[0].method
        if not isinstance(method, FolderMethod) or video.clip or not self._missing(video.rows[0]):
            return _Ready(problem)
        return _Ready(problem, run_method(method, problem))

    def _known(self, index: int) -> _Video:
        """What is known of a video before it is read."""
        return _Video(
            index,
            rows=[state.cache.load(index, self.columns) for state in self.states],
            costs=[state.cache.load_json("cost") for state in self.states] if index == 0 else [],
            clip=self.options.pictures is not None and index < self.options.clips,
        )

    def _settle(self, video: _Video, progress: tqdm[Any]) -> bool:
        """Take over the rows of a video of which nothing is missing."""
        if video.clip or None in video.costs or any(map(self._missing, video.rows)):
            return False
        for state, row in zip(self.states, video.rows, strict=True):
            assert row is not None
            state.found[video.index] = row
        self._costs(video.costs, None)
        progress.update(len(self.states))
        return True

    def _video(self, video: _Video, ready: _Ready, begin: Callable[[], None] | None, progress: tqdm[Any]) -> None:
        index, clip, costs, problem = video.index, video.clip, video.costs, ready.problem
        truth = self.truth.video(index)
        kept: dict[str, Pictures] = {}
        for state, row in zip(self.states, video.rows, strict=True):
            progress.set_postfix_str(state.method.name, refresh=False)
            name = f"clip-{index:06d}-{self.options.clip_frames}"
            pictures = state.cache.load_pictures(name) if clip else None
            columns = self._missing(row)
            if row is None or columns or (clip and pictures is None):
                keeper = FrameKeeper(self.options.clip_frames)
                made = begin if state is self.states[-1] and None not in costs else None
                if made is not None and isinstance(state.method, FolderMethod):
                    # nothing is timed: the next video can be read at once
                    made()
                    made = None
                ran = ready.first if state is self.states[0] else None
                row = _merged(row, score(state.method, problem, columns, keeper if clip else None, truth, made, ran))
                self.computed += 1
                if clip:
                    pictures = keeper.pictures()
                    state.cache.store_pictures(name, pictures)
                state.cache.store(index, row, self.columns)
            if pictures is not None:
                kept[state.method.name] = pictures
            state.found[index] = row
            progress.update()
        self._costs(costs, problem)
        if clip and self.options.pictures is not None:
            folder = self.options.pictures / "clips"
            limit, fps = self.options.clip_frames, self.options.clip_fps
            self.clips[index] = write_clip(folder, problem, kept, limit=limit, fps=fps)

    def _missing(self, row: Row | None) -> list[Column]:
        """The columns that have to be measured."""
        available = [column for column in self.columns if column.metric is not None]
        return available if row is None else [column for column in available if not row.knows(column)]

    def _costs(self, known: Sequence[Mapping[str, Any] | None], problem: Problem | None) -> None:
        for number, (state, cost) in enumerate(zip(self.states, known, strict=False)):
            if cost is None and problem is not None:
                cost = measure_cost(state.method, problem)
                state.cache.store_json("cost", cost)
            self.costs[number] = Cost(parameters=state.method.parameters, **(cost or {}))

    def _problem(self, index: int) -> Problem:
        dataset = self.benchmark.dataset
        problem = make_problem(dataset[index], self.protocol, self.options.device, self.options.precision)
        if any(column.metric is not None and column.metric.position_matters for column in self.columns):
            for before in range(len(self.frame_counts), index):
                self.frame_counts.append(dataset.frame_count(before))
            problem = replace(problem, pairs_before=sum(max(count - 1, 0) for count in self.frame_counts[:index]))
        return problem

    def _stills(self) -> None:
        """The worst and the best case of each column, as every method made them."""
        if self.options.pictures is None or self.options.group.rank > 0:
            return
        values: dict[str, list[list[float | None]]] = {}
        names: dict[str, str] = {}
        for column in self.columns:
            best = self._best(column) if isinstance(column.metric, ValueMetric) else None
            if best is not None:
                values[column.key] = [_figures(column, row) for row in best.rows]
                names[column.key] = best.method.name
        lengths = [row.frames for row in self.states[0].rows]
        cases = pick_cases(values, [column.record for column in self.columns], names, lengths, most=self.options.cases)
        folder = self.options.pictures / "stills"
        stills = {}
        for video in dict.fromkeys(case.video for case in cases):
            problem = self._problem(video)
            wanted = sorted({case.frame for case in cases if case.video == video})
            made = {state.method.name: self._views(state, problem, video, wanted) for state in self.states}
            for case in cases:
                if case.video == video:
                    views = {name: found[case.frame] for name, found in made.items()}
                    captions = {s.method.name: self._caption(s, video, case.frame) for s in self.states}
                    stills[case] = write_still(folder, case.title, problem, case.frame, views, captions)
        self.gallery.stills.extend(stills[case] for case in cases)

    def _best(self, column: Column) -> _State | None:
        sign = 1 if column.record.higher_is_better else -1
        measured = []
        for state in self.states:
            mean = column_result(column, state.rows, None, resamples=0, seed=0).mean
            if mean is not None:
                measured.append((sign * mean, state))
        return max(measured, key=lambda pair: pair[0])[1] if measured else None

    def _views(self, state: _State, problem: Problem, video: int, wanted: Sequence[int]) -> dict[int, View]:
        """Output frames of one video for people; the method runs at most once."""
        names = {frame: f"view-{video:06d}-{frame:06d}" for frame in wanted}
        known = {frame: state.cache.load_pictures(name) for frame, name in names.items()}
        missing = [frame for frame, pictures in known.items() if pictures is None]
        if missing:
            for frame, made in views_of(state.method, problem, missing).items():
                shown = [made.frame, made.error.expand_as(made.frame), *([] if made.warped is None else [made.warped])]
                known[frame] = fresh = to_uint8(torch.stack(shown))
                state.cache.store_pictures(names[frame], fresh)
        found = {}
        for frame, pictures in known.items():
            assert pictures is not None
            views = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
            found[frame] = View(views[0], views[1, :1], views[2] if len(views) > 2 else None)
        return found

    def _caption(self, state: _State, video: int, frame: int) -> str:
        parts = []
        for column in self.columns:
            values = state.rows[video].values.get(column.key, [])
            value = values[frame] if column.record.items == "frame" and frame < len(values) else None
            if value is not None and isinstance(column.metric, ValueMetric):
                record, value = column.record, column.metric.finish(value)
                parts.append(f"{record.label} {value:.{record.decimals}f} {record.unit}".strip())
        return ", ".join(parts)

    def _results(self) -> Results:
        protocol = ProtocolRecord(
            name=self.protocol.name,
            version=self.protocol.version,
            task=self.protocol.task,
            mean_over=self.protocol.mean_over,
            description=list(self.protocol.description),
            metrics=[column.record for column in self.columns],
        )
        results = Results(
            benchmark=self.benchmark.name,
            protocol=protocol,
            dataset=self.benchmark.dataset.name,
            data_manifest=self.manifest_sha256,
            command=command_line() if self.options.command is None else self.options.command,
            environment={
                **environment(),
                "device": str(self.options.device),
                "precision": self.options.precision,
            },
            methods=[self._method_result(state) for state in self.states],
        )
        return compare(results, draws=self.options.resamples, seed=self.options.seed)

    def _method_result(self, state: _State) -> MethodResult:
        method, rows = state.method, state.rows
        videos: dict[str, dict[str, float | None]] = {row.video_id: {} for row in rows}
        frames: dict[str, dict[str, int]] = {row.video_id: {} for row in rows}
        for column in self.columns:
            for row in rows:
                value, count = video_value(column, row)
                videos[row.video_id][column.key] = value
                frames[row.video_id][column.key] = count
        seconds = [row.seconds / row.frames for row in rows if row.frames]
        cost = self.costs[self.states.index(state)]
        return MethodResult(
            name=method.name,
            source=method.source,
            weights_sha256=method.weights_sha256,
            metrics={column.key: self._metric_result(state, column) for column in self.columns},
            videos=videos,
            frames=frames,
            cost=cost.model_copy(update={"seconds_per_frame": python_statistics.median(seconds) if seconds else None}),
        )

    def _metric_result(self, state: _State, column: Column) -> MetricResult:
        name, record = self.benchmark.name, column.record
        names = (name, name.removeprefix(f"{self.protocol.task}_"))
        published = next(
            (
                Published(value=p.value, source=p.source, variant=p.variant)
                for p in state.method.published
                if p.benchmark in names and p.metric in (record.key, record.metric)
            ),
            None,
        )
        return column_result(column, state.rows, published, resamples=self.options.resamples, seed=self.options.seed)


def _figures(column: Column, row: Row) -> list[float | None]:
    """What the table would print for each item of a video."""
    assert isinstance(column.metric, ValueMetric)
    return [None if value is None else column.metric.finish(value) for value in row.values[column.key]]


def _merged(known: Row | None, new: Row) -> Row:
    """A row with columns that were known and columns that were measured now."""
    if known is not None:
        new.values = {**known.values, **new.values}
        new.features = {**known.features, **new.features}
        new.weights = {**known.weights, **new.weights}
    return new


def _check_names(methods: Sequence[Method]) -> None:
    names = [method.name for method in methods]
    if not names:
        raise ConfigError("nothing to evaluate: give at least one method, for example methods.average=frame_average")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"two methods are called {repeated[0]!r}; names must be unique")


def _check_ids(rows: Sequence[Row]) -> None:
    ids = [row.video_id for row in rows]
    repeated = sorted({video for video in ids if ids.count(video) > 1})
    if repeated:
        raise DataError(f"two videos of the data set have the id {repeated[0]!r}; ids must be unique")
