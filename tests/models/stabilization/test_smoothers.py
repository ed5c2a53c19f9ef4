"""Smoothers of camera paths: recorded series, steady paths, streaming, and the L1 program's optimality."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.registry import create_model, list_models
from framewright.models.stabilization import PathSmoother
from framewright.models.stabilization.l1 import minimise, objective
from torch import Tensor

NAMES = list_models("stabilization", baselines=True)


def shaky(length: int = 120, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    steps = torch.randn(batch, length, 4, generator=generator, dtype=torch.float64)
    path = (steps + torch.tensor([1.0, -0.5, 0, 0])).cumsum(1) * torch.tensor([1.0, 1, 2e-3, 1e-3])
    return path - path[:, :1]


def acceleration(path: Tensor) -> Tensor:
    return path.diff(dim=1).diff(dim=1)[..., :2].square().mean().sqrt()


def test_kalman_and_rts_series(assets: Path) -> None:
    golden = json.loads((assets / "parity/stabilization/kalman_rts_golden.json").read_text())
    seen = torch.tensor(golden["z"], dtype=torch.float64)[None, :, None].expand(1, -1, 4)
    for name, key in (("kalman", "forward"), ("kalman_rts", "rts")):
        made = create_model(name, q=golden["q"], r=golden["r"])(seen)
        expected = torch.tensor(golden[key], dtype=torch.float64)[None, :, None].expand(1, -1, 4)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-9)


def test_kalman_and_rts_on_a_real_path(assets: Path) -> None:
    golden = np.load(assets / "parity/stabilization/farneback_traj_video3.npz")
    seen = torch.from_numpy(golden["traj"])[None]
    for name, key in (("kalman", "kalf"), ("kalman_rts", "kal")):
        made = create_model(name, q=1e-3, r=4.0)(seen)[0, :, 0]
        torch.testing.assert_close(made, torch.from_numpy(golden[key]), rtol=0, atol=1e-9)


def test_l1_value_of_the_recorded_program(assets: Path) -> None:
    golden = json.loads((assets / "parity/stabilization/kalman_rts_golden.json").read_text())
    given = np.array(golden["z"])[None]
    path = minimise(given, (10.0, 1.0, 100.0), bound=5.0)
    assert np.abs(path - given).max() <= 5 + 1e-9
    expected = golden["l1_objective_w10_1_100_bound5"]
    assert objective(path, given, (10.0, 1.0, 100.0))[0] == pytest.approx(expected, abs=1e-6)


def test_l1_is_as_good_as_a_general_solver() -> None:
    scipy = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(1)
    given, weights, proximity, bound = rng.normal(size=(1, 25)).cumsum(1), (10.0, 1.0, 100.0), 0.3, 1.5
    rows = np.concatenate([w * np.diff(np.eye(25), k, axis=0) for k, w in enumerate((proximity, *weights))])
    target = np.zeros(len(rows))
    target[:25] = proximity * given[0]
    sides = np.block([[rows, -np.eye(len(rows))], [-rows, -np.eye(len(rows))]])
    bounds = [(value - bound, value + bound) for value in given[0]] + [(0, None)] * len(rows)
    best = scipy.linprog(np.r_[np.zeros(25), np.ones(len(rows))], sides, np.r_[target, -target], bounds=bounds)
    path = minimise(given, weights, proximity, bound)
    assert objective(path, given, weights, proximity)[0] == pytest.approx(best.fun, rel=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_a_steady_camera_stays_steady(name: str) -> None:
    still = torch.zeros(1, 40, 4)
    torch.testing.assert_close(create_model(name)(still), still, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["moving_average", "gaussian_path", "kalman_rts"])
def test_a_steady_pan_stays_what_it_is(name: str) -> None:
    pan = torch.arange(150.0).double()[None, :, None] * torch.tensor([0.5, -0.2, 0, 1e-4])
    made = create_model(name)(pan)
    # the Kalman filter begins with speed 0, which the smoother forgets after some frames
    torch.testing.assert_close(made[:, 40:-1], pan[:, 40:-1], rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["moving_average", "gaussian_path", "kalman_rts", "l1_path"])
def test_shake_becomes_much_smaller(name: str) -> None:
    seen = shaky()
    made = create_model(name)(seen)
    assert acceleration(made) < 0.1 * acceleration(seen)
    assert (made - seen)[..., :2].abs().max() < 41


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, 1, 2, 3, 5])
def test_short_paths(name: str, length: int) -> None:
    path = shaky(8)[:, :length]
    made = create_model(name)(path)
    assert made.shape == path.shape
    assert made.isfinite().all()
    assert made.dtype == path.dtype


@pytest.mark.parametrize("lag", [0, 1, 10, 30])
def test_a_fixed_lag_is_the_smoother_of_the_path_so_far(lag: int) -> None:
    seen = shaky(60)
    made = create_model("kalman_rts", lag=lag)(seen)
    whole = create_model("kalman_rts")
    for frame in (0, 1, 29, 45, 59):
        expected = whole(seen[:, : frame + lag + 1])[:, frame]
        torch.testing.assert_close(made[:, frame], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "l1_path"])
def test_what_a_smoother_says_it_looks_at(name: str) -> None:
    net = create_model(name)
    assert isinstance(net, PathSmoother)
    seen, frame = shaky(420), 250
    expected = net(seen)[:, frame]
    first = 0 if net.past is None else max(0, frame - net.past)
    last = 420 if net.ahead is None else frame + net.ahead + 1
    window = net(seen[:, first:last])[:, frame - first]
    torch.testing.assert_close(window, expected, rtol=0, atol=1e-6)


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"\(B, T, 4\)"):
        create_model("kalman")(torch.zeros(3, 4))
    for name, options in (
        ("kalman", {"q": 0.0}),
        ("kalman_rts", {"lag": -1}),
        ("gaussian_path", {"sigma": 0.0}),
        ("moving_average", {"radius": 0}),
        ("l1_path", {"shift": 0.0}),
        ("l1_path", {"differences": (0, 0, 0)}),
    ):
        with pytest.raises(ConfigError):
            create_model(name, **options)
