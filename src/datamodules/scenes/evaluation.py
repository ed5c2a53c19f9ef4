"""Versioned sets of procedural videos to evaluate on.

``scenes_eval_v1``: 24 videos of 9 frames, 192 x 256, rendered in floating point with 2 x 2 samples per pixel
from six photographs that training never sees. Between frames two apart (t and t + 2: the outer frames of
interpolation triplets, and the pairs for evaluating flow) pixels move by 7.30 px on average
(median 6.16, largest 31.9); 39.9 % move farther than 8 px, 10.4 % than 16 px, 2.0 % than 24 px, and 7.6 %
have no counterpart. Averaging the outer frames gives 23.0 dB PSNR (mean over videos of the mean
over triplets).

``scenes_shake_v1``: 6 videos of 60 frames, 180 x 320, for stabilization alone: a camera that moves by 1 px per frame
on average and shakes by 4 px per axis (standard deviation), with rotation and scale in proportion, between 0.03 and
0.45 cycles per frame. ``scenes_shake_val_v1`` is the same from photographs of the training.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ConfigError, nearest
from ...core.files import sha256_json
from ...core.seeding import position_rng
from ..base import EvaluationDataset, EvaluationVideo
from .appearance import describe_appearances, known_appearances
from .dataset import TASKS
from .motion import Camera, random_shake
from .sampling import limit_loader_threads
from .scene import Scene, SceneFrame
from .settings import SceneSettings
from .statistics import MotionStatistics
from .textures import Split, texture_file, texture_names
from .truth import (
    flow_truth,
    label_truth,
    low_resolution,
    matting_truth,
    removal_mask,
    to_video,
    trajectory_truth,
)

# flow is evaluated between frames this far apart
_FLOW_STEP = 2


@dataclass(frozen=True)
class EvaluationVersion:
    """A set that never changes.

    Attributes:
        seed: of the videos; video i is drawn from ``position_rng(seed, i)``.
        videos: how many.
        settings: of every scene.
        shake: pixels of camera shake, for stabilization.
        scale: of super-resolution.
        trimap_radius, mask_grow: pixels.
        parameters_sha256: of the scenes' rounded parameters; a test recomputes it.
        motion: statistics between frames two apart; a test recomputes them. None: a set for stabilization alone.
    """

    seed: int
    videos: int
    settings: SceneSettings
    shake: float
    scale: int
    trimap_radius: int
    mask_grow: int
    parameters_sha256: str
    motion: MotionStatistics | None


def _settings(textures: Split) -> SceneSettings:
    return SceneSettings(
        height=192,
        width=256,
        frames=9,
        textures=textures,
        objects=(3, 5),
        object_size=(0.1, 0.32),
        foreground_size=(0.2, 0.36),
        camera_motion=7.5,
        object_motion=8.0,
        max_motion=24.0,
        spin=0.05,
        zoom=0.015,
        texture_density=(1.0, 2.5),
        hair=0.3,
        softness=1.5,
        shake=0.0,
        quality="exact",
    )


VERSIONS: dict[str, EvaluationVersion] = {
    "scenes_eval_v1": EvaluationVersion(
        seed=20260101,
        videos=24,
        settings=_settings("eval"),
        shake=4.0,
        scale=4,
        trimap_radius=5,
        mask_grow=2,
        parameters_sha256="d465d61de457157d889909a801194a5c5312c28617a3396617cf06a6df45b51f",
        motion=MotionStatistics(
            mean=7.3028,
            median=6.1622,
            above_8=0.3994,
            above_16=0.1036,
            above_24=0.02,
            largest=31.8799,
            occluded=0.0762,
        ),
    ),
    # what runs validate on: photographs of the training, so that the evaluation set decides nothing
    "scenes_val_v1": EvaluationVersion(
        seed=20260102,
        videos=8,
        settings=_settings("train"),
        shake=4.0,
        scale=4,
        trimap_radius=5,
        mask_grow=2,
        parameters_sha256="567f9dd3a23fd27a2b54486eb57c0446623fc121c39e1acd2ca5127f7c9bff67",
        motion=MotionStatistics(
            mean=8.7237,
            median=6.9303,
            above_8=0.448,
            above_16=0.1224,
            above_24=0.0028,
            largest=28.9091,
            occluded=0.079,
        ),
    ),
}


_SHAKE_SETS: tuple[tuple[str, int, Split, str], ...] = (
    ("scenes_shake_v1", 20260103, "eval", "20300a52e428788f1204ebaaa4a1a161fd2816ff90aee3577d974007779c1e12"),
    ("scenes_shake_val_v1", 20260104, "train", "af9e4218f8635b88c8773aa2d4734a0f28a40657340dc133cb200bf2a163e468"),
)
# long clips with a slowly moving, shaking camera; apart from the others, because every frame's flow would take minutes
SHAKE_VERSIONS: dict[str, EvaluationVersion] = {
    name: EvaluationVersion(
        seed=seed,
        videos=6,
        settings=SceneSettings(
            height=180,
            width=320,
            frames=60,
            textures=textures,
            objects=(1, 3),
            object_size=(0.08, 0.2),
            foreground_size=(0.12, 0.25),
            camera_motion=2.0,
            object_motion=2.0,
            max_motion=6.0,
            spin=0.01,
            zoom=0.003,
            texture_density=(1.0, 2.0),
            hair=0.0,
            softness=1.0,
            shake=0.0,
            quality="fast",
        ),
        shake=4.0,
        scale=4,
        trimap_radius=5,
        mask_grow=2,
        parameters_sha256=sha256,
        motion=None,
    )
    for name, seed, textures, sha256 in _SHAKE_SETS
}


class ScenesEvaluation(EvaluationDataset):
    """A versioned evaluation set of procedural videos, the same on every machine.

    ``frames`` are what a method is given, ``truth`` is what its result is compared with; all with time
    first. Frames are rounded to 8 bits as in any video file, except for ``matting`` and ``all``, where the
    compositing equation must hold. ``k`` is 1 or 2 below: flow between frames k apart has T - k entries.

    * ``interpolation``: nothing more: even frames are given, odd frames are the targets.
    * ``flow``: every second frame, so that motion is as stated above; ``flow`` (T - 1, 2, H, W): entry t is from
      frame t to the next of them; ``valid`` (T - 1, 1, H, W), all 1; ``occlusion`` (T - 1, 1, H, W), 1 = occluded.
    * ``segmentation``: ``labels`` (T, H, W) int64, see :data:`~.shapes.CLASSES`.
    * ``matting``: ``alpha``, ``trimap`` (T, 1, H, W), ``foreground``, ``background`` (T, 3, H, W).
    * ``inpainting``: ``mask`` (T, 1, H, W), 1 = hole; ``target`` (T, 3, H, W) without the nearest object.
    * ``super_resolution``: ``lr`` (T, 3, h, w), what ``frames`` are to be made of.
    * ``stabilization``: ``frames`` shake; ``trajectory``, ``smooth`` (T, 4); ``steady`` (T, 3, H, W).
    * ``style``: ``reference`` (T, 3, H, W), the next scene of the set in a painted appearance; ``styled`` (T, 3, H, W),
      the video itself in that appearance, which is what a perfect transfer would give.
    * ``all``: everything above but the last for unshaken full-size frames, with ``low`` and ``shaky`` (T, 3, H, W)
      in the truth. Flow is there as ``flow_forward_k``, ``flow_backward_k`` (T - k, 2, H, W): entry t is from frame t
      to t + k, and from t + k to t; with ``occlusion_forward_k``, ``occlusion_backward_k`` (T - k, 1, H, W).

    Args:
        version: a key of :data:`VERSIONS`.
        task: one of the above; only its truth is computed.
        videos: use only so many videos from the start (for quick looks); None = all.
        appearances: for style, those that videos have references of, in turn; None = all.

    Raises:
        ConfigError: an unknown version, task or appearance, or a number of videos the set does not have.
    """

    def __init__(
        self,
        version: str = "scenes_eval_v1",
        task: str = "interpolation",
        videos: int | None = None,
        appearances: Sequence[str] | None = None,
    ) -> None:
        versions = VERSIONS | SHAKE_VERSIONS
        if version not in versions:
            raise ConfigError(
                f"scenes: unknown evaluation set {version!r}; expected one of {', '.join(versions)}"
                f"{nearest(version, versions)}"
            )
        known = (*TASKS, "all")
        if task not in known:
            raise ConfigError(
                f"scenes: unknown task {task!r}; expected one of {', '.join(known)}{nearest(task, known)}"
            )
        if version in SHAKE_VERSIONS and task != "stabilization":
            raise ConfigError(f"scenes: the set {version!r} is for stabilization, not for {task}")
        self.version = versions[version]
        count = self.version.videos if videos is None else videos
        if not 1 <= count <= self.version.videos:
            raise ConfigError(f"scenes: videos={count} should be from 1 to {self.version.videos}")
        self.name, self.task, self.count = version, task, count
        self.appearances = known_appearances(appearances)

    def __len__(self) -> int:
        return self.count

    def scene(self, index: int) -> Scene:
        """The scene of video ``index``, without shake."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.name} has {self.count} videos, there is no index {index}")
        return Scene(self.version.settings, position_rng(self.version.seed, index))

    def shaky_scene(self, index: int) -> Scene:
        """The same scene seen through a shaking camera."""
        scene = self.scene(index)
        shake = random_shake(position_rng(self.version.seed, index, 1), self.version.shake)
        return scene.with_camera(Camera(scene.camera.path, shake))

    def __getitem__(self, index: int) -> EvaluationVideo:
        limit_loader_threads()
        scene = self.scene(index)
        name = f"scene_{index:02d}"
        if self.task == "stabilization":
            shaken = self._images(self.shaky_scene(index))
            truth = self._stabilization(index)
            if self.name in VERSIONS:
                truth |= {"steady": _rounded(self._images(scene))}
            return EvaluationVideo(name, _rounded(shaken), truth)
        frames = [scene.render(float(time)) for time in range(self.version.settings.frames)]
        images = to_video([frame.composite() for frame in frames])
        if self.task == "all":
            truth = self._flow(scene, frames) | self._segmentation(scene, frames) | self._matting(scene, frames)
            truth |= self._inpainting(frames) | self._stabilization(index)
            truth |= {"low": low_resolution(images, self.version.scale)}
            truth |= {"shaky": self._images(self.shaky_scene(index))}
            return EvaluationVideo(name, images, truth)
        if self.task == "matting":
            return EvaluationVideo(name, images, self._matting(scene, frames))
        images = _rounded(images)
        if self.task == "super_resolution":
            low = _rounded(low_resolution(images, self.version.scale))
            return EvaluationVideo(name, images, {"lr": low})
        if self.task == "inpainting":
            truth = self._inpainting(frames)
            return EvaluationVideo(name, images, truth | {"target": _rounded(truth["target"])})
        if self.task == "flow":
            return EvaluationVideo(name, images[::_FLOW_STEP], self._pair_flow(scene, frames[::_FLOW_STEP]))
        if self.task == "segmentation":
            return EvaluationVideo(name, images, self._segmentation(scene, frames))
        if self.task == "style":
            return EvaluationVideo(name, images, self._style(index))
        return EvaluationVideo(name, images, {})

    def parameters_sha256(self) -> str:
        """The hash of all scenes' parameters: the same on every machine as long as the set is the same."""
        scenes = [self.scene(index).parameters() for index in range(self.version.videos)]
        shakes = [self.shaky_scene(index).parameters()["shake"] for index in range(self.version.videos)]
        return sha256_json({"settings": self.version.settings.to_dict(), "scenes": scenes, "shakes": shakes})

    def describe(self) -> dict[str, Any]:
        """The manifest: version, task, settings, hashes of the parameters and photographs, motion."""
        version = self.version
        return {
            "dataset": self.name,
            "task": self.task,
            "videos": [f"scene_{index:02d}" for index in range(self.count)],
            "frames": len(range(0, version.settings.frames, _FLOW_STEP if self.task == "flow" else 1)),
            "seed": version.seed,
            "settings": version.settings.to_dict(),
            "shake": version.shake,
            "scale": version.scale,
            "trimap_radius": version.trimap_radius,
            "mask_grow": version.mask_grow,
            "parameters_sha256": version.parameters_sha256,
            "photographs": {name: texture_file(name).sha256 for name in texture_names(version.settings.textures)},
            **({"appearances": describe_appearances(self.appearances)} if self.task == "style" else {}),
            **({} if version.motion is None else {"motion_two_frames_apart": version.motion._asdict()}),
        }

    def _images(self, scene: Scene) -> Tensor:
        return to_video([scene.image(float(time)) for time in range(self.version.settings.frames)])

    def _pair_flow(self, scene: Scene, frames: list[SceneFrame]) -> dict[str, Tensor]:
        pairs = [flow_truth(scene, first, second.time) for first, second in itertools.pairwise(frames)]
        occlusion = torch.stack([occluded for _, occluded in pairs])
        flow = torch.stack([flow for flow, _ in pairs])
        return {"flow": flow, "valid": torch.ones_like(occlusion), "occlusion": occlusion}

    def _style(self, index: int) -> dict[str, Tensor]:
        look = self.appearances[index % len(self.appearances)]
        version = self.version
        other = Scene(version.settings, position_rng(version.seed, (index + 1) % version.videos))
        return {
            "reference": _rounded(self._images(other.painted(look))),
            "styled": _rounded(self._images(self.scene(index).painted(look))),
        }

    def _flow(self, scene: Scene, frames: list[SceneFrame]) -> dict[str, Tensor]:
        truth: dict[str, Tensor] = {}
        for step in (1, 2):
            forward = [flow_truth(scene, frame, frame.time + step) for frame in frames[:-step]]
            backward = [flow_truth(scene, frame, frame.time - step) for frame in frames[step:]]
            for direction, pairs in (("forward", forward), ("backward", backward)):
                truth[f"flow_{direction}_{step}"] = torch.stack([flow for flow, _ in pairs])
                truth[f"occlusion_{direction}_{step}"] = torch.stack([occluded for _, occluded in pairs])
        return truth

    def _segmentation(self, scene: Scene, frames: list[SceneFrame]) -> dict[str, Tensor]:
        return {"labels": torch.stack([label_truth(scene, frame) for frame in frames])}

    def _matting(self, scene: Scene, frames: list[SceneFrame]) -> dict[str, Tensor]:
        truths = [matting_truth(scene, frame, self.version.trimap_radius) for frame in frames]
        names = ("alpha", "trimap", "foreground", "background")
        return {name: torch.stack([truth[name] for truth in truths]) for name in names}

    def _inpainting(self, frames: list[SceneFrame]) -> dict[str, Tensor]:
        masks = np.stack([removal_mask(frame, self.version.mask_grow) for frame in frames])
        target = to_video([frame.composite(without=-1) for frame in frames])
        return {"mask": torch.from_numpy(masks)[:, None], "target": target}

    def _stabilization(self, index: int) -> dict[str, Tensor]:
        times = np.arange(self.version.settings.frames)
        trajectory, smooth = trajectory_truth(self.shaky_scene(index), times)
        return {"trajectory": trajectory, "smooth": smooth}


def _rounded(images: Tensor) -> Tensor:
    """Values as after writing to and reading from 8-bit files."""
    return images.mul(255).round_().clamp_(0, 255).div_(255)
