"""Procedural scenes as training samples for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ConfigError, nearest
from ..base import TrainingDataset
from ..masks.training import TrainingMasks, draw_masks, mask_stack
from .appearance import describe_appearances, known_appearances
from .motion import integer
from .sampling import limit_loader_threads
from .scene import Scene
from .settings import SceneSettings
from .textures import texture_file, texture_names
from .truth import (
    flow_truth,
    inner_radius,
    label_truth,
    low_resolution,
    matting_truth,
    removal_mask,
    to_tensor,
    to_video,
    trajectory_truth,
)

SceneTask = Literal[
    "interpolation", "flow", "segmentation", "matting", "inpainting", "super_resolution", "stabilization", "style"
]
TASKS: tuple[str, ...] = get_args(SceneTask)

# what suits a task better than the general defaults
TASK_SETTINGS: dict[str, dict[str, Any]] = {
    "interpolation": {"frames": 3},
    "flow": {"frames": 3},
    "segmentation": {"frames": 1},
    "matting": {"frames": 1, "objects": (1, 4), "hair": 0.6, "foreground_size": (0.3, 0.6), "softness": 2.5},
    "inpainting": {"frames": 5},
    "super_resolution": {"frames": 1, "texture_density": (1.2, 3.0), "softness": 0.6},
    "stabilization": {"frames": 16, "shake": 4.0, "camera_motion": 3.0},
    "style": {"frames": 3},
}

# part of every manifest: raise it when the same settings and generator give other samples
GENERATOR_VERSION = 1


class ScenesDataset(TrainingDataset):
    """Samples of random scenes; each is a pure function of the generator, the index is not used.

    Samples by task (RGB in [0, 1]; flow in pixels):

    * ``interpolation``: ``image0``, ``image1``, ``target`` (3, H, W) and ``timestep`` (scalar). The outer
      images are two frames apart; ``target`` is the true scene at ``timestep`` between them.
    * ``flow``: ``image1``, ``image2`` (3, H, W), two frames apart; ``flow``, ``flow_backward`` (2, H, W);
      ``occlusion``, ``occlusion_backward`` (1, H, W), 1 = occluded.
    * ``segmentation``: ``image`` (3, H, W), ``labels`` (H, W) int64, see :data:`~.shapes.CLASSES`.
    * ``matting``: ``image``, ``alpha``, ``trimap``, ``foreground``, ``background``;
      ``image = alpha * foreground + (1 - alpha) * background``. With the setting ``frames`` above 1 clips: all of
      them with a time axis first.
    * ``inpainting``: ``video`` (T, 3, H, W), ``mask`` (T, 1, H, W) with 1 = hole, ``target`` (T, 3, H, W)
      without the removed object; video and target are equal outside the mask. With ``masks``: ``target`` and ``mask``
      alone, where the target is the scene with all its objects if the mask has nothing to do with them.
    * ``super_resolution``: ``target`` (3, H, W), ``lr`` (3, H / scale, W / scale).
    * ``stabilization``: ``video`` (T, 3, H, W) with shake, ``trajectory`` and ``smooth`` (T, 4).
    * ``style``: ``a`` (T, 3, H, W), ``b``: the same of another scene in one of the painted ``appearances``; ``flow``
      (T - 1, 2, H, W) from each frame of ``a`` but the first to the one before, ``occlusion`` (T - 1, 1, H, W).

    Args:
        task: one of the above.
        height, width: size of the samples in pixels.
        length: what ``len`` says; samples are endless.
        timestep: ``middle`` (always 0.5) or ``any`` (uniform in (0, 1)), for interpolation.
        scale: whole factor of super-resolution; must divide height and width.
        settings: further :class:`SceneSettings` by name; they win over the task's own defaults.
        masks: which masks to inpaint; None: the nearest object.
        appearances: of the second domain of style transfer, see :mod:`.appearance`; None: all of them.

    Raises:
        ConfigError: an unknown task, setting or appearance, or a value out of range.
    """

    def __init__(
        self,
        task: str = "interpolation",
        height: int = 112,
        width: int = 112,
        *,
        length: int = 1_000_000,
        timestep: str = "middle",
        scale: int = 4,
        settings: Mapping[str, Any] | None = None,
        masks: TrainingMasks | None = None,
        appearances: Sequence[str] | None = None,
    ) -> None:
        if task not in TASKS:
            raise ConfigError(
                f"scenes: unknown task {task!r}; expected one of {', '.join(TASKS)}{nearest(task, TASKS)}"
            )
        if timestep not in ("middle", "any"):
            raise ConfigError(f"scenes: timestep={timestep!r} should be 'middle' or 'any'")
        if length < 1:
            raise ConfigError(f"scenes: length={length} should be at least 1")
        if scale < 1 or (task == "super_resolution" and (height % scale or width % scale)):
            raise ConfigError(f"scenes: scale={scale} should divide the size {height}x{width}")
        values = {**TASK_SETTINGS[task], **(settings or {}), "height": height, "width": width}
        self.settings = SceneSettings.from_mapping(values)
        if task in ("interpolation", "flow") and self.settings.frames < 3:
            raise ConfigError(f"scenes: task {task} needs frames >= 3, got {self.settings.frames}")
        self.task, self.length, self.timestep, self.scale, self.masks = task, length, timestep, scale, masks
        self.appearances = known_appearances(appearances)

    def __len__(self) -> int:
        return self.length

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A sample of the task, drawn with ``rng`` alone."""
        limit_loader_threads()
        scene = Scene(self.settings, rng)
        sample: dict[str, Tensor] = getattr(self, f"_{self.task}")(scene, rng)
        return sample

    def describe(self) -> dict[str, Any]:
        """The manifest: generator version, task, settings, and the photographs with their hashes."""
        names = texture_names(self.settings.textures)
        further = {} if self.masks is None else {"masks": self.masks.describe()}
        if self.task == "style":
            further["appearances"] = describe_appearances(self.appearances)
        return {
            "dataset": "scenes",
            "generator": GENERATOR_VERSION,
            "task": self.task,
            "length": self.length,
            "timestep": self.timestep,
            "scale": self.scale,
            "settings": self.settings.to_dict(),
            "photographs": {name: texture_file(name).sha256 for name in names},
            **further,
        }

    def _pair(self) -> tuple[float, float]:
        """Times of two frames two apart around the middle of the clip, where speeds are as stated."""
        middle = (self.settings.frames - 1) / 2
        return middle - 1, middle + 1

    def _interpolation(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        start, end = self._pair()
        timestep = 0.5 if self.timestep == "middle" else float(np.clip(rng.random(), 0.01, 0.99))
        return {
            "image0": to_tensor(scene.image(start)),
            "image1": to_tensor(scene.image(end)),
            "target": to_tensor(scene.image(start + timestep * (end - start))),
            "timestep": torch.tensor(timestep, dtype=torch.float32),
        }

    def _flow(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        start, end = self._pair()
        first, second = scene.render(start), scene.render(end)
        flow, occlusion = flow_truth(scene, first, end)
        flow_backward, occlusion_backward = flow_truth(scene, second, start)
        return {
            "image1": to_tensor(first.composite()),
            "image2": to_tensor(second.composite()),
            "flow": flow,
            "flow_backward": flow_backward,
            "occlusion": occlusion,
            "occlusion_backward": occlusion_backward,
        }

    def _middle(self, scene: Scene) -> float:
        return (scene.settings.frames - 1) / 2

    def _segmentation(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        frame = scene.render(self._middle(scene))
        return {"image": to_tensor(frame.composite()), "labels": label_truth(scene, frame)}

    def _matting(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        frame = scene.render(self._middle(scene))
        # an unknown band as wide as the object would leave no known foreground
        widest = max(1, min(10, int(inner_radius(frame.alpha(-1)) / 2)))
        radius = integer(rng, min(2, widest), widest)
        if self.settings.frames == 1:
            return matting_truth(scene, frame, radius)
        truths = [matting_truth(scene, scene.render(float(t)), radius) for t in range(self.settings.frames)]
        return {name: torch.stack([truth[name] for truth in truths]) for name in truths[0]}

    def _inpainting(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        kind = "object" if self.masks is None else self.masks.choose(rng)
        if self.masks is not None and kind != "object":
            settings = self.settings
            drawn = draw_masks(kind, rng, settings.frames, (settings.height, settings.width), self.masks.moving)
            times = list(range(settings.frames))
            return {
                "target": to_video([scene.image(float(time)) for time in times]),
                "mask": torch.from_numpy(mask_stack(drawn, times)),
            }
        grow = integer(rng, 1, 4)
        frames = [scene.render(float(time)) for time in range(self.settings.frames)]
        sample = {
            "mask": torch.from_numpy(np.stack([removal_mask(frame, grow) for frame in frames]))[:, None],
            "target": to_video([frame.composite(without=-1) for frame in frames]),
        }
        if self.masks is None:
            sample["video"] = to_video([frame.composite() for frame in frames])
        return sample

    def _super_resolution(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        high = to_tensor(scene.image(self._middle(scene)))
        return {"target": high, "lr": low_resolution(high, self.scale)}

    def _stabilization(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        times = np.arange(self.settings.frames)
        trajectory, smooth = trajectory_truth(scene, times)
        video = to_video([scene.image(float(time)) for time in times])
        return {"video": video, "trajectory": trajectory, "smooth": smooth}

    def _style(self, scene: Scene, rng: np.random.Generator) -> dict[str, Tensor]:
        look = self.appearances[integer(rng, 0, len(self.appearances) - 1)]
        other = Scene(self.settings, rng).painted(look)
        times = [float(time) for time in range(self.settings.frames)]
        frames = [scene.render(time) for time in times]
        back = [flow_truth(scene, frame, frame.time - 1) for frame in frames[1:]]
        sample = {
            "a": to_video([frame.composite() for frame in frames]),
            "b": to_video([other.image(time) for time in times]),
        }
        if back:
            sample["flow"] = torch.stack([flow for flow, _ in back])
            sample["occlusion"] = torch.stack([occluded for _, occluded in back])
        return sample
