"""Training of frame interpolation networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked, split_frames
from ..training.task_module import TaskModule, VideoPrediction


class InterpolationTask(TaskModule):
    """Learns to predict the frame between two frames.

    A batch holds ``image0``, ``target``, ``image1`` ``(B, 3, H, W)`` in [0, 1] and ``timestep`` ``(B,)``. The
    network brings ``training_outputs(image0, image1, target, timestep)``, which returns what its losses read
    (for RIFE: all stages, and the teacher that sees the target; Huang et al., ECCV 2022, section 3).

    Raises:
        ConfigError: the network has no ``training_outputs`` (a baseline).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        outputs = getattr(self.net, "training_outputs", None)
        if outputs is None:
            raise ConfigError(f"{type(self.net).__name__} cannot be trained: it has no training_outputs")
        self._outputs = torch.compile(outputs) if self._compile else outputs

    def training_outputs(self, batch: dict[str, Tensor]) -> Any:
        """All outputs of the network for one batch of triplets."""
        return self._outputs(batch["image0"], batch["image1"], batch["target"], batch["timestep"])

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """Predict the odd frames of a video from the even ones."""
        split = split_frames(video.frames)
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context(
            "interpolation",
            timesteps=split.timesteps,
            video_id=video.id,
            device=self.device,
            precision=precision,
        )
        prediction = torch.cat([chunk.frames for chunk in method.process(chunked(split.sources), context)])
        average = (split.sources[:-1] + split.sources[1:]) / 2
        return VideoPrediction(prediction, split.targets, {"average of inputs": average})
