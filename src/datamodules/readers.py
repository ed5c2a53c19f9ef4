"""A few open video readers per process."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ..video import VideoReader, open_video


class ReaderCache:
    """Opens videos when they are first asked for and keeps the last few open.

    A pickled or forked copy starts empty: decoders must not be shared between processes.

    Args:
        capacity: number of readers kept open.
    """

    def __init__(self, capacity: int = 4) -> None:
        self._capacity = max(1, capacity)
        self._readers: OrderedDict[Path, VideoReader] = OrderedDict()
        self._process = os.getpid()
        self._inherited: list[OrderedDict[Path, VideoReader]] = []

    def get(self, path: Path) -> VideoReader:
        """The open reader of ``path``; raises ``VideoError`` where it cannot be opened."""
        if self._process != os.getpid():
            # kept and never used: to close a decoder that belongs to the parent can hang a forked child
            self._inherited.append(self._readers)
            self._readers, self._process = OrderedDict(), os.getpid()
        reader = self._readers.pop(path, None)
        if reader is None:
            while len(self._readers) >= self._capacity:
                self._readers.popitem(last=False)[1].close()
            reader = open_video(path)
        self._readers[path] = reader
        return reader

    def close(self) -> None:
        """Close this process's readers; the next :meth:`get` opens anew."""
        if self._process == os.getpid():
            for reader in self._readers.values():
                reader.close()
        self._readers = OrderedDict()

    def __len__(self) -> int:
        return len(self._readers)

    def __getstate__(self) -> dict[str, Any]:
        return {"_capacity": self._capacity}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_capacity"])  # type: ignore[misc]
