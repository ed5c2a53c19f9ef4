from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.ops.frechet import frechet_distance


def normals(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimension)) * np.linspace(0.1, 3, dimension)


@pytest.mark.parametrize("counts", [(40, 60), (5, 60), (5, 7), (30, 30)], ids=str)
def test_equals_the_definition(counts: tuple[int, int]) -> None:
    x, y = normals(counts[0], 20), normals(counts[1], 20, 1) + 0.3
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    # tr (C1 C2)^(1/2) by the eigenvalues of the product, which are real and not negative but for rounding
    root = np.sqrt(np.linalg.eigvals(c1 @ c2).real.clip(0)).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * root
    assert float(frechet_distance(x, y)) == pytest.approx(expected, rel=1e-5)
    assert float(frechet_distance(y, x)) == pytest.approx(float(frechet_distance(x, y)), rel=1e-10)


def test_goldens(assets: Path) -> None:
    folder = assets / "metrics" / "golden"
    expected = json.loads((folder / "golden.json").read_text())["frechet"]
    with np.load(folder / "frechet_features.npz") as sets:
        for name in ("full_300x64", "lowrank_50x1024"):
            value = float(frechet_distance(sets[f"{name}_x"], sets[f"{name}_y"]))
            assert value == pytest.approx(expected[name]["exact_nuclear_norm"], rel=1e-9)
            assert value == pytest.approx(expected[name]["scipy_sqrtm"], rel=1e-6)


def test_same_set_and_singular_covariances() -> None:
    x = torch.from_numpy(normals(50, 200)).float()
    assert float(frechet_distance(x, x)) == pytest.approx(0, abs=1e-9)
    assert float(frechet_distance(x, x + 1)) == pytest.approx(200, rel=1e-6)
    constant = torch.ones(3, 4)
    assert float(frechet_distance(constant, 3 * constant)) == pytest.approx(16)


def test_population_covariance() -> None:
    x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [0.0]])
    assert float(frechet_distance(x, y)) == pytest.approx(1 + 2)
    assert float(frechet_distance(x, y, ddof=0)) == pytest.approx(1 + 1)


def test_bad_sets() -> None:
    x = torch.rand(3, 4)
    with pytest.raises(ValueError, match="at least 2 vectors in each set, the second has 1"):
        frechet_distance(x, x[:1])
    with pytest.raises(ValueError, match=r"expects sets \(N, D\), the first is \(4,\)"):
        frechet_distance(x[0], x)
    with pytest.raises(ValueError, match="of 4 and 3 dimensions"):
        frechet_distance(x, x[:, :3])
    with pytest.raises(ValueError, match=r"the first set .* not finite"):
        frechet_distance(x / 0, x)
