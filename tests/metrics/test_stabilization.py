"""Measures of stabilization: recorded values, known shake, clips of any length, and what cannot be measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.metrics import ValueMetric, VideoPair, create_metric
from framewright.metrics.stabilization import residual
from framewright.ops.compensation import compensate
from framewright.video import open_video
from torch import Tensor

KEYS = ("cropping", "distortion", "stability", "itf", "itf_gain", "path_acceleration", "steadiness")


def measure(key: str, pair: VideoPair, **options: Any) -> float:
    metric = create_metric(key, **options)
    assert isinstance(metric, ValueMetric)
    return float(metric.mean_of(metric.values(pair)))


def photo() -> Tensor:
    import skimage.data

    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255


def filmed(path: Tensor, height: int = 120, width: int = 160) -> Tensor:
    """A photograph whose contents move along a path ``(T, 4)``."""
    frames, _ = compensate(photo().expand(len(path), -1, -1, -1), path)
    return frames[..., 180 : 180 + height, 150 : 150 + width].clamp(0, 1)


def path(length: int, strength: float, pan: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    shake = torch.randn(length, 4, generator=generator, dtype=torch.float64) * strength
    shake[:, 2:] *= 1e-3
    shake[:, 0] += pan * torch.arange(length)
    return shake


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["input", "meshflow(original)"])
def test_recorded_values(assets: Path, clip: str) -> None:
    """SIFT, ratio test and RANSAC as published scripts have them, on a real clip and a published method's result."""
    golden = json.loads((assets / "parity/stabilization/stab_metrics_video3_120f.json").read_text())[clip]
    folder = assets / "stabilization/nus_regular"

    def load(name: str) -> Tensor:
        with open_video(folder / name) as reader:
            return torch.from_numpy(reader.get(range(120))).permute(0, 3, 1, 2).float() / 255

    video = load("video-3_video-3.m4v")
    pair = VideoPair(video if clip == "input" else load("video-3_stabilized-method-original.m4v"), video)
    assert measure("itf", pair) == pytest.approx(golden["itf"], abs=1e-9)
    assert measure("cropping", pair) == pytest.approx(golden["cropping_avg"], abs=1e-6)
    assert measure("distortion", pair, measure="eigen") == pytest.approx(golden["distortion_eig_min"], abs=1e-6)
    for order, name in (("right", "DIFRINT"), ("left", "NNDVSorder")):
        for signal, short in (("translation", "trans"), ("rotation", "rot")):
            made = measure("stability", pair, order=order, signal=signal)
            # a match more or less changes a homography in its fourth digit
            assert made == pytest.approx(golden[f"stab_{name}_{short}"], abs=1e-4)
    both = measure("stability", pair, reduce="mean")
    assert both == pytest.approx(golden["stab_NNDVSorder_avg"], abs=1e-4)


def test_fidelity_of_a_recorded_clip(assets: Path) -> None:
    golden = json.loads((assets / "parity/stabilization/stab_metrics_video3_120f.json").read_text())["input"]
    with open_video(assets / "stabilization/nus_regular/video-3_video-3.m4v") as reader:
        video = torch.from_numpy(reader.get(range(120))).permute(0, 3, 1, 2).float() / 255
    assert measure("itf", VideoPair(video, video)) == pytest.approx(golden["itf"], abs=1e-9)


@pytest.mark.parametrize("features", ["sift", "klt"])
def test_cropping_and_distortion_of_a_known_zoom(features: str) -> None:
    # in frames half as large, features are not found exactly enough
    video = filmed(path(6, 1.0), 240, 320)
    pose = torch.zeros(6, 4, dtype=torch.float64)
    pose[:, 3] = math.log(1.25)
    zoomed, _ = compensate(video, pose)
    pair = VideoPair(zoomed, video)
    for scale in ("row", "area"):
        assert measure("cropping", pair, features=features, scale=scale) == pytest.approx(0.8, abs=0.01)
    assert measure("distortion", pair, features=features) > 0.98
    squeezed = torch.nn.functional.interpolate(video, (192, 320), mode="area")
    squeezed = torch.nn.functional.pad(squeezed, (0, 0, 24, 24))
    assert measure("distortion", VideoPair(squeezed, video), features=features) == pytest.approx(0.8, abs=0.01)


def test_a_still_clip() -> None:
    video = filmed(path(1, 0.0)).expand(20, -1, -1, -1)
    pair = VideoPair(video, video)
    assert measure("itf", pair) == 100
    assert measure("itf_gain", pair, features="klt") == pytest.approx(0, abs=1e-9)
    assert measure("steadiness", pair) == pytest.approx(1, abs=1e-3)
    assert measure("path_acceleration", pair) < 0.01
    assert measure("cropping", pair, features="klt") == pytest.approx(1, abs=1e-3)


def test_steadiness_depends_on_shake_and_neither_on_length_nor_on_a_pan() -> None:
    def steadiness(length: int, strength: float, pan: float = 0.0) -> float:
        video = filmed(path(length, strength, pan))
        return measure("steadiness", VideoPair(video, video))

    # one pixel at 360 lines is a third of a pixel here
    calm, shaky = steadiness(48, 0.1), steadiness(48, 0.6)
    assert calm > 0.75
    assert shaky < 0.25
    assert steadiness(96, 0.3) == pytest.approx(steadiness(40, 0.3), abs=0.12)
    assert steadiness(48, 0.1, pan=0.7) == pytest.approx(calm, abs=0.1)


def test_path_acceleration_is_that_of_the_path() -> None:
    true = path(30, 1.5)
    video = filmed(true)
    # the window is not in the middle of the photograph: rotation and scale move it, too
    expected = float(true[:, :2].diff(dim=0).diff(dim=0).square().mean().sqrt())
    assert measure("path_acceleration", VideoPair(video, video)) == pytest.approx(expected, rel=0.1)


def test_residual_shake_ignores_slow_deviations_and_zoom() -> None:
    time = torch.arange(60, dtype=torch.float64)
    slow = torch.stack((0.2 * time, 0.002 * (time - 30) ** 2, 0 * time, 0 * time), 1)
    # of a deviation of up to 12 px
    assert residual(slow, 100, 100) < 0.2
    assert residual(slow + path(60, 1.0), 100, 100) == pytest.approx(math.sqrt(2), rel=0.15)
    video = torch.rand(60, 3, 32, 32)
    given = {"trajectory": path(60, 1.0), "smooth": torch.zeros(60, 4)}
    unmoved = {"correction": torch.zeros(60, 4)}
    pair = VideoPair(video, video, given=given, results=unmoved)
    assert measure("residual_shake", pair) == pytest.approx(math.sqrt(2), rel=0.15)
    assert math.isnan(measure("residual_shake", VideoPair(video, video)))


def test_planned_acceleration_begins_anew_with_every_scene() -> None:
    seen = torch.cat((torch.zeros(1, 4), torch.ones(4, 4), torch.zeros(1, 4), torch.ones(4, 4)))
    smooth = torch.arange(5.0)[:, None].expand(5, 4).repeat(2, 1)
    video = torch.rand(10, 3, 16, 16)
    assert measure("planned_acceleration", VideoPair(video, video, results={"seen": seen, "smooth": smooth})) == 0
    assert math.isnan(measure("planned_acceleration", VideoPair(video, video)))


@pytest.mark.parametrize("key", KEYS)
def test_black_and_short_clips_are_measured_or_left_out(key: str) -> None:
    for length in (3, 14):
        black = torch.zeros(length, 3, 48, 64)
        value = measure(key, VideoPair(black, black))
        assert math.isnan(value) or math.isfinite(value)


def test_messages() -> None:
    for key, options in (
        ("cropping", {"features": "orb"}),
        ("cropping", {"scale": "max"}),
        ("distortion", {"measure": "qr"}),
        ("stability", {"order": "up"}),
        ("stability", {"signal": "zoom"}),
    ):
        with pytest.raises(ConfigError, match=next(iter(options.values()))):
            create_metric(key, **options)
    with pytest.raises(ValueError, match="at least 2 frames"):
        measure("itf", VideoPair(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)))
