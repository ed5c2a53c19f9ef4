"""Reading ahead: the right item, one at a time, errors where they belong."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from framewright.core.ahead import ReadAhead
from framewright.core.errors import DataError


class Item:
    def __init__(self, index: int) -> None:
        self.index = index


def test_items_come_in_the_order_asked_for_and_are_loaded_once() -> None:
    loaded: list[int] = []

    def load(index: int) -> int:
        loaded.append(index)
        return index * 10

    with ReadAhead(load) as items:
        assert items.get(3) == 30
        items.begin(1)
        items.begin(1)
        assert items.get(1) == 10
        assert items.get(2) == 20
    assert loaded == [3, 1, 2]


def test_the_next_item_is_loaded_meanwhile() -> None:
    begun = threading.Event()

    def load(index: int) -> int:
        if index == 1:
            begun.set()
        return index

    with ReadAhead(load) as items:
        items.get(0)
        assert not begun.is_set()
        items.begin(1)
        assert begun.wait(10)
        assert items.get(1) == 1


def test_an_error_is_raised_where_its_item_is_asked_for() -> None:
    def load(index: int) -> int:
        if index == 1:
            raise DataError("clip_1/00003.png is truncated")
        return index

    with ReadAhead(load) as items:
        items.begin(1)
        with pytest.raises(DataError, match="00003"):
            items.get(1)
        assert items.get(2) == 2
        items.begin(1)


def test_no_more_than_two_items_are_alive() -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def load(index: int) -> Item:
        item = Item(index)
        alive.add(item)
        return item

    with ReadAhead(load) as items:
        for index in range(6):
            item = items.get(index)
            items.begin(index + 1)
            gc.collect()
            most = max(most, len(alive))
            assert item.index == index
            del item
    assert most <= 2
