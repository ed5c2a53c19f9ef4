"""Metrics without networks on synthetic frames: against libraries, and where they refuse."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError, WeightsError
from framewright.metrics import FrameMetric, ValueMetric, VideoMetric, VideoPair, create_metric
from torch import Tensor


def video(n: int = 3, height: int = 96, width: int = 120, noise: float = 0.05) -> tuple[Tensor, Tensor]:
    """A moving texture as 8-bit frames, and a noisy copy."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, height // 6 + 4, width // 6 + 4, generator=generator)
    texture = F.interpolate(coarse, scale_factor=6, mode="bicubic").clamp(0, 1)
    target = torch.cat([texture[..., t : t + height, 2 * t : 2 * t + width] for t in range(n)])
    prediction = (target + noise * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    return (prediction * 255).round() / 255, (target * 255).round() / 255


def eight_bit(x: Tensor) -> np.ndarray:
    return (x * 255).round().byte().permute(0, 2, 3, 1).numpy()


def hole_mask(like: Tensor) -> Tensor:
    mask = torch.zeros(len(like), 1, *like.shape[2:])
    mask[:, :, 20:60, 30:50] = 1
    return mask


def value_metric(key: str, **options: object) -> ValueMetric:
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return metric


@pytest.mark.parametrize("window", [3, 7, 65, 95])
def test_uniform_ssim_equals_skimage(window: int) -> None:
    from skimage.metrics import structural_similarity

    prediction, target = video(2, 95, 121)
    for sample in (True, False):
        expected = [
            structural_similarity(b, a, win_size=window, channel_axis=-1, data_range=255, use_sample_covariance=sample)
            for a, b in zip(eight_bit(prediction), eight_bit(target), strict=True)
        ]
        metric = value_metric("ssim_uniform", window=window, sample_covariance=sample)
        np.testing.assert_allclose(metric.values(VideoPair(prediction, target)), expected, rtol=0, atol=1e-10)


def test_uniform_ssim_of_half_levels_equals_skimage() -> None:
    from skimage.metrics import structural_similarity

    prediction, target = video(1)
    prediction = (prediction + target) / 2
    a, b = (x[0].permute(1, 2, 0).double().numpy() for x in (prediction, target))
    for data_range in (1.0, 2.0):
        expected = structural_similarity(b, a, win_size=7, channel_axis=-1, data_range=data_range)
        metric = value_metric("ssim_uniform", data_range=data_range, rounded=False)
        assert float(metric.values(VideoPair(prediction, target))) == pytest.approx(expected, abs=1e-10)


def test_psnr_of_half_levels_is_that_of_the_published_formula() -> None:
    prediction, target = video(2)
    prediction = (prediction + target) / 2
    errors = [((255 * (a.double() - b.double())) ** 2).mean() for a, b in zip(prediction, target, strict=True)]
    expected = [20 * math.log10(255 / math.sqrt(error)) for error in errors]
    values = value_metric("psnr", rounded=False).values(VideoPair(prediction, target))
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_pooled_psnr_equals_torchmetrics() -> None:
    from torchmetrics.image import PeakSignalNoiseRatio

    prediction, target = video(5)
    prediction[0] = target[0]
    metric = value_metric("psnr_pooled")
    metric.update(prediction[:2], target[:2])
    metric.update(prediction[2:], target[2:])
    expected = PeakSignalNoiseRatio(data_range=1.0)(prediction.double(), target.double())
    assert float(metric.compute()) == pytest.approx(float(expected), abs=1e-5)
    assert metric.finish(1e-3) == pytest.approx(30)
    assert metric.finish(0.0) == math.inf
    assert metric.mean_of(torch.zeros(0)).isnan()


def test_psnr_of_the_hole_counts_frames_with_a_hole() -> None:
    prediction, target = video(3)
    mask = hole_mask(target)
    mask[1] = 0
    values = value_metric("psnr_hole").values(VideoPair(prediction, target, mask))
    assert values.isnan().tolist() == [False, True, False]
    region = (slice(None), slice(20, 60), slice(30, 50))
    for index in (0, 2):
        error = float((prediction[index][region] - target[index][region]).square().mean())
        assert float(values[index]) == pytest.approx(-10 * math.log10(error), abs=1e-4)
    metric = create_metric("psnr_hole")
    assert isinstance(metric, VideoMetric)
    metric.update(prediction, target, mask)
    assert metric.count == 2


def test_multi_scale_ssim_against_torchmetrics() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference

    prediction, target = video(2, 176, 208)
    values = value_metric("ms_ssim").values(VideoPair(prediction, target))
    expected = reference(prediction.double(), target.double(), data_range=1.0, reduction="none", kernel_size=11)
    # another convention at borders and channels: near, and in the same order
    np.testing.assert_allclose(values, expected, atol=2e-3)
    far = (prediction + 3 * (prediction - target)).clamp(0, 1)
    assert (value_metric("ms_ssim").values(VideoPair(far, target)) < values).all()


def test_multi_scale_ssim_is_the_product_over_scales() -> None:
    prediction, target = (x.double() for x in video(1, 177, 200))
    taps = torch.exp(-((torch.arange(11).double() - 5) ** 2) / 4.5)
    window = (taps[:, None] * taps[None, :] / taps.sum() ** 2).expand(3, 1, 11, 11)

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, window, groups=3)

    score, a, b = torch.ones(3).double(), prediction, target
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            odd = a.shape[2] % 2 or a.shape[3] % 2
            a, b = (F.avg_pool2d(F.pad(x, (odd, 0, odd, 0), mode="replicate"), 2) for x in (a, b))
        ma, mb = blur(a), blur(b)
        term = (2 * (blur(a * b) - ma * mb) + 9e-4) / (blur(a * a) - ma * ma + blur(b * b) - mb * mb + 9e-4)
        if scale == 4:
            term = term * (2 * ma * mb + 1e-4) / (ma * ma + mb * mb + 1e-4)
        score = score * term.mean((0, 2, 3)).relu() ** weight
    values = value_metric("ms_ssim").values(VideoPair(prediction.float(), target.float()))
    assert float(values) == pytest.approx(float(score.mean()), abs=1e-9)


@pytest.mark.parametrize("size", [(96, 120), (65, 81)])
def test_fsim_orders_distortions(size: tuple[int, int]) -> None:
    prediction, target = video(1, *size)
    for key in ("fsim", "fsimc"):
        metric = value_metric(key)
        near = float(metric.values(VideoPair(prediction, target)))
        far = float(metric.values(VideoPair((target + 4 * (prediction - target)).clamp(0, 1), target)))
        assert far < near < 1
        assert float(metric.values(VideoPair(target, target))) == pytest.approx(1, abs=1e-12)


def test_colour_counts_in_fsimc_alone() -> None:
    _, target = video(1)
    prediction = torch.rand(1, 3, 1, 1) * 0.2 + 0.8 * target
    tinted = (prediction + torch.tensor([0.1, -0.0509369, 0.0]).view(1, 3, 1, 1)).clamp(0, 1)
    pair = VideoPair(tinted, prediction)
    fsim, fsimc = (float(value_metric(key).values(pair)) for key in ("fsim", "fsimc"))
    assert pair.made.computed == {"fsim": 1}  # both from one computation
    assert fsimc < fsim


def brute_force(frame: Tensor, following: Tensor, top: int, left: int, ssim: bool) -> float:
    from skimage.metrics import structural_similarity

    a, b = (x.permute(1, 2, 0).double().numpy() for x in (frame, following))
    patch, best = a[top : top + 50, left : left + 50], 0.0
    for y in range(max(top - 20, 0), min(top + 20, a.shape[0] - 49)):
        for x in range(max(left - 20, 0), min(left + 20, a.shape[1] - 49)):
            found = b[y : y + 50, x : x + 50]
            if ssim:
                best = max(best, structural_similarity(patch, found, channel_axis=-1, data_range=2.0))
            else:
                error = ((patch - found) ** 2).mean()
                best = max(best, math.inf if error == 0 else -10 * math.log10(error))
    return best


@pytest.mark.parametrize("key", ["pcons_psnr", "pcons_ssim"])
def test_patch_consistency_equals_exhaustive_search(key: str) -> None:
    prediction, _ = video(3, 56, 58)
    rng = np.random.default_rng(1234)
    expected = []
    for t in range(2):
        top, left = int(rng.integers(6)), int(rng.integers(8))
        expected.append(brute_force(prediction[t], prediction[t + 1], top, left, key == "pcons_ssim"))
    pair = VideoPair(prediction, prediction)
    np.testing.assert_allclose(value_metric(key).values(pair), expected, rtol=1e-9)
    # the second half of the video, told what went before, gives its part of the whole
    rest = VideoPair(prediction[1:], prediction[1:], pairs_before=1)
    np.testing.assert_allclose(value_metric(key).values(rest), expected[1:], rtol=1e-9)


def test_patches_around_holes() -> None:
    prediction, target = video(4)
    mask = torch.zeros(4, 1, 96, 120)
    mask[0, 0, 30:41, 60:64] = 1
    mask[1, 0, 90:, 110:] = 1
    mask[3] = 1
    expected = [(35 - 25, math.floor(61.5 - 25)), (96 - 50, 120 - 50)]
    values = value_metric("pcons_psnr_mask").values(VideoPair(prediction, target, mask))
    for t, (top, left) in enumerate(expected):
        assert float(values[t]) == pytest.approx(brute_force(prediction[t], prediction[t + 1], top, left, False))
    assert values[2].isnan()


def test_a_patch_that_is_found_again_is_infinite() -> None:
    # `video` moves by a pixel and two pixels per frame: a patch away from the edge is found exactly
    _, target = video(2, 96, 120)
    mask = hole_mask(target)
    metric = value_metric("pcons_psnr_mask")
    values = metric.values(VideoPair(target, target, mask))
    assert values.tolist() == [math.inf]
    assert metric.mean_of(values) == math.inf
    assert float(value_metric("pcons_psnr_mask", infinite="clip").mean_of(values)) == 100


def test_flow_difference_measures_the_kept_region() -> None:
    import cv2

    prediction, target = video(7, 96, 120)
    pair = VideoPair(prediction, target)
    values = value_metric("tof").values(pair)
    assert values.shape == (2,)
    flows = []
    for frames in (prediction, target):
        before, after = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in eight_bit(frames[2:4]))
        flow = cv2.calcOpticalFlowFarneback(before, after, np.zeros((96, 120, 2), np.float32), 0.5, 3, 15, 3, 5, 1.2, 0)
        flows.append(flow[16:80, 12:108])
    expected = np.linalg.norm(flows[0] - flows[1], axis=-1).mean()
    assert float(values[0]) == pytest.approx(expected, rel=1e-5)
    assert value_metric("tof").values(VideoPair(target, target)).tolist() == [0, 0]
    assert value_metric("tof", crop="none", cut=0).values(pair).shape == (6,)
    assert pair.truth.computed == {"farneback_flow": 2}  # once for each cut


def test_halving_of_niqe_keeps_a_ramp() -> None:
    from framewright.metrics.niqe import _halve

    ramp = torch.arange(96.0)[None, :].expand(96, 96).contiguous()
    half = _halve(ramp)
    assert half.shape == (48, 48)
    torch.testing.assert_close(half[:, 4:-4], ramp[:48, ::2][:, 4:-4] + 0.5, rtol=0, atol=1e-4)


def niqe_model(path: Path) -> Path:
    generator = np.random.default_rng(0)
    taps = np.exp(-((np.arange(7) - 3) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    np.savez(path, mu_pris_param=generator.random((1, 36)), cov_pris_param=np.eye(36), gaussian_window=window)
    return path


def test_niqe_by_its_formula(tmp_path: Path) -> None:
    metric = create_metric("niqe", weights=niqe_model(tmp_path / "model.npz"))
    assert isinstance(metric, FrameMetric)
    prediction, target = video(2, 100, 200)
    values = metric.frame_values(prediction, target)
    assert values.isfinite().all()
    # neither the ground truth nor what fills no block takes part
    torch.testing.assert_close(metric.frame_values(prediction[..., :96, :192], target[..., :96, :192]), values)
    bordered = create_metric("niqe", weights=niqe_model(tmp_path / "model.npz"), crop_border=2)
    assert isinstance(bordered, FrameMetric)
    inner = prediction[..., 2:98, 2:198]
    torch.testing.assert_close(bordered.frame_values(prediction, target), metric.frame_values(inner, inner))
    assert metric.frame_values(torch.full((1, 3, 96, 192), 0.5), torch.zeros(1, 3, 96, 192)).isnan()
    with pytest.raises(ValueError, match="two blocks of 96x96 pixels, got 100x191"):
        metric.frame_values(prediction[..., :191], target[..., :191])


def test_niqe_without_its_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAMEWRIGHT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"niqe_pris_params\.npz.*sha256 2a7c182a.*Source: https"):
        create_metric("niqe")
    damaged = tmp_path / "model.npz"
    damaged.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot read the NIQE model"):
        create_metric("niqe", weights=damaged)


@pytest.mark.parametrize(
    ("key", "size", "message"),
    [
        ("ssim_uniform", (6, 40), "window of 7 pixels needs frames of at least 7x7, got 6x40"),
        ("ms_ssim", (160, 200), "at least 161x161 pixels, got 160x200"),
        ("fsim", (7, 40), "at least 8x8 pixels, got 7x40"),
        ("pcons_psnr", (50, 60), "at least 51x51 pixels, got 50x60"),
        ("pcons_psnr_mask", (49, 60), "at least 50x50 pixels, got 49x60"),
        ("tof", (47, 60), "at least 48x48 pixels, got H=47"),
    ],
)
def test_frames_too_small(key: str, size: tuple[int, int], message: str) -> None:
    frames = torch.rand(6, 3, *size)
    with pytest.raises(ValueError, match=message):
        value_metric(key).values(VideoPair(frames, frames, torch.ones(6, 1, *size)))


@pytest.mark.parametrize("key", ["psnr_hole", "pcons_psnr_mask"])
def test_masks_are_required_and_binary(key: str) -> None:
    prediction, target = video(2)
    metric = create_metric(key)
    with pytest.raises(ValueError, match="needs masks of the holes"):
        metric.update(prediction, target)
    with pytest.raises(ValueError, match="not binary"):
        metric.update(prediction, target, hole_mask(target) / 2)


@pytest.mark.parametrize("key", ["psnr", "psnr_pooled", "psnr_hole", "ssim_uniform", "ms_ssim", "fsim", "pcons_psnr"])
def test_wrong_range_is_refused(key: str) -> None:
    prediction, target = video(2)
    metric = create_metric(key)
    with pytest.raises(ValueError, match=r"prediction.*values from .* expected RGB in \[0, 1\]"):
        metric.update(prediction * 255, target)
    with pytest.raises(ValueError, match=r"target.*values from -"):
        metric.update(prediction, target * 2 - 1)


def test_too_few_frames() -> None:
    prediction, target = video(5)
    for key, needed, given in (("pcons_psnr", 2, 1), ("pcons_ssim", 2, 1), ("tof", 6, 5)):
        with pytest.raises(ValueError, match=f"{key} needs at least {needed} frames, got {given}"):
            create_metric(key).update(prediction[:given], target[:given])


def test_bad_options() -> None:
    for key, options, message in (
        ("ssim_uniform", {"window": 8}, "window must be odd"),
        ("ssim_uniform", {"data_range": 0}, "data_range must be positive"),
        ("psnr_hole", {"infinite": "drop"}, "'largest'"),
        ("pcons_psnr", {"maximum": -1}, "maximum must be positive"),
        ("tof", {"crop": "some"}, "'tecogan' or 'none'"),
        ("tof", {"cut": -1}, "cut must not be negative"),
        ("niqe", {"crop_border": -1}, "crop_border must not be negative"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_metric(key, **options)


@pytest.mark.parametrize("key", ["psnr_pooled", "ms_ssim", "pcons_psnr"])
def test_states_stay_double_and_autocast_changes_nothing(key: str) -> None:
    prediction, target = video(2, 168, 170)
    metric = create_metric(key)
    metric.update(prediction, target)
    before = metric.compute()
    for converted in (copy.deepcopy(metric).half(), copy.deepcopy(metric).set_dtype(torch.half)):
        assert converted.total.dtype == torch.float64
        assert converted.compute() == before
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = create_metric(key)
        again.update(prediction, target)
    assert again.compute() == before
    again = create_metric(key)
    again.update(prediction.half(), target.half())
    assert math.isfinite(again.compute())
