"""Loading the next thing while the present one is worked on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Loads items by index, at most one of them before it is asked for, in a thread of its own.

    Everything is loaded in that one thread, one item at a time, so that what loads need not be thread-safe. An error
    is raised where its item is asked for, and nowhere if it never is. Use it as a context manager.

    Args:
        load: makes the item of an index.
    """

    def __init__(self, load: Callable[[int], Item]) -> None:
        self._load = load
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._next: tuple[int, Future[Item]] | None = None

    def begin(self, index: int) -> None:
        """Start to load an item that will be asked for next; one that was begun before is given up."""
        if self._next is None or self._next[0] != index:
            self._drop()
            self._next = index, self._pool.submit(self._load, index)

    def get(self, index: int) -> Item:
        """The item; loaded now, unless it was begun."""
        self.begin(index)
        assert self._next is not None
        # not kept: with the next one begun, two items are in memory, never three
        future, self._next = self._next[1], None
        return future.result()

    def _drop(self) -> None:
        if self._next is not None:
            self._next[1].cancel()
            self._next = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()
        self._pool.shutdown(wait=True)
