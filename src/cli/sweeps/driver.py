"""Starts the jobs of a sweep, one after the other or several at once, and survives being killed."""

from __future__ import annotations

import contextlib
import datetime
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from ..arguments import quote
from .folder import JobLock, SweepFolder
from .plan import Job, Plan, grammar

_POLL = 0.2


@dataclass
class Outcome:
    """What became of the jobs, by name."""

    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[tuple[Job, str]] = field(default_factory=list)
    stopped: bool = False


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    lock: JobLock
    log: IO[bytes]
    slot: int
    started: float


def job_command(program: Path, folder: SweepFolder, plan: Plan, job: Job) -> list[str]:
    """The command that starts a job, or continues it: the same one each time.

    Args:
        program: ``train.py``.
        folder: of the sweep.
        plan: the sweep.
        job: one of its jobs.
    """
    tags = _given_tags(job) + [tag for tag in plan.tags if tag not in _given_tags(job)]
    tags += [f"{key}={value}" for key, value in job.settings.items()]
    # W&B takes tags of at most 64 characters
    shown = ",".join(quote(tag[:64]) for tag in dict.fromkeys(tags))
    overrides = [override for override in job.overrides if not override.startswith("run.tags=")]
    return [
        sys.executable,
        str(program),
        *overrides,
        f"run.dir={folder.run(job)}",
        f"run.name={grammar(job.name)}",
        f"run.group={grammar(plan.name)}",
        f"run.tags=[{shown}]",
        "resume=auto",
    ]


def _given_tags(job: Job) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    for override in job.overrides:
        if override.startswith("run.tags="):
            value = OverridesParser.create().parse_override(override).value()
            return [str(tag) for tag in value] if isinstance(value, list) else [str(value)]
    return []


class Driver:
    """Runs what is missing of a sweep.

    Args:
        folder: of the sweep; ``sweep.json`` is written already.
        plan: the sweep.
        program: ``train.py``.
        slots: how many jobs run at once.
        environment: per slot, variables that its jobs get beside the present ones.
        say: prints one line.
    """

    def __init__(
        self,
        folder: SweepFolder,
        plan: Plan,
        program: Path,
        *,
        slots: int = 1,
        environment: Sequence[Mapping[str, str]] = (),
        say: Callable[[str], None] = lambda line: print(line, flush=True),
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.program = program
        self.slots = slots
        self.environment = environment
        self.say = say
        self.outcome = Outcome()
        self._running: list[_Running] = []
        self._signals = 0

    def run(self) -> Outcome:
        """Run every job that is not finished; a failing one does not keep the others from running.

        SIGINT, SIGTERM and SIGHUP stop the running jobs, which write a checkpoint first; a second one kills them.
        """
        numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        previous = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            self._loop()
        finally:
            for running in self._running:
                _kill_group(running.process)
                self._close(running)
            for number, handler in previous.items():
                signal.signal(number, handler)
        self.outcome.stopped = self._signals > 0
        return self.outcome

    def _loop(self) -> None:
        waiting = []
        for job in self.plan.jobs:
            if self.folder.is_finished(job):
                self.outcome.skipped.append(job.name)
            else:
                waiting.append(job)
        total, done = len(self.plan.jobs), len(self.outcome.skipped)
        self.say(f"{self.plan.name}: {total} jobs, {done} finished already; folder: {self.folder.path}")
        elsewhere: set[str] = set()
        while (waiting and not self._signals) or self._running:
            for running in list(self._running):
                if running.process.poll() is not None:
                    self._ended(running)
            for job in list(waiting):
                if self._signals or len(self._running) >= self.slots:
                    break
                lock = self.folder.lock(job)
                if lock is None:
                    if job.name not in elsewhere:
                        self.say(f"{job.name}: is running already, started by somebody else; waiting for it")
                        elsewhere.add(job.name)
                    continue
                waiting.remove(job)
                if self.folder.is_finished(job):
                    lock.release()
                    self.outcome.skipped.append(job.name)
                else:
                    self._start(job, lock)
            time.sleep(_POLL)

    def _start(self, job: Job, lock: JobLock) -> None:
        self.folder.forget_failure(job)
        slot = next(n for n in range(self.slots) if n not in {running.slot for running in self._running})
        command = job_command(self.program, self.folder, self.plan, job)
        extra = self.environment[slot] if self.environment else {}
        log = open(self.folder.log(job), "ab")  # noqa: SIM115 (closed when the job ends)
        stamp = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        log.write(f"=== {stamp} {shlex.join(command)}\n".encode())
        log.flush()
        continues = (self.folder.run(job) / "config.yaml").is_file()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **extra},
            # its own group: Ctrl-C reaches the driver alone, which passes it on once
            start_new_session=True,
            pass_fds=() if lock.descriptor is None else (lock.descriptor,),
        )
        self._running.append(_Running(job, process, lock, log, slot, time.monotonic()))
        self.say(f"{job.name}: {'continues' if continues else 'starts'} (log: {self.folder.log(job)})")

    def _ended(self, running: _Running) -> None:
        self._running.remove(running)
        status = running.process.returncode
        if status != 0:
            # processes that the job had started must not survive it
            _kill_group(running.process)
        self._close(running)
        job, seconds = running.job, round(time.monotonic() - running.started)
        if status == 0 and self.folder.is_finished(job):
            self.outcome.finished.append(job.name)
            self.say(f"{job.name}: finished after {seconds // 60}:{seconds % 60:02d}")
        elif self._signals:
            self.say(f"{job.name}: stopped")
        else:
            message = self._reason(job, status)
            self.folder.record_failure(job, message)
            self.outcome.failed.append((job, message))
            self.say(f"{job.name}: FAILED: {message}")

    def _reason(self, job: Job, status: int) -> str:
        how = f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        with open(self.folder.log(job), "rb") as handle:
            handle.seek(max(0, os.path.getsize(self.folder.log(job)) - 8192))
            lines = handle.read().decode(errors="replace").split("\n=== ")[-1].splitlines()[1:]
        said = [line.strip() for line in lines if line.strip()]
        error = next((line for line in reversed(said) if line.startswith("error: ")), said[-1] if said else "")
        return f"{how}: {error}" if error else how

    @staticmethod
    def _close(running: _Running) -> None:
        running.lock.release()
        running.log.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self.say("stopping the running jobs after a checkpoint; again: kills them")
        for running in self._running:
            if self._signals == 1:
                with contextlib.suppress(ProcessLookupError):
                    running.process.send_signal(signal.SIGTERM)
            else:
                _kill_group(running.process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
