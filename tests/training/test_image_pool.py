"""The pool of earlier images."""

from __future__ import annotations

import io

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.training.image_pool import ImagePool
from torch import Tensor


def numbered(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_new_images_until_full_then_old_ones_too() -> None:
    pool = ImagePool(4)
    first = numbered(0, 1, 2, 3)
    assert torch.equal(pool.exchange(first), first)
    given = [int(pool.exchange(numbered(i))[0, 0, 0, 0]) for i in range(4, 204)]
    new = sum(value == i for i, value in enumerate(given, start=4))
    assert 70 < new < 130
    # whatever goes in comes out at most once
    assert len(set(given)) == len(given)


def test_no_pool_changes_nothing() -> None:
    images = numbered(1, 2).clone().requires_grad_()
    given = ImagePool(0).exchange(images)
    assert torch.equal(given, images)
    assert not given.requires_grad


def test_a_resumed_pool_goes_on_bit_by_bit() -> None:
    pool = ImagePool(3, seed=5)
    for i in range(10):
        pool.exchange(numbered(i))
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    other = ImagePool(3, seed=9)
    other.load_state_dict(torch.load(file, weights_only=True))
    for i in range(10, 40):
        assert torch.equal(pool.exchange(numbered(i)), other.exchange(numbered(i)))


def test_a_smaller_pool_cannot_go_on() -> None:
    pool = ImagePool(3)
    pool.exchange(numbered(1, 2, 3))
    with pytest.raises(ConfigError, match="keeps 2"):
        ImagePool(2).load_state_dict(pool.state_dict())
    with pytest.raises(ConfigError, match="-1"):
        ImagePool(-1)
