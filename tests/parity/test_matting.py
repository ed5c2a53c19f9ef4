"""Deep Image Matting and Robust Video Matting equal the official networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.models.matting.dim import DeepImageMatting
from framewright.models.matting.rvm import RobustVideoMatting
from framewright.models.registry import get_card
from torch import Tensor

from .portable import load_case
from .test_segmentation import seeded

VARIANTS: dict[str, dict[str, Any]] = {"dim_mmagic": {}, "dim_skip": {"skip": True, "conv6_kernel": 3}}
FILES = {"dim_mmagic": "mmagic_dim_stage3", "dim_skip": "huochaitiantang_dim_skip_stage3"}
PARAMETERS = {"dim_mmagic": 26_276_802, "dim_skip": 28_373_954}


def loaded(variant: str, state: dict[str, Tensor]) -> DeepImageMatting:
    layout = next(layout for layout in get_card("dim").layouts if layout.matches(set(state)))
    net = DeepImageMatting(**VARIANTS[variant]).eval()
    net.load_state_dict(layout.convert(state))
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[variant]
    return net


@pytest.mark.parametrize("variant", VARIANTS)
def test_portable_figures(variant: str) -> None:
    case = load_case(variant)
    net = loaded(variant, case.state_dict())
    inputs = case.inputs()
    assert inputs.trimap is not None
    image = torch.from_numpy(inputs.frames).permute(0, 3, 1, 2).float() / 255
    trimap = torch.from_numpy(inputs.trimap)[None, None].float() / 255
    raw: list[Tensor] = []
    net.backbone.register_forward_hook(lambda _, __, out: raw.append(out))
    with torch.no_grad():
        made = net.training_outputs(image, trimap)
    outputs = {"alpha_stage1": made["alpha"], "alpha_refined": made["refined"]}
    case.check(outputs | ({"raw_alpha": raw[0]} if variant == "dim_mmagic" else {}))


@pytest.mark.parametrize("variant", VARIANTS)
def test_stored_outputs_of_dim(assets: Path, variant: str) -> None:
    folder = assets / "parity" / "matting"
    shapes = {key: list(shape) for key, shape in load_case(variant).shapes.items()}
    net = loaded(variant, seeded(shapes))
    with np.load(folder / f"{FILES[variant]}.npz") as archive:
        golden = {key: torch.from_numpy(archive[key]) for key in archive.files}
    with torch.no_grad():
        made = net.predict(golden["in_x"])
    for ours, theirs in (("alpha", "out_alpha_stage1"), ("refined", "out_alpha_refined")):
        torch.testing.assert_close(made[ours], golden[theirs], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("variant", "parameters"), [("mobilenetv3", 3_748_633), ("resnet50", 26_890_461)])
def test_stored_outputs_of_rvm(assets: Path, variant: Any, parameters: int) -> None:
    folder = assets / "parity" / "matting"
    shapes = json.loads((folder / f"rvm_{variant}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"rvm_{variant}.npz") as archive:
        golden = {key: torch.from_numpy(archive[key]) for key in archive.files}
    net = RobustVideoMatting(variant).eval()
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == shapes
    net.load_state_dict(seeded(shapes))
    video = golden["in_src"]
    with torch.no_grad():
        whole, small = net(video, downsample_ratio=1.0), net(video, downsample_ratio=0.5)
        first = net(video[:, :1], downsample_ratio=1.0)
        rest = net(video[:, 1:], first.state, downsample_ratio=1.0)
    found = {"out_pha": whole.alpha, "out_fgr": whole.foreground}
    found |= {f"out_r{index}": state for index, state in enumerate(whole.state, 1)}
    found |= {"out_pha_dgf_ds05": small.alpha, "out_fgr_dgf_ds05": small.foreground}
    for key, value in found.items():
        torch.testing.assert_close(value, golden[key], rtol=0, atol=1e-4, msg=lambda m, k=key: f"{k}: {m}")
    # frames in two calls, the state handed over, give the same
    torch.testing.assert_close(torch.cat((first.alpha, rest.alpha), 1), whole.alpha, rtol=0, atol=1e-5)
