"""How a data set lies on disk: a declaration that its reader, ``check`` and error messages share.

A data set declares one :class:`Layout`. From it come the search for the root, the message about a wrong
folder, the complete verification (``python -m framewright.datamodules.check``) and, for evaluation sets of
image sequences, the data set itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import DataError
from ..video.discover import natural_key
from .layout import first_entries, require_root

Kind = Literal["image", "video", "yuv420", "text", "flow", "mask", "labels", "zip", "small"]


@dataclass(frozen=True)
class Member:
    """One file of a data set.

    Attributes:
        path: below the root, with ``/``.
        kind: how it is read; ``yuv420`` is raw planar 8-bit video without a header; a ``mask`` is an image
            that is no frame, ``labels`` are a label map; a ``zip`` holds the frames of one video as images; a ``small``
            image is a frame of the sequence in low resolution and does not count.
        size: height and width that it must have; None accepts any. Required for ``yuv420``.
    """

    path: str
    kind: Kind = "image"
    size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """``path`` for JSON and terminals: bytes of a file name that are not UTF-8 stand as escapes."""
        return self.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class FrameSequence:
    """Files that belong together: the frames of a video in order, or one file with all of them.

    Attributes:
        id: unique within the data set, usable as a relative path of a results folder.
        members: the files; images of one sequence must all have the same size.
    """

    id: str
    members: tuple[Member, ...]


Finder = Callable[[Path], list[FrameSequence]]


@dataclass(frozen=True)
class Layout:
    """The published layout of a data set.

    Attributes:
        name: as in ``data.name``.
        title: for people.
        expected: what the root has to hold, as the end of a sentence ("... must be <expected>").
        sequences: lists all sequences below the root found by :meth:`find`, whether their files exist or not.
        needed: paths or patterns below the root by which it is recognised; all of them must match.
        within: folders below the given root in which the real one is looked for too.
        lists: text files below the root that belong to the data set.
        published: number of sequences of the whole set; None where any number is right.
        homepage: where the data set is to be had.
        evidence: how the layout was verified.
        locate: replaces the search for the root by ``needed`` and ``within``.
    """

    name: str
    title: str
    expected: str
    sequences: Finder
    needed: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    published: int | None = None
    homepage: str = ""
    evidence: str = ""
    locate: Callable[[str | os.PathLike[str] | None], Path] | None = None

    def find(self, root: str | os.PathLike[str] | None) -> Path:
        """The folder to which all paths are relative: ``root`` itself or one of ``within``.

        Raises:
            DataError: no root, or nothing in it looks like the data set; tells what was expected and found.
        """
        if self.locate is not None:
            return self.locate(root)
        path = require_root(root, self.title, self.expected)
        for candidate in (path, *(path / folder for folder in self.within)):
            if candidate.is_dir() and all(next(candidate.glob(pattern), None) for pattern in self.needed):
                return candidate
        missing = [pattern for pattern in self.needed if not next(path.glob(pattern), None)]
        found = first_entries(path) if path.is_dir() else "(a file)"
        raise DataError(
            f"{self.title}: {str(path)!r} is not laid out as expected; data.root must be {self.expected}. "
            f"Missing: {', '.join(missing)}. Found: {found}"
        )

    def members(self, root: Path, sequences: Iterable[FrameSequence]) -> list[Member]:
        """Every file once: the lists, then the files of the sequences."""
        unique = {name: Member(name, "text") for name in self.lists}
        for sequence in sequences:
            for member in sequence.members:
                unique.setdefault(member.path, member)
        return list(unique.values())


def folders(pattern: str, files: Sequence[str], size: tuple[int, int] | None = None) -> Finder:
    """A finder: every folder that matches ``pattern`` is a sequence of the images ``files``; id: its path."""

    def find(root: Path) -> list[FrameSequence]:
        names = [path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_dir()]
        kept = sorted((name for name in names if not name.startswith(".")), key=natural_key)
        return [FrameSequence(name, tuple(Member(f"{name}/{file}", size=size) for file in files)) for name in kept]

    return find


def fixed(sequences: Iterable[FrameSequence]) -> Finder:
    """A finder: the data set consists of these sequences, by name."""
    known = list(sequences)
    return lambda root: list(known)


def read_lines(root: Path, name: str, title: str) -> list[str]:
    """The lines of a list file that are not empty.

    Raises:
        DataError: the list is missing or empty.
    """
    path = root / name
    if not path.is_file():
        raise DataError(
            f"{title}: the list {str(path)!r} is missing; it is part of the published archive. "
            f"Its folder holds: {first_entries(path.parent)}"
        )
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{title}: the list {str(path)!r} is empty")
    return lines
