"""Flow networks equal the official ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from framewright.models.registry import create_model, model_info
from torch import Tensor


def middlebury(assets: Path, name: str) -> tuple[Tensor, Tensor]:
    from skimage import io

    files = [assets / "flow" / "middlebury" / name / f"frame1{i}.png" for i in (0, 1)]
    first, second = (torch.from_numpy(io.imread(f)).permute(2, 0, 1)[None].float() / 255 for f in files)
    return first, second


def recorded(assets: Path, file: str) -> Tensor:
    with np.load(assets / "parity" / "flow" / file) as archive:
        return torch.from_numpy(archive["flow"]).permute(2, 0, 1)[None]


def test_raft_small_with_the_official_checkpoint(assets: Path) -> None:
    net = create_model("raft_small", assets / "weights" / "raft-small.pth")
    assert model_info(net).layout == "official princeton-vl"
    with torch.no_grad():
        flow = net(*middlebury(assets, "RubberWhale"))
    torch.testing.assert_close(flow, recorded(assets, "ref_raft_small_rubberwhale.npz"), rtol=0, atol=1e-3)
