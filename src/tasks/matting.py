"""Training of matting networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked
from ..training.task_module import TaskModule, VideoPrediction


class MattingTask(TaskModule):
    """Learns alpha, from images with a trimap or from videos without.

    A batch holds ``image``, ``foreground``, ``background`` ``(B, 3, H, W)`` in [0, 1], ``alpha`` and ``trimap``
    ``(B, 1, H, W)``; for recurrent networks all with a time axis behind the batch's. The network brings
    ``training_outputs(image, trimap)`` or, where it is recurrent, ``training_outputs(video)``, which returns what its
    losses read.

    For recurrent networks a batch may also hold clips at a larger size, ``high_image`` and so on: the network then
    reduces them to the size of the others, and its outputs are called ``high_alpha`` and ``high_foreground``. Images
    ``person`` ``(B, N, 3, H, W)`` go one by one through ``segmentation_outputs``, whose ``logits`` belong to ``mask``.

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
        """Alpha, and what else the network gives, for one batch.

        Raises:
            ConfigError: the data give single images to a recurrent network.
        """
        if not getattr(self.net, "recurrent", False):
            return self._outputs(batch["image"], batch["trimap"])
        if batch["image"].dim() != 5:
            raise ConfigError(
                f"{type(self.net).__name__} learns from videos, but the data give single images; with data=scenes set "
                "data.settings.frames to the length of a clip"
            )
        outputs = dict(self._outputs(batch["image"]))
        if "high_image" in batch:
            large = batch["high_image"]
            ratio = min(1.0, max(batch["image"].shape[-2:]) / max(large.shape[-2:]))
            outputs |= {f"high_{name}": value for name, value in self._outputs(large, ratio).items()}
        if "person" in batch:
            # pictures, not a clip: nothing is remembered from one to the next
            people = batch["person"]
            logits = self.net.segmentation_outputs(people.flatten(0, 1)[:, None])["logits"]  # type: ignore[operator]
            outputs["logits"] = logits.view(*people.shape[:2], *logits.shape[2:])
        return outputs

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """The alpha of all frames, for metrics and as grey frames for people.

        Raises:
            DataError: the video has no true alpha.
        """
        if "alpha" not in video.truth:
            raise DataError(f"the validation video {video.id!r} has no true alpha")
        given = {name: video.truth[name] for name in ("alpha", "trimap") if name in video.truth}
        extras = {"trimap": given["trimap"]} if "trimap" in given else {}
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context("matting", video_id=video.id, device=self.device, precision=precision)
        chunks = method.process(chunked(video.frames, extras=extras), context)
        alpha = torch.cat([chunk.extras["alpha"] for chunk in chunks])
        shown = {"input": video.frames}
        if "trimap" in given:
            shown["trimap"] = given["trimap"].expand_as(video.frames)
        return VideoPrediction(
            alpha.expand_as(video.frames),
            given["alpha"].expand_as(video.frames),
            shown,
            results={"alpha": alpha},
            given=given,
        )
