from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.ops.occlusion import inconsistent, motion_boundary, occluded
from torch import Tensor


def constant(u: float, v: float, height: int = 6, width: int = 8) -> Tensor:
    return torch.tensor([float(u), float(v)]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def test_a_flow_and_its_inverse_agree() -> None:
    assert not occluded(constant(2, -1), constant(-2, 1)).any()
    # |f + w|^2 = 8, tolerance 0.01 (2 + 2) + 0.5
    assert inconsistent(constant(1, 1), constant(1, 1)).all()


def test_threshold_of_consistency_grows_with_the_motion() -> None:
    # deviation 1 px: 1 > 0.01 (|f|^2 + |w|^2) + 0.5 only while the motion is under 5 px
    assert inconsistent(constant(2, 0), constant(-3, 0)).all()
    assert not inconsistent(constant(6, 0), constant(-7, 0)).any()


def test_boundary_lies_left_of_and_above_the_step() -> None:
    flow = constant(1, 0)
    flow[..., 4:] = 3
    found = motion_boundary(flow)[0, 0]
    assert found[:, 3].all()
    assert found.sum() == found.shape[0]
    down = motion_boundary(flow.transpose(2, 3))[0, 0]
    assert torch.equal(down, found.T)


def test_faster_motion_hides_small_steps() -> None:
    flow = constant(0, 0)
    flow[:, 0, :, 4:] = 0.1  # 0.01 > 0.002
    assert motion_boundary(flow).any()
    assert not motion_boundary(flow + 2).any()  # 0.01 < 0.042


def test_equals_a_plain_loop() -> None:
    """The definition written pixel by pixel, with indices held inside the frame."""
    generator = torch.Generator().manual_seed(3)
    flow, reverse = (2 * torch.randn(1, 2, 9, 11, generator=generator) for _ in range(2))
    f, r = (x[0].double().numpy() for x in (flow, reverse))
    expected = np.zeros((9, 11), dtype=bool)
    for y in range(9):
        for x in range(11):
            px, py = x + f[0, y, x], y + f[1, y, x]
            x0, y0 = int(np.floor(px)), int(np.floor(py))
            w = np.zeros(2)
            for i, wy in ((y0, 1 - (py - y0)), (y0 + 1, py - y0)):
                for j, wx in ((x0, 1 - (px - x0)), (x0 + 1, px - x0)):
                    w += wy * wx * r[:, min(max(i, 0), 8), min(max(j, 0), 10)]
            here = f[:, y, x]
            step = ((f[:, y, min(x + 1, 10)] - here) ** 2).sum() + ((f[:, min(y + 1, 8), x] - here) ** 2).sum()
            apart = ((here + w) ** 2).sum() > 0.01 * ((here**2).sum() + (w**2).sum()) + 0.5
            expected[y, x] = apart or step > 0.01 * (here**2).sum() + 0.002
    assert np.array_equal(occluded(flow, reverse)[0, 0].numpy(), expected)


def test_bad_shapes() -> None:
    with pytest.raises(ValueError, match="a flow is"):
        motion_boundary(torch.rand(1, 3, 4, 4))
    with pytest.raises(ValueError, match="warp expects"):
        inconsistent(constant(0, 0), constant(0, 0, 5, 5))


@pytest.mark.parametrize(
    ("folder", "clip"), [("full_432x240", "clip0"), ("small_216x120", "clip0"), ("small_216x120", "clip1")]
)
def test_masks_of_the_official_program(assets: Path, folder: str, clip: str) -> None:
    from skimage import io

    root = assets / "metrics" / "devil_devkit" / folder
    with np.load(root / f"flow_{clip}_int16_div64.npz") as archive:
        forward, backward = (torch.from_numpy(archive[k]).permute(0, 3, 1, 2).float() / 64 for k in ("fw", "bw"))
    files = sorted((root / "eval-data" / "fw_occlusion" / clip).glob("*.png"))
    expected = torch.from_numpy(np.stack([io.imread(f) for f in files])) > 0
    assert len(files) == len(forward)
    assert torch.equal(occluded(forward, backward)[:, 0], expected)
