"""Distances are those of an exact transform, up to the limit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from framewright.ops import distance_to


@pytest.mark.parametrize(("share", "size"), [(0.01, (33, 47)), (0.3, (20, 9)), (0.002, (8, 120))])
def test_distances_are_exact_up_to_the_limit(share: float, size: tuple[int, int]) -> None:
    marked = torch.rand(3, 1, *size, generator=torch.Generator().manual_seed(1)) < share
    marked[2] = False
    marked[2, 0, 0, 0] = True
    found = distance_to(marked, 12)
    for one, got in zip(marked[:, 0], found[:, 0], strict=True):
        free = (~one).numpy().astype(np.uint8)
        exact = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) if one.any() else np.full(size, 1e9)
        np.testing.assert_allclose(got.numpy(), np.minimum(exact, 12), atol=1e-5)


def test_nothing_marked_is_as_far_as_can_be() -> None:
    assert torch.equal(distance_to(torch.zeros(1, 1, 5, 7, dtype=torch.bool), 4), torch.full((1, 1, 5, 7), 4.0))


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="bool"):
        distance_to(torch.zeros(1, 1, 4, 4), 3)
    with pytest.raises(ValueError, match="limit"):
        distance_to(torch.zeros(1, 1, 4, 4, dtype=torch.bool), 0)
