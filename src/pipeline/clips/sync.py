"""Which moment of one video is which of another: by time stamps, by their sound, or by what they show."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...core.errors import ConfigError, DataError
from ...ops.shots import Frame
from ...video import VideoReader
from ...video.sound import Sound, read_sound
from .shots import Progress, end_of

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

_SOUND_RATE = 8000
# peaks within so many seconds of the best one are the same peak
_SAME_PEAK = 0.05
_LOOK = 16
_FASTEST = 60.0
_LARGEST_TABLE = 25_000_000


class Alignment(NamedTuple):
    """How two videos go together.

    Attributes:
        offset: what is seen at ``t`` seconds of the first video is seen at ``t + offset`` of the second, each on its
            own clock (``reader.timestamps``); for a warp, at the first pair.
        confidence: 0 to 1. By sound: how far the best offset is ahead of the best other peak, in parts of it. By
            frames: the difference of their correlations. For a warp: mean likeness of the pairs. 1 for time stamps.
        pairs: ``(N,)`` int64, for every frame of the first video that of the second; -1 where there is none.
    """

    offset: float
    confidence: float
    pairs: Indices


def align_timestamps(first: VideoReader, second: VideoReader, offset: float = 0.0) -> Alignment:
    """Pair frames whose time stamps are nearest, of recordings on one clock or with a known offset."""
    return Alignment(offset, 1.0, pair_frames(first, second, offset))


def pair_frames(first: VideoReader, second: VideoReader, offset: float) -> Indices:
    """For every frame of ``first`` the frame of ``second`` nearest in time; -1 before its start and after its end."""
    times, others = first.timestamps + offset, second.timestamps
    after = np.clip(np.searchsorted(others, times), 1, max(len(others) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(others) - 1)
    # of two equally near ones the earlier
    nearest = np.where(np.abs(others[after] - times) < np.abs(times - others[before]) - 1e-9, after, before)
    end = end_of(second)
    half = 0.5 * (end - float(others[0])) / len(others)
    outside = (times < others[0] - half) | (times >= end)
    return np.where(outside, -1, nearest).astype(np.int64)


def align_audio(
    first: VideoReader, second: VideoReader, max_offset: float | None = None, seconds: float = 1800.0
) -> Alignment:
    """Find the offset at which the sound of two videos agrees, exact to 1/8000 s.

    Generalised cross-correlation with phase transform (Knapp and Carter, IEEE TASSP 1976) of mono sound at 8 kHz:
    levels and frequency responses of the microphones do not matter.

    Args:
        first, second: video files.
        max_offset: largest offset of either sign in seconds; None: any.
        seconds: how much of each is listened to, from its start.

    Raises:
        VideoError: a video has no sound.
        DataError: one is silent throughout, or no offset is possible.
    """
    one, other = _heard(first.path, seconds), _heard(second.path, seconds)
    lags, scores = phase_correlation(one.samples, other.samples)
    offsets = lags / _SOUND_RATE + (other.start - one.start)
    offset, confidence = _best(offsets, scores, max_offset, _SAME_PEAK)
    return Alignment(offset, confidence, pair_frames(first, second, offset))


def _heard(path: str | os.PathLike[str], seconds: float) -> Sound:
    sound = read_sound(path, _SOUND_RATE, seconds)
    if not np.abs(sound.samples).max() > 1e-4:
        raise DataError(f"the sound of {str(path)!r} is silent; align by frames or time stamps")
    return sound


def phase_correlation(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> tuple[Indices, npt.NDArray[np.float32]]:
    """For each lag (sample ``i`` of ``one`` is sample ``i + lag`` of ``other``) how well the two agree."""
    length = 1 << (len(one) + len(other) - 1).bit_length()
    spectrum = torch.fft.rfft(torch.from_numpy(other), length)
    spectrum *= torch.fft.rfft(torch.from_numpy(one), length).conj()
    size = spectrum.abs()
    # frequencies that hardly occur have no phase worth hearing
    spectrum /= size + 1e-3 * size.mean()
    scores = torch.fft.irfft(spectrum, length).numpy()
    lags = np.arange(-(len(one) - 1), len(other), dtype=np.int64)
    return lags, scores[lags]


def _best(
    offsets: Values, scores: npt.NDArray[np.floating], max_offset: float | None, same: float, full: float | None = None
) -> tuple[float, float]:
    """The best offset, and how far it is ahead of the best other peak, in parts of a full score (None: of its own)."""
    possible = np.ones(len(offsets), np.bool_) if max_offset is None else np.abs(offsets) <= max_offset
    if not possible.any():
        raise DataError(f"the recordings do not overlap at any offset of up to {max_offset:g} s")
    offsets, scores = offsets[possible], scores[possible]
    place = int(np.argmax(scores))
    around = np.pad(scores, 1, constant_values=-np.inf)
    peak = (scores >= around[:-2]) & (scores >= around[2:]) & (np.abs(offsets - offsets[place]) > same)
    rival = float(scores[peak].max(initial=0.0))
    best = float(scores[place])
    return float(offsets[place]), max(0.0, (best - rival) / (full or best)) if best > 0 else 0.0


def align_frames(
    first: VideoReader,
    second: VideoReader,
    warp: bool = False,
    max_offset: float | None = None,
    min_overlap: float = 0.25,
    progress: Progress | None = None,
) -> Alignment:
    """Find how two videos of the same scene go together by what they show.

    Frames are compared by a small grey picture without its mean and contrast, so neither size nor exposure matter;
    the views must be alike. An offset is found by the correlation, over the time in which both videos run, of how these
    pictures change: a still background counts for nothing. With ``warp`` the second video may also run faster, slower
    or stand still: dynamic programming finds the pairs that are most alike while the second video never runs
    backwards nor more than three times as fast; it must show all that the first one shows.

    Args:
        first, second: open videos.
        warp: see above.
        max_offset: largest offset of either sign in seconds, without ``warp``; None: any.
        min_overlap: share of the shorter video that overlaps with the other at least, without ``warp``.
        progress: called with the frames that are done and the number of all.

    Raises:
        ConfigError: an option out of range.
        DataError: a video in which nothing changes, or too long for ``warp``.
        VideoError: a frame cannot be read.
    """
    if not 0 < min_overlap <= 1:
        raise ConfigError(f"min_overlap must lie above 0 and not above 1, got {min_overlap}")
    if warp and len(first) * len(second) > _LARGEST_TABLE:
        raise DataError(
            f"{len(first)} and {len(second)} frames are too many for a warp (their product may be {_LARGEST_TABLE:,}); "
            "align parts, or by an offset"
        )
    total = len(first) + len(second)
    looks = []
    for reader, done in ((first, 0), (second, len(first))):
        looks.append(_looks(reader, done, total, progress))
    if warp:
        return _warped(first, second, *looks)
    rate = min(max(float(first.fps), float(second.fps)), _FASTEST)
    one, other = (_on_grid(reader, look, rate) for reader, look in zip((first, second), looks, strict=True))
    for reader, grid in ((first, one), (second, other)):
        if not float(grid.var(0).sum()) > 1e-6:
            raise DataError(f"nothing changes in {str(reader.path)!r}; align by sound or time stamps")
    lags, scores = change_correlation(one, other, math.ceil(min_overlap * min(len(one), len(other))))
    offsets = lags / rate + float(second.timestamps[0] - first.timestamps[0])
    offset, confidence = _best(offsets, scores, max_offset, 2.5 / rate, full=1.0)
    return Alignment(offset, confidence, pair_frames(first, second, offset))


def _looks(reader: VideoReader, done: int, total: int, progress: Progress | None) -> Tensor:
    """``(N, 256)`` float32: of each frame a small grey picture of mean 0 and length 1."""
    found = []
    for frames in reader.iterate():
        found += [_small(frame) for frame in frames]
        if progress is not None:
            progress(done + len(found), total)
    return torch.from_numpy(np.stack(found))


def _small(frame: Frame) -> npt.NDArray[np.float32]:
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey.astype(np.float32), (_LOOK, _LOOK), interpolation=cv2.INTER_AREA).ravel()
    small = small - small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1.0), np.float32)


def _on_grid(reader: VideoReader, looks: Tensor, rate: float) -> Tensor:
    """What is seen at a constant rate from the first frame on."""
    times = reader.timestamps - reader.timestamps[0]
    count = max(2, round((end_of(reader) - float(reader.timestamps[0])) * rate))
    # half a unit of tolerance for rounded time stamps
    shown = np.searchsorted(times, np.arange(count) / rate + 0.25 / rate, side="right") - 1
    return looks[torch.from_numpy(np.clip(shown, 0, len(times) - 1))]


def change_correlation(one: Tensor, other: Tensor, least: int) -> tuple[Indices, Values]:
    """Pearson's correlation of two series of vectors for every lag at which at least ``least`` of them overlap.

    Args:
        one, other: ``(N, D)`` and ``(M, D)``; at ``lag``, row ``i`` of ``one`` meets row ``i + lag`` of ``other``.
        least: 1 or more.

    Returns:
        The lags, and the correlations in [-1, 1], pooled over the D components; 0 where a part does not change.
    """
    count, others = len(one), len(other)
    lags = np.arange(-(count - 1), others)
    starts, stops = np.maximum(0, -lags), np.minimum(count, others - lags)
    enough = stops - starts >= max(least, 2)
    lags, starts, stops = lags[enough], starts[enough], stops[enough]
    overlap = (stops - starts).astype(np.float64)
    length = 1 << (count + others - 1).bit_length()
    covariance, spread_one, spread_other = (np.zeros(len(lags)) for _ in range(3))
    # some components at a time, for the sake of memory
    for begin in range(0, one.shape[1], 16):
        a, b = (series[:, begin : begin + 16].double() for series in (one, other))
        spectrum = torch.fft.rfft(b, length, dim=0) * torch.fft.rfft(a, length, dim=0).conj()
        covariance += torch.fft.irfft(spectrum.sum(1), length)[torch.from_numpy(lags)].numpy()
        sum_a, square_a = _sums(a, starts, stops)
        sum_b, square_b = _sums(b, starts + lags, stops + lags)
        covariance -= (sum_a * sum_b).sum(1) / overlap
        spread_one += square_a - np.square(sum_a).sum(1) / overlap
        spread_other += square_b - np.square(sum_b).sum(1) / overlap
    # what rounding leaves of nothing is not a change
    still = (spread_one < 1e-9 * overlap) | (spread_other < 1e-9 * overlap)
    scores = np.where(still, 0.0, covariance / np.sqrt(np.where(still, 1.0, spread_one * spread_other)))
    return lags.astype(np.int64), scores


def _sums(series: Tensor, starts: Indices, stops: Indices) -> tuple[Values, Values]:
    """Sums over ranges of rows: of the rows ``(L, D)``, and of their squared lengths ``(L,)``."""
    sums = np.concatenate([np.zeros((1, series.shape[1])), series.cumsum(0).numpy()])
    squares = np.concatenate([[0.0], series.square().sum(1).cumsum(0).numpy()])
    return sums[stops] - sums[starts], squares[stops] - squares[starts]


def _warped(first: VideoReader, second: VideoReader, one: Tensor, other: Tensor) -> Alignment:
    rate = float(second.fps) / float(first.fps)
    likeness = one @ other.T
    pairs = monotone_path(1 - likeness.numpy(), rate, max(3, math.ceil(3 * rate)))
    alike = likeness[torch.arange(len(pairs)), torch.from_numpy(pairs)].mean()
    offset = float(second.timestamps[pairs[0]] - first.timestamps[0])
    return Alignment(offset, float(alike.clamp(0, 1)), pairs)


def monotone_path(cost: npt.NDArray[np.float32], rate: float = 1.0, fastest: int = 3) -> Indices:
    """For each row a column that never decreases, with the least sum of costs; it may start and end anywhere.

    Args:
        cost: ``(N, M)``.
        rate: usual step from row to row; others cost a thousandth more for each column that they differ by.
        fastest: largest step.
    """
    rows, columns = cost.shape
    reached = cost[0].astype(np.float64)
    steps = np.zeros((rows, columns), np.uint8)
    for row in range(1, rows):
        best = np.full(columns, np.inf)
        for step in range(min(fastest, columns - 1) + 1):
            candidate = reached[: columns - step] + 1e-3 * abs(step - rate)
            better = candidate < best[step:]
            best[step:][better] = candidate[better]
            steps[row, step:][better] = step
        reached = best + cost[row]
    path = np.empty(rows, np.int64)
    path[-1] = int(np.argmin(reached))
    for row in range(rows - 1, 0, -1):
        path[row - 1] = path[row] - steps[row, path[row]]
    return path
