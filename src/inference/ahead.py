"""Working ahead: an iterator that runs in a thread of its own, some items before they are asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_POLL_SECONDS = 0.1


def ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """The same items in the same order, made by another thread while the caller works on those before.

    What ``items`` raises is raised here in its place. When the caller stops early (closes the generator), the thread
    stops at the next item.

    Args:
        items: consumed in the other thread only.
        depth: so many items wait at most; memory is bounded by them.

    Raises:
        ValueError: a depth below 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    waiting: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[bool, Item | BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                waiting.put(entry, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stopped.is_set():
                    return
            put((False, None))
        except BaseException as error:  # the caller's to handle
            put((False, error))

    thread = threading.Thread(target=work, name="framewright-ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, entry = waiting.get()
            if more:
                yield entry  # type: ignore[misc]
            elif isinstance(entry, BaseException):
                raise entry
            else:
                return
    finally:
        stopped.set()
        thread.join()
