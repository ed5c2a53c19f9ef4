from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.metrics import VideoPair, create_metric
from framewright.models.registry import create_model, save_model
from framewright.ops.frechet import frechet_distance
from framewright.ops.lab import rgb_to_lab
from torch import Tensor


def pair(made: Tensor, content: Tensor | None = None, **given: Tensor) -> VideoPair:
    return VideoPair(made, made if content is None else content, given=given)


def test_gram_of_trained_features_equals_the_recorded_one(assets: Path) -> None:
    folder = assets / "style" / "style_vgg31"
    golden = np.load(folder / "golden_adain31.npz")
    figures = json.loads((folder / "golden_adain31.json").read_text(encoding="utf-8"))
    content, style = (torch.from_numpy(golden[name]).float() / 255 for name in ("content", "style"))
    metric = create_metric("gram_style", net="normalised_vgg19", weights=folder / "vgg_normalised_conv3_1.pth")
    for made, name, tolerance in (
        (content, "gram_mse_content_vs_style", 1e-6),
        (torch.from_numpy(golden["output"]).float().clamp(0, 1), "gram_mse", 2e-4),  # stored in half precision
    ):
        (found,) = metric.values(pair(made, reference=style)).tolist()  # type: ignore[operator]
        assert found == pytest.approx(np.mean(list(figures[name].values())), rel=tolerance)
    # a clip's Gram matrices are averaged; the same frame twice is that frame
    twice = metric.values(pair(content, reference=style.expand(2, -1, -1, -1)))  # type: ignore[operator]
    once = metric.values(pair(content, reference=style))  # type: ignore[operator]
    torch.testing.assert_close(twice, once)


def test_gram_looks_at_the_four_layers_of_vgg19(tmp_path: Path) -> None:
    net: Any = create_model("vgg19")
    save_model(net, tmp_path / "vgg19.safetensors")
    metric: Any = create_metric("gram_style", weights=tmp_path / "vgg19.safetensors")
    made, style = torch.rand(2, 3, 32, 40), torch.rand(1, 3, 24, 24)
    taps: Any = create_model("vgg19", layers=["relu1_1", "relu2_1", "relu3_1", "relu4_1"])
    taps.load_state_dict(net.state_dict())
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def grams(image: Tensor) -> list[Tensor]:
        with torch.no_grad():
            maps = taps((image - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1))
        return [torch.einsum("nihw,njhw->nij", m, m) / m[0].numel() for m in maps]

    expected = torch.stack([(a - b).square().mean((1, 2)) for a, b in zip(grams(made), grams(style), strict=True)])
    torch.testing.assert_close(metric.values(pair(made, reference=style)).float(), expected.mean(0), rtol=1e-4, atol=0)
    with pytest.raises(WeightsError):
        create_metric("gram_style")
    with pytest.raises(ConfigError, match="net must be"):
        create_metric("gram_style", net="vgg16")


def test_colour_distance_is_that_of_two_normal_distributions() -> None:
    metric: Any = create_metric("colour_distance")
    made, style = 0.3 + 0.4 * torch.rand(2, 3, 12, 10), torch.rand(2, 3, 9, 16) ** 2
    found = metric.values(pair(made, reference=style))
    pixels = [rgb_to_lab(x.double()).transpose(0, 1).flatten(1).T for x in (made[:1], made[1:], style)]
    expected = [float(frechet_distance(first, pixels[2], ddof=0)) ** 0.5 for first in pixels[:2]]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)
    assert metric.values(pair(style[:1], reference=style[:1])).item() == pytest.approx(0, abs=1e-4)
    # two greys: the difference of their lightness
    grey = torch.full((1, 3, 4, 4), 0.5)
    lightness = float(rgb_to_lab(grey).amax() - 0)
    assert metric.values(pair(grey, reference=torch.zeros(1, 3, 2, 2))).item() == pytest.approx(lightness, abs=1e-2)


def test_missing_references_and_truths_say_so() -> None:
    for name, message in (("colour_distance", r"needs a reference \(S, 3, h, w\)"), ("psnr_styled", "true result")):
        with pytest.raises(ValueError, match=message):
            create_metric(name).values(pair(torch.rand(1, 3, 8, 8)))  # type: ignore[operator]
    made, truth = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    found = create_metric("psnr_styled").values(pair(made, styled=truth))  # type: ignore[operator]
    torch.testing.assert_close(found, create_metric("psnr").values(pair(made, truth)))  # type: ignore[operator]


def test_fid_to_references_and_its_product_with_lpips(tmp_path: Path) -> None:
    for name in ("fid_inception", "squeezenet"):
        save_model(create_model(name), tmp_path / f"{name}.safetensors")
    inception, trunk = tmp_path / "fid_inception.safetensors", tmp_path / "squeezenet.safetensors"
    content, made, style = torch.rand(2, 3, 40, 40), torch.rand(2, 3, 40, 40), torch.rand(3, 3, 36, 50)
    fid: Any = create_metric("fid", weights=inception)
    to_style: Any = create_metric("fid_style", weights=inception)
    product: Any = create_metric("artfid", net="squeeze", weights=inception, lpips_weights=trunk)
    lpips: Any = create_metric("lpips_squeeze", weights=trunk)
    given = pair(made, content, reference=style)
    vectors = [fid._features(frames) for frames in (made, style)]
    expected = float(fid.distance(*vectors))
    assert float(to_style.distance(*to_style.pair_features(given))) == pytest.approx(expected, rel=1e-5)
    content_distance = float(lpips.values(pair(made, content)).mean())
    found = float(product.distance(*product.pair_features(given)))
    assert found == pytest.approx((1 + content_distance) * (1 + expected), rel=1e-5)
    alone = to_style.pair_features(pair(made, content, reference=style[:1]))
    assert torch.isnan(to_style.distance(*alone))


def test_warp_error_over_several_frames() -> None:
    video, made = torch.rand(5, 3, 48, 48), torch.rand(5, 3, 48, 48)
    far: Any = create_metric("warp_error_farneback", step=2)
    near: Any = create_metric("warp_error_farneback")
    found = far.values(pair(made, video))
    assert found.shape == (2,)
    assert torch.equal(found, near.values(pair(made[::2], video[::2])))
    shared = pair(made, video)
    assert near.values(shared).shape == (4,)
    assert torch.equal(far.values(shared), found)
    with pytest.raises(ValueError, match="at least 3 frames"):
        far.values(pair(made[:2], video[:2]))
    with pytest.raises(ConfigError, match="step"):
        create_metric("warp_error_precomputed", step=2)
