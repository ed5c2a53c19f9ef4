"""The guided filter against its equations written out window by window."""

from __future__ import annotations

import pytest
import torch
from framewright.ops import GuidedFilter
from torch import Tensor


def by_the_book(guide: Tensor, values: Tensor, weight: Tensor, radius: int, epsilon: float) -> Tensor:
    """Weighted ridge regression in every window, in double precision, and the weighted mean of what windows say."""
    _, _, height, width = guide.shape
    guide, values, weight = guide.double()[0], values.double()[0, 0], weight.double()[0, 0]
    total, votes = torch.zeros(2, height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            window = (
                slice(max(0, y - radius), y + radius + 1),
                slice(max(0, x - radius), x + radius + 1),
            )
            colours, p, w = guide[:, *window].flatten(1), values[window].flatten(), weight[window].flatten()
            share = w / w.sum()
            mean, average = (colours * share).sum(1), (p * share).sum()
            centred = colours - mean[:, None]
            covariance = (centred * share) @ centred.T + epsilon * torch.eye(3)
            slope = torch.linalg.solve(covariance, (centred * share) @ (p - average))
            fitted = average + slope @ (guide[:, *window].flatten(1) - mean[:, None])
            total[window] += (w.sum() * fitted).view(values[window].shape)
            votes[window] += w.sum()
    return (total / votes)[None, None]


@pytest.mark.parametrize("radius", [1, 3])
def test_it_is_the_papers_filter_with_weights(radius: int) -> None:
    generator = torch.Generator().manual_seed(2)
    guide = torch.rand(1, 3, 9, 12, generator=generator)
    values, weight = torch.rand(2, 1, 1, 9, 12, generator=generator) + 0.05
    found = GuidedFilter(guide, weight, radius, 1e-3)(values)
    torch.testing.assert_close(found.double(), by_the_book(guide, values, weight, radius, 1e-3), atol=2e-5, rtol=0)


def test_colours_on_a_line_do_not_break_it() -> None:
    # a grey picture: two of three eigenvalues of every covariance are zero
    grey = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(4)).expand(1, 3, 16, 16)
    values = 0.2 + 0.5 * grey[:, :1]
    found = GuidedFilter(grey, torch.ones(1, 1, 16, 16), 3, 1e-6)(values)
    torch.testing.assert_close(found, values, atol=1e-3, rtol=0)
    flat = GuidedFilter(torch.full((1, 3, 8, 8), 0.4), torch.zeros(1, 1, 8, 8), 2, 1e-6)(torch.ones(1, 1, 8, 8))
    assert bool(flat.isfinite().all())


def test_what_weighs_nothing_is_filled_in() -> None:
    guide = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(5))
    weight = torch.ones(1, 1, 12, 12)
    weight[..., 5:7, 5:7] = 0
    true = guide.mean(1, keepdim=True)
    wrong = torch.where(weight > 0, true, 9.0)
    torch.testing.assert_close(GuidedFilter(guide, weight, 3, 1e-6)(wrong), true, atol=1e-3, rtol=0)


def test_bad_options_and_shapes_are_refused() -> None:
    guide, weight = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    with pytest.raises(ValueError, match="expected a guide"):
        GuidedFilter(guide, torch.ones(1, 3, 4, 4), 1, 1e-3)
    for radius, epsilon in ((0, 1e-3), (1, 0.0)):
        with pytest.raises(ValueError, match="radius must be at least 1"):
            GuidedFilter(guide, weight, radius, epsilon)
    with pytest.raises(ValueError, match="expected values"):
        GuidedFilter(guide, weight, 1, 1e-3)(torch.zeros(1, 1, 4, 5))
