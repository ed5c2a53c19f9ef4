"""The camera's motion from frame to frame: optical flow, its consistency, and a robust fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.camera_path import pose_of
from ...ops.global_motion import MotionModel, Points, distances, fit, grid_points, luma_change, refine, textured
from ...ops.occlusion import inconsistent

_Gray = npt.NDArray[np.uint8]
# how fast the memory of what moves by itself follows
_FOREGROUND_RATE = 0.2
_LEAST_POINTS = 24


class FrameMotion(NamedTuple):
    """How a frame differs from the one before it.

    Attributes:
        pose: ``(4,)`` float64, the map from the frame before, see :mod:`framewright.ops.camera_path`; zeros at a cut.
        support: share of the examined points that follow it, in [0, 1].
        held: too few points agreed: the motion before this one is repeated.
        cut: another scene begins here.
    """

    pose: Tensor
    support: float
    held: bool
    cut: bool


class MotionEstimator:
    """Follows the camera through a video, frame by frame.

    Both frames are shrunk (area average, 8-bit), flow is sampled on a grid of 8 pixels, points whose backward flow
    does not lead back (Sundaram et al., ECCV 2010) or that have no texture are left out, a similarity (or homography)
    is found by RANSAC and improved by reweighted least squares. Points that kept moving against the camera in the
    frames before weigh less. Where fewer than ``least_support`` of the points with texture follow, the motion is held
    (that of the frame before is repeated); where, besides that, the frame changed by more than ``cut_change``, it is a
    scene cut.

    Args:
        flow: network or classical method, ``flow(image1, image2)``; those with ``luma_only`` are given grey frames.
        size: longer side in pixels at which motion is estimated; smaller frames are not enlarged.
        model: ``"similarity"`` or ``"homography"``.
        threshold: distance in pixels of the shrunk frame up to which a point follows the camera.
        check: compute the backward flow too, at twice the cost, and leave out what does not lead back.
        texture: leave out points without texture, see :func:`framewright.ops.global_motion.textured`; 0: none.
        refined: improve RANSAC's result, with the memory of what moves by itself.
        least_support: see above.
        cut_change: mean change of luma in [0, 1] that a cut has at least; None: cuts are not looked for.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        flow: nn.Module,
        size: int = 320,
        model: MotionModel = "similarity",
        threshold: float = 1.0,
        check: bool = True,
        texture: float = 1e-4,
        refined: bool = True,
        least_support: float = 0.25,
        cut_change: float | None = 0.06,
    ) -> None:
        if model not in ("similarity", "homography"):
            raise ConfigError(f"model must be 'similarity' or 'homography', got {model!r}")
        if size < 16 or threshold <= 0 or texture < 0 or not 0 <= least_support < 1:
            raise ConfigError(
                "motion needs size >= 16, threshold > 0, texture >= 0 and least_support in [0, 1), got "
                f"size={size}, threshold={threshold}, texture={texture}, least_support={least_support}"
            )
        self.flow, self.size, self.model, self.threshold = flow, size, model, threshold
        self.check, self.texture, self.refined = check, texture, refined
        self.least_support, self.cut_change = least_support, cut_change
        self._luma_only = bool(getattr(flow, "luma_only", False))
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame is the first one of a video."""
        self._previous: tuple[_Gray, Tensor] | None = None
        self._pose = torch.zeros(4, dtype=torch.float64)
        self._foreground: npt.NDArray[np.float64] | None = None

    def push(self, frame: Tensor) -> FrameMotion:
        """The motion of the next frame ``(3, H, W)`` RGB in [0, 1]; the first one has none.

        Raises:
            ValueError: no such frame, or of another size than the one before.
        """
        if frame.dim() != 3 or frame.shape[0] != 3 or not frame.is_floating_point():
            raise ValueError(f"a frame is floating (3, H, W), got {tuple(frame.shape)} {frame.dtype}")
        now = self._shrunk(frame)
        before, self._previous = self._previous, now
        if before is None:
            return FrameMotion(torch.zeros(4, dtype=torch.float64), 1.0, False, False)
        if before[0].shape != now[0].shape:
            raise ValueError(f"frames change their size from {before[0].shape} to {now[0].shape} (shrunk)")
        return self._between(before, now, frame.shape[-2:])

    def _shrunk(self, frame: Tensor) -> tuple[_Gray, Tensor]:
        """8-bit luma ``(h, w)``, and what the flow method is given ``(1, 3, h, w)``."""
        import cv2

        height, width = frame.shape[-2:]
        factor = min(1.0, self.size / max(height, width))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = (frame.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        # luma before shrinking: one rounding less in what the classical methods see
        grey = np.asarray(cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA))
        if self._luma_only:
            given = torch.from_numpy(grey).float().div(255).expand(3, -1, -1)
        else:
            given = F.interpolate(frame[None].float(), (size[1], size[0]), mode="area")[0]
        return grey.astype(np.uint8), given[None].to(frame.device)

    def _between(self, before: tuple[_Gray, Tensor], now: tuple[_Gray, Tensor], full: torch.Size) -> FrameMotion:
        points = grid_points(*before[0].shape)
        moved, sound = self._follow(before[1], now[1], points)
        candidates = textured(before[0], points, self.texture) if self.texture else np.ones(len(points), np.bool_)
        matrix, support = self._fitted(points, moved, candidates, candidates & sound)
        if matrix is None or support < self.least_support:
            cut = self._is_cut(before[0], now[0])
            if cut:
                self._pose, self._foreground = torch.zeros_like(self._pose), None
            return FrameMotion(self._pose.clone(), support, not cut, cut)
        small = pose_of(torch.from_numpy(matrix), *before[0].shape)
        height, width = before[0].shape
        self._pose = small * small.new_tensor([full[1] / width, full[0] / height, 1.0, 1.0])
        return FrameMotion(self._pose.clone(), support, False, False)

    def _is_cut(self, before: _Gray, now: _Gray) -> bool:
        """Whether frames between which the camera cannot be followed belong to different scenes."""
        return self.cut_change is not None and luma_change(before, now) > self.cut_change

    def _follow(self, before: Tensor, now: Tensor, points: Points) -> tuple[Points, npt.NDArray[np.bool_]]:
        """Where the points went, and for which of them the way back leads to where they came from."""
        # Not inference_mode: a network may keep tensors (sampling grids) that training later needs in autograd.
        with torch.no_grad():
            forward = self.flow(before, now)
            sound = np.ones(len(points), np.bool_)
            x, y = torch.from_numpy(points.astype(np.int64)).T
            if self.check:
                lost = inconsistent(forward, self.flow(now, before))[0, 0].cpu()
                sound = ~lost[y, x].numpy()
        moved = points + forward[0, :, y, x].T.float().cpu().numpy()
        return moved, sound & np.isfinite(moved).all(1)

    def _fitted(
        self, points: Points, moved: Points, candidates: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float64] | None, float]:
        """The matrix that the chosen points follow, and the share of all candidates that follow it."""
        if candidates.sum() < _LEAST_POINTS and len(points) >= _LEAST_POINTS:
            return None, 0.0
        foreground = np.zeros(len(points)) if self._foreground is None else self._foreground
        calm = chosen & (foreground < 0.5)
        asked = calm if self.refined and calm.sum() > max(_LEAST_POINTS, 0.3 * chosen.sum()) else chosen
        found = fit(points[asked], moved[asked], self.model, self.threshold)
        if found is None:
            return None, 0.0
        matrix = found.matrix
        if self.refined:
            matrix = refine(matrix, points[asked], moved[asked], 1 - foreground[asked], self.threshold)
        away = distances(matrix, points, moved)
        follow = found.inliers.sum() if self.model == "homography" else (chosen & (away <= self.threshold)).sum()
        alone = np.where(chosen, away > 3 * self.threshold, foreground > 0.5)
        self._foreground = foreground + _FOREGROUND_RATE * (alone - foreground)
        return matrix, float(follow / candidates.sum())
