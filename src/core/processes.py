"""Several processes that work together: who is who, exchange of small values, and how one failure ends all."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from .errors import FramewrightError

T = TypeVar("T")

_FAILED = "framewright/failed"
_POLL = 0.25
#: seconds that a process gets to leave by itself when another one has failed
_GRACE = 3.0
#: seconds that a process which lost its connection waits for the reason
_PATIENCE = 10.0


def external_rank() -> int:
    """This process's rank when torchrun or srun started all processes at once, before any group exists; else 0."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def let_the_first_speak(seconds: float = 3.0) -> None:
    """Delay the other processes' message: if the first one fails too, its message is the only one.

    All processes that torchrun or srun started find the same mistake in the configuration; the launcher ends
    the others as soon as one has failed.
    """
    if external_rank() > 0:
        time.sleep(seconds)


@dataclass(frozen=True)
class Group:
    """The processes of a program; by default this one alone."""

    rank: int = 0
    size: int = 1

    def gather(self, value: T) -> list[T]:
        """Everybody's value, by rank, on every process (any picklable value; collective)."""
        if self.size == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def agree(self, value: T) -> T:
        """The first process's value (collective)."""
        if self.size == 1:
            return value
        import torch

        values = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]


@contextlib.contextmanager
def process_group() -> Iterator[Group]:
    """Join the processes that ``RANK`` and ``WORLD_SIZE`` describe (torchrun sets them); one process otherwise.

    Values are exchanged through gloo, so that no shared folder and no GPU is needed. When one process fails, its
    message is the only one and all processes end with status 2.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield Group()
        return
    import torch

    rank = int(os.environ["RANK"])
    # the slowest process may have hours more to do than the fastest
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(days=7))
    watch = FailureWatch(rank, size)
    watch.start()
    try:
        yield Group(rank, size)
    except BaseException as error:
        watch.leave(error)
        raise
    else:
        torch.distributed.barrier()
    finally:
        watch.stop()
        torch.distributed.destroy_process_group()


class FailureWatch:
    """Ends all processes of a program when one of them fails, and lets only that one speak.

    Without it, the others would wait in a collective operation, for ever or until its timeout. A thread looks at
    a flag in the process group's store and, on the process that started the others, at its children.

    Args:
        rank: of this process.
        size: number of processes.
        children: the processes that this one started, asked for again and again.
        cleanup: called once before this process is ended from the watching thread; must not wait for others.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        children: Callable[[], Sequence[subprocess.Popen[Any]]] = lambda: (),
        cleanup: Callable[[], None] = lambda: None,
    ) -> None:
        self.rank = rank
        self.size = size
        self._children = children
        self._cleanup = cleanup
        self._stopped = threading.Event()
        self._leaving = threading.Event()
        self._store: Any = None
        self._lost_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="failure-watch", daemon=True)

    def start(self) -> None:
        """Watch from now on; the process group may come into being later."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    def leave(self, error: BaseException) -> None:
        """Call with what ended this process's work; returns if it is this process's message that counts.

        A process other than the first prints its message itself and ends here.
        """
        self._leaving.set()
        if _is_lost_connection(error):
            self._wait_for_reason(error)
        elif not self._is_first_to_fail():
            self._end()
        if self.rank == 0:
            self._kill_children()
            return
        self._speak(error)
        # the first process ends the program in order; ending earlier would have it killed
        time.sleep(_PATIENCE)
        self._end()

    def end_quietly(self) -> None:
        """For an end that all processes have agreed on: only the first one returns, to say so."""
        self.stop()
        if self.rank > 0:
            sys.exit(0)

    def _speak(self, error: BaseException) -> None:
        where = f"process {self.rank} of {self.size}"
        if isinstance(error, FramewrightError):
            print(f"error: {error} ({where})", file=sys.stderr, flush=True)
        elif not isinstance(error, (SystemExit, KeyboardInterrupt)):
            print(f"{where}:", file=sys.stderr)
            traceback.print_exception(error)
            sys.stderr.flush()

    def _wait_for_reason(self, error: BaseException) -> None:
        """A lost connection is never the reason: another process has ended, and usually says why."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if self._has_failed():
                self._end()
            death = self._dead_child()
            if death is not None:
                self._kill_children()
                raise FramewrightError(death) from error
            if self._lost_since is not None and self.rank > 0:
                self._end()
            time.sleep(_POLL)
        if not self._is_first_to_fail():
            self._end()

    def _end(self) -> NoReturn:
        self._kill_children()
        self._cleanup()
        _exit_now()

    def _kill_children(self) -> None:
        for child in self._children():
            if child.poll() is None:
                child.kill()

    def _dead_child(self) -> str | None:
        for index, child in enumerate(self._children()):
            code = child.poll()
            if code is not None and code != 0:
                if code > 0:
                    return f"process {index + 1} of {self.size} ended with status {code}"
                name = signal.Signals(-code).name
                hint = " (often: out of memory)" if name == "SIGKILL" else ""
                return f"process {index + 1} of {self.size} was ended by {name}{hint}"
        return None

    def _run(self) -> None:
        while not self._stopped.wait(_POLL):
            death = self._dead_child()
            if death is None and not self._has_failed():
                lost = self._lost_since is not None and time.monotonic() - self._lost_since > _GRACE
                if not lost:
                    continue
            # usually the main thread finds out by itself; it cannot where it waits in a collective operation
            if self._leaving.wait(_GRACE) or self._stopped.is_set():
                return
            if death is not None and not death.endswith("status 2"):
                print(f"error: {death}", file=sys.stderr, flush=True)
            self._end()

    def _connect(self) -> Any:
        import torch

        if self._store is None and torch.distributed.is_initialized():
            from torch.distributed import distributed_c10d

            # a connection of its own: the main thread may be waiting on the other one
            self._store = distributed_c10d._get_default_store().clone()
        return self._store

    def _has_failed(self) -> bool:
        try:
            store = self._connect()
            return store is not None and bool(store.check([_FAILED]))
        except Exception:  # any transport error means that the first process, which holds the store, is gone
            self._lost_since = self._lost_since or time.monotonic()
            return False

    def _is_first_to_fail(self) -> bool:
        try:
            store = self._connect()
            return store is None or int(store.add(_FAILED, 1)) == 1
        except Exception:  # see _has_failed
            return self.rank == 0


def _is_lost_connection(error: BaseException) -> bool:
    import torch

    if isinstance(error, torch.distributed.DistError):
        return True
    text = str(error)
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Gloo", "gloo", "NCCL")
    return isinstance(error, RuntimeError) and any(word in text for word in words)


def _exit_now() -> NoReturn:
    """End without the interpreter's shutdown, which waits for threads that wait for other processes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)
