"""Pictures for people: clips side by side, and the frames where a method fails or does as usual."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ..core.files import safe_name
from ..video import VideoWriter, write_image
from ..video.montage import side_by_side, to_uint8
from .problems import Problem, View
from .results import MetricColumn

Pictures = npt.NDArray[np.uint8]

PANEL_WIDTH = 960
CLIP_WIDTH = 3840
JPEG_QUALITY = 92
#: pictures take most of a page's bytes
MOST_CASES = 12
_INPUTS, _TARGET = "inputs", "target"


@dataclass(frozen=True)
class Panel:
    """One picture of a still: its label, a line below it, where it lies, and what is shown below it."""

    label: str
    caption: str
    image: Path
    error: Path | None = None
    warped: Path | None = None


@dataclass(frozen=True)
class Still:
    """One frame of one video as every method made it."""

    title: str
    video: str
    frame: int
    panels: tuple[Panel, ...]
    legend: str = ""


@dataclass(frozen=True)
class Track:
    """One method's frames of a clip."""

    label: str
    path: Path


@dataclass(frozen=True)
class Clip:
    """One video of the set, as every method made it.

    Attributes:
        video: its id.
        path: all methods side by side in one file.
        labels: of what is side by side: ``inputs``, the methods, ``target``.
        tracks: the same, one file each, frame by frame in step; empty: there is only ``path``.
        fps: of all files.
        frames: of each file.
        size: height and width of the tracks.
    """

    video: str
    path: Path
    labels: tuple[str, ...]
    tracks: tuple[Track, ...] = ()
    fps: float = 0.0
    frames: int = 0
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class LearningCurve:
    """How a run of the table was trained: the method's name and the picture of its curves."""

    method: str
    image: Path


@dataclass
class Gallery:
    """Everything there is to look at in a report."""

    clips: list[Clip] = field(default_factory=list)
    stills: list[Still] = field(default_factory=list)
    curves: list[LearningCurve] = field(default_factory=list)


class FrameKeeper:
    """Keeps the first output frames of a video, small enough for a clip."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._frames: list[Pictures] = []

    def __call__(self, position: int, frames: Tensor) -> None:
        """Take a chunk of the result."""
        if position < self.limit:
            self._frames.append(to_uint8(shrink(frames[: self.limit - position], PANEL_WIDTH)))

    def pictures(self) -> Pictures:
        """``(N, h, w, 3)``."""
        return np.concatenate(self._frames)


def shrink(frames: Tensor, width: int) -> Tensor:
    """``(N, 3, H, W)`` reduced to at most ``width`` columns by averaging; smaller frames stay as they are."""
    if frames.shape[-1] <= width:
        return frames
    height = max(1, round(frames.shape[-2] * width / frames.shape[-1]))
    return functional.interpolate(frames, size=(height, width), mode="area")


def write_clip(folder: Path, problem: Problem, kept: Mapping[str, Pictures], *, limit: int, fps: int) -> Clip:
    """Write what the methods saw, each method, and the target: one file each, and one with all side by side.

    The files are ``<folder>/<video>.tracks/<label>.mp4`` and ``<folder>/<video>.mp4``.

    Args:
        folder: made if necessary.
        problem: the video.
        kept: by method, the pictures of a :class:`FrameKeeper`.
        limit: number of output frames shown.
        fps: speed of the clip; slow, so that single frames can be judged.
    """
    count = min(limit, len(problem.targets))
    video = problem.context.video_id
    place = folder / f"{safe_name(video)}.tracks"
    small = dataclasses.replace(problem, sources=shrink(problem.sources, PANEL_WIDTH))
    width = min(PANEL_WIDTH, CLIP_WIDTH // (len(kept) + 2))
    columns: dict[str, Tensor] = {}
    tracks = []
    frames = small.sources
    for label, outputs in _outputs(problem, kept, count):
        frames = small.playback(outputs)
        tracks.append(Track(label, place / f"{safe_name(label)}.mp4"))
        _write_video(tracks[-1].path, to_uint8(frames), fps)
        # in one row, many methods are smaller than each on its own
        columns[label] = shrink(frames, width)
    path = folder / f"{safe_name(video)}.mp4"
    _write_video(path, side_by_side(columns), fps)
    size = (int(frames.shape[-2]), int(frames.shape[-1]))
    return Clip(video, path, tuple(columns), tuple(tracks), float(fps), len(frames), size)


def _outputs(problem: Problem, kept: Mapping[str, Pictures], count: int) -> Iterator[tuple[str, Tensor]]:
    """Labels and ``(count, 3, h, w)`` in the size of a panel, one after the other to keep memory small."""
    yield _INPUTS, torch.cat([shrink(problem.preview(index)[None], PANEL_WIDTH) for index in range(count)])
    taken = {_INPUTS, _TARGET}
    for name, pictures in kept.items():
        label = name
        while label in taken:
            label += " (method)"
        taken.add(label)
        yield label, shrink(torch.from_numpy(pictures[:count]).permute(0, 3, 1, 2).float() / 255, PANEL_WIDTH)
    yield _TARGET, shrink(problem.targets[:count], PANEL_WIDTH)


def _write_video(path: Path, frames: Pictures, fps: int) -> None:
    with VideoWriter(path, fps=fps, size=(frames.shape[1], frames.shape[2])) as writer:
        writer.write(frames)


def write_still(
    folder: Path,
    title: str,
    problem: Problem,
    index: int,
    predictions: Mapping[str, View],
    captions: Mapping[str, str],
) -> Still:
    """Write one frame of every method, each with its error map (and, for flow, the second frame warped by it), beside
    the inputs and the target.

    Args:
        folder: files go to ``<folder>/<video>_<frame>/``.
        title: why this frame is shown.
        problem: the video.
        index: of the output frame.
        predictions: by method.
        captions: by method, a line with its values at this frame.
    """
    video = problem.context.video_id
    place = folder / f"{safe_name(video)}_{index:05d}"

    def write(name: str, picture: Pictures) -> Path:
        write_image(place / name, picture, quality=JPEG_QUALITY)
        return place / name

    panels = [Panel(_INPUTS, "", write("_inputs.jpg", _small(problem.preview(index))))]
    for label, view in predictions.items():
        stem = safe_name(label)
        image = write(f"{stem}.jpg", _small(view.frame))
        error = write(f"{stem}.error.jpg", _error_picture(view.error))
        warped = None if view.warped is None else write(f"{stem}.warped.jpg", _small(view.warped))
        panels.append(Panel(label, captions.get(label, ""), image, error, warped))
    panels.append(Panel(_TARGET, "", write("_target.jpg", _small(problem.targets[index]))))
    return Still(title, video, index, tuple(panels), problem.legend)


def _small(frame: Tensor) -> Pictures:
    picture: Pictures = to_uint8(shrink(frame[None], PANEL_WIDTH))[0]
    return picture


def _error_picture(error: Tensor) -> Pictures:
    """An error ``(1, H, W)`` in [0, 1] from black to yellow."""
    import cv2

    gray = shrink(error[None], PANEL_WIDTH)[0, 0].mul(255).round().byte().numpy()
    return np.asarray(cv2.applyColorMap(gray, cv2.COLORMAP_INFERNO)[..., ::-1], dtype=np.uint8)


def pick_ends(values: Sequence[Sequence[float | None]], higher_is_better: bool) -> dict[str, tuple[int, int]]:
    """The worst and the best item of a data set.

    Args:
        values: per video, per item.
        higher_is_better: direction of the values.

    Returns:
        ``{"worst": (video, item), "best": (video, item)}``; empty if nothing was measured. A single item is only
        returned once, as the worst.
    """
    ranked = sorted(
        (value if higher_is_better else -value, video, item)
        for video, items in enumerate(values)
        for item, value in enumerate(items)
        if value is not None
    )
    if not ranked:
        return {}
    picked = {"worst": ranked[0][1:]}
    if len(ranked) > 1:
        picked["best"] = ranked[-1][1:]
    return picked


@dataclass(frozen=True)
class Case:
    """A frame that is worth looking at.

    Attributes:
        video: place in the data set.
        frame: of its output.
        title: why it is shown.
    """

    video: int
    frame: int
    title: str


def pick_cases(
    values: Mapping[str, Sequence[Sequence[float | None]]],
    columns: Sequence[MetricColumn],
    methods: Mapping[str, str],
    lengths: Sequence[int],
    most: int = MOST_CASES,
) -> list[Case]:
    """The worst and the best case of the best method of every column.

    Where two columns pick the same frame, it is one case. Where there are too many columns, the first ones and the
    worst cases come first.

    Args:
        values: by column key, per video, one value per item; columns without values are left out.
        columns: of the table.
        methods: by column key, the name of the method whose values these are.
        lengths: output frames of each video.
        most: number of cases.
    """
    titles: dict[tuple[int, int], dict[tuple[str, str], list[str]]] = {}
    picked = {c.key: pick_ends(values[c.key], c.higher_is_better) for c in columns if c.key in values}
    for role in ("worst", "best"):
        for column in columns:
            if role in picked.get(column.key, {}):
                video, item = picked[column.key][role]
                frame = _frame_of_item(item, column.items, len(values[column.key][video]), lengths[video])
                reasons = titles.setdefault((video, frame), {})
                reasons.setdefault((role, methods[column.key]), []).append(column.label)
    cases = []
    for (video, frame), reasons in list(titles.items())[:most]:
        parts = [f"{role} case of {method} ({', '.join(labels)})" for (role, method), labels in reasons.items()]
        title = "; ".join(parts)
        cases.append(Case(video, frame, title[0].upper() + title[1:]))
    return cases


def _frame_of_item(item: int, items: str, count: int, length: int) -> int:
    """The output frame to show for one of ``count`` items of a video."""
    match items:
        case "frame":
            frame = item
        case "pair":
            frame = item + 1
        case _:
            frame = int((item + 0.5) * length / count)
    return min(frame, length - 1)
