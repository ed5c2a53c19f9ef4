"""What all path smoothers share: ``net(trajectory)`` gives the smooth trajectory.

Trajectories are ``(B, T, 4)``: dx, dy in pixels, angle in radians, log scale, as in
:mod:`framewright.ops.camera_path`. The result has the same shape and type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class PathSmoother(nn.Module, ABC):
    """A smoother, and how much of a path it looks at, so that a program can smooth a path while it grows.

    Attributes:
        past: frames before a frame that matter for it (to rounding); None: all.
        ahead: frames after it; None: all, and fewer give a worse path; 0: it is causal.
        streams: whether parts of a path, cut out around each frame, give a path without jumps.
    """

    past: int | None = None
    ahead: int | None = None
    streams: bool = True

    def forward(self, trajectory: Tensor) -> Tensor:
        """The smooth trajectory.

        Args:
            trajectory: ``(B, T, 4)``.

        Returns:
            The same shape and type.

        Raises:
            ValueError: shapes do not fit.
        """
        check_trajectory(trajectory)
        if trajectory.shape[1] < 2:
            return trajectory.clone()
        return self.smooth(trajectory)

    @abstractmethod
    def smooth(self, trajectory: Tensor) -> Tensor:
        """The same, of at least two frames."""


def check_trajectory(trajectory: Tensor) -> None:
    """Raise ``ValueError`` unless it is floating ``(B, T, 4)``."""
    if trajectory.dim() != 3 or trajectory.shape[2] != 4 or not trajectory.is_floating_point():
        raise ValueError(
            "a path smoother expects a floating trajectory (B, T, 4): dx, dy, angle, log scale; got "
            f"{tuple(trajectory.shape)} {trajectory.dtype}"
        )
