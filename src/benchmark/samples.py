"""Pictures for people: clips side by side, and the frames where a method fails or does as usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from .problems import Problem

Pictures = npt.NDArray[np.uint8]

PANEL_WIDTH = 960
CLIP_WIDTH = 3840
ERROR_GAIN = 4
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Panel:
    """One picture of a still: its label, a line below it, and where it lies."""

    label: str
    caption: str
    image: Path
    error: Path | None = None


@dataclass(frozen=True)
class Still:
    """One frame of one video as every method made it."""

    title: str
    video: str
    frame: int
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Clip:
    """One video of the set, all methods side by side."""

    video: str
    path: Path
    labels: tuple[str, ...]


@dataclass
class Gallery:
    """Everything there is to look at in a report."""

    clips: list[Clip] = field(default_factory=list)
    stills: list[Still] = field(default_factory=list)


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
    """Write ``<folder>/<video>.mp4``: what the methods saw, each method, the target.

    Args:
        folder: made if necessary.
        problem: the video.
        kept: by method, the pictures of a :class:`FrameKeeper`.
        limit: number of output frames shown.
        fps: speed of the clip; slow, so that single frames can be judged.
    """
    count = min(limit, len(problem.targets))
    width = min(PANEL_WIDTH, CLIP_WIDTH // (len(kept) + 2))
    small = Problem(shrink(problem.sources, width), problem.targets, problem.context)
    preview = shrink(torch.stack([problem.preview(index) for index in range(count)]), width)
    columns = {"inputs": small.playback(preview)}
    for name, pictures in kept.items():
        frames = torch.from_numpy(pictures[:count]).permute(0, 3, 1, 2).float() / 255
        columns[_free_label(name, columns)] = small.playback(shrink(frames, width))
    columns["target"] = small.playback(shrink(problem.targets[:count], width))
    montage = side_by_side(columns)
    video = problem.context.video_id
    path = folder / f"{safe_name(video)}.mp4"
    with VideoWriter(path, fps=fps, size=(montage.shape[1], montage.shape[2])) as writer:
        writer.write(montage)
    return Clip(video, path, tuple(columns))


def _free_label(name: str, taken: Mapping[str, Tensor]) -> str:
    label = name
    while label in taken or label == "target":
        label += " (method)"
    return label


def write_still(
    folder: Path,
    title: str,
    problem: Problem,
    index: int,
    predictions: Mapping[str, Tensor],
    captions: Mapping[str, str],
) -> Still:
    """Write one frame of every method, each with its error map, beside the inputs and the target.

    Args:
        folder: files go to ``<folder>/<video>_<frame>/``.
        title: why this frame is shown.
        problem: the video.
        index: of the output frame.
        predictions: by method, ``(3, H, W)``.
        captions: by method, a line with its values at this frame.
    """
    video = problem.context.video_id
    place = folder / f"{safe_name(video)}_{index:05d}"
    target = problem.targets[index]
    shown: list[tuple[str, str, str, Tensor]] = [("inputs", "", "_inputs", problem.preview(index))]
    shown += [(name, captions.get(name, ""), safe_name(name), frame) for name, frame in predictions.items()]
    shown.append(("target", "", "_target", target))
    panels = []
    for label, caption, stem, frame in shown:
        image = place / f"{stem}.jpg"
        write_image(image, to_uint8(shrink(frame[None], PANEL_WIDTH))[0], quality=JPEG_QUALITY)
        error = None
        if label in predictions and stem not in ("_inputs", "_target"):
            error = place / f"{stem}.error.jpg"
            write_image(error, _error_map(frame, target), quality=JPEG_QUALITY)
        panels.append(Panel(label, caption, image, error))
    return Still(title, video, index, tuple(panels))


def _error_map(frame: Tensor, target: Tensor) -> Pictures:
    """Mean absolute error over the colours, times :data:`ERROR_GAIN`, from black to yellow."""
    import cv2

    error = (frame - target).abs().mean(0, keepdim=True).mul(ERROR_GAIN).clamp(0, 1)
    gray = shrink(error[None], PANEL_WIDTH)[0, 0].mul(255).round().byte().numpy()
    return np.asarray(cv2.applyColorMap(gray, cv2.COLORMAP_INFERNO)[..., ::-1], dtype=np.uint8)


def pick_frames(values: Sequence[Sequence[float | None]], higher_is_better: bool) -> dict[str, tuple[int, int]]:
    """The worst and the median frame of a data set.

    Args:
        values: per video, per frame.
        higher_is_better: direction of the values.

    Returns:
        ``{"worst": (video, frame), "median": (video, frame)}``; empty if nothing was measured. A single frame
        is only returned once, as the worst.
    """
    ranked = sorted(
        (value if higher_is_better else -value, video, frame)
        for video, frames in enumerate(values)
        for frame, value in enumerate(frames)
        if value is not None
    )
    if not ranked:
        return {}
    picked = {"worst": ranked[0][1:]}
    if len(ranked) > 1:
        picked["median"] = ranked[len(ranked) // 2][1:]
    return picked
