"""Slices: the videos with least and most of an attribute."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.errors import ConfigError, DataError
from ...core.files import sha256_json, write_json
from .scoring import ATTRIBUTES, read_record

SCHEMA = 1
FRACTION = 0.16
LARGEST = 150


@dataclass(frozen=True)
class Slice:
    """The videos at one end of an attribute.

    Attributes:
        name: such as ``cm-l``, as in the paper.
        attribute: a key of :data:`ATTRIBUTES`.
        level: ``low`` or ``high``.
        videos: ids in the order in which they were chosen.
    """

    name: str
    attribute: str
    level: str
    videos: tuple[str, ...]


def make_slices(
    scores: Mapping[str, Any], *, fraction: float = FRACTION, largest: int = LARGEST, group: str | None = None
) -> list[Slice]:
    """Sort the scored videos into slices, low and high for each attribute that was scored.

    Candidates are the ``fraction`` of videos (rounded down) with the lowest, or highest, scores; equal scores go by
    id. From them at most ``largest`` are chosen in turns over their sources: of each source the most extreme clip,
    then of each the second, and so on. Videos without a score take no part. (In DEVIL's program they sort after
    infinity and may so enter a high slice.)

    Args:
        scores: of :func:`~.scoring.score_folder`.
        fraction: of the videos that are candidates for one slice.
        largest: number of videos in a slice.
        group: regular expression whose first group, searched in the id, is the source video of a clip. None: the
            folder that a clip lies in; a video that lies in none is a source of its own.

    Raises:
        ConfigError: a value is out of range or no regular expression with a group.
        DataError: too few videos have scores.
    """
    if not 0 < fraction <= 0.5 or largest < 1:
        raise ConfigError(f"slices need 0 < fraction <= 0.5 and largest >= 1, got {fraction} and {largest}")
    source = _grouping(group)
    slices = []
    for attribute in ATTRIBUTES:
        ranked = _ranked(scores["videos"], attribute)
        if not ranked:
            continue
        count = math.floor(fraction * len(ranked))
        if count < 1:
            raise DataError(
                f"{len(ranked)} videos have a score for {ATTRIBUTES[attribute]}; a slice of {fraction:.0%} needs "
                f"{math.ceil(1 / fraction)}"
            )
        for level, candidates in (("low", ranked[:count]), ("high", ranked[::-1][:count])):
            chosen = tuple(_in_turns(candidates, source)[:largest])
            slices.append(Slice(f"{attribute}-{level[0]}", attribute, level, chosen))
    if not slices:
        raise DataError("no video has a score; score the videos first")
    return slices


def _ranked(videos: Mapping[str, Any], attribute: str) -> list[str]:
    """Ids with a score, lowest first."""
    try:
        values = {name: entry["scores"].get(attribute) for name, entry in videos.items()}
        scored = {name: float(value) for name, value in values.items() if value is not None}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"the scores of {ATTRIBUTES[attribute]} are damaged; score the videos again") from None
    return sorted(scored, key=lambda name: (scored[name], name))


def _in_turns(candidates: Sequence[str], source: Callable[[str], str]) -> list[str]:
    """The same ids, so that the first of every source come first, then the second of each."""
    seen: dict[str, int] = {}
    turns = []
    for name in candidates:
        turns.append(seen.get(source(name), 0))
        seen[source(name)] = turns[-1] + 1
    return [name for _, name in sorted(zip(turns, candidates, strict=True), key=lambda item: item[0])]


def _grouping(group: str | None) -> Callable[[str], str]:
    if group is None:
        return lambda name: name.rpartition("/")[0] or name
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"group={group!r} is not a regular expression: {error}") from None
    if pattern.groups < 1:
        raise ConfigError(f"group={group!r} needs a group in parentheses: the name of the source video")

    def source(name: str) -> str:
        found = pattern.search(name)
        if found is None:
            raise ConfigError(f"group={group!r} does not match the video {name!r}")
        return found.group(1) or name

    return source


def write_slices(
    path: str | os.PathLike[str], slices: Sequence[Slice], scores: Mapping[str, Any], **options: Any
) -> dict[str, Any]:
    """Write slices with the scores of their videos, so that they can be checked and used again.

    Args:
        path: JSON file.
        slices: of :func:`make_slices`.
        scores: that they were made of.
        options: that they were made with, for the record.

    Returns:
        What was written.
    """
    videos = scores["videos"]
    record = {
        "schema": SCHEMA,
        "scores": {"sha256": sha256_json(dict(scores)), "settings": scores["settings"], "videos": len(videos)},
        "options": options,
        "slices": [
            {
                **asdict(piece),
                "videos": {name: videos[name]["scores"][piece.attribute] for name in piece.videos},
            }
            for piece in slices
        ],
    }
    write_json(path, record)
    return record


def read_slices(path: str | os.PathLike[str]) -> list[Slice]:
    """Read the file that :func:`write_slices` writes.

    Raises:
        DataError: missing, damaged or something else.
    """
    record = read_record(path, SCHEMA, "slices", {"slices": list})
    try:
        return [
            Slice(str(each["name"]), str(each["attribute"]), str(each["level"]), tuple(map(str, each["videos"])))
            for each in record["slices"]
        ]
    except (KeyError, TypeError):
        raise DataError(f"{str(path)!r} is not a file of DEVIL slices: an entry is incomplete") from None
