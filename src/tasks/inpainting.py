"""Training of video inpainting networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked
from ..training.gan_module import GanModule
from ..training.task_module import VideoPrediction


class InpaintingTask(GanModule):
    """Learns to fill holes in videos, with or without discriminators.

    A batch holds ``target`` ``(B, T, 3, H, W)`` in [0, 1], the whole video, and ``mask`` ``(B, T, 1, H, W)``, 1 =
    hole. The network brings ``training_outputs(video, mask)``: ``prediction`` and ``composite``. Discriminators see the
    whole video and the composite, as in STTN, DSTT and FuseFormer.

    Raises:
        ConfigError: the network has no ``training_outputs`` (a baseline).
    """

    has_masks = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        outputs = getattr(self.net, "training_outputs", None)
        if outputs is None:
            raise ConfigError(f"{type(self.net).__name__} cannot be trained: it has no training_outputs")
        self._forward_training = torch.compile(outputs) if self._compile else outputs

    def training_outputs(self, batch: dict[str, Tensor]) -> Any:
        """Prediction and composite for one batch of clips."""
        return self._forward_training(batch["target"], batch["mask"])

    def judged(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """The whole video and the one with filled holes."""
        return batch["target"], outputs["composite"]

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """Fill the holes that the video comes with; known pixels stay."""
        mask = video.truth["mask"]
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context("inpainting", video_id=video.id, device=self.device, precision=precision)
        sources = video.frames * (1 - mask)
        chunks = chunked(sources, extras={"mask": mask})
        prediction = torch.cat([chunk.frames for chunk in method.process(chunks, context)])
        return VideoPrediction(prediction, video.frames, {"input": sources}, mask=mask)
