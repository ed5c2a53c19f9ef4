"""Frames moved by corrections: direction, borders, validity and gradients."""

from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.ops.compensation import compensate

FRAMES = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(1))


def shift(dx: float, dy: float) -> torch.Tensor:
    return torch.tensor([[dx, dy, 0.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_contents_move_by_the_correction(interpolation: str) -> None:
    made, validity = compensate(FRAMES, shift(4, -3), interpolation=interpolation)  # type: ignore[arg-type]
    torch.testing.assert_close(made[..., :17, 4:], FRAMES[..., 3:, :26], rtol=0, atol=1e-4)
    expected = torch.zeros(1, 1, 20, 30)
    expected[..., :17, 4:] = 1
    assert torch.equal(validity, expected)


def test_borders() -> None:
    mirror, _ = compensate(FRAMES, shift(4, 0), "mirror")
    torch.testing.assert_close(mirror[..., :4], FRAMES[..., 1:5].flip(-1), rtol=0, atol=1e-4)
    circular, _ = compensate(FRAMES, shift(4, 0), "circular")
    torch.testing.assert_close(circular, FRAMES.roll(4, -1), rtol=0, atol=1e-4)
    half, _ = compensate(FRAMES, shift(0.5, 0), "circular")
    torch.testing.assert_close(half, (FRAMES + FRAMES.roll(1, -1)) / 2, rtol=0, atol=1e-4)
    black, validity = compensate(FRAMES, shift(4, 0), "black")
    assert not black[..., :4].any()
    assert not validity[..., :4].any()


def test_a_quarter_turn_and_a_zoom() -> None:
    square = FRAMES[..., :20]
    turned, validity = compensate(square, torch.tensor([[0.0, 0.0, torch.pi / 2, 0.0]]))
    # x turns towards y, which points down: clockwise
    torch.testing.assert_close(turned, square.rot90(-1, (2, 3)), rtol=0, atol=1e-4)
    assert validity.all()
    flat, _ = compensate(torch.full_like(FRAMES, 0.5), torch.tensor([[1.0, 2.0, 0.1, 0.3]]), "circular")
    torch.testing.assert_close(flat, torch.full_like(FRAMES, 0.5))


def test_gradients_reach_the_correction() -> None:
    correction = shift(1.3, 0.2).requires_grad_()
    made, _ = compensate(FRAMES.double(), correction)
    made.square().sum().backward()
    assert correction.grad is not None
    assert correction.grad.abs().min() > 0


def test_messages() -> None:
    with pytest.raises(ConfigError, match="mirror"):
        compensate(FRAMES, shift(0, 0), "wrap")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="corrections"):
        compensate(FRAMES, torch.zeros(2, 4))
