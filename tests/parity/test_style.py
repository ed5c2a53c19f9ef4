"""Style networks and Recycle-GAN's losses equal the official ones."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.losses import AdversarialLoss, RecycleAdversarialLoss, RecycleReconstructionLoss
from framewright.models.registry import create_model
from framewright.models.style.recycle_gan import RecycleGAN
from torch import Tensor, nn

from .portable import load_case


def archive(path: Path) -> dict[str, Tensor]:
    with np.load(path) as stored:
        return {key: torch.from_numpy(np.asarray(stored[key])) for key in stored.files}


def fill(net: nn.Module, salt: str = "") -> None:
    """Rule H of the assets."""
    state = net.state_dict()
    for key, value in state.items():
        shape = tuple(value.shape)
        noise = np.random.RandomState(zlib.crc32((salt + key).encode())).standard_normal(shape)
        if len(shape) >= 2:
            filled = noise * np.sqrt(1 / np.prod(shape[1:]))
        else:
            filled = 1 + 0.1 * noise if key.endswith("weight") else 0.1 * noise
        value.copy_(torch.from_numpy(filled))


def clip_of(image: Tensor) -> Tensor:
    """[-1, 1] ``(B, 3, H, W)`` -> a video of one frame in [0, 1]."""
    return (image[:, None] + 1) / 2


@torch.no_grad()
def test_portable_figures_of_recycle_gan() -> None:
    cases = {name: load_case(f"recycle_gan_{name}") for name in ("generator", "predictor", "discriminator")}
    images = {
        name: torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255 for name, case in cases.items()
    }
    generator = create_model("recycle_gan")
    generator.load_state_dict(cases["generator"].state_dict())
    cases["generator"].check({"y": generator(images["generator"][None]).video[0] * 2 - 1})
    predictor = create_model("unet_predictor")
    predictor.load_state_dict(cases["predictor"].state_dict())
    cases["predictor"].check({"pred": predictor(images["predictor"][None]) * 2 - 1})
    discriminator = create_model("patchgan")
    discriminator.load_state_dict(cases["discriminator"].state_dict())
    cases["discriminator"].check({"d": discriminator(images["discriminator"])})


@torch.no_grad()
def test_official_networks_of_recycle_gan(assets: Path) -> None:
    folder = assets / "parity" / "style"
    for name, model, shape, output in (
        ("G_resnet6", "recycle_gan", (1, 1, 3, 128, 128), "out_y"),
        ("P_unet128", "unet_predictor", (1, 2, 3, 128, 128), "out_pred"),
        ("D_patch70", "patchgan", (1, 3, 128, 128), "out_d"),
    ):
        golden = archive(folder / f"recycle_gan_{name}.npz")
        net = create_model(model)
        layout = json.loads((folder / f"recycle_gan_{name}.json").read_text(encoding="utf-8"))
        assert {key: list(value.shape) for key, value in net.state_dict().items()} == layout
        fill(net)
        made: Any = net((golden["in_x"].reshape(shape) + 1) / 2)
        made = made.video[0] if model == "recycle_gan" else made
        found = made if model == "patchgan" else made * 2 - 1
        torch.testing.assert_close(found, golden[output], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "options", "parameters"),
    [
        ("recycle_gan", {"n_blocks": 9}, 11_378_179),
        ("unet_predictor", {"which_model_netP": "unet_256"}, 54_412_675),
    ],
)
def test_official_sizes(model: str, options: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        net = create_model(model, **options)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@torch.no_grad()
def test_official_losses_of_recycle_gan(assets: Path) -> None:
    golden = json.loads((assets / "parity" / "style" / "recycle_gan_losses.json").read_text(encoding="utf-8"))
    net = RecycleGAN().eval()
    judges = {name: create_model("patchgan") for name in ("D_A", "D_B")}
    for name, part in [*net.named_children(), *judges.items()]:
        fill(part, f"{name}.")

    def triplet(seed: int) -> Tensor:
        frames = [np.random.RandomState(seed + i).random_sample((1, 3, 128, 128)) * 2 - 1 for i in range(3)]
        return (torch.from_numpy(np.stack(frames, 1)).float() + 1) / 2

    batch = {"a": triplet(50), "b": triplet(60)}
    outputs = net.training_outputs(batch["a"], batch["b"], ("cycle_a", "cycle_b"))
    for name, judge in judges.items():
        real, made = net.judged(outputs, batch, name)
        outputs[f"scores_{name}"] = judge(made)
        real_scores = judge(real)
        each = [
            AdversarialLoss("lsgan").discriminator(r, m)
            for r, m in zip(real_scores, outputs[f"scores_{name}"], strict=True)
        ]
        assert [float(term) for term in each] == pytest.approx(golden[f"loss_{name}_terms"], rel=1e-5)
    found = {
        part: 10 * float(RecycleReconstructionLoss(part)(outputs, batch)) for part in ("recycle", "prediction", "cycle")
    }  # type: ignore[arg-type]
    terms = {key: value for key, value in golden.items() if isinstance(value, float)}
    expected = {
        "recycle": terms["loss_recycle_A"] + terms["loss_recycle_B"],
        "prediction": terms["loss_pred_A"] + terms["loss_pred_B"],
        "cycle": sum(value for key, value in terms.items() if key.startswith("loss_cycle")),
    }
    assert found == pytest.approx(expected, rel=1e-5)
    adversarial = float(RecycleAdversarialLoss()(outputs))
    assert adversarial == pytest.approx(9.646252, rel=1e-5)
    total = adversarial + found["recycle"] + found["prediction"]
    assert total == pytest.approx(golden["total_G_recycle_gan"], rel=1e-5)
