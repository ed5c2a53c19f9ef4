"""The work folder beside an output: finished segments of a run that may be interrupted."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ..core.errors import FramewrightError
from ..core.files import make_directory, sha256_json, write_text

_PLAN = "plan.json"
_DONE = "done"


class WorkFolder:
    """Holds what is finished until the output is complete; one run at a time. A context manager.

    The folder belongs to one plan (input, configuration, weights). What another plan has left there is thrown away.
    Leaving the ``with`` block by an exception keeps the folder, so that the same command continues.

    Args:
        target: the output.
        plan: everything that the result depends on, JSON-able.

    Attributes:
        path: the folder.
        found: what an earlier run of the same plan has left: number of finished segments.

    Raises:
        FramewrightError: another run is writing the same output, or the folder cannot be written.
    """

    def __init__(self, target: Path, plan: dict[str, Any]) -> None:
        self.target, self.plan = target, plan
        self.path = target.parent / f".{target.name}.work"
        self.found = 0

    def __enter__(self) -> Self:
        make_directory(self.path.parent)
        self._lock = FileLock(str(self.path.with_suffix(".lock")), timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise FramewrightError(f"another run is writing {str(self.target)!r}") from None
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _claim(self) -> None:
        key = sha256_json(self.plan)
        with contextlib.suppress(OSError, ValueError, KeyError):
            if json.loads((self.path / _PLAN).read_text())["key"] == key:
                self.found = len(list(self.path.glob("segment_*.mkv")))
                return
        shutil.rmtree(self.path, ignore_errors=True)
        make_directory(self.path)
        write_text(self.path / _PLAN, json.dumps({"key": key, "plan": self.plan}, indent=1))

    def segment(self, number: int) -> Path:
        """Where a segment lies, finished if the file is there."""
        return self.path / f"segment_{number:05d}.mkv"

    def folder(self, name: str) -> Path:
        """A folder for what a stage prepares."""
        return make_directory(self.path / name)

    def is_done(self, name: str) -> bool:
        """Whether the folder ``name`` is complete."""
        return (self.path / name / _DONE).exists()

    def mark_done(self, name: str) -> None:
        """Say that the folder ``name`` is complete."""
        write_text(self.path / name / _DONE, "")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not self._is_worth_keeping():
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.with_suffix(".lock").unlink(missing_ok=True)
        self._lock.release()

    def _is_worth_keeping(self) -> bool:
        return any(self.path.glob("segment_*.mkv")) or any(self.path.glob(f"*/{_DONE}"))
