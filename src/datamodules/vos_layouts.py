"""How DAVIS and YouTube-VOS lie on disk, as published and as the inpainting programs keep them.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016; Xu et al.,
"YouTube-VOS: A Large-Scale Video Object Segmentation Benchmark", 2018. Layouts follow the programs of STTN (one zip per
video) and E2FGVI. Neither archive was seen; the lists of E2FGVI and ProPainter were.

The lists of videos are the authors' files and belong beside the data: ``test.json`` and ``train.json`` as they come
with those programs (``{"bear": 82, ...}``, frames per video), or what the archives bring.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..video.discover import list_frames, natural_key
from .layout import first_entries, require_root
from .layouts import FrameSequence, Layout, Member

_log = logging.getLogger(__name__)

SPLITS = ("train", "test", "all")


@dataclass(frozen=True)
class VosVideo:
    """One video.

    Attributes:
        id: its name.
        frames: folder or zip of its frames.
        annotations: folder or zip of its label images; None where there are none.
        listed: number of frames by the list; None where the list does not tell.
    """

    id: str
    frames: Path
    annotations: Path | None = None
    listed: int | None = None


@dataclass(frozen=True)
class VosSet:
    """A data set of annotated videos.

    Attributes:
        name: as in ``data.name``.
        title: for people.
        expected: what the root has to hold, as the end of a sentence.
        within: folders below the given root in which the real one is looked for too.
        frames: folders below the root that may hold the videos, best first; ``{split}`` stands for the split.
        annotations: the same for label images.
        lists: per split, files that list its videos, best first; several files of one entry together make a list.
        published: per split, numbers of videos and frames in the published tables.
        homepage: where the data set is to be had.
    """

    name: str
    title: str
    expected: str
    within: tuple[str, ...]
    frames: tuple[str, ...]
    annotations: tuple[str, ...]
    lists: dict[str, tuple[tuple[str, ...], ...]]
    published: dict[str, tuple[int, int]]
    homepage: str

    def find(self, root: str | os.PathLike[str] | None) -> Path:
        """The folder to which all paths are relative.

        Raises:
            DataError: no root, or no video in it; tells what was expected and found.
        """
        path = require_root(root, self.title, self.expected)
        for candidate in (path, *(path / folder for folder in self.within)):
            if any(_holds_videos(candidate / place) for place in self._places(self.frames)):
                return candidate
        found = first_entries(path) if path.is_dir() else "(a file)"
        raise DataError(
            f"{self.title}: {str(path)!r} is not laid out as expected; data.root must be {self.expected}. "
            f"Found: {found}"
        )

    def videos(self, root: Path, split: str, list_file: str | None = None) -> tuple[list[VosVideo], list[Path]]:
        """The videos of a split in the order of their names, and the files that list them (none: the folder does).

        Args:
            root: as :meth:`find` gives it.
            split: ``train``, ``test``, or ``all`` that lie there.
            list_file: a list of the user's own, absolute or below the root; it replaces the split's.

        Raises:
            DataError: there is no list, it cannot be understood, or a listed video is missing.
        """
        bases = [root / place for place in self._places(self.frames, split) if _holds_videos(root / place)]
        names, sources = self._names(root, split, list_file, bases)
        missing = []
        videos = []
        notes = [root / place for place in self._places(self.annotations, split)]
        for name in sorted(names, key=natural_key):
            frames = _locate(bases, name)
            if frames is None:
                missing.append(name)
            else:
                videos.append(VosVideo(name, frames, _locate(notes, name), names[name]))
        if missing:
            raise DataError(
                f"{self.title}: {len(missing)} of the {len(names)} videos of the {split} list are not there, the first "
                f"is {missing[0]!r}: expected a folder or {missing[0]}.zip in {' or '.join(map(str, bases)) or root}"
            )
        return videos, sources

    def _names(
        self, root: Path, split: str, list_file: str | None, bases: list[Path]
    ) -> tuple[dict[str, int | None], list[Path]]:
        if list_file is not None:
            return read_list(root / list_file, self.title), [root / list_file]
        if split == "all":
            return dict.fromkeys((name for base in bases for name in _videos_in(base)), None), []
        for files in self.lists[split]:
            sources = [root / file for file in files]
            if all(source.is_file() for source in sources):
                merged: dict[str, int | None] = {}
                for source in sources:
                    merged |= read_list(source, self.title)
                return merged, sources
        # an archive of the split alone needs no list
        own = [base for base in bases if split in base.relative_to(root).parts[0].split("_")]
        if own:
            return dict.fromkeys(_videos_in(own[0]), None), []
        wanted = " or ".join(" and ".join(files) for files in self.lists[split])
        raise DataError(
            f"{self.title}: there is no list of the {split} videos in {str(root)!r}; expected {wanted} (the JSON files "
            "come with the programs of STTN, FuseFormer and E2FGVI), or a file of your own as data.list_file. "
            f"Found: {first_entries(root)}"
        )

    @staticmethod
    def _places(patterns: tuple[str, ...], split: str | None = None) -> list[str]:
        splits = ("train", "test", "valid") if split in (None, "all") else (split,)
        return list(dict.fromkeys(pattern.format(split=name) for pattern in patterns for name in splits))


def _holds_videos(folder: Path) -> bool:
    return next(_videos_in(folder), None) is not None


def _videos_in(folder: Path) -> Iterator[str]:
    """Names of the zips and of the folders with images in a folder; none where there is no such folder."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted((entry.name, entry.is_dir()) for entry in scan if not entry.name.startswith("."))
    except OSError:
        return
    for name, is_folder in entries:
        if not is_folder and name.lower().endswith(".zip"):
            yield name[: -len(".zip")]
        # DAVIS has a folder per resolution above its videos: those hold folders, no images
        elif is_folder and list_frames(folder / name):
            yield name


def _locate(bases: list[Path], name: str) -> Path | None:
    for base in bases:
        for path in (base / name, base / f"{name}.zip"):
            if path.exists():
                return path
    return None


def read_list(path: Path, title: str) -> dict[str, int | None]:
    """Videos of a list with their numbers of frames, where it tells them.

    JSON: ``{"bear": 82}``, ``["bear"]`` or YouTube-VOS's ``meta.json``; otherwise one name per line.

    Raises:
        DataError: it cannot be read, holds something else, or no video.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value: Any = json.loads(text) if path.suffix.lower() == ".json" else text.split()
    except (OSError, ValueError) as error:
        raise DataError(f"{title}: cannot read the list {str(path)!r}: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("videos"), dict):
        value = list(value["videos"])
    names = dict.fromkeys(value) if isinstance(value, list) else value
    sound = isinstance(names, dict) and all(_is_entry(name, count) for name, count in names.items())
    if not sound or not names:
        raise DataError(
            f"{title}: {str(path)!r} is not a list of videos; expected names, or names with their frames such as "
            '{"bear": 82}'
        )
    return dict(names)


def _is_entry(name: object, count: object) -> bool:
    plain = isinstance(name, str) and bool(name) and name not in (".", "..") and not {"/", "\\"} & set(name)
    return plain and (count is None or (isinstance(count, int) and not isinstance(count, bool) and count > 0))


def _sequences(data: VosSet, root: Path) -> list[FrameSequence]:
    """Every listed video of both splits; where there is no list, every video that lies there."""
    videos: dict[str, VosVideo] = {}
    for split in ("train", "test"):
        try:
            videos |= {video.id: video for video in data.videos(root, split)[0]}
        except DataError as error:
            if any(all((root / file).is_file() for file in files) for files in data.lists[split]):
                raise
            _log.debug("%s", error)
    if not videos:
        videos = {video.id: video for video in data.videos(root, "all")[0]}
    return [FrameSequence(video.id, tuple(_members(video, root))) for video in videos.values()]


def _members(video: VosVideo, root: Path) -> list[Member]:
    def below(path: Path) -> str:
        return path.relative_to(root).as_posix()

    if video.frames.is_file():
        members = [Member(below(video.frames), "zip")]
    else:
        names = [path.name for path in list_frames(video.frames)]
        if video.listed is not None and len(names) < video.listed:
            # what the list promises and is not there counts as missing
            names += sorted({f"{index:05d}.jpg" for index in range(video.listed)} - set(names))
        members = [Member(f"{below(video.frames)}/{name}") for name in names]
    if video.annotations is not None and video.annotations.is_dir():
        members += [Member(below(path), "mask") for path in list_frames(video.annotations)]
    return members


DAVIS_SET = VosSet(
    name="davis",
    title="DAVIS",
    expected="the folder that holds JPEGImages/480p/<video>/00000.jpg, ... (or JPEGImages/<video>.zip, one per video) "
    "and the lists of videos: test.json and train.json, or ImageSets/2016/train.txt and val.txt (the 50 test videos), "
    "ImageSets/2017/train.txt (training)",
    within=("DAVIS", "davis"),
    frames=("JPEGImages/480p", "JPEGImages/Full-Resolution", "JPEGImages"),
    annotations=("Annotations/480p", "Annotations/Full-Resolution", "Annotations"),
    lists={
        "train": (("train.json",), ("ImageSets/2017/train.txt",)),
        "test": (("test.json",), ("ImageSets/2016/train.txt", "ImageSets/2016/val.txt")),
    },
    published={"test": (50, 3455)},
    homepage="https://davischallenge.org/davis2017/code.html",
)

YOUTUBE_VOS_SET = VosSet(
    name="youtube_vos",
    title="YouTube-VOS",
    expected="the folder that holds JPEGImages/<video>/00000.jpg, ... (or JPEGImages/<video>.zip, one per video) with "
    "train.json and test.json, or the unpacked archives train_all_frames/JPEGImages/<video> and "
    "test_all_frames/JPEGImages/<video> (not those of every fifth frame)",
    within=("youtube-vos", "YouTube-VOS", "youtube_vos"),
    frames=("JPEGImages", "{split}_all_frames/JPEGImages", "{split}/JPEGImages"),
    annotations=("Annotations", "{split}_all_frames/Annotations", "{split}/Annotations"),
    lists={
        "train": (("train.json",), ("train_all_frames/meta.json",), ("train/meta.json",)),
        "test": (("test.json",), ("test_all_frames/meta.json",), ("test/meta.json",)),
    },
    published={"train": (3471, 469_887), "test": (508, 70_382)},
    homepage="https://youtube-vos.org/dataset/vos/",
)

VOS_SETS = {data.name: data for data in (DAVIS_SET, YOUTUBE_VOS_SET)}


def _layout(data: VosSet) -> Layout:
    return Layout(
        name=data.name,
        title=data.title,
        expected=data.expected,
        sequences=lambda root: _sequences(data, root),
        homepage=data.homepage,
        evidence="programs of STTN and E2FGVI",
        locate=data.find,
    )


DAVIS, YOUTUBE_VOS = _layout(DAVIS_SET), _layout(YOUTUBE_VOS_SET)
