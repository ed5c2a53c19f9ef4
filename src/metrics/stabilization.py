"""How steady a video is, and what that cost: measures of video stabilization, each by one exact definition.

What papers print under the same names differs in the order in which motions are composed, in what becomes of the two
signals, and by errors of the scripts; values of different papers must not be compared, nor these with them.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..models.registry import create_model
from ..models.stabilization import MotionEstimator
from ..ops.camera_path import after, inverse, trajectory_of
from ..ops.compensation import compensate
from .base import VideoMetric
from .homographies import Features, grey_frames, homographies
from .pair import Tensors, VideoPair

_STEADIEST = 100.0  # dB, for two frames that are the same
_WINDOW = 64  # frames
_SLOWEST = 1 / 30  # cycles per frame: faster than this is shake


class _OfHomographies(VideoMetric):
    items = "video"
    minimum_frames = 2

    def __init__(self, features: Features = "sift") -> None:
        super().__init__()
        if features not in ("sift", "klt"):
            raise ConfigError(f"features must be 'sift' or 'klt', got {features!r}")
        self.features = features

    def values(self, pair: VideoPair) -> Tensor:
        """The value of the video ``(1,)``; NaN where features cannot be matched."""
        self.check(pair)
        return torch.tensor([self._value(pair)], dtype=torch.float64, device=pair.prediction.device)

    @abstractmethod
    def _value(self, pair: VideoPair) -> float:
        """The value of a video whose homographies are asked for here."""


def _known(matrices: Tensor) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = matrices[torch.isfinite(matrices).flatten(1).all(1)].numpy()
    return found


class CroppingRatio(_OfHomographies):
    """How much of the frame is left: the mean over frames of 1 / s, at most 1.

    s is the scale of the homography H from the input frame to the output frame: ``hypot(H00, H01)`` (``scale="row"``,
    as the evaluation of DIFRINT has it since 2021), or the root of the affine part's determinant (``"area"``). A frame
    that is not matched does not count.

    Args:
        features: ``"sift"`` (reference) or ``"klt"`` (fast), see :func:`framewright.metrics.homographies.homographies`.
        scale: see above.

    Raises:
        ConfigError: an unknown choice.
    """

    key = "cropping"
    decimals = 3

    def __init__(self, features: Features = "sift", scale: Literal["row", "area"] = "row") -> None:
        super().__init__(features)
        if scale not in ("row", "area"):
            raise ConfigError(f"scale must be 'row' or 'area', got {scale!r}")
        self.scale = scale

    def _value(self, pair: VideoPair) -> float:
        found = _known(homographies(pair, self.features).onto)
        return min(1.0, float(np.mean(1 / _scales(found, self.scale)))) if len(found) else math.nan


def _scales(found: npt.NDArray[np.float64], scale: str) -> npt.NDArray[np.float64]:
    if scale == "row":
        return np.asarray(np.hypot(found[:, 0, 0], found[:, 0, 1]))
    return np.asarray(np.sqrt(np.abs(np.linalg.det(found[:, :2, :2]))))


class Distortion(_OfHomographies):
    """How little frames are stretched: the minimum over frames of the smaller over the larger stretch of the affine
    part of the homography from the input frame to the output frame.

    Stretches are singular values; ``measure="eigen"`` takes the absolute eigenvalues, as published scripts do, which
    cannot see a shear.

    Args:
        features: as in :class:`CroppingRatio`.
        measure: ``"singular"`` or ``"eigen"``.

    Raises:
        ConfigError: an unknown choice.
    """

    key = "distortion"
    decimals = 3

    def __init__(self, features: Features = "sift", measure: Literal["singular", "eigen"] = "singular") -> None:
        super().__init__(features)
        if measure not in ("singular", "eigen"):
            raise ConfigError(f"measure must be 'singular' or 'eigen', got {measure!r}")
        self.measure = measure

    def _value(self, pair: VideoPair) -> float:
        affine = _known(homographies(pair, self.features).onto)[:, :2, :2]
        if not len(affine):
            return math.nan
        values = np.linalg.svd(affine, compute_uv=False) if self.measure == "singular" else np.linalg.eigvals(affine)
        sizes = np.sort(np.abs(values), axis=1)
        return float((sizes[:, 0] / sizes[:, 1]).min())


class Stability(_OfHomographies):
    """The share of slow motion in the path of the output, by Fourier analysis (Liu et al., SIGGRAPH 2013).

    The homographies M1, M2 ... between consecutive output frames are composed to P, with ``order="left"`` P <- M P (the
    motion of the camera; as NNDVS does), with ``"right"`` P <- P M (as DIFRINT does). The two signals are the length of
    the translation ``(P02, P12)`` (divided by P22 for ``left``) and the angle ``atan2(P10, P00)``. Of each, ``S = sum
    of |FFT|^2 over the five lowest frequencies after DC / sum over all frequencies after DC up to the middle``. The
    value is the smaller of the two (``reduce="min"``, as papers say) or their mean (``"mean"``, as scripts have it).
    Where features are not matched the motion before is repeated.

    The five frequencies are absolute bins: values of clips of different length cannot be compared, and a camera that
    stands still has no slow motion to show and scores low. See :class:`Steadiness`.

    Args:
        features: as in :class:`CroppingRatio`.
        order, reduce: see above.
        signal: ``"both"``, or only ``"translation"`` or ``"rotation"``.

    Raises:
        ConfigError: an unknown choice.
    """

    key = "stability"
    decimals = 3
    minimum_frames = 14

    def __init__(
        self,
        features: Features = "sift",
        order: Literal["left", "right"] = "left",
        reduce: Literal["min", "mean"] = "min",
        signal: Literal["both", "translation", "rotation"] = "both",
    ) -> None:
        super().__init__(features)
        if order not in ("left", "right") or reduce not in ("min", "mean"):
            raise ConfigError(f"expected order left or right and reduce min or mean, got {order!r} and {reduce!r}")
        if signal not in ("both", "translation", "rotation"):
            raise ConfigError(f"signal must be 'both', 'translation' or 'rotation', got {signal!r}")
        self.order, self.reduce, self.signal = order, reduce, signal

    def check(self, pair: VideoPair) -> None:
        """Shorter videos give NaN, not an error: a set may hold some."""

    def _value(self, pair: VideoPair) -> float:
        if len(pair) < self.minimum_frames:
            return math.nan
        path, before = np.eye(3), np.eye(3)
        lengths, angles = [], []
        for matrix in homographies(pair, self.features).between.numpy():
            before = matrix if np.isfinite(matrix).all() else before
            path = before @ path if self.order == "left" else path @ before
            length = math.hypot(path[0, 2], path[1, 2])
            lengths.append(length / path[2, 2] if self.order == "left" else length)
            angles.append(math.atan2(path[1, 0], path[0, 0]))
        shares = {"translation": _slow_share(lengths), "rotation": _slow_share(angles)}
        if self.signal != "both":
            return shares[self.signal]
        both = list(shares.values())
        return min(both) if self.reduce == "min" else sum(both) / 2


def _slow_share(signal: list[float]) -> float:
    energy = np.abs(np.fft.fft(np.array(signal)))[1:] ** 2
    energy = energy[: len(energy) // 2]
    total = float(energy.sum())
    # nothing moves at all
    return 1.0 if total < 1e-18 else float(energy[:5].sum()) / total


class InterframeFidelity(VideoMetric):
    """ITF: the PSNR of each frame and the next one, luma of 8 bits; the mean over pairs is the usual figure.

    Two equal frames count as 100 dB. Any blur, zoom or made-up border raises it: compare outputs of the same zoom, or
    see :class:`FidelityGain`.
    """

    key = "itf"
    unit = "dB"
    decimals = 2
    items = "pair"
    minimum_frames = 2

    def values(self, pair: VideoPair) -> Tensor:
        """The fidelity of each pair ``(T - 1,)``."""
        self.check(pair)
        return _fidelity(pair.prediction).to(pair.prediction.device)


def _fidelity(frames: Tensor) -> Tensor:
    grey = [image.astype(np.float64) for image in grey_frames(frames)]
    errors = [float(np.mean((b - a) ** 2)) for a, b in itertools.pairwise(grey)]
    values = [_STEADIEST if e == 0 else min(_STEADIEST, 10 * math.log10(255**2 / e)) for e in errors]
    return torch.tensor(values, dtype=torch.float64)


class FidelityGain(_OfHomographies):
    """By how many dB the ITF of the output exceeds that of the input enlarged as much (bilinear, about the centre).

    The enlargement of each frame is the method's own zoom where it is known (``zoom`` of its results), else one over
    the cropping ratio.

    Args:
        features: as in :class:`CroppingRatio`.
    """

    key = "itf_gain"
    unit = "dB"
    decimals = 2

    def _value(self, pair: VideoPair) -> float:
        zoom = pair.results.get("zoom")
        if zoom is None:
            cropping = CroppingRatio(self.features)._value(pair)
            if math.isnan(cropping):
                return math.nan
            zoom = torch.full((len(pair),), 1 / cropping)
        poses = torch.zeros(len(pair), 4, dtype=torch.float64)
        poses[:, 3] = zoom.double().cpu().log()
        frames = pair.target
        zoomed = torch.cat([compensate(frames[i : i + 1], poses[i : i + 1])[0] for i in range(len(frames))])
        return float(_fidelity(pair.prediction).mean() - _fidelity(zoomed.clamp(0, 1)).mean())


class _OfPath(VideoMetric):
    """A measure of the camera's path in the output, found anew there: Farneback's flow at a longer side of 320 pixels
    and a robust similarity, see :class:`framewright.models.stabilization.MotionEstimator`. Cuts begin a new path."""

    items = "video"
    minimum_frames = 3
    higher_is_better = False

    def values(self, pair: VideoPair) -> Tensor:
        """The value of the video ``(1,)``; NaN where it is too short."""
        self.check(pair)
        height, width = pair.prediction.shape[2:]
        value = self._value(_paths(pair), height, width)
        return torch.tensor([value], dtype=torch.float64, device=pair.prediction.device)

    @abstractmethod
    def _value(self, paths: list[Tensor], height: int, width: int) -> float:
        """The value of a video from the paths of its scenes, in pixels of frames of this size."""


def _paths(pair: VideoPair) -> list[Tensor]:
    """The path ``(T, 4)`` of each scene of the output."""

    def compute() -> Tensors:
        estimator = MotionEstimator(create_model("farneback"))
        motions = [estimator.push(frame) for frame in pair.prediction]
        cuts = torch.tensor([number for number, motion in enumerate(motions) if motion.cut], dtype=torch.int64)
        return {"motions": torch.stack([motion.pose for motion in motions]), "cuts": cuts}

    found = pair.made.get("camera_motion", {}, compute)
    borders = [0, *found["cuts"].tolist(), len(found["motions"])]
    scenes = [found["motions"][a:b] for a, b in itertools.pairwise(borders)]
    return [trajectory_of(scene[1:]) if len(scene) > 1 else scene[:1] * 0 for scene in scenes]


class PathAcceleration(_OfPath):
    """Root mean square of the second difference of the output's path, over frames and both axes, in pixels.

    About 0.02 pixels are the noise of finding the path.
    """

    key = "path_acceleration"
    unit = "px"
    decimals = 3

    def _value(self, paths: list[Tensor], height: int, width: int) -> float:
        return _acceleration(paths)


def _acceleration(paths: list[Tensor]) -> float:
    second = [path[:, :2].diff(dim=0).diff(dim=0) for path in paths if len(path) > 2]
    return float(torch.cat(second).square().mean().sqrt()) if second else math.nan


class PlannedAcceleration(VideoMetric):
    """The same of the path that the method planned (``smooth`` of its results), free of the noise of measuring;
    results of others say nothing about it."""

    key = "planned_acceleration"
    unit = "px"
    decimals = 4
    items = "video"
    higher_is_better = False

    def values(self, pair: VideoPair) -> Tensor:
        """The value of the video ``(1,)``; NaN where the plan is not known."""
        self.check(pair)
        value = math.nan
        if "smooth" in pair.results and "seen" in pair.results:
            starts = (~pair.results["seen"].bool().any(1)).nonzero().flatten().tolist()
            borders = [*starts, len(pair)]
            value = _acceleration([pair.results["smooth"][a:b] for a, b in itertools.pairwise(borders)])
        return torch.tensor([value], dtype=torch.float64, device=pair.prediction.device)


class Steadiness(_OfPath):
    """A stability in (0, 1] that depends neither on the length of a clip nor on how far it pans: ``1 / (1 + E / r^2)``.

    E is the mean square, in pixels, of what is faster than one cycle in 30 frames in the path of the output: its two
    translations, and its rotation and scale at the root mean square distance of pixels from the centre. It is the mean
    over windows of 64 frames that overlap by half (Welch's method with Hann's window, after the trend, a straight
    line, is taken out); shorter clips are one window. r is 1/360 of the frame's height. A camera that stands still,
    or moves slowly, has 1; shake of one pixel at 360 lines has 0.5.
    """

    key = "steadiness"
    decimals = 3
    higher_is_better = True

    def _value(self, paths: list[Tensor], height: int, width: int) -> float:
        radius = math.sqrt((height**2 + width**2) / 12)
        signals = [path.numpy() * np.array([1, 1, radius, radius]) for path in paths if len(path) >= 8]
        if not signals:
            return math.nan
        windows = [window for signal in signals for window in _windows(signal)]
        energy = np.average([_fast_energy(w) for w in windows], weights=[len(w) for w in windows])
        return float(1 / (1 + energy / (height / 360) ** 2))


def _windows(signal: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    if len(signal) <= _WINDOW:
        return [signal]
    # the last one ends with the clip
    starts = [*range(0, len(signal) - _WINDOW, _WINDOW // 2), len(signal) - _WINDOW]
    return [signal[start : start + _WINDOW] for start in starts]


def _fast_energy(window: npt.NDArray[np.float64]) -> float:
    """Mean square of the fast part of ``(T, 4)``."""
    length = len(window)
    time = np.linspace(-1, 1, length)
    line = np.polynomial.polynomial.polyfit(time, window, 1)
    rest = window - np.polynomial.polynomial.polyval(time, line).T
    taper = np.hanning(length + 2)[1:-1, None]
    spectrum = np.abs(np.fft.fft(rest * taper, axis=0)) ** 2 / (length * (taper**2).sum())
    fast = np.abs(np.fft.fftfreq(length)) > _SLOWEST
    return float(spectrum[fast].sum())


class ResidualShake(VideoMetric):
    """What is left of a known shake: root mean square displacement in pixels, over frames and pixels.

    With the camera's true pose A (``trajectory`` of the truth), its intended pose S (``smooth``) and the method's
    correction B, the output is seen from B A; the deviation B A S^-1 from the intended camera may be as slow as it
    likes, so that what a Gaussian of 10 frames leaves of it is the residual. Zoom does not count. Methods whose
    correction is not known have no value.
    """

    key = "residual_shake"
    unit = "px"
    decimals = 3
    items = "video"
    higher_is_better = False

    def values(self, pair: VideoPair) -> Tensor:
        """The value of the video ``(1,)``; NaN where the true path or the correction is not known."""
        self.check(pair)
        value = math.nan
        if {"trajectory", "smooth"} <= pair.given.keys() and "correction" in pair.results:
            true, intended = (pair.given[name].double() for name in ("trajectory", "smooth"))
            deviation = after(after(pair.results["correction"].double(), true), inverse(intended))
            height, width = pair.prediction.shape[2:]
            value = residual(deviation, height, width)
        return torch.tensor([value], dtype=torch.float64, device=pair.prediction.device)


def residual(deviation: Tensor, height: int, width: int) -> float:
    """Root mean square displacement in pixels of the fast part of poses ``(T, 4)``."""
    slow = create_model("gaussian_path", sigma=10.0)(deviation[None].cpu())[0].to(deviation)
    fast = deviation - slow
    spread = (height**2 + width**2) / 12
    return math.sqrt(float((fast[:, :2].square().sum(1) + fast[:, 2:].square().sum(1) * spread).mean()))
