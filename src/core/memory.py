"""Freed memory that the C library keeps: giving it back, and keeping large blocks where they go back at once."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


# mallopt's number for the size from which a block is mapped by itself
M_MMAP_THRESHOLD = -3


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
        library = ctypes.CDLL("libc.so.6")
        assert library.malloc_trim
        assert library.mallopt
        return library
    return None


def give_memory_back() -> None:
    """Ask the C library to give freed memory back to the system; does nothing where it cannot be asked.

    glibc keeps a freed block below any block that is still in use. Where frames come and go and a few numbers of each
    stay, a process grows with the length of a video although it holds nothing more.
    """
    library = _library()
    if library is not None:
        library.malloc_trim(0)


def keep_large_blocks_apart(size: int = 4 * 2**20) -> None:
    """Have the C library map every block of ``size`` bytes or more by itself, in this process, from now on.

    Such a block goes back to the system the moment that it is freed. glibc starts that way at 128 KB, but raises the
    size to as much as 32 MB as soon as a large block is freed; from then on frames share the heap with small blocks
    that stay, and the heap grows around them, or changes by a few frames at random. Fresh pages cost time, so that the
    size should be that of the largest blocks.
    """
    library = _library()
    if library is not None:
        library.mallopt(M_MMAP_THRESHOLD, size)


def giving_memory_back(items: Iterable[Item], every: int = 32) -> Iterator[Item]:
    """The same items, with blocks of 128 KB and more kept apart; :func:`give_memory_back` after each ``every``."""
    keep_large_blocks_apart(2**17)
    for number, item in enumerate(items, start=1):
        yield item
        if number % every == 0:
            give_memory_back()
