"""Unsupervised training of path smoothers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked
from ..models.registry import create_model
from ..ops.camera_path import after, correction_of, inverse, matrix_of, pose_of, trajectory_of
from ..ops.compensation import compensate
from ..ops.global_motion import fit_similarity, grid_points
from ..ops.occlusion import inconsistent
from ..training.task_module import TaskModule, VideoPrediction

_OWN_MOTION = 1.5  # pixels that a point moves besides the camera before it counts as moving by itself


class StabilizationOutputs(NamedTuple):
    """What the losses see.

    Attributes:
        path: ``(B, T, 4)``, as filmed.
        smooth: ``(B, T, 4)``.
        steady: ``(B, T - 2, 3, H, W)``: the third and later frames, moved onto the smooth path.
        expected: the same from the frame before each, moved on at the speed that the smooth path had.
        counted: ``(B, T - 2, 1, H, W)``: 1 where the two can be compared.
        restored: ``(B, T, 3, H, W)``: the frames steadied and shaken again.
    """

    path: Tensor
    smooth: Tensor
    steady: Tensor
    expected: Tensor
    counted: Tensor
    restored: Tensor


class StabilizationTask(TaskModule):
    """Learns to smooth paths from shaky videos alone.

    A batch holds ``video`` ``(B, T, 3, H, W)`` in [0, 1]. The path is found in it by Farneback's flow; true paths
    that a data set may know are not looked at.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outside_nets: dict[str, nn.Module] = {"flow": create_model("farneback")}

    def training_outputs(self, batch: dict[str, Tensor]) -> StabilizationOutputs:
        """Paths, and the frames moved by them."""
        video = batch["video"]
        shape = video.shape
        with torch.no_grad():
            paths, followed = zip(*(self._path(clip) for clip in video), strict=True)
        path = torch.stack(paths).to(video.device)
        smooth: Tensor = self.net(path)
        correction = correction_of(path, smooth)
        frames, poses = video.flatten(0, 1), correction.flatten(0, 1)
        steady, valid = compensate(frames, poses)
        restored, _ = compensate(steady, inverse(poses))
        steady, valid = torch.unflatten(steady, 0, shape[:2]), torch.unflatten(valid, 0, shape[:2])
        speed = after(smooth[:, 1:-1], inverse(smooth[:, :-2])).flatten(0, 1)
        both = torch.cat((steady[:, 1:-1], valid[:, 1:-1]), 2).flatten(0, 1)
        moved, inside = compensate(both, speed, "black")
        moved, inside = (torch.unflatten(x, 0, (shape[0], shape[1] - 2)) for x in (moved, inside))
        # what can be followed is known on the grid of the filmed frames
        clear = torch.stack(followed).to(video)[:, 1:].flatten(0, 1)
        clear, _ = compensate(clear, correction[:, 2:].flatten(0, 1), "black")
        clear = torch.unflatten(clear, 0, (shape[0], shape[1] - 2))
        counted = (inside * valid[:, 2:] * (moved[:, :, 3:] > 0.99) * (clear > 0.99)).detach()
        return StabilizationOutputs(
            path, smooth, steady[:, 2:], moved[:, :, :3], counted, torch.unflatten(restored, 0, shape[:2])
        )

    def _path(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """The path ``(T, 4)`` of a clip, and which pixels of its later frames follow it ``(T - 1, 1, H, W)``."""
        flow_net = self._outside_nets["flow"]
        height, width = clip.shape[-2:]
        # from each frame back to the one before, so that masks lie on the later one
        back, forth = flow_net(clip[1:], clip[:-1]), flow_net(clip[:-1], clip[1:])
        points = grid_points(height, width)
        x, y = points.astype(int).T
        still = np.eye(2, 3)
        fits = [fit_similarity(points, points + flow[:, y, x].T) for flow in forth.cpu().numpy()]
        poses = pose_of(torch.from_numpy(np.stack([still if f is None else f.matrix for f in fits])), height, width)
        return trajectory_of(poses).float(), self._followed(back, forth, poses)

    @staticmethod
    def _followed(back: Tensor, forth: Tensor, poses: Tensor) -> Tensor:
        height, width = back.shape[-2:]
        matrix = matrix_of(inverse(poses), height, width).to(back)[..., None, None]
        column, row = torch.arange(width).to(back), torch.arange(height).to(back)[:, None]
        u, v = (matrix[:, i, 0] * column + matrix[:, i, 1] * row + matrix[:, i, 2] for i in (0, 1))
        own = torch.hypot(back[:, 0] - (u - column), back[:, 1] - (v - row)) > _OWN_MOTION
        return (~(own[:, None] | inconsistent(back, forth))).float()

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """The steadied video, beside the shaky one."""
        context = Context("stabilization", video_id=video.id, device=self.device)
        method = NetworkMethod("validation", self.evaluation_net)
        chunks = list(method.process(chunked(video.frames), context))
        results = {name: torch.cat([chunk.extras[name] for chunk in chunks]) for name in chunks[0].extras}
        given = {name: video.truth[name] for name in ("trajectory", "smooth") if name in video.truth}
        prediction = torch.cat([chunk.frames for chunk in chunks])
        return VideoPrediction(prediction, video.frames, {}, results=results, given=given)
