"""Memory that was freed but not given back."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


@functools.lru_cache(maxsize=1)
def _trim() -> Callable[[int], Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
        trim: Callable[[int], Any] = ctypes.CDLL("libc.so.6").malloc_trim
        return trim
    return None


def give_memory_back() -> None:
    """Ask the C library to give freed memory back to the system; does nothing where it cannot be asked.

    glibc keeps a freed block below any block that is still in use. Where frames come and go and a few numbers of each
    stay, a process grows with the length of a video although it holds nothing more.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


def giving_memory_back(items: Iterable[Item], every: int = 32) -> Iterator[Item]:
    """The same items; after each ``every`` of them :func:`give_memory_back`."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % every == 0:
            give_memory_back()
