"""Training of super-resolution networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked, split_scales
from ..training.gan_module import GanModule
from ..training.task_module import VideoPrediction


class SuperResolutionTask(GanModule):
    """Learns to enlarge images, with or without discriminators.

    A batch holds ``lr`` ``(B, 3, h, w)`` and ``target`` ``(B, 3, s h, s w)`` in [0, 1]. The losses read the output
    ``prediction``, which is not clamped. Discriminators see the target and the prediction, as in ESRGAN; where the
    batch also holds ``sharp`` (Real-ESRGAN), that is for the other losses, and the discriminator still sees the target.

    Raises:
        ConfigError: the network has no ``scale`` or nothing to train (a baseline).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self.net, "scale") or not any(True for _ in self.net.parameters()):
            raise ConfigError(f"{type(self.net).__name__} cannot be trained to enlarge images")
        self._forward_training = torch.compile(self.net) if self._compile else self.net

    def training_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The enlarged images."""
        prediction: Tensor = self._forward_training(batch["lr"])
        if prediction.shape != batch["target"].shape:
            raise ConfigError(
                f"the network enlarges {tuple(batch['lr'].shape[2:])} to {tuple(prediction.shape[2:])}, the data's "
                f"target is {tuple(batch['target'].shape[2:])}: data.scales must be [{self._scale}]"
            )
        return {"prediction": prediction}

    def judged(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """The target and the prediction."""
        return batch["target"], outputs["prediction"]

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """Enlarge the low-resolution frames, which are made where the video has none."""
        sources, targets = split_scales(video.frames, self._scale, video.truth.get("lr"))
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context(
            "super_resolution", video_id=video.id, device=self.device, precision=precision, scale=self._scale
        )
        prediction = torch.cat([chunk.frames for chunk in method.process(chunked(sources), context)])
        shown = {"bicubic": torch.nn.functional.interpolate(sources, targets.shape[2:], mode="bicubic").clamp(0, 1)}
        return VideoPrediction(prediction, targets, shown, scale=self._scale)

    @property
    def _scale(self) -> int:
        return int(self.net.scale)  # type: ignore[arg-type]
