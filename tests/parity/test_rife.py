"""RIFE equals the official network: portable figures in every clone, larger goldens where the assets are."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.losses import LaplacianPyramidLoss, MaskedDistillationLoss
from framewright.models.interpolation.contract import InterpolationOutputs
from framewright.models.interpolation.rife import IFNet, IFNetM
from torch import Tensor

from .portable import load_case

PORTABLE = [("rife_ifnet", IFNet, 0.5), ("rife_ifnet_m", IFNetM, 0.3)]


def bgr(image: Tensor) -> Tensor:
    return image.flip(1)


def official_names(out: InterpolationOutputs) -> dict[str, Tensor]:
    """Our outputs under the names and in the channel order of the goldens."""
    assert out.teacher_flow is not None
    assert out.teacher_prediction is not None
    return {
        **{f"flow{i}": flow for i, flow in enumerate(out.flows)},
        "mask": out.masks[-1],
        "merged0": bgr(out.predictions[0]),
        "merged1": bgr(out.predictions[1]),
        "merged2": bgr(out.prediction),
        "flow_teacher": out.teacher_flow,
        "merged_teacher": bgr(out.teacher_prediction),
    }


@pytest.mark.parametrize(("name", "build", "timestep"), PORTABLE)
def test_portable_figures(name: str, build: type[IFNet], timestep: float) -> None:
    case = load_case(name)
    net = build().eval()
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == case.shapes
    net.load_state_dict(case.state_dict())
    frames = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    image0, target, image1 = frames.split(1)
    with torch.no_grad():
        out = net.training_outputs(image0, image1, target, timestep)
        distillation = MaskedDistillationLoss()(out, {"target": target})
        assert torch.equal(net(image0, image1, timestep), out.prediction)
    case.check({**official_names(out), "loss_distill": distillation})


def test_figures_are_missed_by_a_wrong_colour_order() -> None:
    case = load_case("rife_ifnet")
    net = IFNet().eval()
    net.load_state_dict(case.state_dict())
    frames = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).flip(1).float() / 255
    with torch.no_grad():
        out = net.training_outputs(frames[:1], frames[2:], frames[1:2])
    with pytest.raises(AssertionError, match=r"rife_ifnet\.merged2: values off"):
        case.check({**official_names(out), "loss_distill": torch.zeros(1)})


GOLDENS = [
    ("parity_ifnet_detweights_sintel_128x192.npz", IFNet),
    ("parity_ifnet_m_detweights_sintel_128x192.npz", IFNetM),
]


def _seeded(state: dict[str, Tensor], gain: float) -> dict[str, Tensor]:
    filled = {}
    for key, value in state.items():
        shape = tuple(value.shape)
        noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
        if len(shape) >= 2:
            noise *= np.float32(gain * np.sqrt(2 / np.prod(shape[1:])))
        elif key.endswith("bias"):
            noise *= np.float32(0.02)
        else:
            noise = np.float32(0.25) + np.float32(0.05) * noise
        filled[key] = torch.from_numpy(noise)
    return filled


@pytest.mark.parametrize(("file", "build"), GOLDENS)
def test_official_outputs_on_sintel(assets: Path, file: str, build: type[IFNet]) -> None:
    with np.load(assets / "parity" / "interpolation" / file) as archive:
        golden = {key: torch.from_numpy(np.asarray(archive[key])) for key in archive.files}
    net = build().eval()
    net.load_state_dict(_seeded(net.state_dict(), float(golden["gain"])))
    image0, image1, target = (bgr(golden[key]) for key in ("img0", "img1", "gt"))
    batch = {"target": target}
    with torch.no_grad():
        out = net.training_outputs(image0, image1, target, float(golden["timestep"]))
        losses = {
            "loss_l1": LaplacianPyramidLoss()(out, batch),
            "loss_tea": LaplacianPyramidLoss(of="teacher_prediction")(out, batch),
            "loss_distill": MaskedDistillationLoss()(out, batch),
        }
    for name, value in official_names(out).items():
        tolerance = 1e-3 if name.startswith("flow") else 1e-4
        torch.testing.assert_close(value, golden[name], rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")
    for name, value in losses.items():
        assert float(value) == pytest.approx(float(golden[name]), rel=1e-5), name
