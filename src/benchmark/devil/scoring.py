"""Scoring a folder of videos: one JSON file that grows video by video and is never computed twice."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import ConfigError, DataError
from ...core.files import write_json
from ...datamodules.folder_index import FolderIndex, FolderVideo
from ...datamodules.masks import read_mask
from ...video import open_video
from .align import Frame, Mask
from .attributes import (
    SAMPLED_FRAMES,
    BackgroundMotion,
    CutScore,
    ForegroundExtent,
    camera_motion,
    foreground_motion,
    sampled_indices,
)
from .flows import FlowFunction

SCHEMA = 1
SCORED_SIZE = (480, 854)

#: key: what it is
ATTRIBUTES = {
    "cm": "camera motion",
    "bsm": "background scene motion",
    "fgs": "foreground size",
    "fgm": "foreground motion",
    "fgd": "foreground displacement",
}


def score_folder(
    videos: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    masks: str | os.PathLike[str] | None = None,
    flow: FlowFunction | None = None,
    flow_name: str = "dis",
    size: tuple[int, int] = SCORED_SIZE,
    report: Callable[[str, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Score every video of a folder, or every mask video.

    Args:
        videos: folder of video files and frame folders; gives ``cm``, ``bsm`` and ``cut``. None: only masks.
        out: JSON file. What it already holds of a video with the same content is kept, so that an interrupted
            run goes on where it was.
        masks: folder of masks (white = hole), named as the videos; gives ``fgs`` and ``fgd``, and with videos
            ``fgm``. With videos it says what is foreground: it is left out of camera and background motion.
        flow: source of flow, for ``bsm``.
        flow_name: its name, for the record.
        size: height and width at which frames are scored; DEVIL's is the default. Shapes are not kept.
        report: called with the id and entry of each newly scored video.

    Returns:
        What stands in the file.

    Raises:
        ConfigError: neither videos nor masks, or ``out`` was made with other settings.
        DataError: a folder or a video cannot be read, or a video has no masks; what was scored is kept.
    """
    if videos is None and masks is None:
        raise ConfigError("nothing to score: give a folder of videos, masks=<folder>, or both")
    settings = {
        "size": list(size) if videos is not None else None,
        "features": "sift" if videos is not None else None,
        "alignment": "wrapped" if videos is not None else None,
        "flow": flow_name if videos is not None else None,
        "videos": videos is not None,
        "masks": masks is not None,
    }
    scores = _resume(Path(out), settings)
    footage = {} if videos is None else {video.id: video for video in FolderIndex(videos).videos}
    holes = {} if masks is None else {video.id: video for video in FolderIndex(masks, ()).videos}
    names = list(footage or holes)
    if footage and holes and (lacking := [name for name in names if name not in holes]):
        raise DataError(
            f"{str(masks)!r} has no masks for {len(lacking)} of {len(names)} videos, such as {lacking[0]!r}"
        )
    content = {
        name: {kind: each[name].sha256 for kind, each in (("video", footage), ("masks", holes)) if name in each}
        for name in names
    }
    known = {name: entry for name, entry in scores["videos"].items() if entry.get("sha256") == content.get(name)}
    for name in names:
        if name not in known:
            known[name] = {"sha256": content[name], **_score(footage.get(name), holes.get(name), flow, size)}
            scores["videos"] = {each: known[each] for each in names if each in known}
            write_json(out, scores)
            if report is not None:
                report(name, known[name])
    scores["videos"] = {name: known[name] for name in names}
    write_json(out, scores)
    return scores


def _resume(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    if not out.exists():
        return {"schema": SCHEMA, "settings": settings, "videos": {}}
    scores = read_scores(out)
    if scores["settings"] != settings:
        differing = [key for key in settings if scores["settings"].get(key) != settings[key]]
        raise ConfigError(
            f"{str(out)!r} holds scores made with other settings ({', '.join(differing)}); "
            "give another file with out=, or delete it"
        )
    return scores


def read_scores(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the file that :func:`score_folder` writes.

    Raises:
        DataError: missing, damaged or something else.
    """
    return read_record(path, SCHEMA, "scores", {"settings": dict, "videos": dict})


def read_record(path: str | os.PathLike[str], schema: int, kind: str, fields: dict[str, type]) -> dict[str, Any]:
    """Read one of this benchmark's JSON files and check its outline."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the {kind} {str(path)!r}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{str(path)!r} is not valid JSON: {error}") from None
    sound = isinstance(value, dict) and value.get("schema") == schema
    if not sound or any(not isinstance(value.get(name), kept) for name, kept in fields.items()):
        raise DataError(f"{str(path)!r} is not a file of DEVIL {kind} (schema {schema})")
    record: dict[str, Any] = value
    return record


def _score(
    video: FolderVideo | None, mask: FolderVideo | None, flow: FlowFunction | None, size: tuple[int, int]
) -> dict[str, Any]:
    """The entry of one video."""
    frames = video.frames if video is not None else mask.frames if mask is not None else 0
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    if mask is not None:
        extent = ForegroundExtent()
        for hole in _masks(mask, frames):
            extent.add(hole)
        values["fgs"], values["fgd"] = extent.size(), extent.displacement()
    if video is not None:
        _score_frames(video, mask, flow, size, values, reasons)
    entry: dict[str, Any] = {"frames": frames, "scores": {key: _storable(value) for key, value in values.items()}}
    return {**entry, "reasons": reasons} if reasons else entry


def _storable(value: float) -> float | str | None:
    """JSON has no infinity: it is a string there, and NaN (nothing to measure) is null."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else value


def _score_frames(
    video: FolderVideo,
    mask: FolderVideo | None,
    flow: FlowFunction | None,
    size: tuple[int, int],
    values: dict[str, float],
    reasons: dict[str, str],
) -> None:
    """One pass over the frames: what compares neighbours at once, what compares samples at the end."""
    if flow is None:
        raise ValueError("scoring videos needs a source of flow")
    sampled = set(sampled_indices(video.frames)) if video.frames >= SAMPLED_FRAMES else set()
    background, cuts = BackgroundMotion(flow), CutScore()
    frames: list[Frame] = []
    holes: list[Mask] = []
    foreground = None if mask is None else _masks(mask, video.frames)
    for index, frame in enumerate(_frames(video, size)):
        hole = None if foreground is None else _fit(next(foreground), size)
        background.add(frame, hole)
        cuts.add(frame)
        if index in sampled:
            frames.append(frame)
            holes += [] if hole is None else [hole]
    values["cut"] = cuts.score()
    values["bsm"] = background.score()
    if math.isnan(values["bsm"]):
        reasons["bsm"] = "no run of 12 frames can be aligned with its first frame"
    if sampled:
        values["cm"] = camera_motion(frames, holes or None)
        if mask is not None:
            values["fgm"] = foreground_motion(frames, holes)
    else:
        for key in ("cm",) if mask is None else ("cm", "fgm"):
            values[key] = math.nan
            reasons[key] = f"{video.frames} frames, at least {SAMPLED_FRAMES} are compared with each other"


def _frames(video: FolderVideo, size: tuple[int, int]) -> Iterator[Frame]:
    """The frames at the size at which they are scored, whatever their shape was."""
    import cv2

    height, width = size
    with open_video(video.path) as reader:
        for chunk in reader.iterate(8):
            for frame in chunk:
                yield np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _masks(video: FolderVideo, count: int) -> Iterator[Mask]:
    """The first ``count`` masks."""
    if video.frames < count:
        raise DataError(f"{str(video.path)!r} has {video.frames} masks for a video of {count} frames")
    with open_video(video.path, access="stream") as reader:
        for start in range(0, count, 8):
            indices = range(start, min(start + 8, count))
            for index, image in zip(indices, reader.get(indices), strict=True):
                yield read_mask(image, f"frame {index} of {str(video.path)!r}")


def _fit(mask: Mask, size: tuple[int, int]) -> Mask:
    import cv2

    height, width = size
    resized = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.bool_)
