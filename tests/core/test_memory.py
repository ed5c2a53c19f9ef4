"""Giving freed memory back."""

from __future__ import annotations

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


def test_it_can_be_asked_anywhere() -> None:
    memory.give_memory_back()
