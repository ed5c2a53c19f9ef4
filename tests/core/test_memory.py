"""Giving freed memory back."""

from __future__ import annotations

import platform
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest
from framewright.core import memory


def test_items_pass_and_memory_is_given_back_after_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    taken: list[int] = []
    monkeypatch.setattr(memory, "give_memory_back", lambda: given.append(len(taken)))
    for item in memory.giving_memory_back(iter(range(7)), every=3):
        taken += [item]
    assert taken == list(range(7))
    assert given == [3, 6]


@pytest.mark.parametrize("asked", [[0], None])
def test_the_library_is_asked_where_it_can_be(monkeypatch: pytest.MonkeyPatch, asked: list[int] | None) -> None:
    calls: list[int] = []
    library = SimpleNamespace(malloc_trim=calls.append, mallopt=lambda *option: calls.extend(option))
    monkeypatch.setattr(memory, "_library", lambda: None if asked is None else library)
    memory.give_memory_back()
    assert calls == (asked or [])
    memory.keep_large_blocks_apart(131072)
    assert calls == ([] if asked is None else [0, -3, 131072])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks the C library of Linux, glibc")
def test_freed_memory_goes_back() -> None:
    # a block above them keeps freed ones below; each is too small to be a mapping of its own
    blocks = [bytearray(64_000) for _ in range(2_000)]
    above = bytearray(64_000)
    full = _resident()
    del blocks
    memory.give_memory_back()
    assert _resident() < full - 60_000_000
    assert len(above) == 64_000


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
