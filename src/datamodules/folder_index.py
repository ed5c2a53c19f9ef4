"""Which videos a folder holds, and which of them train, validate and test.

Splits. A video's name relative to the root (NFC-normalised, ``/`` as separator) is hashed with SHA-256; the
first 64 bits as a fraction ``u`` of 2**64 put it into train (``u < 0.8``), val (``u < 0.9``) or test. So a
video keeps its split when others are added or removed. Two exceptions, for small folders:

- Three videos or more but an empty split: with the videos sorted by ``u``, the two borders between the
  splits move by the fewest videos that leave at least one in each.
- One or two videos: each is split by time into contiguous ranges, 80 % train, then 10 % val, then 10 %
  test, val and test at least three frames each. A video under nine frames trains whole.

Videos under three frames are left out. What is left out is logged once per folder and is in the manifest.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ..core.errors import ConfigError, DataError, FramewrightError, nearest
from ..core.files import sha256_file, write_json
from ..video import find_videos, is_frame_folder, is_video_file, open_video
from ..video.discover import list_frames
from ..weights import cache_directory
from .layout import first_entries, require_root
from .layouts import FrameSequence, Layout, Member

Split = Literal["train", "val", "test", "all"]

DEFAULT_EXCLUDE = ("mask", "masks", "*_mask", "*_masks", "Annotations")
SPLITS: tuple[Split, ...] = get_args(Split)

_log = logging.getLogger(__name__)
_reported: set[str] = set()

_TRAIN, _VAL = 0.8, 0.9
_SHORTEST = 3
_HASHED_WHOLE = 16 << 20
_HASHED_END = 1 << 20
_EXPECTED = "a folder of videos or frame folders (at any depth), one frame folder, or one video file"


@dataclass(frozen=True)
class FolderVideo:
    """One video of a folder.

    Attributes:
        name: path relative to the root with ``/``; the root's own name if the root is the video.
        id: ``name`` without a file's suffix where that is unique; a relative path for results.
        path: where it lies.
        frames: number of frames.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        bytes: size of the file, or of all frames of a folder.
        sha256: hash as told by ``hashed``.
        hashed: ``"file"``: the file's bytes; ``"ends"``: of a file above 16 MiB, its size in decimal digits
            followed by its first and last MiB; ``"names"``: of a frame folder, the names and sizes of
            its images.
        parts: frame range ``(start, stop)`` in each split that it belongs to.
    """

    name: str
    id: str
    path: Path
    frames: int
    height: int
    width: int
    bytes: int
    sha256: str
    hashed: str
    parts: dict[str, tuple[int, int]]

    def describe(self) -> dict[str, Any]:
        """The entry of the manifest (without the absolute path)."""
        values = asdict(self)
        del values["path"], values["id"]
        values["parts"] = {split: list(part) for split, part in self.parts.items() if split != "all"}
        return values


@dataclass(frozen=True)
class Segment:
    """The frames ``start`` to ``stop - 1`` of a video."""

    video: FolderVideo
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class FolderIndex:
    """The videos below a root, opened once each to learn their length and size.

    What was learnt is remembered in the cache folder and reused while a file's size and modification time
    stay the same, so that the next start is quick.

    Args:
        root: folder of videos and frame folders at any depth; or one frame folder; or one video file.
        exclude: glob patterns, case ignored; a video is left out when one matches its relative path, its
            stem, or the name of a folder on the way to it.
        on_error: ``"raise"`` at a video that cannot be opened, or ``"skip"`` it (logged, in the manifest).

    Attributes:
        root: absolute path.
        videos: usable videos, sorted by name.
        excluded: names left out by ``exclude``.
        too_short: names of videos under three frames.
        unreadable: ``{name: reason}`` of skipped videos.
        split_by: ``"hash"`` or ``"time"``.

    Raises:
        DataError: no such root, no usable video in it, or (``VideoError``) one that cannot be opened.
        ConfigError: unknown ``on_error``.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise ConfigError(f"data.on_error={on_error!r}: expected 'raise' or 'skip'")
        self.root = require_root(root, "data=folder", _EXPECTED)
        self.exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        self._loose_images = False
        found, self.excluded = self._find()
        self.unreadable: dict[str, str] = {}
        self.too_short: list[str] = []
        probes = self._probe(found, on_error)
        self.split_by: Literal["hash", "time"] = "hash" if len(probes) >= 3 else "time"
        lengths = {name: int(probe["frames"]) for name, probe in probes.items()}
        parts = _parts_by_hash(lengths) if len(lengths) >= 3 else _parts_by_time(lengths)
        ids = _ids(self.root, found)
        self.videos = [
            FolderVideo(name, ids[name], found[name], **probe, parts={**parts[name], "all": (0, lengths[name])})
            for name, probe in probes.items()
        ]
        self._report()
        if not self.videos:
            raise DataError(self._nothing_usable(len(found)))

    def segments(self, split: str, shortest: int = _SHORTEST) -> list[Segment]:
        """The frame ranges of a split that have at least ``shortest`` frames.

        Raises:
            ConfigError: unknown split.
            DataError: nothing is left; the message says why and what to do.
        """
        if split not in SPLITS:
            raise ConfigError(f"split={split!r}: expected one of {', '.join(SPLITS)}{nearest(split, SPLITS)}")
        parts = [Segment(video, *video.parts[split]) for video in self.videos if split in video.parts]
        segments = [segment for segment in parts if len(segment) >= shortest]
        if segments:
            return segments
        held = ", ".join(f"{video.name!r} ({video.frames} frames)" for video in self.videos[:6])
        rule = (
            "with fewer than three videos each one of nine frames or more is split by time, 80/10/10"
            if self.split_by == "time"
            else "videos are split 80/10/10 by the hash of their names"
        )
        raise DataError(
            f"data=folder: nothing to use for split={split} in {str(self.root)!r}: no video has {shortest} "
            f"frames there. It holds {len(self.videos)} videos: {held}; {rule}. Add videos, ask for fewer "
            "frames, or use split=all"
        )

    def describe(self) -> dict[str, Any]:
        """The manifest: every video with its hash and split, and what was left out. No absolute paths."""
        return {
            "dataset": "folder",
            "split_by": self.split_by,
            "videos": [video.describe() for video in self.videos],
            "exclude": list(self.exclude),
            "excluded": self.excluded,
            "too_short": self.too_short,
            "unreadable": sorted(self.unreadable),
        }

    def _find(self) -> tuple[dict[str, Path], list[str]]:
        """Videos by relative name, and the names left out."""
        found, excluded, self._loose_images = find_named(self.root, self.exclude)
        return found, excluded

    def _probe(self, found: dict[str, Path], on_error: str) -> dict[str, dict[str, Any]]:
        memory = _Memory(self.root)
        probes = {}
        for name, path in found.items():
            try:
                probe = memory.probe(name, path)
            except DataError as error:
                if on_error == "raise":
                    raise
                self.unreadable[name] = str(error)
                continue
            if probe["frames"] < _SHORTEST:
                self.too_short.append(name)
            else:
                probes[name] = probe
        memory.save()
        return probes

    def _report(self) -> None:
        key = repr((self.root, self.exclude))
        if key in _reported:
            return
        _reported.add(key)
        for reason, names in (
            (f"match exclude={list(self.exclude)}", self.excluded),
            (f"have fewer than {_SHORTEST} frames", self.too_short),
            ("cannot be read", list(self.unreadable.values())),
            ("is the folder itself: its images lie beside videos", ["."] if self._loose_images else []),
        ):
            if names:
                shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
                _log.warning("%s: left out %d that %s: %s", self.root, len(names), reason, shown)

    def _nothing_usable(self, found: int) -> str:
        message = f"data=folder: none of the {found} videos in {str(self.root)!r} can be used."
        if self.too_short:
            message += f" Fewer than {_SHORTEST} frames: {', '.join(self.too_short[:6])}."
        if self.unreadable:
            message += f" Cannot be read: {'; '.join(list(self.unreadable.values())[:3])}."
        return message


def find_named(root: Path, exclude: Sequence[str] = DEFAULT_EXCLUDE) -> tuple[dict[str, Path], list[str], bool]:
    """Videos by relative name, the names left out, and whether images of the root itself are left out.

    Raises:
        DataError: there is no video.
    """
    if root.is_file():
        if is_video_file(root):
            return {root.name: root}, [], False
        raise DataError(f"data=folder: the data root {str(root)!r} is a file, but not a video; set it to {_EXPECTED}")
    loose_images = False
    # everything is looked for first, so that what the patterns leave out can be told
    paths = [path for path in find_videos(root) if path != root]
    if is_frame_folder(root):
        if not paths:
            return {root.name: root}, [], False
        loose_images = True
    # a name that is not UTF-8 shows its odd bytes as escapes: names go into JSON
    every = {path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode(): path for path in paths}
    excluded = sorted(name for name in every if _matches(name, exclude))
    found = {name: every[name] for name in sorted(set(every) - set(excluded))}
    if not found:
        message = f"data=folder: no video in {str(root)!r}; expected {_EXPECTED}. Found: {first_entries(root)}"
        if excluded:
            message += f". Left out by exclude={list(exclude)}: {', '.join(excluded[:6])}"
        raise DataError(message)
    return found, excluded, loose_images


def _matches(name: str, patterns: Iterable[str]) -> bool:
    parts = name.lower().split("/")
    folders = {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    candidates = {*folders, *parts, Path(parts[-1]).stem}
    return any(fnmatch.fnmatchcase(part, pattern.lower()) for pattern in patterns for part in candidates)


def _ids(root: Path, found: dict[str, Path]) -> dict[str, str]:
    """Names without the suffix of files, except where two would then be the same."""
    short = {
        name: name.removesuffix(path.suffix) if path.is_file() and path.stem else name for name, path in found.items()
    }
    counts: dict[str, int] = {}
    for value in short.values():
        counts[value] = counts.get(value, 0) + 1
    return {name: value if counts[value] == 1 else name for name, value in short.items()}


def name_fraction(name: str) -> float:
    """The hash ``u`` in [0, 1) of a relative name that decides its split."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_names(names: Sequence[str]) -> dict[str, str]:
    """The split of each of at least three names, by the rule at the head of this file."""
    order = sorted(names, key=lambda name: (name_fraction(name), name))
    train = sum(name_fraction(name) < _TRAIN for name in order)
    validate = sum(name_fraction(name) < _VAL for name in order)
    train = min(max(train, 1), len(order) - 2)
    validate = min(max(validate, train + 1), len(order) - 1)
    return {name: "train" if rank < train else "val" if rank < validate else "test" for rank, name in enumerate(order)}


def split_frames(frames: int) -> dict[str, tuple[int, int]]:
    """The ranges of train, val and test in one video, by the rule at the head of this file."""
    held_out = max(_SHORTEST, frames // 10)
    if frames < 3 * _SHORTEST:
        return {"train": (0, frames)}
    train, validate = frames - 2 * held_out, frames - held_out
    return {"train": (0, train), "val": (train, validate), "test": (validate, frames)}


def _parts_by_hash(lengths: dict[str, int]) -> dict[str, dict[str, tuple[int, int]]]:
    return {name: {split: (0, lengths[name])} for name, split in split_names(list(lengths)).items()}


def _parts_by_time(lengths: dict[str, int]) -> dict[str, dict[str, tuple[int, int]]]:
    return {name: split_frames(frames) for name, frames in lengths.items()}


class _Memory:
    """What is known about the videos of one root from earlier starts; a mere cache, best effort."""

    _VERSION = 1

    def __init__(self, root: Path) -> None:
        key = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
        self._file = cache_directory() / "folders" / f"{key}.json"
        self._known: dict[str, Any] = {}
        self._changed = False
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            if stored["version"] == self._VERSION:
                self._known = dict(stored["videos"])
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def probe(self, name: str, path: Path) -> dict[str, Any]:
        """``frames, height, width, bytes, sha256, hashed`` of a video; raises ``VideoError``."""
        stamp, total, names_hash = _stamp(path)
        known = self._known.get(name)
        if isinstance(known, dict) and known.get("stamp") == stamp:
            return dict(known["probe"])
        # decord must not have been opened in this process before loader workers are forked
        with open_video(path, backend="auto" if path.is_dir() else "pyav") as reader:
            frames = len(reader)
            height, width = reader.size
        probe: dict[str, Any] = {"frames": frames, "height": height, "width": width, "bytes": total}
        if names_hash is not None:
            probe |= {"sha256": names_hash, "hashed": "names"}
        elif total <= _HASHED_WHOLE:
            probe |= {"sha256": sha256_file(path), "hashed": "file"}
        else:
            probe |= {"sha256": _hash_ends(path, total), "hashed": "ends"}
        self._known[name] = {"stamp": stamp, "probe": probe}
        self._changed = True
        return probe

    def save(self) -> None:
        if not self._changed:
            return
        try:
            write_json(self._file, {"version": self._VERSION, "videos": self._known})
        except (OSError, ValueError, FramewrightError):
            _log.debug("cannot remember the videos in %s", self._file)


def _stamp(path: Path) -> tuple[str, int, str | None]:
    """A text that changes when the video does; its bytes; the hash of a frame folder's names and sizes."""
    if path.is_file():
        status = path.stat()
        return f"{status.st_size}:{status.st_mtime_ns}", status.st_size, None
    content, times = hashlib.sha256(), hashlib.sha256()
    total = 0
    for image in list_frames(path):
        status = image.stat()
        total += status.st_size
        content.update(os.fsencode(image.name) + b"\0" + str(status.st_size).encode() + b"\0")
        times.update(str(status.st_mtime_ns).encode() + b"\0")
    return f"{content.hexdigest()}:{times.hexdigest()}", total, content.hexdigest()


def _hash_ends(path: Path, size: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as handle:
        digest.update(handle.read(_HASHED_END))
        handle.seek(-_HASHED_END, os.SEEK_END)
        digest.update(handle.read(_HASHED_END))
    return digest.hexdigest()


def _every_video(root: Path) -> list[FrameSequence]:
    """Every video of a folder, whole and in any split; its files relative to ``root``."""
    found, _, _ = find_named(root)
    ids = _ids(root, found)
    sequences = []
    for name, path in found.items():
        if path.is_dir():
            files = [Member(image.relative_to(root).as_posix()) for image in list_frames(path)]
        else:
            files = [Member(path.relative_to(root).as_posix(), "video")]
        sequences.append(FrameSequence(ids[name], tuple(files)))
    return sequences


def _folder_root(root: str | os.PathLike[str] | None) -> Path:
    path = require_root(root, FOLDER.title, FOLDER.expected)
    if path.is_dir():
        return path
    raise DataError(f"{str(path)!r} is a file; check the folder that holds it")


FOLDER = Layout(
    name="folder",
    title="data=folder",
    expected=_EXPECTED,
    sequences=_every_video,
    evidence="our own",
    locate=_folder_root,
)
