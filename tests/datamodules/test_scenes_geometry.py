"""The ground truth of procedural scenes against geometry and against the rendered frames."""

from __future__ import annotations

import cmath
import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from framewright.core.seeding import position_rng
from framewright.datamodules.scenes import (
    Camera,
    Scene,
    SceneSettings,
    Similarity,
    SmoothPath,
    camera_transform,
)
from framewright.datamodules.scenes.motion import displacement, random_shake
from framewright.datamodules.scenes.truth import flow_truth, make_trimap, to_tensor

SMALL = SceneSettings(height=96, width=120, frames=5, textures="eval", quality="exact", hair=0.0, softness=0.0)


def warp(image: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """``(C, H, W)`` brought along a flow ``(2, H, W)``, bicubic."""
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack([(x + flow[0]) / (width - 1) * 2 - 1, (y + flow[1]) / (height - 1) * 2 - 1], -1)
    return F.grid_sample(image[None], grid[None], mode="bicubic", padding_mode="border", align_corners=True)[0]


def interior(layers: torch.Tensor, reach: int) -> torch.Tensor:
    """Pixels all of whose neighbours within ``reach`` show the same layer."""
    layers = layers.float()[None, None]
    largest = F.max_pool2d(layers, 2 * reach + 1, 1, reach)
    smallest = -F.max_pool2d(-layers, 2 * reach + 1, 1, reach)
    return (largest == smallest)[0, 0]


def moving(path: SmoothPath, **velocity: float) -> SmoothPath:
    """The path with a constant velocity in place of its own, and no rotation or scale."""
    value = path.value.copy()
    value[2:] = 0
    speed = np.array([velocity.get("dx", 0.0), velocity.get("dy", 0.0), 0.0, 0.0])
    return SmoothPath(value, speed, np.zeros(4), path.origin)


def translating_scene() -> Scene:
    """Camera moves by (2, -1) per frame, every object by (3, 0.5) in the world."""
    scene = Scene(SMALL, position_rng(4))
    scene = scene.with_camera(Camera(moving(scene.camera.path, dx=2, dy=-1), None))
    scene.objects = tuple(dataclasses.replace(item, path=moving(item.path, dx=3, dy=0.5)) for item in scene.objects)
    return scene


def test_similarity_composes_and_inverts() -> None:
    first, second = Similarity(cmath.rect(1.3, 0.4), 3 - 2j), Similarity(cmath.rect(0.7, -1.0), -5 + 1j)
    point = 11 + 7j
    both = second.after(first)
    step = first.z * point + first.w
    assert both.z * point + both.w == pytest.approx(second.z * step + second.w)
    back = first.inverse()
    assert back.z * step + back.w == pytest.approx(point)
    x, y = first.matrix() @ [point.real, point.imag, 1]
    assert complex(x, y) == pytest.approx(step)


def test_pose_convention() -> None:
    """Scale and positive angle (x towards y) about the frame's centre, then the shift."""
    transform = camera_transform(np.array([3.0, 4.0, math.pi / 2, math.log(2)]), 11, 21)
    assert transform.w == pytest.approx(complex(10 + 3, 5 + 4))
    assert transform.z * 1 == pytest.approx(2j)


def test_flow_of_a_pure_translation_is_that_translation() -> None:
    scene = translating_scene()
    frame = scene.render(1.0)
    flow, _ = flow_truth(scene, frame, 3.5)
    top = torch.from_numpy(frame.top())
    assert (top > 0).any()
    for layer, expected in ((top == 0, (5.0, -2.5)), (top > 0, (12.5, -1.25))):
        for channel in (0, 1):
            values = flow[channel][layer]
            torch.testing.assert_close(values, torch.full_like(values, expected[channel]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("quality", ["exact", "fast"])
def test_whole_pixel_translation_repeats_the_pixels(quality: str) -> None:
    scene = translating_scene()
    if quality == "fast":
        fast = Scene(dataclasses.replace(SMALL, quality="fast"), position_rng(4))
        scene.sampler = fast.sampler
    first, second = scene.render(0.0), scene.render(2.0)
    # the background moves by (4, -2): what was at (y, x) is now at (y - 2, x + 4)
    moved = second.background[:-2, 4:]
    still = first.background[2:, :-4]
    # fast: 8-bit rounding may fall either way, and OpenCV 4 rounds positions to 1/32 pixel
    assert np.abs(moved - still).max() <= (8 / 255 if quality == "fast" else 1e-4)


def test_occlusion_of_a_pure_translation() -> None:
    scene = translating_scene()
    frame, later = scene.render(1.0), scene.render(3.0)
    flow, occluded = scene.flow(frame, 3.0)
    top, later_top = frame.top(), later.top()
    height, width = top.shape
    checked = 0
    for y in range(height):
        for x in range(width):
            if top[y, x] != 0:
                continue
            # background moves by whole pixels (4, -2), so the target is a pixel of the later frame
            target_x, target_y = x + 4, y - 2
            if not (0 <= target_x < width and 0 <= target_y < height):
                assert occluded[y, x]
                continue
            alpha = max(later.alpha(index)[target_y, target_x] for index in range(len(scene.objects)))
            if abs(alpha - 0.5) > 0.3:  # supersampled and pointwise alpha may disagree right at the edge
                assert occluded[y, x] == (later_top[target_y, target_x] != 0)
                checked += 1
    assert checked > 1000
    assert flow.dtype == np.float32


@pytest.mark.parametrize("seed", range(6))
def test_warping_by_the_flow_reproduces_the_frame(seed: int) -> None:
    scene = Scene(SMALL, position_rng(11, seed))
    frame, other = scene.render(1.0), scene.render(3.0)
    flow, occlusion = flow_truth(scene, frame, 3.0)
    brought = warp(to_tensor(other.composite()), flow)
    brought_layer = warp(torch.from_numpy(other.top()).float()[None], flow)[0]
    layers = torch.from_numpy(frame.top())
    # at a border of layers a pixel is a mixture of two motions; away from it only resampling errs
    clear = (occlusion[0] == 0) & interior(layers, 4) & ((brought_layer - layers).abs() < 0.01)
    clear &= (warp(interior(torch.from_numpy(other.top()), 4).float()[None], flow)[0]) > 0.99
    clear[:3], clear[-3:], clear[:, :3], clear[:, -3:] = False, False, False, False
    assert clear.float().mean() > 0.2
    error = (brought - to_tensor(frame.composite())).abs().amax(0)[clear]
    assert error.mean() < 3 / 255
    assert torch.quantile(error, 0.99) < 20 / 255
    # the same without the motion is far worse, or this test would prove nothing
    still = (to_tensor(other.composite()) - to_tensor(frame.composite())).abs().amax(0)[clear]
    assert still.mean() > 3 * error.mean()


@pytest.mark.parametrize("seed", range(4))
def test_forward_and_backward_flow_agree_where_nothing_is_occluded(seed: int) -> None:
    scene = Scene(SMALL, position_rng(12, seed))
    first, second = scene.render(0.0), scene.render(2.0)
    forward, occlusion = flow_truth(scene, first, 2.0)
    backward, _ = flow_truth(scene, second, 0.0)
    returned = warp(backward, forward)
    inside = interior(torch.from_numpy(second.top()), 3).float()
    clear = (occlusion[0] == 0) & (warp(inside[None], forward)[0] > 0.99)
    assert clear.float().mean() > 0.2
    assert (forward + returned)[:, clear].abs().max() < 1e-2


def test_occlusion_is_where_another_layer_is_seen() -> None:
    """Not occluded means that the target shows the same layer, up to pixels on a border."""
    for seed in range(4):
        scene = Scene(SMALL, position_rng(13, seed))
        first, second = scene.render(0.0), scene.render(2.0)
        flow, occluded = scene.flow(first, 2.0)
        y, x = np.nonzero(~occluded)
        target_x = np.rint(x + flow[0, y, x]).astype(int)
        target_y = np.rint(y + flow[1, y, x]).astype(int)
        same = second.top()[target_y, target_x] == first.top()[y, x]
        assert same.mean() > 0.97
        hidden = second.top()
        y, x = np.nonzero(occluded)
        target_x = np.rint(x + flow[0, y, x]).astype(int)
        target_y = np.rint(y + flow[1, y, x]).astype(int)
        inside = (target_x >= 0) & (target_x < 120) & (target_y >= 0) & (target_y < 96)
        over = hidden[target_y[inside], target_x[inside]] > first.top()[y[inside], x[inside]]
        border = (target_x[inside] % 119 == 0) | (target_y[inside] % 95 == 0)
        assert (over | border).mean() > 0.85


def test_time_is_continuous() -> None:
    scene = Scene(SMALL, position_rng(14))
    steps = [scene.image(1 + step) for step in (0.0, 0.001, 0.5)]
    assert np.abs(steps[1] - steps[0]).mean() < 1e-3
    assert np.abs(steps[2] - steps[0]).mean() > 2e-3


def test_frames_follow_the_shaky_camera_path() -> None:
    settings = dataclasses.replace(SMALL, objects=(1, 1), shake=4.0)
    scene = Scene(settings, position_rng(15))
    shaky, smooth = scene.trajectory(range(5)), scene.trajectory(range(5), smooth=True)
    assert np.abs(smooth[0]).max() == 0
    assert np.abs(shaky - smooth).max() > 1
    np.testing.assert_allclose(scene.steady().trajectory(range(5)), smooth)
    first = camera_transform(shaky[1], 96, 120)
    last = camera_transform(shaky[3], 96, 120)
    motion = last.after(first.inverse())
    pixels = np.arange(120) + 1j * np.arange(96)[:, None]
    target = motion.z * pixels + motion.w - pixels
    flow = torch.from_numpy(np.stack([target.real, target.imag]).astype(np.float32))
    brought = warp(to_tensor(scene.render(3.0).background), flow)
    inside = (pixels.real + target.real >= 2) & (pixels.real + target.real <= 117)
    inside &= (pixels.imag + target.imag >= 2) & (pixels.imag + target.imag <= 93)
    error = (brought - to_tensor(scene.render(1.0).background)).abs().amax(0)[torch.from_numpy(inside)]
    assert error.mean() < 3 / 255


def test_shake_has_the_stated_strength_and_band() -> None:
    values = []
    for seed in range(40):
        shake = random_shake(position_rng(16, seed), 4.0)
        assert shake.frequency.max() <= 0.45
        values.append([shake.at(time) for time in range(200)])
    deviation = np.std(values, axis=(0, 1))
    np.testing.assert_allclose(deviation, [4, 4, 0.006, 0.004], rtol=0.05)


def test_displacements_are_bounded_and_heavy_tailed() -> None:
    rng = position_rng(17)
    values = np.array([displacement(rng, 6.0, 24.0) for _ in range(4000)])
    assert values.max() <= 24
    assert (values > 12).mean() == pytest.approx((math.exp(-2) - math.exp(-4)) / (1 - math.exp(-4)), abs=0.02)
    assert displacement(rng, 0.0, 24.0) == 0


def test_a_scene_without_motion_stands_still() -> None:
    settings = dataclasses.replace(SMALL, camera_motion=0, object_motion=0, spin=0, zoom=0)
    scene = Scene(settings, position_rng(18))
    assert np.array_equal(scene.image(0.0), scene.image(4.0))
    flow, occluded = scene.flow(scene.render(0.0), 4.0)
    assert np.abs(flow).max() < 1e-6
    assert not occluded[1:-1, 1:-1].any()


def test_trimap() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[10:30, 10:30] = 1
    alpha[20, 9] = 0.3
    trimap = make_trimap(alpha, 3)
    assert set(np.unique(trimap)) == {0, 0.5, 1}
    assert (trimap[alpha == 0.3] == 0.5).all()
    assert trimap[20, 20] == 1
    assert trimap[0, 0] == 0
    assert trimap[20, 29] == trimap[20, 31] == 0.5
    assert (alpha[trimap == 1] == 1).all()
    assert (alpha[trimap == 0] == 0).all()
