"""The attributes that DEVIL sorts videos by, as scores: larger means more of it.

Szeto and Corso, "The DEVIL Is in the Details", CVPR 2022, with the constants of the published program.
Frames are RGB uint8 ``(H, W, 3)``, all of one size; DEVIL scores at 854x480. Masks are bool ``(H, W)``, True = hole
or foreground.

Deviations: SIFT features where DEVIL has SURF, and any source of flow where it has RAFT. Scores so made order videos;
they are not DEVIL's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ...ops.warp import warp
from .align import Features, Frame, Mask, find_features, find_transform, warp_frame, warp_mask
from .flows import FlowFunction

SAMPLED_FRAMES = 10

_CAMERA_PERCENTILE = 96
_DEFORMATION_PERCENTILE = 90
_SMALLEST_FOREGROUND = 3e-5
_ALIGNMENT = 375.0
_SHORTEST_SEGMENT = 12


def sampled_indices(frames: int, total: int = SAMPLED_FRAMES) -> list[int]:
    """The frames that are compared with each other: ``total`` with the largest whole spacing, from frame 0.

    Raises:
        ValueError: the video is shorter than that.
    """
    if frames < total:
        raise ValueError(f"the video has {frames} frames, {total} are compared with each other")
    spacing = (frames - 1) // (total - 1)
    return [spacing * index for index in range(total)]


def camera_motion(frames: Sequence[Frame], foreground: Sequence[Mask] | None = None) -> float:
    """How far the camera moved: the share of the frame that one frame, aligned with another, leaves uncovered.

    Every ordered pair gives a share, 1 of 25 pairs is allowed to be larger than the score (96th percentile, the
    higher neighbour, each frame with itself counted as 0).

    Args:
        frames: see :func:`sampled_indices`.
        foreground: masks of what moves by itself; features there are left out.

    Returns:
        0 (still) to 1; infinity where too many pairs cannot be aligned at all.
    """
    backgrounds = [None] * len(frames) if foreground is None else [~mask for mask in foreground]
    features = [find_features(frame).within(keep) for frame, keep in zip(frames, backgrounds, strict=True)]
    shares = np.zeros((len(frames), len(frames)))
    whole = np.ones(frames[0].shape[:2], np.bool_)
    for first, source in enumerate(features):
        for second, target in enumerate(features):
            if first != second:
                matrix = find_transform(source, target)
                shares[first, second] = math.inf if matrix is None else 1 - warp_mask(whole, matrix).mean()
    return _higher_percentile(shares.ravel(), _CAMERA_PERCENTILE)


def foreground_motion(frames: Sequence[Frame], masks: Sequence[Mask]) -> float:
    """How much the foreground deforms: 1 - intersection over union of its masks after aligning its texture.

    The 90th percentile (higher neighbour) over all ordered pairs, each frame with itself counted as 0; pairs where
    the foreground is below 0.003 % of the frame do not count.

    Args:
        frames: see :func:`sampled_indices`.
        masks: of the same frames.

    Returns:
        0 (rigid) to 1; infinity where too many pairs cannot be aligned.
    """
    features = [find_features(frame).within(mask) for frame, mask in zip(frames, masks, strict=True)]
    visible = [mask.mean() >= _SMALLEST_FOREGROUND for mask in masks]
    scores = [0.0] * len(masks)
    for first, source in enumerate(features):
        for second, target in enumerate(features):
            if first != second and visible[first] and visible[second]:
                matrix = find_transform(source, target)
                scores.append(
                    math.inf if matrix is None else 1 - _overlap(warp_mask(masks[first], matrix), masks[second])
                )
    return _higher_percentile(np.array(scores), _DEFORMATION_PERCENTILE)


def _overlap(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / (first | second).sum())


def _higher_percentile(values: npt.NDArray[np.float64], percent: float) -> float:
    # taken from the sorted values themselves: interpolating between a number and infinity gives NaN
    return float(np.sort(values)[math.ceil((len(values) - 1) * percent / 100)])


class BackgroundMotion:
    """How much the scene itself moves behind a steady or steadied camera: mean length of the flow.

    A segment is a run of frames that its first frame can be aligned with; within segments of at least 12 frames each
    frame is aligned with the next, and the flow that is left is measured where both are seen. Frames are added one
    after the other and only those that are still needed are kept.

    Args:
        flow: source of flow.
        wrapped: how alignment is judged. DEVIL's program subtracts bytes modulo 256, so that a difference of -1
            counts as 255, and its bound of 375 (summed over RGB, mean over pixels) has its meaning only there: a
            frame passes where fewer than about half of its values fell. False takes the true difference, which
            hardly ever reaches that bound.
        bound: of that difference.
    """

    def __init__(self, flow: FlowFunction, *, wrapped: bool = True, bound: float = _ALIGNMENT) -> None:
        self._flow = flow
        self._wrapped = wrapped
        self._bound = bound
        self._first: _View | None = None
        self._waiting: list[_View] = []
        self._length = 0
        self._flow_sum, self._flow_count = 0.0, 0
        self._weighted, self._weight = 0.0, 0

    def add(self, frame: Frame, foreground: Mask | None = None) -> None:
        """The next frame; ``foreground``: what is not part of the scene."""
        view = _View(frame, foreground)
        if self._first is not None and self._misalignment(self._first, view) < self._bound:
            self._length += 1
        else:
            self._close()
            self._first, self._length = view, 1
        self._waiting.append(view)
        # flow is dear: it waits until the segment is known to count
        if self._length >= _SHORTEST_SEGMENT:
            for source, target in zip(self._waiting[:-1], self._waiting[1:], strict=True):
                self._measure(source, target)
            del self._waiting[:-1]

    def score(self) -> float:
        """Pixels per frame; NaN where no segment is long enough. No frame can be added afterwards."""
        self._close()
        self._first = None
        return self._weighted / self._weight if self._weight else math.nan

    def _close(self) -> None:
        if self._flow_count:
            self._weighted += self._length * self._flow_sum / self._flow_count
            self._weight += self._length
        self._flow_sum, self._flow_count = 0.0, 0
        self._waiting.clear()

    def _misalignment(self, source: _View, target: _View) -> float:
        matrix = find_transform(source.features, target.features)
        if matrix is None:
            return math.inf
        seen = warp_mask(source.background, matrix) & target.background
        if not seen.any():
            return math.inf
        difference = target.frame.astype(np.int16) - warp_frame(source.frame, matrix)
        distance = difference % 256 if self._wrapped else np.abs(difference)
        return float(distance.sum(-1)[seen].mean())

    def _measure(self, source: _View, target: _View) -> None:
        matrix = find_transform(source.features, target.features)
        if matrix is None:
            return
        images = [_tensor(warp_frame(source.frame, matrix)), _tensor(target.frame)]
        flow = self._flow(images[0], images[1])
        # a vector counts where it starts on the aligned frame and ends on background
        ends = warp(torch.from_numpy(target.background)[None, None].float(), flow, padding="zeros")[0, 0] >= 0.999
        valid = torch.from_numpy(warp_mask(source.background, matrix)) & ends
        lengths = torch.linalg.vector_norm(flow[0], dim=0)[valid]
        self._flow_sum += float(lengths.sum(dtype=torch.float64))
        self._flow_count += lengths.numel()


class _View:
    """A frame, its background and the features there."""

    def __init__(self, frame: Frame, foreground: Mask | None) -> None:
        self.frame = frame
        self.background = np.ones(frame.shape[:2], np.bool_) if foreground is None else ~foreground
        self.features: Features = find_features(frame).within(None if foreground is None else self.background)


def _tensor(frame: Frame) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None].float() / 255


class ForegroundExtent:
    """Size and displacement of the foreground, mask by mask."""

    def __init__(self) -> None:
        self._shares: list[float] = []
        self._union: Mask | None = None

    def add(self, mask: Mask) -> None:
        """The next mask; all of one size."""
        self._shares.append(float(mask.mean()))
        self._union = mask.copy() if self._union is None else self._union | mask

    def size(self) -> float:
        """Mean share of the frame that is foreground."""
        return math.fsum(self._shares) / len(self._shares)

    def displacement(self) -> float:
        """Share of the frame that is foreground at any time."""
        return math.nan if self._union is None else float(self._union.mean())


class CutScore:
    """How likely the video holds a cut: the largest sudden difference of neighbouring frames, 0 to 1.

    Sudden is the smaller of the mean absolute difference and of its change since the last pair, as in ffmpeg's
    scene detection, which DEVIL asks; here on the scaled RGB frames, so values differ slightly.
    """

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._difference = 0.0
        self._largest = 0.0

    def add(self, frame: Frame) -> None:
        """The next frame."""
        if self._last is not None:
            difference = float(np.abs(frame.astype(np.int16) - self._last).mean()) / 256
            self._largest = max(self._largest, min(difference, abs(difference - self._difference)))
            self._difference = difference
        self._last = frame

    def score(self) -> float:
        """Above about 0.3 a cut is likely."""
        return self._largest
