"""Random numbers by position, and the global state as a checkpoint holds it."""

from __future__ import annotations

import io
import random

import numpy as np
import torch
from framewright.core.seeding import get_rng_state, position_rng, seed_everything, set_rng_state


def test_a_position_decides_alone() -> None:
    first = position_rng(3, 5).random(4)
    position_rng(3, 4).random(100)
    assert np.array_equal(first, position_rng(3, 5).random(4))
    others = [position_rng(4, 5), position_rng(3, 6), position_rng(3, 5, 1), position_rng(5, 3)]
    assert all(not np.array_equal(first, other.random(4)) for other in others)


def test_global_state_survives_a_safe_checkpoint() -> None:
    seed_everything(7)
    random.gauss(0, 1)
    np.random.standard_normal()  # noqa: NPY002  # the legacy state with a cached value
    file = io.BytesIO()
    torch.save(get_rng_state(), file)
    expected = (random.random(), np.random.standard_normal(), torch.rand(3))  # noqa: NPY002
    file.seek(0)
    set_rng_state(torch.load(file, weights_only=True))
    again = (random.random(), np.random.standard_normal(), torch.rand(3))  # noqa: NPY002
    assert expected[:2] == again[:2]
    assert torch.equal(expected[2], again[2])
