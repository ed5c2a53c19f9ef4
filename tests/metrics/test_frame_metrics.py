from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError
from framewright.metrics import PSNR, FrameMetric, create_frame_metric
from torch import Tensor

KEYS = ["psnr", "psnr_y", "ssim", "ssim_rife", "ssim_uniform", "fsim", "fsimc", "interpolation_error"]


def frames(n: int = 3, height: int = 24, width: int = 31) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 256, (n, 3, height, width), generator=generator) / 255
    noise = torch.randn(n, 3, height, width, generator=generator)
    return (target + 0.1 * noise).clamp(0, 1), target


def eight_bit(x: Tensor) -> np.ndarray:
    return (x * 255).round().byte().permute(0, 2, 3, 1).numpy()


def test_psnr_equals_skimage_on_8bit_images() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    prediction, target = frames()
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(eight_bit(prediction), eight_bit(target), strict=True)]
    np.testing.assert_allclose(create_frame_metric("psnr").frame_values(prediction, target), expected, rtol=1e-9)


@pytest.mark.parametrize("rounded", [True, False])
def test_ssim_equals_skimage(rounded: bool) -> None:
    from skimage.metrics import structural_similarity

    prediction, target = frames()
    a = eight_bit(prediction) / 255 if rounded else prediction.permute(0, 2, 3, 1).double().numpy()
    b = target.permute(0, 2, 3, 1).double().numpy()
    expected = [
        structural_similarity(x, y, gaussian_weights=True, use_sample_covariance=False, data_range=1.0, channel_axis=2)
        for x, y in zip(a, b, strict=True)
    ]
    values = create_frame_metric("ssim", rounded=rounded).frame_values(prediction, target)
    np.testing.assert_allclose(values, expected, atol=2e-6)


def test_volume_ssim_equals_the_full_3d_window() -> None:
    prediction, target = (x.double() for x in frames(2))
    taps = torch.exp(-((torch.arange(11).double() - 5) ** 2) / (2 * 1.5**2))
    taps = taps / taps.sum()
    window = torch.einsum("i,j,k->ijk", taps, taps, taps)[None, None]

    def blur(x: Tensor) -> Tensor:
        return F.conv3d(F.pad(x.unsqueeze(1), (5,) * 6, mode="replicate"), window)

    a, b = (prediction * 255).round() / 255, target
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    values = create_frame_metric("ssim_rife").frame_values(prediction, target)
    torch.testing.assert_close(values, ssim.mean((1, 2, 3, 4)), rtol=0, atol=2e-6)


def test_interpolation_error_is_in_grey_levels() -> None:
    prediction, target = frames()
    difference = np.abs(eight_bit(prediction).astype(float) - eight_bit(target))
    values = create_frame_metric("interpolation_error").frame_values(prediction, target)
    np.testing.assert_allclose(values, difference.mean((1, 2, 3)), rtol=1e-5)


def test_sintel_fixture(assets: Path) -> None:
    from skimage import io

    folder = assets / "flow" / "sintel"
    crops = [io.imread(folder / f"frame_{i:04d}.png")[128:256, 400:592, :3] for i in (9, 10, 11)]
    before, middle, after = (torch.from_numpy(c).permute(2, 0, 1)[None].float() for c in crops)
    # the sum first, so that a half stays a half and its rounding is defined
    prediction, middle = (before + after) / 2 / 255, middle / 255

    def value(key: str, **options: object) -> float:
        return float(create_frame_metric(key, **options).frame_values(prediction, middle))

    assert value("psnr", rounded=False) == pytest.approx(22.5597, abs=1e-4)
    assert value("ssim_rife") == pytest.approx(0.72534, abs=1e-5)
    assert value("ssim", rounded=False, border="replicate") == pytest.approx(0.58570, abs=1e-5)


@pytest.mark.parametrize("key", KEYS)
def test_mean_over_frames_does_not_depend_on_batches(key: str) -> None:
    prediction, target = frames(5)
    metric = create_frame_metric(key)
    values = metric.frame_values(prediction, target)
    assert values.shape == (5,)
    assert values.dtype == torch.float64
    assert metric.count == 0
    metric.update(prediction[:2], target[:2])
    metric.update(prediction[2:], target[2:])
    torch.testing.assert_close(metric.compute(), values.mean())
    torch.testing.assert_close(metric.mean_of(values), values.mean())
    assert metric.compute().dtype == torch.float64
    metric.reset()
    assert metric.count == 0


@pytest.mark.parametrize("key", KEYS)
def test_better_predictions_score_better(key: str) -> None:
    prediction, target = frames()
    metric = create_frame_metric(key)
    near = metric.frame_values(target + (prediction - target) / 4, target)
    far = metric.frame_values(prediction, target)
    assert ((near > far) == metric.higher_is_better).all()
    assert metric.key == key


@pytest.mark.parametrize("key", KEYS)
def test_states_survive_a_change_of_precision(key: str) -> None:
    prediction, target = frames()
    metric = create_frame_metric(key)
    metric.update(prediction, target)
    before = metric.compute()

    class Model(torch.nn.Module):
        def __init__(self, metric: FrameMetric) -> None:
            super().__init__()
            self.metric, self.layer = metric, torch.nn.Linear(1, 1)

    for convert in (
        lambda m: m.half(),
        lambda m: m.to(torch.bfloat16),
        lambda m: m.double().float(),
        lambda m: [m.metric.set_dtype(torch.half), m][1],
    ):
        model = convert(Model(copy.deepcopy(metric)))
        assert model.metric.total.dtype == torch.float64
        assert model.metric.count.dtype == torch.int64
        assert model.metric.compute() == before
        model.metric.reset()
        assert model.metric.total.dtype == torch.float64
        model.metric.update(prediction, target)
        assert model.metric.compute() == before


@pytest.mark.parametrize("key", KEYS)
def test_half_precision_frames_and_autocast(key: str) -> None:
    prediction, target = frames()
    prediction = (prediction * 255).round() / 255
    metric = create_frame_metric(key)
    expected = metric.frame_values(prediction, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(metric.frame_values(prediction, target), expected)
    # bfloat16 frames are frames with a rounding error of their own, not an error
    assert metric.frame_values(prediction.bfloat16(), target).isfinite().all()


def test_identical_frames() -> None:
    prediction, target = frames(4)
    prediction[0] = target[0]
    values = PSNR().frame_values(prediction, target)
    assert math.isinf(values[0])
    rest = values[1:].sum()
    torch.testing.assert_close(PSNR().mean_of(values), (100 + rest) / 4)
    torch.testing.assert_close(PSNR(maximum=60).mean_of(values), (60 + rest) / 4)
    torch.testing.assert_close(PSNR(infinite="exclude").mean_of(values), rest / 3)
    metric = PSNR(infinite="exclude")
    metric.update(prediction[:1], target[:1])
    assert metric.count == 0
    for key in ("ssim", "ssim_rife"):
        assert create_frame_metric(key).frame_values(target, target).min() == pytest.approx(1, abs=1e-6)


def test_tiny_frames() -> None:
    a, b = torch.rand(2, 1, 3, 4, 5)
    assert create_frame_metric("ssim_rife").frame_values(a, b).isfinite().all()
    assert create_frame_metric("ssim", border="replicate").frame_values(a, b).isfinite().all()
    with pytest.raises(ValueError, match="at least 11x11 pixels, got 4x5"):
        create_frame_metric("ssim").frame_values(a, b)


def test_no_frames_give_nan() -> None:
    for key in KEYS:
        assert create_frame_metric(key).mean_of(torch.zeros(0, dtype=torch.float64)).isnan()


def test_bad_requests() -> None:
    with pytest.raises(ConfigError, match=r"no metric 'psnrr'; did you mean 'psnr'\?"):
        create_frame_metric("psnrr")
    with pytest.raises(ConfigError, match=r"no option 'round'; did you mean 'rounded'\?"):
        create_frame_metric("psnr", round=True)
    with pytest.raises(ConfigError, match="'clip', 'exclude' or 'largest'"):
        create_frame_metric("psnr", infinite="skip")
    with pytest.raises(ConfigError, match="'valid' or 'replicate'"):
        create_frame_metric("ssim", border="zeros")
    metric = create_frame_metric("psnr")
    with pytest.raises(ValueError, match="of one shape"):
        metric.update(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 5))
    with pytest.raises(ValueError, match="floating-point"):
        metric.update(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4, dtype=torch.uint8))


def test_luma_psnr_equals_skimage_rgb2yuv() -> None:
    from skimage.color import rgb2yuv

    prediction, target = frames()
    expected = []
    for a, b in zip(eight_bit(prediction), eight_bit(target), strict=True):
        difference = 255 * (rgb2yuv(a / 255)[..., 0] - rgb2yuv(b / 255)[..., 0])
        expected.append(20 * math.log10(255 / math.sqrt((difference**2).mean())))
    np.testing.assert_allclose(create_frame_metric("psnr_y").frame_values(prediction, target), expected, rtol=1e-9)
    assert torch.isposinf(create_frame_metric("psnr_y").frame_values(target, target)).all()
