"""Path smoothing without weights: averages, and the Kalman filter with and without looking ahead."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import PathSmoother

_Array = npt.NDArray[np.float64]


class Unsmoothed(PathSmoother):
    """The path as it is: the input itself, for the first row of a table."""

    past, ahead = 0, 0

    def smooth(self, trajectory: Tensor) -> Tensor:
        """A copy."""
        return trajectory.clone()


class Tripod(PathSmoother):
    """The camera of the first frame for the whole clip, for scenes that a tripod would have filmed."""

    ahead = 0

    def smooth(self, trajectory: Tensor) -> Tensor:
        """The first pose, repeated."""
        return trajectory[:, :1].expand_as(trajectory).clone()


class _Average(PathSmoother):
    """A weighted mean of neighbouring frames.

    Beyond its ends a path is continued by its reflection in the end point, so that a steady pan stays what it is.
    """

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.past = self.ahead = len(kernel) // 2
        self.register_buffer("kernel", kernel / kernel.sum(), persistent=False)
        self.kernel: Tensor

    def smooth(self, trajectory: Tensor) -> Tensor:
        """At least two frames."""
        radius, length = len(self.kernel) // 2, trajectory.shape[1]
        path = trajectory.double()
        index = torch.arange(-radius, length + radius, device=path.device)
        # further out than the path is long there is nothing to reflect
        before = 2 * path[:, :1] - path[:, (-index[:radius]).clamp(max=length - 1)]
        behind = 2 * path[:, -1:] - path[:, (2 * (length - 1) - index[radius + length :]).clamp(min=0)]
        whole = torch.cat((before, path, behind), 1).permute(0, 2, 1).reshape(-1, 1, length + 2 * radius)
        smooth = F.conv1d(whole, self.kernel.double()[None, None]).reshape(path.shape[0], 4, length)
        return smooth.permute(0, 2, 1).to(trajectory.dtype)


class MovingAverage(_Average):
    """The mean over ``2 radius + 1`` frames.

    Args:
        radius: frames on each side.

    Raises:
        ConfigError: a radius below 1.
    """

    def __init__(self, radius: int = 15) -> None:
        if radius < 1:
            raise ConfigError(f"radius must be at least 1, got {radius}")
        super().__init__(torch.ones(2 * radius + 1, dtype=torch.float64))


class GaussianPath(_Average):
    """The mean weighted with a Gaussian, cut off at three deviations.

    Args:
        sigma: its deviation in frames.

    Raises:
        ConfigError: a deviation of zero or less.
    """

    def __init__(self, sigma: float = 10.0) -> None:
        if sigma <= 0:
            raise ConfigError(f"sigma must be above 0, got {sigma}")
        radius = max(1, math.ceil(3 * sigma))
        super().__init__(torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2))


class _Filtered:
    """What the Kalman filter knows after each frame.

    Attributes:
        state: ``(T, 2, N)`` place and speed after the frame was seen.
        expected: ``(T, 2, N)`` before it was seen.
        gain: ``(T, 2, 2)``: what the smoother takes over of a correction of the next frame.
    """

    def __init__(self, seen: _Array, q: float, r: float) -> None:
        """``seen`` is ``(T, N)``. All series share their variances, which do not depend on what was seen."""
        length, count = seen.shape
        move = np.array([[1.0, 1.0], [0.0, 1.0]])
        noise = q * np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]])
        self.state, self.expected = np.empty((length, 2, count)), np.empty((length, 2, count))
        self.gain = np.empty((length, 2, 2))
        variance = np.diag([r, 1.0])
        x = np.stack((seen[0], np.zeros(count)))
        for t in range(length):
            if t:
                before = variance
                x, variance = move @ x, move @ variance @ move.T + noise
                self.gain[t - 1] = before @ move.T @ np.linalg.inv(variance)
            self.expected[t] = x
            gain = variance[:, 0] / (variance[0, 0] + r)
            x = x + gain[:, None] * (seen[t] - x[0])
            variance = variance - np.outer(gain, variance[0])
            self.state[t] = x

    def smoothed(self, lag: int | None) -> _Array:
        """Places ``(T, N)`` with what the ``lag`` frames after each (None: all) add to it."""
        length = len(self.state)
        if lag is None:
            x, places = self.state[-1], [self.state[-1, 0]]
            for t in range(length - 2, -1, -1):
                x = self.state[t] + self.gain[t] @ (x - self.expected[t + 1])
                places.append(x[0])
            return np.stack(places[::-1])
        # all frames at once: each begins at the last frame that it may see, and goes back step by step
        frames = np.arange(length)
        x = self.state[np.minimum(frames + lag, length - 1)].copy()
        for step in range(min(lag, length - 1), 0, -1):
            at = frames[: length - step] + step - 1
            x[: length - step] = self.state[at] + self.gain[at] @ (x[: length - step] - self.expected[at + 1])
        return x[:, 0]


class Kalman(PathSmoother):
    """A Kalman filter of constant speed for each of the four numbers; causal, and therefore late.

    State (p, v), transition [[1, 1], [0, 1]], process noise ``q [[1/3, 1/2], [1/2, 1]]``, measurement noise ``r``; it
    begins with the first place, speed 0 and variances (r, 1), and does not predict before the first frame.

    Args:
        q: how much the speed may change: variance per frame.
        r: variance of the shake. Only q/r matters in the long run, so that one pair suits pixels and radians.

    Raises:
        ConfigError: a variance of zero or less.
    """

    ahead: int | None = 0

    def __init__(self, q: float = 1e-3, r: float = 4.0) -> None:
        super().__init__()
        if q <= 0 or r <= 0:
            raise ConfigError(f"q and r must be above 0, got q={q}, r={r}")
        self.q, self.r = q, r
        # the filter forgets by about 1 - (q / r)^(1/4) / sqrt(2) per frame
        self.past = math.ceil(30 / (q / r) ** 0.25)

    def smooth(self, trajectory: Tensor) -> Tensor:
        """At least two frames; double precision inside."""
        batch, length, _ = trajectory.shape
        seen = trajectory.detach().cpu().double().permute(1, 0, 2).reshape(length, -1).numpy()
        found = self._places(_Filtered(seen, self.q, self.r))
        return torch.from_numpy(found).reshape(length, batch, 4).permute(1, 0, 2).to(trajectory)

    def _places(self, filtered: _Filtered) -> _Array:
        return filtered.state[:, 0]


class KalmanRTS(Kalman):
    """The same filter followed by the smoother of Rauch, Tung and Striebel (AIAA Journal 3, 1965), which takes the lag
    away.

    Args:
        q, r: as in :class:`Kalman`.
        lag: frames after each frame that may be seen; None: the whole clip.

    Raises:
        ConfigError: a variance of zero or less, or a negative lag.
    """

    def __init__(self, q: float = 1e-3, r: float = 4.0, lag: int | None = None) -> None:
        super().__init__(q, r)
        if lag is not None and lag < 0:
            raise ConfigError(f"lag must not be negative, got {lag}")
        self.ahead = self.lag = lag

    def _places(self, filtered: _Filtered) -> _Array:
        return filtered.smoothed(self.lag)


CARDS = (
    ModelCard(
        name="unsmoothed",
        task="stabilization",
        build=Unsmoothed,
        summary="the shaky path itself",
        baseline=True,
    ),
    ModelCard(
        name="tripod",
        task="stabilization",
        build=Tripod,
        summary="the first frame's camera for the whole clip",
        baseline=True,
    ),
    ModelCard(
        name="moving_average",
        task="stabilization",
        build=MovingAverage,
        summary="mean over neighbouring frames",
        baseline=True,
    ),
    ModelCard(
        name="gaussian_path",
        task="stabilization",
        build=GaussianPath,
        summary="Gaussian mean over neighbouring frames",
        baseline=True,
    ),
    ModelCard(
        name="kalman",
        task="stabilization",
        build=Kalman,
        summary="Kalman filter of constant speed, causal",
        paper="Kalman: A New Approach to Linear Filtering and Prediction Problems, J. Basic Engineering 82, 1960, "
        "https://doi.org/10.1115/1.3662552",
        baseline=True,
    ),
    ModelCard(
        name="kalman_rts",
        task="stabilization",
        build=KalmanRTS,
        summary="Kalman filter and Rauch-Tung-Striebel smoother, fixed lag or whole clip",
        paper="Rauch, Tung, Striebel: Maximum Likelihood Estimates of Linear Dynamic Systems, AIAA Journal 3, 1965, "
        "https://doi.org/10.2514/3.3166",
        baseline=True,
    ),
)
