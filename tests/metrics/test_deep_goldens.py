"""Recorded values of the reference programs, with weights by formula."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.metrics import (
    PVCS,
    VFID,
    FrameMetric,
    SetMetric,
    Shared,
    VideoPair,
    create_frame_metric,
    create_metric,
)
from torch import Tensor

from ..recipes import write_recipe

TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small inputs: several threads would only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def golden(assets: Path) -> dict[str, Any]:
    return dict(json.loads((assets / "metrics" / "golden" / "golden.json").read_text()))


@pytest.fixture(scope="module")
def small(assets: Path) -> VideoPair:
    with np.load(assets / "metrics" / "golden" / "small_1x16x64x64.npz") as arrays:
        return VideoPair(*(frames(arrays[key][0]) for key in ("pred", "gt")))


def frames(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array)).movedim(-1, -3).float() / 255


def image(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as opened:
        return np.array(opened)


def devil_clip(assets: Path, name: str, clip: str, count: int | None = None) -> VideoPair:
    """A composited prediction of the devkit; its masks are true where a pixel is known."""
    folder = assets / "metrics" / "devil_devkit" / name
    real = np.stack([image(path) for path in sorted((folder / "gt" / clip).glob("*_gt.png"))[:count]])
    known = np.stack([image(path) for path in sorted((folder / "gt" / clip).glob("*_mask.png"))[:count]])
    made = np.stack([image(path) for path in sorted((folder / "pred" / clip).glob("*_pred.png"))[:count]])
    return VideoPair(frames(np.where(known[..., None].astype(bool), real, made)), frames(real), video_id=clip)


def distance(metric: SetMetric, pairs: list[VideoPair]) -> float:
    predicted = torch.cat([metric.features(pair.prediction, pair.made) for pair in pairs])
    real = torch.cat([metric.features(pair.target, pair.truth) for pair in pairs])
    return float(metric.distance(predicted, real))


def set_metric(key: str, **options: Any) -> SetMetric:
    metric = create_metric(key, **options)
    assert isinstance(metric, SetMetric)
    return metric


@pytest.mark.parametrize("net", TRUNKS)
def test_lpips(net: str, golden: dict[str, Any], small: VideoPair, recipes: Path, assets: Path) -> None:
    expected = golden["learned"]["lpips_v0.1_official_heads_recipe_backbone"][net]
    metric = create_frame_metric(f"lpips_{net}", weights=write_recipe(recipes, TRUNKS[net]))
    count = 4 if net == "vgg" else 16
    values = metric.frame_values(small.prediction[:count], small.target[:count])
    np.testing.assert_allclose(values, expected["small_16"][:count], rtol=1e-5)
    folder = assets / "metrics" / "lpips_examples"
    reference, *others = (frames(image(folder / f"ex_{name}.png")[..., :3])[None] for name in ("ref", "p0", "p1"))
    values = torch.cat([metric.frame_values(other, reference) for other in others])
    np.testing.assert_allclose(values, expected["ex_ref_vs_p0_p1"], rtol=1e-5)
    if net != "vgg":
        pair = devil_clip(assets, "full_432x240", "clip0", 4)
        np.testing.assert_allclose(metric.values(pair), expected["devil_sample_composite_first4"], rtol=1e-4)


def test_fid_of_one_layer(golden: dict[str, Any], recipes: Path, assets: Path) -> None:
    expected = golden["inception_recipe"]
    pair = devil_clip(assets, "full_432x240", "clip0", expected["n_frames"])
    metric = set_metric("fid", dimension=64, weights=write_recipe(recipes, "fid_inception"))
    assert distance(metric, [pair]) == pytest.approx(expected["fid_torch_fidelity_tf1resize_64"], rel=1e-5)
    features = metric.features(pair.target[:1], Shared())
    np.testing.assert_allclose(features[0], expected["features64_gt_frame0"], rtol=1e-5, atol=1e-7)
    deep = set_metric("fid", weights=write_recipe(recipes, "fid_inception"))
    features = deep.features(pair.target[:1], Shared())[0, :16]
    np.testing.assert_allclose(features, expected["features2048_gt_frame0_first16"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preprocessing", "name"),
    [
        ("tf1", "torch_fidelity_tf1resize_2048"),
        ("pytorch_fid", "pytorch_fid_preproc_2048"),
        ("antialias", "torchmetrics_antialias_True_2048"),
        ("clean_fid", "cleanfid_preproc_2048"),
    ],
)
def test_fid_preprocessing(preprocessing: str, name: str, golden: dict[str, Any], recipes: Path, assets: Path) -> None:
    expected = golden["inception_recipe"]
    pair = devil_clip(assets, "full_432x240", "clip0", expected["n_frames"])
    metric = set_metric("fid", preprocessing=preprocessing, weights=write_recipe(recipes, "fid_inception"))
    assert distance(metric, [pair]) == pytest.approx(expected[f"fid_{name}"], rel=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dimension", [192, 768])
def test_fid_dimension(dimension: int, golden: dict[str, Any], recipes: Path, assets: Path) -> None:
    expected = golden["inception_recipe"]
    pair = devil_clip(assets, "full_432x240", "clip0", expected["n_frames"])
    metric = set_metric("fid", dimension=dimension, weights=write_recipe(recipes, "fid_inception"))
    assert distance(metric, [pair]) == pytest.approx(expected[f"fid_torch_fidelity_tf1resize_{dimension}"], rel=5e-5)


def test_i3d_measures(golden: dict[str, Any], small: VideoPair, recipes: Path) -> None:
    expected = golden["learned"]["i3d_recipe"]
    weights = write_recipe(recipes, "i3d")
    pair = VideoPair(small.prediction, small.target)
    pvcs = create_metric("pvcs", weights=weights)
    assert isinstance(pvcs, PVCS)
    np.testing.assert_allclose(pvcs.values(pair), np.sum(expected["pvcs_per_window_per_layer"], 1), rtol=1e-5)
    clips = set_metric("vfid_clips", weights=weights)
    assert distance(clips, [pair]) == pytest.approx(expected["vfid_clips_small_exact"], rel=1e-5)
    np.testing.assert_allclose(
        clips.features(pair.target, pair.truth).norm(dim=1), expected["feature_norms_gt"], rtol=1e-5
    )
    whole = set_metric("vfid", weights=weights).features(pair.target, pair.truth)
    np.testing.assert_allclose(whole[0, :16], expected["whole_video_feature_gt_first16"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["small_rect_216x120", pytest.param("small_216x120", marks=pytest.mark.slow)])
def test_devil_classes(name: str, recipes: Path, assets: Path) -> None:
    content = json.loads((assets / "metrics" / "devil_devkit" / "devil_metrics_golden.json").read_text())
    expected = content["values"][name]
    pairs = [devil_clip(assets, name, clip) for clip in ("clip0", "clip1")]
    i3d = write_recipe(recipes, "i3d", "devil")
    for key, metric in (
        ("lpips", create_metric("lpips_alex", weights=write_recipe(recipes, "alexnet", "devil"))),
        ("pvcs", create_metric("pvcs", weights=i3d)),
    ):
        assert isinstance(metric, (FrameMetric, PVCS))
        values = [float(metric.values(pair).mean()) for pair in pairs]
        np.testing.assert_allclose(values, expected[key], rtol=1e-5, err_msg=key)
    for key in ("vfid", "vfid_clips"):
        assert distance(set_metric(key, weights=i3d), pairs) == pytest.approx(expected[key]["value"], rel=1e-4), key
    fid = set_metric("fid", preprocessing="pytorch_fid", weights=write_recipe(recipes, "fid_inception", "devil"))
    assert distance(fid, pairs) == pytest.approx(expected["fid"]["value"], rel=1e-4)


@pytest.mark.slow
def test_devil_sample_at_full_size(recipes: Path, assets: Path) -> None:
    content = json.loads((assets / "metrics" / "devil_devkit" / "devil_metrics_golden.json").read_text())
    expected = content["values"]["full_432x240"]
    pair = devil_clip(assets, "full_432x240", "clip0")
    i3d = write_recipe(recipes, "i3d", "devil")
    pvcs = create_metric("pvcs", weights=i3d)
    assert isinstance(pvcs, PVCS)
    assert float(pvcs.values(pair).mean()) == pytest.approx(expected["pvcs"][0], rel=1e-5)
    clips = set_metric("vfid_clips", weights=i3d)
    assert distance(clips, [pair]) == pytest.approx(expected["vfid_clips"]["value"], rel=1e-5)
    lpips = create_frame_metric("lpips_alex", weights=write_recipe(recipes, "alexnet", "devil"))
    assert float(lpips.values(pair).mean()) == pytest.approx(expected["lpips"][0], rel=1e-5)


def test_train_mode_is_another_measure(small: VideoPair, recipes: Path) -> None:
    weights = write_recipe(recipes, "i3d")
    trained, evaluated = (set_metric("vfid", mode=mode, weights=weights) for mode in ("train", "eval"))
    shared = Shared()
    one, other = (metric.features(small.target[:10], shared) for metric in (trained, evaluated))
    assert not torch.allclose(one, other, rtol=0.1)
    assert shared.computed == {"i3d_video": 2}, "the two modes must not take each other's features"
    assert isinstance(trained, VFID)
    net: Any = trained._network.net
    assert not net.training
    statistics = net.Conv3d_1a_7x7.bn.running_mean
    again = set_metric("vfid", weights=weights)._network.net  # type: ignore[attr-defined]
    assert again is net, "one copy in memory"
    assert torch.equal(statistics, torch.load(weights, weights_only=True)["Conv3d_1a_7x7.bn.running_mean"])
