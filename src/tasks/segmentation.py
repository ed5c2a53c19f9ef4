"""Training of semantic segmentation networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked
from ..ops.label_colour import labels_to_colour
from ..training.task_module import TaskModule, VideoPrediction


class SegmentationTask(TaskModule):
    """Learns the class of every pixel.

    A batch holds ``image`` ``(B, 3, H, W)`` in [0, 1] and ``labels`` ``(B, H, W)``, 255 = none. The network brings
    ``training_outputs(image)``, which returns what its losses read: ``logits``.

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
        """The logits of a batch of images."""
        return self._outputs(batch["image"])

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """The labels of all frames, in numbers for metrics and in colour for people.

        Raises:
            DataError: the video has no true labels.
        """
        if "labels" not in video.truth:
            raise DataError(f"the validation video {video.id!r} has no true labels")
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context("segmentation", video_id=video.id, device=self.device, precision=precision)
        labels = torch.cat([chunk.extras["labels"] for chunk in method.process(chunked(video.frames), context)])
        return VideoPrediction(
            labels_to_colour(labels),
            labels_to_colour(video.truth["labels"]),
            {"input": video.frames},
            results={"labels": labels},
            given={"labels": video.truth["labels"]},
        )
