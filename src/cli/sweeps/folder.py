"""The folder of a sweep: one run folder per job, ``sweep.json``, and logs.

``sweep.json`` lists all jobs, so that a run that failed before it had a folder is not forgotten. A job is finished
when its run folder holds ``finished.json``, which training writes last. While a job runs, its process holds a lock
on ``logs/<job>.lock``; the operating system releases it however the process ends, so that after the driver was
killed nobody starts a job a second time while it still runs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from ...core.errors import ConfigError, DataError
from ...core.files import make_directory, write_json
from ..finished import is_finished
from .plan import Job, Plan

# Windows has no such locks; there two drivers must not share a folder
fcntl: ModuleType | None = importlib.import_module("fcntl") if os.name == "posix" else None

SCHEMA = 1

State = Literal["finished", "running", "failed", "unfinished", "not started"]

#: overrides that say where and how a job runs, and not what it computes
_ELSEWHERE = ("trainer", "logger", "run", "data.root", "data.workers")


@dataclass(frozen=True)
class Status:
    """How far a job is; ``detail`` says it in words."""

    state: State
    detail: str = ""


class SweepFolder:
    """Where the parts of a sweep lie."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()

    @property
    def manifest(self) -> Path:
        """The list of all jobs."""
        return self.path / "sweep.json"

    def run(self, job: Job) -> Path:
        """The run folder of a job."""
        return self.path / job.name

    def log(self, job: Job) -> Path:
        """What a job printed, over all its starts."""
        return self.path / "logs" / f"{job.name}.log"

    def _failure(self, job: Job) -> Path:
        return self.path / "logs" / f"{job.name}.failed.json"

    def write_plan(self, plan: Plan) -> None:
        """Write ``sweep.json``.

        Raises:
            ConfigError: a job of that name has a run here that was started with other settings.
            FramewrightError: the folder cannot be written to.
        """
        from ...core.provenance import command_line

        make_directory(self.path / "logs")
        if self.manifest.is_file():
            before = {job.name: job for job in self.read_plan().jobs}
            for job in plan.jobs:
                old = before.get(job.name)
                if old is not None and _identity(old) != _identity(job) and (self.run(job) / "config.yaml").is_file():
                    raise ConfigError(
                        f"{str(self.run(job))!r} was started with other settings:\n"
                        f"  then: {' '.join(_identity(old))}\n  now:  {' '.join(_identity(job))}\n"
                        "Choose another folder with out=<folder>, or remove this one."
                    )
        value = {"schema": SCHEMA, **asdict(plan), "command": command_line()}
        write_json(self.manifest, value)

    def read_plan(self) -> Plan:
        """Read ``sweep.json``.

        Raises:
            DataError: missing or damaged.
        """
        try:
            value = json.loads(self.manifest.read_text(encoding="utf-8"))
            if value["schema"] != SCHEMA:
                raise DataError(f"{self.manifest} has the schema {value['schema']!r}; this version reads {SCHEMA}")
            jobs = [Job(**{**job, "overrides": tuple(job["overrides"])}) for job in value["jobs"]]
            return Plan(value["name"], tuple(value["keys"]), value["base"], tuple(jobs), tuple(value["tags"]))
        except OSError as error:
            raise DataError(f"cannot read {str(self.manifest)!r}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.manifest} is damaged ({type(error).__name__}: {error})") from None

    def record_failure(self, job: Job, message: str) -> None:
        """Remember why a job failed."""
        write_json(self._failure(job), {"message": message})

    def forget_failure(self, job: Job) -> None:
        """The job is started again, or finished."""
        self._failure(job).unlink(missing_ok=True)

    def is_finished(self, job: Job) -> bool:
        """Whether the job needs nothing more."""
        return is_finished(self.run(job))

    def status(self, job: Job) -> Status:
        """How far a job is."""
        if self.is_finished(job):
            return Status("finished")
        lock = self.lock(job)
        if lock is None:
            return Status("running")
        lock.release()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return Status("failed", str(json.loads(self._failure(job).read_text(encoding="utf-8"))["message"]))
        if self.run(job).is_dir():
            return Status("unfinished", progress_of(self.run(job)))
        return Status("not started")

    def lock(self, job: Job) -> JobLock | None:
        """The right to run a job; None while another process has it."""
        if fcntl is None:
            return JobLock(None)
        try:
            path = make_directory(self.path / "logs") / f"{job.name}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ConfigError(f"cannot lock {str(self.path)!r}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return JobLock(descriptor)


@dataclass
class JobLock:
    """An open file with a lock on it; processes that inherit the descriptor hold the lock too."""

    descriptor: int | None

    def release(self) -> None:
        """Close this process's copy."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def progress_of(run: Path) -> str:
    """How far the run in a folder is, from the names of its checkpoints."""
    iterations = [int(p.stem.partition("_")[2]) for p in (run / "checkpoints").glob("iter_*.json")]
    return f"stopped at iteration {max(iterations)}" if iterations else "stopped before its first checkpoint"


def _identity(job: Job) -> tuple[str, ...]:
    def inessential(override: str) -> bool:
        key = override.lstrip("+~").partition("=")[0]
        return any(key == prefix or key.startswith(f"{prefix}.") for prefix in _ELSEWHERE)

    return tuple(override for override in job.overrides if not inessential(override))
