"""DeepLab equals VainF's networks, and torchvision's where these share their weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from framewright.models.registry import create_model, get_card
from framewright.models.segmentation.deeplab import DeepLabV3, DeepLabV3Plus, _DeepLab
from torch import Tensor

from .portable import fill_state_dict, load_case

PLUS = "deeplabv3plus"
GOLDENS: dict[str, tuple[type[_DeepLab], dict[str, Any], int]] = {
    "deeplabv3plus_mobilenet_os16": (DeepLabV3Plus, {}, 5_225_717),
    "deeplabv3plus_mobilenet_os8": (DeepLabV3Plus, {"output_stride": 8}, 5_225_717),
    "deeplabv3plus_resnet50_os16": (DeepLabV3Plus, {"backbone": "resnet50"}, 39_761_845),
    "deeplabv3plus_resnet101_os16": (DeepLabV3Plus, {"backbone": "resnet101"}, 58_753_973),
    "deeplabv3_mobilenet_os16": (DeepLabV3, {"backbone": "mobilenet", "output_stride": 16}, 5_113_877),
}


def seeded(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Rule H of the stored goldens, which the portable records state."""
    kinds = {key: "int64" if key.endswith("num_batches_tracked") else "float32" for key in shapes}
    fill = load_case("deeplabv3plus_mobilenet_os16").record["fill"]
    return fill_state_dict({key: [kinds[key], shape] for key, shape in shapes.items()}, fill)


@pytest.mark.parametrize("backbone", ["mobilenet", "resnet50"])
def test_portable_figures(backbone: str) -> None:
    case = load_case(f"deeplabv3plus_{backbone}_os16")
    net = create_model(PLUS, backbone=backbone)
    assert isinstance(net, DeepLabV3Plus)
    net.load_state_dict(case.state_dict())
    image = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        x = net.normalise(image)
        low, high = net.backbone(x)
        case.check({"low_level": low, "high_level": high, "logits_lowres": net.classify(x), "logits": net(image)})


@pytest.mark.parametrize("name", GOLDENS)
def test_official_logits_keys_and_parameters(assets: Path, name: str) -> None:
    folder, (cls, options, parameters) = assets / "parity" / "segmentation", GOLDENS[name]
    shapes = json.loads((folder / f"vainf_{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"vainf_{name}.npz") as archive:
        x, golden = (torch.from_numpy(archive[key]) for key in ("in_x", "out_logits"))
    net = cls(**options).eval()
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == shapes
    net.load_state_dict(seeded(shapes))
    with torch.no_grad():
        logits = F.interpolate(net.classify(x), x.shape[2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, golden, rtol=0, atol=1e-4 * float(golden.max() - golden.min()))


def test_weights_of_torchvision() -> None:
    from torchvision.models.segmentation import deeplabv3_resnet50

    torch.manual_seed(3)
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    layout = next(layout for layout in get_card("deeplabv3").layouts if layout.matches(set(theirs.state_dict())))
    assert layout.name == "torchvision"
    ours = create_model("deeplabv3", aspp_dropout=0.5)
    ours.load_state_dict(layout.convert(theirs.state_dict()))
    assert sum(p.numel() for p in ours.parameters()) == 39_638_869
    image = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        expected = theirs(ours.normalise(image))["out"]  # type: ignore[operator]
        torch.testing.assert_close(ours(image), expected, rtol=1e-4, atol=1e-5)
