"""Finding videos by name: which files are videos, which folders are frame folders."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..core.errors import DataError

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
        *(".ts", ".m2ts", ".mts", ".wmv", ".flv", ".ogv", ".y4m"),
    }
)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".webp"})


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A sort key under which ``frame2`` stands before ``frame10``; a total order on distinct names."""
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name) if part
    )
    return parts, name


def is_video_file(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is an existing file with the suffix of a video container."""
    path = Path(path)
    return _has_suffix(path.name, VIDEO_SUFFIXES) and path.is_file()


def is_frame_folder(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a folder that holds at least two images."""
    path = Path(path)
    if not path.is_dir():
        return False
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return sum(_has_suffix(name, IMAGE_SUFFIXES) for name in names) >= 2


def list_frames(folder: str | os.PathLike[str]) -> list[Path]:
    """The images of a folder in natural order (hidden files are left out)."""
    folder = Path(folder)
    names = [name for name in os.listdir(folder) if _has_suffix(name, IMAGE_SUFFIXES)]
    return [folder / name for name in sorted(names, key=natural_key)]


def find_videos(root: str | os.PathLike[str], exclude: Iterable[str] = ()) -> list[Path]:
    """Every video file and every folder with at least two images at or below ``root``, in natural order.

    Linked folders are followed once; hidden files and folders are left out.

    Args:
        root: the folder to search.
        exclude: shell patterns (``masks``, ``*_mask``, ``clips/raw/*``), compared with the name of every file
            and folder and with its path below ``root``; an excluded folder is not entered.

    Raises:
        DataError: when ``root`` is not a folder that can be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{str(root)!r} is not a folder; expected one with video files or folders of frames")
    patterns = tuple(exclude)

    def excluded(path: Path) -> bool:
        relative = path.relative_to(root).as_posix()
        return any(fnmatch.fnmatch(path.name, p) or fnmatch.fnmatch(relative, p) for p in patterns)

    def fail(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename!r}: {error.strerror}") from error

    found: list[Path] = []
    seen: set[str] = set()
    for where, folders, files in os.walk(root, followlinks=True, onerror=fail):
        here = Path(where)
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [f for f in folders if not f.startswith(".") and not excluded(here / f)]
        names = [f for f in files if not excluded(here / f)]
        found += [here / f for f in names if _has_suffix(f, VIDEO_SUFFIXES) and (here / f).is_file()]
        if sum(_has_suffix(f, IMAGE_SUFFIXES) for f in names) >= 2:
            found.append(here)
    return sorted(found, key=lambda path: natural_key(path.relative_to(root).as_posix()))


def _has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
