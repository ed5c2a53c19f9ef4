"""From a sweep's YAML file to its jobs: settings x seeds, each with a command line and a file name."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ...core.config import Section, parse_section
from ...core.errors import ConfigError, nearest
from ..arguments import quote

#: what the driver sets itself for every job
RESERVED = ("run.dir", "run.group", "run.name", "resume", "seed", "trainer.slurm.script", "trainer.slurm.array")

_LONGEST_NAME = 80


class SweepFile(Section):
    """What ``configs/sweep/<name>.yaml`` holds.

    Attributes:
        experiment: a choice of ``configs/experiment``; null: that of ``configs/train.yaml``.
        overrides: of all jobs, written as on the command line.
        settings: rows of the table by name, each a mapping of what it changes (``{}``: nothing).
        grid: lists of values by key; every combination is a row, combined with every one of ``settings``.
        seeds: every row is trained once with each.
        base: the row that the others are compared with, by name; null: the first one.
        tags: of all runs.
    """

    experiment: str | None = None
    overrides: list[str] = []
    settings: dict[str, dict[str, Any]] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [1]
    base: str | None = None
    tags: list[str] = []

    @model_validator(mode="after")
    def _keys_once(self) -> SweepFile:
        keys = [*self.grid, *(key for setting in self.settings.values() for key in setting)]
        reserved = next((key for key in keys if key in RESERVED), None)
        if reserved is not None:
            hint = "; list them as seeds" if reserved == "seed" else ""
            raise ValueError(f"{reserved!r} is set for each job by the sweep itself{hint}")
        for name, setting in self.settings.items():
            both = next((key for key in setting if key in self.grid), None)
            if both is not None:
                raise ValueError(f"{both!r} is in the grid and in the setting {name!r}")
        repeated = [seed for seed in self.seeds if self.seeds.count(seed) > 1]
        if repeated:
            raise ValueError(f"the seed {repeated[0]} is listed twice")
        return self


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        name: of its run folder, unique within the sweep and a safe file name everywhere.
        setting: the row of the table that it belongs to.
        settings: what the sweep changes, as shown in the table.
        seed: of the run.
        overrides: its command line, without what the driver adds.
    """

    name: str
    setting: str
    settings: dict[str, str]
    seed: int | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A whole sweep.

    Attributes:
        name: of the sweep.
        keys: what its jobs change.
        base: the row that the others are compared with.
        jobs: in the order in which they are started: all rows with the first seed, then with the second.
        tags: of every run.
    """

    name: str
    keys: tuple[str, ...]
    base: str
    jobs: tuple[Job, ...]
    tags: tuple[str, ...] = ()


def read_sweep_file(path: Path) -> SweepFile:
    """Read and check a sweep's YAML file.

    Raises:
        ConfigError: missing, not a mapping, unknown keys, nothing to vary, values of a wrong type.
    """
    from omegaconf import OmegaConf
    from yaml import YAMLError  # type: ignore[import-untyped]

    if not path.is_file():
        names = sorted(found.stem for found in path.parent.glob("*.yaml"))
        listed = f" (available: {', '.join(names)})" if names else ""
        raise ConfigError(f"there is no sweep {str(path)!r}{nearest(path.stem, names)}{listed}")
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{str(path)!r} must be a mapping with the keys {', '.join(SweepFile.model_fields)}")
    return parse_section(SweepFile, {str(key): value for key, value in values.items()}, path.name)


def make_plan(name: str, sweep: SweepFile, common: Sequence[str] = ()) -> Plan:
    """All jobs of a sweep.

    Args:
        name: of the sweep.
        sweep: its file.
        common: further overrides of all jobs, from the command line.

    Raises:
        ConfigError: ``base`` names no row, two rows are the same, or an override is reserved.
    """
    shared = [f"experiment={sweep.experiment}"] if sweep.experiment is not None else []
    shared += [*sweep.overrides, *common]
    for override in shared:
        key = override.lstrip("+~").partition("=")[0]
        if key in RESERVED:
            raise ConfigError(f"{override}: {key} is set for each job by the sweep itself")
    rows = list(_rows(sweep))
    keys = tuple(dict.fromkeys(key for _, settings in rows for key in settings))
    labels = [label_of(named, {k: v for k, v in settings.items() if k in sweep.grid}) for named, settings in rows]
    if len(set(labels)) != len(labels):
        repeated = next(label for label in labels if labels.count(label) > 1)
        raise ConfigError(f"two rows of the sweep are {repeated!r}")
    if sweep.base is not None and sweep.base not in labels:
        raise ConfigError(f"base: {sweep.base!r} is no row{nearest(sweep.base, labels)} (rows: {'; '.join(labels)})")
    jobs = []
    for seed in sweep.seeds:
        for label, (_, settings) in zip(labels, rows, strict=True):
            typed = tuple(f"{key}={grammar(value)}" for key, value in settings.items())
            shown = {key: shown_value(value) for key, value in settings.items()}
            jobs.append(Job("", label, shown, seed, (*shared, *typed, f"seed={seed}")))
    return Plan(name, keys, sweep.base or labels[0], tuple(with_names(jobs)), tuple(sweep.tags))


def _rows(sweep: SweepFile) -> Iterable[tuple[str, dict[str, Any]]]:
    settings = sweep.settings or {"": {}}
    for name, setting in settings.items():
        for values in itertools.product(*sweep.grid.values()):
            yield name, {**setting, **dict(zip(sweep.grid, values, strict=True))}


def label_of(name: str, settings: Mapping[str, Any]) -> str:
    """A row's name: that of the setting, and the values of the grid."""
    short = short_keys(settings)
    parts = [name] if name else []
    parts += [f"{short[key]}={shown_value(value)}" for key, value in settings.items()]
    return ", ".join(parts) or "base"


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Each dotted key by its shortest ending that none of the others has."""
    keys = list(keys)

    def ending(key: str, length: int) -> str:
        return ".".join(key.split(".")[-length:])

    short = {}
    for key in keys:
        parts = key.count(".") + 1
        unique = (n for n in range(1, parts + 1) if all(ending(o, n) != ending(key, n) for o in keys if o != key))
        short[key] = ending(key, next(unique, parts))
    return short


def shown_value(value: Any) -> str:
    """A value as it stands in a table."""
    return value if isinstance(value, str) else grammar(value)


def grammar(value: Any) -> str:
    """A value of a YAML file as Hydra's command line writes it, so that it comes out the same."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{grammar(str(key))}:{grammar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(grammar(item) for item in value) + "]"
    text = str(value)
    return text if _reads_back(text) else quote(text)


def _reads_back(text: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    # within a list or a mapping a bare text ends at these
    if not text or any(char in ",:[]{}()" for char in text.replace("${", "").rstrip("}")):
        return False
    try:
        override = OverridesParser.create().parse_override(f"key={text}")
    except HydraException:
        return False
    return not override.is_sweep_override() and bool(override.value() == text)


def with_names(jobs: Iterable[Job]) -> list[Job]:
    """Give every job the name of its folder, made of its row and seed."""
    jobs = list(jobs)
    plain = [_file_name(job) for job in jobs]
    folded = [unicodedata.normalize("NFC", name).casefold() for name in plain]
    named = []
    for job, name, fold in zip(jobs, plain, folded, strict=True):
        if folded.count(fold) > 1 or len(name) > _LONGEST_NAME:
            digest = hashlib.sha256("\0".join((job.setting, *job.overrides)).encode()).hexdigest()[:8]
            name = f"{name[: _LONGEST_NAME - 9]}-{digest}"
        named.append(Job(name, job.setting, job.settings, job.seed, job.overrides))
    return named


def _file_name(job: Job) -> str:
    # letters of all scripts, digits, and what no file system and no shell minds
    text = re.sub(r"[^\w.]+", "-", job.setting.replace("=", "-")).strip("-._") or "run"
    return text if job.seed is None else f"{text}-seed{job.seed}"
