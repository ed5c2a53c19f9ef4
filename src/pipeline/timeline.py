"""When decoding, each stage, encoding and waiting took place, measured without disturbing them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

# spans closer together than this are drawn as one
_GAP = 2e-3
_MOST_SPANS = 4000


class Timeline:
    """Spans of work by lane. Spans that begin inside another one of the same thread interrupt it: nothing counts twice.

    Memory does not grow with the video: neighbouring spans are merged, the more generously the more there are.
    """

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._lock = threading.Lock()
        self._open = threading.local()
        self._gap = _GAP
        self.spans: dict[str, list[list[float]]] = {}
        self.busy: dict[str, float] = {}

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begun

    @contextlib.contextmanager
    def span(self, lane: str) -> Iterator[None]:
        """Whatever happens inside belongs to the lane."""
        stack: list[list[Any]] = self._open.__dict__.setdefault("stack", [])
        now = self.now()
        if stack:
            self._add(stack[-1][0], stack[-1][1], now)
        stack.append([lane, now])
        try:
            yield
        finally:
            now = self.now()
            ended = stack.pop()
            self._add(ended[0], ended[1], now)
            if stack:
                stack[-1][1] = now

    def track(self, lane: str, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; making each of them belongs to the lane."""
        while True:
            with self.span(lane):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def _add(self, lane: str, start: float, end: float) -> None:
        with self._lock:
            self.busy[lane] = self.busy.get(lane, 0.0) + end - start
            spans = self.spans.setdefault(lane, [])
            if spans and start - spans[-1][1] < self._gap:
                spans[-1][1] = end
                return
            spans.append([start, end])
            if len(spans) > _MOST_SPANS:
                self._gap *= 2
                for name, known in self.spans.items():
                    self.spans[name] = _merged(known, self._gap)

    def summary(self) -> dict[str, Any]:
        """JSON-able: seconds of each lane, and its spans in seconds from the beginning."""
        return {
            "seconds": round(self.now(), 4),
            "busy": {lane: round(seconds, 4) for lane, seconds in self.busy.items()},
            "spans": {lane: [[round(x, 4) for x in span] for span in spans] for lane, spans in self.spans.items()},
        }


def _merged(spans: list[list[float]], gap: float) -> list[list[float]]:
    merged: list[list[float]] = []
    for span in spans:
        if merged and span[0] - merged[-1][1] < gap:
            merged[-1][1] = span[1]
        else:
            merged.append(span)
    return merged
