"""Metrics without networks against figures of reference programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.metrics import FrameMetric, ValueMetric, VideoPair, create_metric
from PIL import Image
from torch import Tensor

DEVIL = [(name, clip) for name in ("small_216x120", "small_rect_216x120") for clip in (0, 1)] + [("full_432x240", 0)]
INPAINTING: dict[str, Any] = {"rounded": False}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def small_video(assets: Path) -> VideoPair:
    """The procedural video of 16 frames 64x64."""
    arrays = np.load(assets / "metrics" / "golden" / "small_1x16x64x64.npz")
    prediction, target = (_frames(arrays[name][0]) for name in ("pred", "gt"))
    hole = np.unpackbits(arrays["hole"][0], axis=-1)
    return VideoPair(prediction, target, torch.from_numpy(hole.reshape(16, 1, 64, 64)).float())


def devil_video(assets: Path, name: str, clip: str = "clip0", *, composited: bool = True) -> VideoPair:
    """A clip of the DEVIL development kit; ``mask`` is 1 in the hole, where the files are black."""
    folder = assets / "metrics" / "devil_devkit" / name
    target = _files(folder / "gt" / clip, "gt")
    mask = (_files(folder / "gt" / clip, "mask", "L") == 0).float()
    prediction = _files(folder / "pred" / clip, "pred")
    if composited:
        prediction = torch.where(mask.bool(), prediction, target)
    return VideoPair(prediction, target, mask, f"{name}/{clip}")


def _files(folder: Path, kind: str, mode: str = "RGB") -> Tensor:
    images = [np.asarray(Image.open(path).convert(mode)) for path in sorted(folder.glob(f"*_{kind}.png"))]
    return _frames(np.stack(images))


def _frames(images: np.ndarray) -> Tensor:
    if images.ndim == 3:
        images = images[..., None]
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Frames are small: threads would spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def golden(assets: Path) -> Any:
    return read_json(assets / "metrics" / "golden" / "golden.json")


@pytest.fixture(scope="module")
def devil(assets: Path) -> Any:
    return read_json(assets / "metrics" / "devil_devkit" / "devil_metrics_golden.json")["values"]


def values(pair: VideoPair, key: str, **options: object) -> torch.Tensor:
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return metric.values(pair)


def mean(pair: VideoPair, key: str, **options: object) -> float:
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return float(metric.mean_of(metric.values(pair)))


def first(pair: VideoPair, count: int) -> VideoPair:
    assert pair.mask is not None
    return VideoPair(pair.prediction[:count], pair.target[:count], pair.mask[:count])


@pytest.mark.parametrize("rounded", [True, False])
def test_psnr_of_the_small_video(assets: Path, golden: Any, rounded: bool) -> None:
    pair, expected = small_video(assets), golden["image_metrics"]["small"][0]
    np.testing.assert_allclose(values(pair, "psnr", rounded=rounded), expected["psnr_per_frame"], atol=1e-5)
    assert mean(pair, "psnr_pooled", rounded=rounded) == pytest.approx(expected["psnr_pooled_mse"], abs=1e-5)
    hole = expected["psnr_hole_only_mean_of_frames"]
    assert mean(pair, "psnr_hole", rounded=rounded) == pytest.approx(hole, abs=1e-5)
    squared = 255**2 * values(pair, "psnr_pooled", rounded=rounded)
    np.testing.assert_allclose(squared, expected["mse_per_frame_255"], rtol=1e-6)


def test_ssim_of_the_small_video(assets: Path, golden: Any) -> None:
    pair, expected = small_video(assets), golden["image_metrics"]["small"][0]
    for options, name in (
        ({"window": 33}, "ssim_sk_win33_dr255"),
        ({"window": 7}, "ssim_sk_win7_dr255"),
        ({"window": 7, "data_range": 2.0}, "ssim_sk_win7_float_dr2_DEVIL"),
    ):
        np.testing.assert_allclose(values(pair, "ssim_uniform", **options), expected[name], atol=1e-6)
    np.testing.assert_allclose(values(pair, "ssim"), expected["ssim_sk_gauss1.5_popcov_dr255"], atol=1e-6)


def test_fsim_of_the_small_video(assets: Path, golden: Any) -> None:
    pair, expected = small_video(assets), golden["image_metrics"]["small"][0]
    np.testing.assert_allclose(values(pair, "fsim"), expected["fsim_piq_luma_f32"], rtol=1e-6)
    np.testing.assert_allclose(values(pair, "fsimc"), expected["fsimc_piq_chromatic_f32"], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, INPAINTING])
def test_inpainting_table_on_the_devil_sample(assets: Path, golden: Any, options: dict[str, Any]) -> None:
    pair, expected = devil_video(assets, "full_432x240"), golden["image_metrics"]["devil_sample_composite"][0]
    np.testing.assert_allclose(values(pair, "psnr", **options), expected["psnr_per_frame"], atol=1e-5)
    ssim = values(pair, "ssim_uniform", window=65, **options)
    np.testing.assert_allclose(ssim, expected["ssim_sk_win65_dr255"], atol=1e-6)
    assert mean(pair, "psnr_pooled") == pytest.approx(expected["psnr_pooled_mse"], abs=1e-5)
    assert mean(pair, "psnr_hole") == pytest.approx(expected["psnr_hole_only_mean_of_frames"], abs=1e-5)


def test_other_structure_metrics_on_the_devil_sample(assets: Path, golden: Any) -> None:
    pair = first(devil_video(assets, "full_432x240"), 4)
    expected = golden["image_metrics"]["devil_sample_composite"][0]
    np.testing.assert_allclose(values(pair, "ms_ssim"), expected["msssim_piq_f32"], atol=1e-6)
    np.testing.assert_allclose(values(pair, "ssim"), expected["ssim_sk_gauss1.5_popcov_dr255"], atol=1e-6)
    np.testing.assert_allclose(values(pair, "fsim"), expected["fsim_piq_luma_f32"], rtol=1e-6)
    np.testing.assert_allclose(values(pair, "fsimc"), expected["fsimc_piq_chromatic_f32"], rtol=1e-6)
    uniform = values(pair, "ssim_uniform", data_range=2.0)
    np.testing.assert_allclose(uniform, expected["ssim_sk_win7_float_dr2_DEVIL"], atol=1e-6)


@pytest.mark.parametrize(("name", "clip"), DEVIL)
def test_devil_classes(assets: Path, devil: Any, name: str, clip: int) -> None:
    pair, expected = devil_video(assets, name, f"clip{clip}"), devil[name]
    assert mean(pair, "psnr", infinite="largest") == pytest.approx(expected["psnr"][clip], abs=1e-5)
    assert mean(pair, "ssim_uniform", data_range=2.0) == pytest.approx(expected["ssim"][clip], abs=1e-6)
    assert mean(pair, "ssim_uniform") == pytest.approx(expected["ssim_data_range_1"][clip], abs=1e-6)
    extra = expected["extra_not_devil"][f"clip{clip}"]
    np.testing.assert_allclose(values(pair, "psnr_hole"), extra["psnr_hole_per_frame"], atol=1e-5)
    # of the large set the file has the mean over the first three frames
    pair = first(pair, 3 if name.startswith("full") else len(pair))
    assert mean(pair, "fsim") == pytest.approx(extra["fsim"], rel=1e-6)
    assert mean(pair, "fsimc") == pytest.approx(extra["fsimc"], rel=1e-6)


@pytest.mark.parametrize(("name", "clip"), DEVIL)
def test_devil_patch_consistency(assets: Path, devil: Any, name: str, clip: int) -> None:
    pair, expected = devil_video(assets, name, f"clip{clip}"), devil[name]
    # the second clip goes on in the random stream after the nine pairs of the first
    pair = VideoPair(pair.prediction, pair.target, pair.mask, pairs_before=9 * clip)
    assert mean(pair, "pcons_psnr") == pytest.approx(expected["pcons_psnr"][clip], rel=1e-6)
    assert mean(pair, "pcons_psnr_mask") == pytest.approx(expected["pcons_psnr_mask"][clip], rel=1e-6)
    if "pcons_ssim" in expected:
        assert mean(pair, "pcons_ssim") == pytest.approx(expected["pcons_ssim"][clip], rel=1e-6)


def test_patch_consistency_of_a_set_in_one_metric(assets: Path, devil: Any) -> None:
    metric = create_metric("pcons_psnr")
    for clip in ("clip0", "clip1"):
        pair = devil_video(assets, "small_216x120", clip)
        metric.update(pair.prediction, pair.target)
    expected = devil["small_216x120"]["pcons_psnr"]
    assert float(metric.compute()) == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_niqe_of_the_devil_sample(assets: Path, golden: Any) -> None:
    pair = devil_video(assets, "full_432x240", composited=False)
    metric = create_metric("niqe", weights=assets / "weights" / "niqe_pris_params.npz")
    assert isinstance(metric, FrameMetric)
    for kind, frames in (("gt", pair.target), ("pred", pair.prediction)):
        for number in (0, 10):
            frame = frames[number : number + 1]
            expected = golden["niqe_basicsr"][f"devil_sample_{kind}_{number:04d}"]
            assert float(metric.frame_values(frame, frame)) == pytest.approx(expected, rel=1e-6)


def test_largest_leaves_infinite_videos_to_the_set(assets: Path) -> None:
    pair = small_video(assets)
    perfect = VideoPair(pair.target, pair.target, pair.mask)
    assert mean(perfect, "psnr", infinite="largest") == math.inf
    assert mean(perfect, "psnr_pooled") == math.inf
    assert mean(perfect, "psnr_hole") == 100
