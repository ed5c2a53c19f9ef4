"""Sampling by position in the run, so that training resumes exactly and scales without changing its data.

Position ``p`` is a global count of samples: which item it shows and with what augmentation depends on
``(seed, p)`` alone, never on the number of loader workers, of processes, or on earlier draws.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..core.errors import ConfigError, DataError
from ..core.files import make_directory
from ..core.seeding import position_rng
from .base import TrainingDataset

_log = logging.getLogger(__name__)

# second key integer of position_rng: 0 is the sample itself, 1.. are its substitutes, this one the order
_ORDER = 1 << 63
_LARGEST_TABLE = 1 << 24
_ATTEMPTS = 20


class PositionSampler(Sampler[tuple[int, int]]):
    """Yields ``(position, index)`` pairs for one process.

    Batch ``b`` of process ``r`` holds the positions ``b * global_batch + k * world_size + r`` for ``k`` below
    ``batch_size``, where ``global_batch = batch_size * world_size``. So the set of positions of a global
    batch is the same for any number of processes. Position ``p`` belongs to epoch ``p // dataset_length``;
    each epoch visits the whole data set in an order keyed by ``(seed, epoch)``. Beyond 2**24 items (endless
    procedural data) that order is an affine permutation, which needs no table.

    Args:
        total_positions: length of the whole run in samples of all processes; a multiple of the global batch.
        dataset_length: number of items.
        seed: of the run.
        start: samples that all processes together have consumed already; a multiple of ``world_size``.
        rank: this process.
        world_size: number of processes.
        batch_size: samples per process and step.

    Raises:
        ValueError: an argument is out of range or not such a multiple.
    """

    def __init__(
        self,
        total_positions: int,
        dataset_length: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int = 1,
    ) -> None:
        if dataset_length < 1:
            raise ValueError(f"dataset_length must be at least 1, got {dataset_length}")
        if batch_size < 1 or world_size < 1 or not 0 <= rank < world_size:
            raise ValueError(
                f"expected batch_size >= 1 and 0 <= rank < world_size, got batch_size={batch_size}, "
                f"rank={rank}, world_size={world_size}"
            )
        global_batch = batch_size * world_size
        if total_positions < 0 or total_positions % global_batch:
            raise ValueError(f"total_positions={total_positions} must be a multiple of the global batch {global_batch}")
        if not 0 <= start <= total_positions or start % world_size:
            raise ValueError(
                f"start={start} must lie in 0..{total_positions} and be a multiple of world_size={world_size}"
            )
        self.total_positions = total_positions
        self.dataset_length = dataset_length
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size
        self.batch_size = batch_size
        self._epoch = -1
        self._order: npt.NDArray[np.int64] | None = None
        self._affine = (1, 0)

    def __len__(self) -> int:
        """Positions of this process in the whole run, those before ``start`` included."""
        return self.total_positions // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        # b * global_batch + k * world_size + r, for b and k in order, is every world_size-th position from r
        for position in range(self.start + self.rank, self.total_positions, self.world_size):
            yield position, self.index_of(position)

    def index_of(self, position: int) -> int:
        """The data set's item that is shown at a position."""
        epoch, offset = divmod(position, self.dataset_length)
        if epoch != self._epoch:
            self._prepare(epoch)
        if self._order is not None:
            return int(self._order[offset])
        factor, shift = self._affine
        return (factor * offset + shift) % self.dataset_length

    def _prepare(self, epoch: int) -> None:
        rng = position_rng(self.seed, epoch, _ORDER)
        length = self.dataset_length
        if length <= _LARGEST_TABLE:
            self._order = rng.permutation(length)
        else:
            factor = int(rng.integers(1, length))
            while math.gcd(factor, length) != 1:
                factor = int(rng.integers(1, length))
            self._order, self._affine = None, (factor, int(rng.integers(length)))
        self._epoch = epoch


class PositionDataset(Dataset[dict[str, Tensor]]):
    """A training data set for a ``DataLoader``: takes the pairs of :class:`PositionSampler`.

    A sample that raises :class:`DataError` follows ``on_error``. ``"raise"`` ends the run. ``"skip"`` shows
    another item instead, chosen by ``(seed, position, attempt)``, so the run stays repeatable. Every skip is
    logged and appended to the report file, one JSON object per line, which all loader workers and processes
    share. When more positions than ``max(min_skips, max_fraction * positions so far)`` were skipped, the
    data is considered broken and a :class:`DataError` ends the run. A position counts once, also when an
    interrupted run passes it again. Only ``DataError`` is skipped: programming errors always surface.

    Args:
        dataset: where the samples come from.
        seed: of the run.
        on_error: ``"raise"`` or ``"skip"``.
        report: the report file, in the run's folder; ``None`` keeps count in each loader worker by itself.
        max_fraction: largest tolerated fraction of skipped positions.
        min_skips: that many skips are always tolerated.

    Raises:
        ConfigError: on construction, for an unknown policy or a fraction outside 0..1.
    """

    def __init__(
        self,
        dataset: TrainingDataset,
        seed: int,
        on_error: Literal["raise", "skip"] = "raise",
        report: str | os.PathLike[str] | None = None,
        max_fraction: float = 0.01,
        min_skips: int = 10,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise ConfigError(f"data.on_error={on_error!r}: expected 'raise' or 'skip'")
        if not 0.0 <= max_fraction <= 1.0 or min_skips < 0:
            raise ConfigError(f"max_fraction={max_fraction} must lie in 0..1 and min_skips={min_skips} not below 0")
        self.dataset = dataset
        self.seed = seed
        self.on_error = on_error
        self.report = None if report is None else Path(report)
        self.max_fraction = max_fraction
        self.min_skips = min_skips
        self._failures: list[dict[str, Any]] = []
        self._read_until = 0

    def __len__(self) -> int:
        """Number of source items."""
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The sample shown at ``key = (position, index)``.

        Raises:
            DataError: the item cannot be read and the policy is to raise, or too many could not.
        """
        position, index = key
        rng = position_rng(self.seed, position)
        if self.on_error == "raise":
            return self.dataset.sample(index, rng)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self.dataset.sample(index, rng)
            except DataError as error:
                self._skipped(position, index, str(error))
            rng = position_rng(self.seed, position, attempt)
            index = int(rng.integers(len(self.dataset)))
        raise DataError(
            f"{_ATTEMPTS} samples in a row could not be read at position {position}; the last reason: "
            f"{self.failures()[-1]['error']}"
        )

    def failures(self) -> list[dict[str, Any]]:
        """What was skipped so far: dictionaries with ``position``, ``index`` and ``error``.

        With a report file: by all workers and processes, earlier parts of a resumed run included.
        """
        if self.report is not None and self.report.exists():
            with open(self.report, "rb") as handle:
                handle.seek(self._read_until)
                new = handle.read()
            complete = new[: new.rfind(b"\n") + 1]  # another worker may be writing the last line
            self._read_until += len(complete)
            for line in complete.decode("utf-8", errors="replace").split("\n"):
                try:
                    self._failures.append(json.loads(line))
                except json.JSONDecodeError:
                    continue  # the end of the file, or a line torn by the death of a process
        return list(self._failures)

    def _skipped(self, position: int, index: int, message: str) -> None:
        _log.warning("skipped sample %d at position %d: %s", index, position, message)
        entry = {"position": position, "index": index, "error": message[:2000]}
        if self.report is None:
            self._failures.append(entry)
        else:
            _append_line(self.report, json.dumps(entry, ensure_ascii=False))
        failures = self.failures()
        count = len({failure["position"] for failure in failures})
        if count > max(self.min_skips, self.max_fraction * (position + 1)):
            examples = "\n  ".join(dict.fromkeys(failure["error"] for failure in failures[-3:]))
            where = f" All of them are listed in {str(self.report)!r}." if self.report else ""
            raise DataError(
                f"{count} of the first {position + 1} samples could not be read, more than "
                f"data.on_error=skip tolerates ({self.max_fraction:.3g} of them, at least {self.min_skips})."
                f"{where} The last:\n  {examples}"
            )


def _append_line(path: Path, line: str) -> None:
    """Append one line in a single write, which concurrent writers of a local file do not tear apart."""
    make_directory(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, (line + "\n").encode("utf-8"))
    finally:
        os.close(descriptor)


_WORKER_TRACEBACK = re.compile(r"^Caught \w+ in DataLoader worker process \d+\.\n", re.MULTILINE)


def original_message(error: BaseException) -> str:
    """The message of an error as it was raised in a loader worker.

    ``DataLoader`` raises a worker's error again with the worker's whole traceback as its message. This
    returns what followed the error's class name at the end of that traceback; other messages as they are.
    """
    text = str(error)
    if not _WORKER_TRACEBACK.match(text):
        return text
    marker = re.compile(rf"^(?:[\w.]+\.)?{re.escape(type(error).__name__)}: ", re.MULTILINE)
    matches = list(marker.finditer(text))
    return text[matches[-1].end() :].strip() if matches else text
