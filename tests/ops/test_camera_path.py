"""Poses compose, invert and bound what is left of the frame as their matrices do."""

from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.ops.camera_path import (
    after,
    correction_of,
    inverse,
    kept_share,
    matrix_of,
    pose_of,
    trajectory_of,
    with_zoom,
)
from torch import Tensor


def poses(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(*shape, 4, generator=generator, dtype=torch.float64) * torch.tensor([9.0, 7.0, 0.2, 0.1])


def square(poses: Tensor) -> Tensor:
    matrix = matrix_of(poses, 90, 160)
    return torch.cat((matrix, torch.tensor([[0.0, 0, 1]]).double().expand(*matrix.shape[:-2], 1, 3)), -2)


def test_composition_and_inverse_are_those_of_the_matrices() -> None:
    a, b = poses(5), poses(5).flip(0)
    torch.testing.assert_close(square(after(a, b)), square(a) @ square(b))
    torch.testing.assert_close(square(inverse(a)) @ square(a), torch.eye(3).double().expand(5, 3, 3))
    torch.testing.assert_close(pose_of(matrix_of(a, 90, 160), 90, 160), a)


def test_a_trajectory_leads_from_the_first_frame() -> None:
    motions = poses(2, 6)
    path = trajectory_of(motions)
    assert path.shape == (2, 7, 4)
    assert not path[:, 0].any()
    torch.testing.assert_close(path[0, 3], after(motions[0, 2], after(motions[0, 1], motions[0, 0])))
    torch.testing.assert_close(trajectory_of(motions, "sum")[:, 1:], motions.cumsum(1))
    with pytest.raises(ConfigError, match="matrices"):
        trajectory_of(motions, "product")  # type: ignore[arg-type]


def test_the_correction_puts_the_frame_on_the_smooth_path() -> None:
    seen, smooth = poses(6), poses(6).flip(0)
    torch.testing.assert_close(after(correction_of(seen, smooth), seen), smooth)
    torch.testing.assert_close(seen + correction_of(seen, smooth, "sum"), smooth)


def test_the_kept_share_is_the_largest_window_without_a_border() -> None:
    height, width = 90, 160
    corrections = poses(20)
    share = kept_share(corrections, height, width)
    assert ((share > 0.3) & (share <= 1)).all()
    x, y = (width - 1) / 2, (height - 1) / 2
    corners = torch.tensor([[x, y], [-x, y], [x, -y], [-x, -y]]).double() + torch.tensor([x, y])

    def outside(zoom: Tensor) -> Tensor:
        """By how much the corners of the output lie outside of the frame."""
        matrix = matrix_of(inverse(with_zoom(corrections, zoom)), height, width)
        places = corners @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]
        centre = torch.tensor([x, y]).double()
        return ((places - centre).abs() - centre).amax((1, 2))

    assert (outside(1 / share) <= 1e-9).all()
    needed = share < 1
    assert needed.sum() > 10
    assert (outside(0.99 / share) > 1e-3)[needed].all()
    assert kept_share(torch.tensor([500.0, 0, 0, 0]), height, width) == 0
