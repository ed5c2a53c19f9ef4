from __future__ import annotations

from itertools import product

import pytest
import torch
from framewright.ops.cost_volume import cost_volume
from torch import Tensor

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["auto", "shifts", "tiles"])
SIZES = [(1, 1), (2, 2), (7, 16), (5, 17), (3, 40)]


def features(
    size: tuple[int, int], channels: int = 6, batch: int = 2, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(batch, channels, *size, generator=generator, dtype=dtype) for _ in range(2)]


@IMPLEMENTATIONS
def test_equals_the_definition(implementation: str) -> None:
    first, second = features((4, 18), channels=3, dtype=torch.float64)
    out = cost_volume(first, second, 2, implementation)  # type: ignore[arg-type]
    assert out.shape == (2, 25, 4, 18)
    for (dy, dx), y, x in product(product(range(-2, 3), repeat=2), range(4), range(18)):
        inside = 0 <= y + dy < 4 and 0 <= x + dx < 18
        partner = second[:, :, y + dy, x + dx] if inside else torch.zeros_like(second[:, :, 0, 0])
        expected = (first[:, :, y, x] * partner).mean(1)
        torch.testing.assert_close(out[:, (dy + 2) * 5 + dx + 2, y, x], expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0, 1, 4])
def test_tiles_equal_shifts(size: tuple[int, int], radius: int) -> None:
    first, second = features(size, channels=96)
    expected = cost_volume(first, second, radius, "shifts")
    torch.testing.assert_close(cost_volume(first, second, radius, "tiles"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_equal(size: tuple[int, int]) -> None:
    gradients = {}
    for implementation in ("shifts", "tiles"):
        first, second = (x.requires_grad_() for x in features(size))
        out = cost_volume(first, second, 4, implementation)  # type: ignore[arg-type]
        (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
        gradients[implementation] = first.grad, second.grad
    torch.testing.assert_close(gradients["tiles"], gradients["shifts"], rtol=0, atol=1e-5)


@IMPLEMENTATIONS
def test_gradients_are_those_of_the_function(implementation: str) -> None:
    first, second = (x.requires_grad_() for x in features((2, 5), channels=2, batch=1, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda a, b: cost_volume(a, b, 1, implementation), (first, second))  # type: ignore[arg-type]


@IMPLEMENTATIONS
def test_float32_under_autocast_and_for_half_precision(implementation: str) -> None:
    first, second = features((6, 20), channels=196)
    expected = cost_volume(first, second, 4, "shifts")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(cost_volume(first, second, 4, implementation), expected, rtol=0, atol=1e-5)  # type: ignore[arg-type]
    half = cost_volume(first.bfloat16(), second.bfloat16(), 4, implementation)  # type: ignore[arg-type]
    assert half.dtype == torch.float32
    rounded = cost_volume(first.bfloat16().float(), second.bfloat16().float(), 4, "shifts")
    torch.testing.assert_close(half, rounded, rtol=0, atol=1e-5)


@IMPLEMENTATIONS
def test_other_memory_layouts(implementation: str) -> None:
    first, second = features((6, 20))
    expected = cost_volume(first, second, 2, implementation)  # type: ignore[arg-type]
    changed = (x.contiguous(memory_format=torch.channels_last) for x in (first, second))
    torch.testing.assert_close(cost_volume(*changed, 2, implementation), expected)  # type: ignore[arg-type]


def test_bad_arguments() -> None:
    first, second = features((4, 5))
    with pytest.raises(ValueError, match="of one shape"):
        cost_volume(first, second[..., 1:])
    with pytest.raises(ValueError, match="radius"):
        cost_volume(first, second, -1)
    with pytest.raises(ValueError, match="'auto', 'shifts' or 'tiles'"):
        cost_volume(first, second, 4, "fast")  # type: ignore[arg-type]
