"""The path with the fewest and smallest changes of speed: an interior-point method for its linear program."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import PathSmoother

_Array = npt.NDArray[np.float64]
_COEFFICIENTS = {0: (1.0,), 1: (-1.0, 1.0), 2: (1.0, -2.0, 1.0), 3: (-1.0, 3.0, -3.0, 1.0)}
_STEPS = 80
_LEAST = 1e-13
_BAND = 4  # diagonals from the main one up: third differences join four neighbours


class L1Path(PathSmoother):
    """Constant, linear and parabolic pieces (Grundmann, Kwatra, Essa, CVPR 2011, sections 3.1 and 3.2).

    Minimises ``sum |w1 D1 p| + |w2 D2 p| + |w3 D3 p| + proximity |p - c|`` over paths p that leave the given one c by
    at most ``shift``, ``angle`` and ``log_scale``. The paper has no last term, and every path that lies equally far
    from the given one everywhere is as good as another; with it the path stays close. Each of the four numbers is a
    program of its own, so that the paper's weight of the affine part only says how its bounds relate to those of the
    translation. The linear programs are solved by Mehrotra's predictor-corrector method.

    Args:
        differences: weights w1, w2, w3 of the first, second and third differences.
        proximity: weight of the distance, in units of the weights.
        shift: bound of the translation in pixels.
        angle: bound of the rotation in radians.
        log_scale: bound of the log scale.

    Raises:
        ConfigError: weights that are negative or all zero, or bounds that are not above zero.
    """

    streams = False

    def __init__(
        self,
        differences: tuple[float, float, float] = (10.0, 1.0, 100.0),
        proximity: float = 0.05,
        shift: float = 40.0,
        angle: float = 0.05,
        log_scale: float = 0.05,
    ) -> None:
        super().__init__()
        if len(differences) != 3 or min(differences) < 0 or max(differences) <= 0 or proximity < 0:
            raise ConfigError(
                "differences must be three weights, not negative and not all 0, and proximity not negative, got "
                f"{differences} and {proximity}"
            )
        if min(shift, angle, log_scale) <= 0:
            raise ConfigError(f"bounds must be above 0, got shift={shift}, angle={angle}, log_scale={log_scale}")
        self.differences, self.proximity = tuple(float(weight) for weight in differences), float(proximity)
        self.bounds = (float(shift), float(shift), float(angle), float(log_scale))

    def smooth(self, trajectory: Tensor) -> Tensor:
        """At least two frames; double precision inside."""
        bounds = np.array(self.bounds)
        series = trajectory.detach().cpu().double().numpy() / bounds
        batch, length, _ = series.shape
        flat = series.transpose(0, 2, 1).reshape(-1, length)
        found = minimise(flat, self.differences, self.proximity).reshape(batch, 4, length).transpose(0, 2, 1) * bounds
        return torch.from_numpy(found).to(trajectory)


def objective(path: _Array, given: _Array, weights: tuple[float, ...], proximity: float = 0.0) -> _Array:
    """The value ``(N,)`` that :func:`minimise` minimises, of paths ``(N, T)``."""
    total = proximity * np.abs(path - given).sum(-1)
    for order, weight in enumerate(weights, 1):
        total = total + weight * np.abs(np.diff(path, order, axis=-1)).sum(-1)
    return np.asarray(total, np.float64)


def minimise(
    given: _Array, weights: tuple[float, ...], proximity: float = 0.0, bound: float = 1.0, tolerance: float = 1e-10
) -> _Array:
    """The L1-optimal paths.

    Args:
        given: ``(N, T)`` series.
        weights: of the first, second and third differences.
        proximity: weight of the distance to ``given``.
        bound: of that distance.
        tolerance: of the duality gap relative to the value, at which the search ends.

    Returns:
        ``(N, T)``; never farther than ``bound`` from ``given``.
    """
    found: _Array = _Program(given / bound, weights, proximity).solve(tolerance) * bound
    return found


class _Program:
    """``min sum e`` with ``|A p - b| <= e`` and ``|p - c| <= 1``; A stacks the weighted differences.

    Slacks s and multipliers m have four kinds: upper and lower side of the first, then of the second constraint.
    """

    def __init__(self, given: _Array, weights: tuple[float, ...], proximity: float) -> None:
        # about its first value, so that a long pan loses no digits
        self.origin = given[:, :1]
        self.given = given - self.origin
        length = given.shape[1]
        self.orders = [(k, w) for k, w in ((0, proximity), *enumerate(weights, 1)) if w > 0 and length > k]

    def apply(self, path: _Array) -> _Array:
        """``A p``."""
        return np.concatenate([weight * np.diff(path, order, axis=1) for order, weight in self.orders], 1)

    def adjoint(self, rows: _Array) -> _Array:
        """``A^T v``."""
        total, start, length = np.zeros_like(self.given), 0, self.given.shape[1]
        for order, weight in self.orders:
            part = weight * rows[:, start : start + length - order]
            start += length - order
            for place, coefficient in enumerate(_COEFFICIENTS[order]):
                total[:, place : place + length - order] += coefficient * part
        return total

    def normal(self, rows: _Array, diagonal: _Array) -> _Array:
        """``A^T diag(rows) A + diag(diagonal)`` as bands ``(N, T, 4)``: entry j of row i belongs to column i + j."""
        count, length = self.given.shape
        bands, start = np.zeros((count, length, _BAND)), 0
        bands[..., 0] = diagonal
        for order, weight in self.orders:
            part = weight**2 * rows[:, start : start + length - order]
            start += length - order
            for i, first in enumerate(_COEFFICIENTS[order]):
                for j, second in enumerate(_COEFFICIENTS[order][i:]):
                    bands[:, i : i + length - order, j] += first * second * part
        return bands

    def solve(self, tolerance: float) -> _Array:
        """Paths ``(N, T)``; the constraint on p holds exactly."""
        if not self.orders:
            return self.given + self.origin
        target = np.zeros_like(self.apply(self.given))
        order, weight = self.orders[0]
        if order == 0:
            target[:, : self.given.shape[1]] = weight * self.given
        path = self.given.copy()
        error = self.apply(path) - target
        size = np.abs(error) + 0.1
        slack = [size - error, size + error, np.ones_like(path), np.ones_like(path)]
        multiplier = [np.full_like(error, 0.5), np.full_like(error, 0.5), np.ones_like(path), np.ones_like(path)]
        state = [path, size, *slack, *multiplier]
        done = np.zeros(len(path), bool)
        for _ in range(_STEPS):
            with np.errstate(all="ignore"):
                new = self._step(state, target)
            # what is finished, or at the end of what the arithmetic can do, stays
            done |= ~np.all([np.isfinite(part).all(1) for part in new], axis=0)
            state = [np.where(done[:, None], old, part) for old, part in zip(state, new, strict=True)]
            done |= self._finished(state, target, tolerance)
            if done.all():
                break
        found: _Array = np.clip(state[0], self.given - 1, self.given + 1) + self.origin
        return found

    def _finished(self, state: list[_Array], target: _Array, tolerance: float) -> npt.NDArray[np.bool_]:
        """Which series ``(N,)`` are: gap and stationarity within the tolerance."""
        slack, multiplier = state[2:6], state[6:]
        gap = np.sum([(s * m).sum(1) for s, m in zip(slack, multiplier, strict=True)], axis=0)
        value = np.abs(self.apply(state[0]) - target).sum(1)
        slope = np.abs(self._stationarity(multiplier)[0]).max(1)
        steepest = max(weight for _, weight in self.orders)
        return np.asarray((gap <= tolerance * (1 + value)) & (slope <= 1e-8 * steepest), bool)

    def _stationarity(self, multiplier: list[_Array]) -> tuple[_Array, _Array]:
        upper, lower, above, below = multiplier
        return self.adjoint(upper - lower) + above - below, 1 - upper - lower

    def _step(self, state: list[_Array], target: _Array) -> list[_Array]:
        """Mehrotra's predictor and corrector: path, sizes, four slacks, four multipliers."""
        path, size, slack, multiplier = state[0], state[1], state[2:6], state[6:]
        error = self.apply(path) - target
        primal = [error - size, -error - size, path - self.given - 1, self.given - path - 1]
        primal = [value + s for value, s in zip(primal, slack, strict=True)]
        dual = self._stationarity(multiplier)
        ratio = [m / s for m, s in zip(multiplier, slack, strict=True)]
        both = ratio[0] + ratio[1]
        factor = _factorised(self.normal(4 * ratio[0] * ratio[1] / both, ratio[2] + ratio[3]))

        def direction(product: list[_Array]) -> tuple[_Array, _Array, list[_Array], list[_Array]]:
            g = [r * p - c / s for r, p, c, s in zip(ratio, primal, product, slack, strict=True)]
            skew = (ratio[0] - ratio[1]) / both
            rest = g[0] - g[1] - skew * (g[0] + g[1] - dual[1])
            d_path = _solved(factor, -dual[0] - self.adjoint(rest) - (g[2] - g[3]))
            d_error = self.apply(d_path)
            d_size = (g[0] + g[1] - dual[1]) / both + skew * d_error
            moved = [d_error - d_size, -d_error - d_size, d_path, -d_path]
            d_slack = [-p - v for p, v in zip(primal, moved, strict=True)]
            d_multiplier = [a + r * v for a, r, v in zip(g, ratio, moved, strict=True)]
            return d_path, d_size, d_slack, d_multiplier

        count = sum(s.shape[1] for s in slack)
        mean = sum((s * m).sum(1) for s, m in zip(slack, multiplier, strict=True)) / count
        _, _, d_slack, d_multiplier = direction([s * m for s, m in zip(slack, multiplier, strict=True)])
        s_step, m_step = _longest(slack, d_slack), _longest(multiplier, d_multiplier)
        ahead = sum(
            ((s + s_step * ds) * (m + m_step * dm)).sum(1)
            for s, ds, m, dm in zip(slack, d_slack, multiplier, d_multiplier, strict=True)
        )
        centre = ((ahead / count / np.maximum(mean, 1e-300)) ** 3 * mean)[:, None]
        d_path, d_size, d_slack, d_multiplier = direction(
            [s * m + ds * dm - centre for s, m, ds, dm in zip(slack, multiplier, d_slack, d_multiplier, strict=True)]
        )
        s_step, m_step = (0.995 * _longest(*pair, 1 / 0.995) for pair in ((slack, d_slack), (multiplier, d_multiplier)))
        return [
            path + s_step * d_path,
            size + s_step * d_size,
            *(np.maximum(s + s_step * ds, _LEAST) for s, ds in zip(slack, d_slack, strict=True)),
            *(np.maximum(m + m_step * dm, _LEAST) for m, dm in zip(multiplier, d_multiplier, strict=True)),
        ]


def _longest(values: list[_Array], changes: list[_Array], limit: float = 1.0) -> _Array:
    """The longest step ``(N, 1)`` up to ``limit`` that keeps all values above zero."""
    longest = np.full((len(values[0]), 1), limit)
    for value, change in zip(values, changes, strict=True):
        with np.errstate(divide="ignore"):
            steps = np.where(change < 0, value / np.minimum(change, -1e-300) * -1, math.inf)
        longest = np.minimum(longest, steps.min(1, keepdims=True))
    return longest


def _factorised(bands: _Array) -> _Array:
    """``L D L^T`` of symmetric positive banded matrices ``(N, T, 4)``: D in entry 0, column i of L in 1 to 3."""
    factor = bands.copy()
    length = factor.shape[1]
    for i in range(length):
        pivot = np.maximum(factor[:, i, 0], _LEAST)
        factor[:, i, 0] = pivot
        column = factor[:, i, 1:].copy()
        factor[:, i, 1:] /= pivot[:, None]
        for j in range(1, min(_BAND, length - i)):
            factor[:, i + j, : _BAND - j] -= column[:, j - 1 :] * factor[:, i, j, None]
    return factor


def _solved(factor: _Array, right: _Array) -> _Array:
    """Solve with what :func:`_factorised` made, ``(N, T)``."""
    x, length = right.copy(), right.shape[1]
    for i in range(length):
        reach = min(_BAND, length - i)
        x[:, i + 1 : i + reach] -= factor[:, i, 1:reach] * x[:, i, None]
    x /= factor[..., 0]
    for i in range(length - 2, -1, -1):
        reach = min(_BAND, length - i)
        x[:, i] -= (factor[:, i, 1:reach] * x[:, i + 1 : i + reach]).sum(1)
    return x


CARD = ModelCard(
    name="l1_path",
    task="stabilization",
    build=L1Path,
    summary="constant, linear and parabolic pieces by linear programming",
    paper="Grundmann, Kwatra, Essa: Auto-Directed Video Stabilization with Robust L1 Optimal Camera Paths, CVPR 2011, "
    "https://doi.org/10.1109/CVPR.2011.5995525",
    baseline=True,
)
