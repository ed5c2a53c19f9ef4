"""Somebody else's results that are no frames: files in a folder, named after the videos of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError
from ..video.discover import natural_key


def stored_files(
    name: str, folder: Path, video_id: str, suffixes: Sequence[str], what: str, expected: str
) -> list[Path]:
    """The files of a video: ``<folder>/<video id><suffix>``, or all such files in ``<folder>/<video id>/`` in the
    order of their names.

    Args:
        name: of the method, for messages.
        folder: where the results lie.
        video_id: of the video.
        suffixes: that count, in lower case.
        what: the files hold, for messages.
        expected: suffixes in words, for messages.

    Raises:
        DataError: there are none, or of several kinds; the message names the place and what was expected.
    """
    relative = Path(video_id)
    if not video_id or relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"the video id {video_id!r} is not a path inside a folder of results")
    base = folder / relative
    found = [path for suffix in suffixes if (path := base.with_name(base.name + suffix)).is_file()]
    inside = [path for path in base.iterdir() if path.suffix.lower() in suffixes] if base.is_dir() else []
    if not found and not inside:
        raise DataError(
            f"method {name!r}: {folder} holds no {what} of the video {video_id!r}; expected {base}{expected}, or such "
            f"files in {base}"
        )
    kinds = sorted({path.suffix.lower() for path in inside})
    if len(found) + len(kinds) > 1:
        both = " and ".join([*(str(path) for path in found), *(f"{base / '*'}{kind}" for kind in kinds)])
        raise DataError(f"method {name!r}: {both} all belong to the video {video_id!r}; keep only one kind")
    return found or sorted(inside, key=lambda path: natural_key(path.name))


def check_number(name: str, paths: Sequence[Path], expected: int, what: str, video_id: str) -> None:
    """Raise ``DataError`` where a video has another number of files than expected."""
    if len(paths) != expected:
        place, plural = (paths[0].parent, "s") if len(paths) > 1 else (paths[0], "")
        raise DataError(
            f"method {name!r}: {place} has {len(paths)} {what}{plural}, expected {expected} for the video {video_id!r}"
        )
