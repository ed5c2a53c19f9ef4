"""The camera's motion: recorded series, known similarities, moving objects, cuts and frames without anything to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.registry import create_model
from framewright.models.stabilization import FrameMotion, MotionEstimator
from framewright.ops.camera_path import inverse, matrix_of, pose_of, trajectory_of
from framewright.ops.global_motion import fit_similarity, grid_points, weighted_similarity
from framewright.video import open_video
from torch import Tensor


def photo(name: str = "astronaut") -> Tensor:
    import skimage.data

    return torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1).float() / 255


def moved(image: Tensor, pose: Tensor, height: int = 180, width: int = 240) -> Tensor:
    """The middle of an image, seen by a camera that moved so that contents move by ``pose``."""
    import cv2

    back = matrix_of(inverse(pose.double()), height, width).numpy()
    back[:, 2] += (image.shape[2] - width) // 2, (image.shape[1] - height) // 2
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(image.permute(1, 2, 0).numpy(), back, (width, height), flags=flags)
    return torch.from_numpy(made).permute(2, 0, 1).clamp(0, 1)


def estimate(frames: list[Tensor], **options: object) -> list[FrameMotion]:
    estimator = MotionEstimator(create_model("farneback"), **options)  # type: ignore[arg-type]
    return [estimator.push(frame) for frame in frames]


def test_recorded_motions_and_path(assets: Path) -> None:
    """Farneback at half size, a grid of 8 pixels, OpenCV's RANSAC: the first 30 of the recorded motions."""
    golden = np.load(assets / "parity/stabilization/farneback_traj_video3.npz")
    reader = open_video(assets / "stabilization/nus_regular/video-3_video-3.m4v")
    frames = torch.from_numpy(reader.get(list(range(31)))).permute(0, 3, 1, 2).float() / 255
    made = estimate(list(frames), check=False, texture=0.0, refined=False, cut_change=None)
    # the recorded matrices have the origin in the first pixel of the halved frame and full-size translations
    expected = golden["motions"][:30].copy()
    expected[..., 2] /= 2
    centred = pose_of(torch.from_numpy(expected), 180, 320) * torch.tensor([2.0, 2, 1, 1])
    np.testing.assert_allclose(torch.stack([m.pose for m in made[1:]]), centred, atol=2e-5)
    # the path was recorded as a sum of translations of the first pixel
    a, b = golden["motions"][:, 0, 0], golden["motions"][:, 1, 0]
    poses = np.stack((*golden["motions"][:, :, 2].T, np.arctan2(b, a), np.log(np.hypot(a, b))), 1)
    np.testing.assert_allclose(trajectory_of(torch.from_numpy(poses), "sum"), golden["traj"], atol=1e-12)


@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_a_known_motion(model: str) -> None:
    pose = torch.tensor([4.3, -2.6, 0.02, 0.015])
    made = estimate([moved(photo(), torch.zeros(4)), moved(photo(), pose)], model=model)
    assert made[0] == FrameMotion(made[0].pose, 1.0, False, False)
    assert not made[0].pose.any()
    error = (made[1].pose - pose).abs()
    assert error[:2].max() < 0.1
    assert error[2:].max() < 1e-3
    assert made[1].support > 0.8


def test_motion_is_in_pixels_of_the_frame_whatever_size_it_is_estimated_at() -> None:
    pose = torch.tensor([6.0, 4.0, 0.0, 0.0])
    frames = [moved(photo(), torch.zeros(4), 320, 400), moved(photo(), pose, 320, 400)]
    for size in (200, 400):
        assert (estimate(frames, size=size)[1].pose - pose)[:2].abs().max() < 0.15


def test_a_large_moving_object_does_not_take_the_camera_along() -> None:
    camera, frames = torch.tensor([1.5, 0.5, 0.0, 0.0]), []
    for time in range(8):
        frame = moved(photo("coffee"), camera * time)
        left = 20 + 6 * time
        frame[:, 30:140, left : left + 100] = photo()[:, 100:210, 150:250]
        frames.append(frame)
    made = torch.stack([motion.pose for motion in estimate(frames)[1:]])
    assert (made - camera.double())[:, :2].abs().max() < 0.15


def test_still_black_and_grey_frames_do_not_move() -> None:
    for frames in ([photo()[:, :180, :240]] * 3, [torch.zeros(3, 90, 120)] * 3, [torch.full((3, 90, 120), 0.5)] * 3):
        for motion in estimate(frames):
            assert motion.pose.abs().max() < 1e-3
            assert not motion.cut


def test_a_cut_is_one_and_a_fast_pan_is_none() -> None:
    pose = torch.tensor([3.0, 1.0, 0.0, 0.0])
    frames = [moved(photo(), pose * time) for time in range(3)] + [moved(photo("coffee"), pose * t) for t in range(3)]
    made = estimate(frames)
    assert [motion.cut for motion in made] == [False, False, False, True, False, False]
    assert not made[3].pose.any()
    fast = estimate([moved(photo(), torch.tensor([9.0, 0, 0, 0]) * time) for time in range(3)])
    assert not any(motion.cut for motion in fast)


def test_a_frame_that_shows_nothing_repeats_the_motion_before() -> None:
    pose = torch.tensor([2.0, -1.0, 0.0, 0.0])
    frames = [moved(photo(), pose * time) for time in range(3)]
    made = estimate([*frames, torch.full_like(frames[0], float(frames[2].mean()))], cut_change=None)
    assert made[3].held
    torch.testing.assert_close(made[3].pose, made[2].pose)


def test_fits_of_few_or_equal_points() -> None:
    assert fit_similarity(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)) is None
    assert fit_similarity(np.zeros((9, 2), np.float32), np.zeros((9, 2), np.float32)) is None
    assert weighted_similarity(np.zeros((9, 2), np.float32), np.zeros((9, 2), np.float32), np.ones(9)) is None
    assert grid_points(10, 300).shape[1] == 2


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (33, 17)])
def test_any_size(size: tuple[int, int]) -> None:
    assert all(motion.pose.isfinite().all() for motion in estimate(list(torch.rand(3, 3, *size))))


def test_messages() -> None:
    with pytest.raises(ConfigError, match="model"):
        MotionEstimator(create_model("farneback"), model="affine")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="size"):
        MotionEstimator(create_model("farneback"), size=4)
    estimator = MotionEstimator(create_model("zero_flow"))
    with pytest.raises(ValueError, match=r"\(3, H, W\)"):
        estimator.push(torch.zeros(1, 3, 8, 8))
    estimator.push(torch.zeros(3, 20, 20))
    with pytest.raises(ValueError, match="size"):
        estimator.push(torch.zeros(3, 30, 20))
