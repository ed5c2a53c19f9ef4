"""The runs of a sweep, read from their folders: what they changed, how far they are, what was measured."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...benchmark.ablation import Ablation, LeftOut, Measurement, Trial, make_ablation
from ...benchmark.results import MethodResult, MetricColumn, MetricResult, ProtocolRecord, read_results
from ...core.errors import ConfigError, DataError, FramewrightError
from ...training.run_folder import load_config
from ..finished import is_finished
from .folder import SweepFolder, progress_of
from .plan import Job, label_of, shown_value

#: what differs between runs without making them another setting
_NOT_A_SETTING = ("run", "resume", "resume_force", "seed", "logger", "allow_targets", "experiment")


def collect(folder: Path, *, base: str | None = None, resamples: int = 10_000) -> Ablation:
    """Make the table of the runs below a folder.

    With a ``sweep.json`` in it (``sweep.py`` and ``train.py -m`` write one) its jobs are the runs; otherwise every run
    folder below is one, and what their configurations differ in are the settings.

    Runs with a table of their own (``table/results.json``) are compared by it; if none has one, by the last validation
    in ``metrics.csv``.

    Args:
        folder: with the runs.
        base: the row that the others are compared with.
        resamples: of the bootstrap.

    Raises:
        ConfigError: no such folder, ``base`` names no row.
        DataError: no finished run, damaged files.
    """
    if not folder.is_dir():
        raise ConfigError(f"collect={str(folder)!r} is not a folder")
    sweep = SweepFolder(folder)
    if sweep.manifest.is_file():
        plan = sweep.read_plan()
        name, keys, jobs = plan.name, list(plan.keys), list(plan.jobs)
        base = base or plan.base
        # a base without finished runs is an error, not silently another base
        left_out = [LeftOut(j.name, j.setting, _reason(sweep, j)) for j in jobs if not sweep.is_finished(j)]
        known = {job.name for job in jobs}
        strangers = [run for run in find_runs(folder) if run.relative_to(sweep.path).parts[0] not in known]
        left_out += [LeftOut(_relative(r, folder), "", "is not one of the jobs in sweep.json") for r in strangers]
        finished = [(job, sweep.run(job)) for job in jobs if sweep.is_finished(job)]
    else:
        name = sweep.path.name
        finished, left_out, keys = _jobs_of_folders(folder)
    order = {setting: place for place, setting in enumerate(dict.fromkeys(job.setting for job, _ in finished))}
    finished.sort(key=lambda pair: order[pair[0].setting])
    tables = any((run / "table" / "results.json").is_file() for _, run in finished)
    trials = []
    for job, run in finished:
        try:
            measurement = read_table(run) if tables else read_validation(run)
        except FramewrightError as error:
            left_out.append(LeftOut(job.name, job.setting, str(error)))
            continue
        trials.append(Trial(job.name, job.setting, job.settings, job.seed, measurement))
    return make_ablation(name, trials, keys, base, left_out, resamples=resamples)


def _reason(sweep: SweepFolder, job: Job) -> str:
    status = sweep.status(job)
    return f"{status.state}: {status.detail}" if status.detail else status.state


def _relative(run: Path, folder: Path) -> str:
    return run.relative_to(folder.expanduser().absolute()).as_posix()


def find_runs(folder: Path) -> list[Path]:
    """Every run folder below (absolute), in natural order of the names."""

    def natural(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]

    root = folder.expanduser().absolute()
    found = [path.parent for path in root.rglob("config.yaml") if (path.parent / "provenance.json").is_file()]
    return sorted(found, key=natural)


def _jobs_of_folders(folder: Path) -> tuple[list[tuple[Job, Path]], list[LeftOut], list[str]]:
    """Jobs made from the run folders themselves, runs that are not finished, and the settings that differ."""
    runs = find_runs(folder)
    configs = {run: load_config(run) for run in runs}
    flat = {run: _flat({k: v for k, v in configs[run].items() if k not in _NOT_A_SETTING}) for run in runs}
    keys = _differing(list(flat.values()))
    finished, left_out = [], []
    for run in runs:
        settings = {key: flat[run].get(key, "-") for key in keys}
        seed = configs[run].get("seed")
        job = Job(_relative(run, folder), label_of("", settings), settings, seed if isinstance(seed, int) else None, ())
        if is_finished(run):
            finished.append((job, run))
        else:
            left_out.append(LeftOut(job.name, job.setting, f"unfinished: {progress_of(run)}"))
    return finished, left_out, keys


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            found.update(_flat(value, where))
        else:
            found[where] = shown_value(value)
    return found


def _differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys whose values differ; of several that always go together (interpolations) the shortest."""
    keys = list(dict.fromkeys(key for config in configs for key in config))
    columns: dict[tuple[str | None, ...], str] = {}
    for key in keys:
        values = tuple(config.get(key) for config in configs)
        if len(set(values)) > 1 and len(key) < len(columns.get(values, key + " ")):
            columns[values] = key
    return list(columns.values())


def read_table(run: Path) -> Measurement:
    """The row of the trained network in the table that a run made at its end.

    Raises:
        DataError: there is no such table, or it is damaged.
    """
    path = run / "table" / "results.json"
    if not path.is_file():
        raise DataError("it has no table of its own (final=null), while other runs have one")
    results = read_results(path)
    if not any(method.name == "trained" for method in results.methods):
        raise DataError(f"{path} has no row of the trained network")
    return Measurement(results.protocol, results.dataset, results.data_manifest, results.method("trained"))


def read_validation(run: Path) -> Measurement:
    """The last validation of a run.

    Raises:
        DataError: there was none, or a file is damaged.
    """
    from ...metrics import create_metric

    metrics = (load_config(run).get("validation") or {}).get("metrics") or {}
    columns = []
    for key, options in metrics.items():
        metric = create_metric(key, **(options or {}))
        columns.append(
            MetricColumn(
                key=str(key),
                label=str(key),
                metric=str(key),
                options=dict(options or {}),
                unit=metric.unit,
                higher_is_better=metric.higher_is_better,
                decimals=metric.decimals,
            )
        )
    row = _last_validation(run / "metrics.csv", [column.key for column in columns])
    results = {
        column.key: MetricResult(
            mean=row[column.key],
            ci95=None,
            n=0,
            n_frames=0,
            unit=column.unit,
            higher_is_better=column.higher_is_better,
        )
        for column in columns
    }
    try:
        record = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
        manifest = _validation_manifest(run) or str(record["data_manifest"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{run / 'provenance.json'} cannot be read: {error}") from None
    protocol = ProtocolRecord(
        name="validation",
        version=1,
        task="",
        mean_over="frames",
        description=["The last validation of each run (metrics.csv), not a test set."],
        metrics=columns,
    )
    result = MethodResult(name="trained", source=str(run), weights_sha256=None, metrics=results, videos={})
    return Measurement(protocol, "validation videos", manifest, result)


def _validation_manifest(run: Path) -> str | None:
    """SHA-256 of the validation part of ``data.json``: runs that trained on other data may be compared all the same."""
    from ...core.files import sha256_json

    try:
        manifest = json.loads((run / "data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    validation = manifest.get("validation") if isinstance(manifest, dict) else None
    return None if validation is None else sha256_json(validation)


def _last_validation(path: Path, keys: Sequence[str]) -> dict[str, float]:
    wanted = [f"val/{key}" for key in keys]
    last: dict[str, str] | None = None
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                if wanted and all(row.get(key) for key in wanted):
                    last = row
        if last is None:
            raise DataError("it has neither a table nor a validation; set final or validation.metrics")
        return {key: float(last[f"val/{key}"]) for key in keys}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from None
