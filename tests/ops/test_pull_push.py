"""Known values are spread over what is unknown."""

from __future__ import annotations

import pytest
import torch
from framewright.ops import pull_push


def test_known_pixels_keep_their_values_and_a_constant_fills_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    known = (torch.rand(2, 1, 37, 50, generator=generator) > 0.7).float()
    values = torch.rand(2, 3, 37, 50, generator=generator)
    filled = pull_push(values, known)
    assert torch.allclose(filled * known, values * known, atol=1e-6)
    assert bool((filled >= values.amin()).all())
    assert bool((filled <= values.amax()).all())
    constant = pull_push(torch.full((1, 3, 37, 50), 0.3), known[:1])
    assert torch.allclose(constant, torch.full_like(constant, 0.3), atol=1e-5)


def test_the_nearest_side_wins() -> None:
    values, known = torch.zeros(1, 1, 32, 64), torch.zeros(1, 1, 32, 64)
    values[..., -8:] = 1
    known[..., :8] = known[..., -8:] = 1
    filled = pull_push(values, known)[0, 0, 16]
    assert filled[12] < 0.25
    assert filled[51] > 0.75
    assert abs(float(filled[31:33].mean()) - 0.5) < 0.1


def test_what_unknown_pixels_hold_does_not_matter_and_nothing_known_gives_0() -> None:
    known = torch.zeros(1, 1, 20, 20)
    known[..., :5] = 1
    values = torch.rand(1, 2, 20, 20)
    other = torch.where(known > 0, values, torch.full_like(values, 7.0))
    assert torch.equal(pull_push(values, known), pull_push(other, known))
    assert torch.equal(pull_push(values, torch.zeros_like(known)), torch.zeros_like(values))


def test_reach_is_bounded_by_the_levels() -> None:
    values, known = torch.ones(1, 1, 8, 64), torch.zeros(1, 1, 8, 64)
    known[..., 0] = 1
    near, far = pull_push(values, known, levels=2), pull_push(values, known, levels=5)
    assert float(near[..., -8:].sum()) == 0
    assert float(far[..., 20].mean()) > 0.5


@pytest.mark.parametrize("known", [(1, 3, 8, 8), (2, 1, 8, 8), (1, 1, 8, 9)])
def test_shapes_that_do_not_fit_are_refused(known: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected values"):
        pull_push(torch.zeros(1, 3, 8, 8), torch.zeros(known))
    with pytest.raises(ValueError, match="levels"):
        pull_push(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), levels=-1)
