"""Messages about folders that do not look as a data set expects."""

from __future__ import annotations

import os
from pathlib import Path

from ..core.errors import DataError

_SHOWN = 6


def first_entries(folder: str | os.PathLike[str], limit: int = _SHOWN) -> str:
    """The first names in ``folder`` for an error message, folders marked by ``/``; says when it is empty."""
    try:
        with os.scandir(folder) as scan:
            names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in scan)
    except OSError as error:
        return f"(cannot be listed: {error.strerror or error})"
    if not names:
        return "(an empty folder)"
    shown = ", ".join(repr(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def require_root(root: str | os.PathLike[str] | None, dataset: str, expected: str, key: str = "data.root") -> Path:
    """The data set's root as an absolute path.

    Args:
        root: what the user set as ``data.root``.
        dataset: name of the data set for the message.
        expected: what the root has to hold, as the end of a sentence.
        key: that it is set with.

    Raises:
        DataError: the root is unset or does not exist; the message says what to set.
    """
    if root is None or not os.fspath(root):
        raise DataError(f"{dataset} needs a folder: set {key}=<folder> to {expected}")
    path = Path(os.path.abspath(Path(root).expanduser()))
    if path.exists():
        return path
    nearest = next(parent for parent in path.parents if parent.exists())
    raise DataError(
        f"{dataset}: the data root {str(path)!r} does not exist; set {key}=<folder> to {expected}. "
        f"The nearest existing folder {str(nearest)!r} holds: {first_entries(nearest)}"
    )
