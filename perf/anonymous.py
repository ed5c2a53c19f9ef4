"""Peak of the memory that a process itself has filled; used by the other scripts.

Peak resident memory, as Linux counts it, has the pages of libraries in it, which the system takes away and brings back
as it likes: two runs of one program differ by dozens of megabytes. Anonymous memory is what the program asked for.
"""

from __future__ import annotations

import threading
from types import TracebackType


def anonymous() -> float:
    """Megabytes of this process now."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


class Peak:
    """Look every ``seconds`` while the block runs; the most that was seen is in ``megabytes``."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds, self.megabytes = seconds, anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(self.seconds):
            self.megabytes = max(self.megabytes, anonymous())

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
