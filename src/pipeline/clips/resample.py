"""A video at another, constant frame rate."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...inference import Chunk, mark_shots, starts_of
from ...models.registry import create_model, get_card, list_models, load_model
from ...ops.resize import to_8bit
from ...video import VideoReader, VideoWriter, open_video
from .shots import Progress, ShotSettings, end_of

Between = Literal["nearest", "blend", "flow"]

# a new frame this close to an old one, in parts of their distance, is that one: containers round to milliseconds
_SAME = 0.02


class Resampling(NamedTuple):
    """Where the frames of a constant rate lie between those of a video.

    Attributes:
        left: ``(M,)`` int64, the frame before (or at) the new one; never decreases.
        weight: ``(M,)`` float64 in [0, 1), how far it is on the way to the frame after that.
    """

    left: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]


def resampling(timestamps: npt.NDArray[np.float64], end: float, fps: Fraction) -> Resampling:
    """Plan a constant rate: frame ``k`` is shown ``k / fps`` after the first one.

    Args:
        timestamps: of the frames in seconds, increasing, ``(N,)``.
        end: when the last one ends; as many new frames are made as fit best until then.
        fps: of the new video.

    Raises:
        ConfigError: a rate of 0 or less.
    """
    if fps <= 0:
        raise ConfigError(f"fps must be above 0, got {fps}")
    start = float(timestamps[0])
    count = max(1, round((end - start) * fps))
    times = np.arange(count) * float(1 / fps)
    old = timestamps - start
    left = np.clip(np.searchsorted(old, times, side="right") - 1, 0, len(old) - 1)
    gaps = np.append(np.diff(old), math.inf)
    weight = (times - old[left]) / gaps[left]
    next_one = weight > 1 - _SAME
    left, weight = left + next_one, np.where(next_one | (weight < _SAME), 0.0, weight)
    return Resampling(left.astype(np.int64), weight)


def resample(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    fps: float | Fraction,
    between: Between = "nearest",
    network: str = "dis_warp",
    shots: ShotSettings | None = None,
    device: str | torch.device = "cpu",
    crf: int = 16,
    progress: Progress | None = None,
) -> int:
    """Write a video at a constant frame rate; sound, subtitles, colour tags and the time of the first frame are kept.

    A new frame at the time of an old one is that frame. The others are the nearest one, a cross-fade of both
    neighbours, or interpolated along the motion. Nothing is mixed across a cut: there the nearer frame is shown.

    Args:
        source: a video file or a folder of frames.
        target: file to write (mp4, m4v, mov, mkv).
        fps: new rate; floats are taken as the nearest fraction with a denominator up to 1001.
        between: see above.
        network: for ``"flow"``: an interpolation method by name, a weight file or a run folder.
        shots: how cuts are found; None: the defaults.
        device: for ``"flow"``.
        crf: x264's constant rate factor, 0 (best) to 51.
        progress: called with the frames that are written and the number of all.

    Returns:
        The number of frames written.

    Raises:
        ConfigError: an option out of range, or the result would overwrite its source.
        VideoError: the source cannot be read or the target not be written.
    """
    rate = Fraction(fps).limit_denominator(1001)
    if between not in get_args(Between):
        raise ConfigError(f"between is {', '.join(get_args(Between))}, not {between!r}")
    if Path(source).resolve() == Path(target).resolve():
        raise ConfigError(f"the result would overwrite the video that it is made of: {str(target)!r}")
    with open_video(source, access="stream") as reader:
        plan = resampling(reader.timestamps, end_of(reader), rate)
        net = _network(network).to(device).eval() if between == "flow" else None
        # nothing is mixed, so nothing has to be known of cuts
        detector = (shots or ShotSettings()).create() if between != "nearest" else None
        chunks: Iterable[Chunk] = _chunks(reader)
        if detector is not None:
            chunks = mark_shots(chunks, detector)
        with VideoWriter(target, rate, source=reader, crf=crf) as writer:
            for frame in _resampled(chunks, plan, between, net, torch.device(device)):
                writer.write(to_8bit(frame).permute(1, 2, 0)[None].contiguous().cpu().numpy())
                if progress is not None:
                    progress(writer.count, len(plan.left))
            return writer.count


def _network(spec: str) -> nn.Module:
    known = list_models("interpolation", baselines=True)
    if spec in list_models():
        if get_card(spec).task != "interpolation":
            raise ConfigError(f"{spec!r} is for {get_card(spec).task}, expected a method for interpolation")
        if not get_card(spec).baseline:
            raise ConfigError(f"{spec!r} needs weights: give a weight file or a run folder of it")
        return create_model(spec)
    if not Path(spec).exists():
        raise ConfigError(
            f"network {spec!r} is neither an interpolation method without weights ({', '.join(known)}) nor a file or "
            "run folder"
        )
    return load_model(spec)


def _chunks(reader: VideoReader) -> Iterator[Chunk]:
    start = 0
    for frames in reader.iterate(8):
        yield Chunk(start, torch.from_numpy(frames).permute(0, 3, 1, 2).float().div(255))
        start += len(frames)


def _resampled(
    chunks: Iterable[Chunk], plan: Resampling, between: Between, net: nn.Module | None, device: torch.device
) -> Iterator[Tensor]:
    """The new frames ``(3, H, W)``, holding two old ones."""
    place, number = 0, -1
    left: Tensor | None = None
    for chunk in chunks:
        for right, starts in zip(chunk.frames, starts_of(chunk), strict=True):
            while left is not None and place < len(plan.left) and plan.left[place] == number:
                yield _between(left, right, float(plan.weight[place]), "nearest" if starts else between, net, device)
                place += 1
            left, number = right, number + 1
    assert left is not None
    for _ in range(place, len(plan.left)):
        yield left


def _between(
    left: Tensor, right: Tensor, weight: float, between: Between, net: nn.Module | None, device: torch.device
) -> Tensor:
    if between == "nearest" or weight == 0:
        return left if weight <= 0.5 else right
    if net is None:
        return torch.lerp(left, right, weight)
    with torch.no_grad():
        try:
            made: Tensor = net(left[None].to(device), right[None].to(device), timestep=weight)
        except ValueError as error:
            raise ConfigError(f"the network cannot make a frame at {weight:g} between two others: {error}") from error
    return made[0].clamp(0, 1)
