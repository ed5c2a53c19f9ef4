"""Training of optical flow networks."""

from __future__ import annotations

import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from ..core.errors import ConfigError, DataError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked
from ..ops.flow_colour import flow_to_colour
from ..training.task_module import TaskModule, VideoPrediction


class FlowTask(TaskModule):
    """Learns the flow from one image to another.

    A batch holds ``image1``, ``image2`` ``(B, 3, H, W)`` in [0, 1], ``flow`` ``(B, 2, H, W)`` in pixels and, where not
    all of it is known, ``valid`` ``(B, 1, H, W)``, 1 = known. The network brings
    ``training_outputs(image1, image2)``, the flows that its losses read, and ``final_flow(outputs)``.

    Raises:
        ConfigError: the network has no ``training_outputs`` (a baseline).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        outputs = getattr(self.net, "training_outputs", None)
        if outputs is None:
            raise ConfigError(f"{type(self.net).__name__} cannot be trained: it has no training_outputs")
        self._outputs = torch.compile(outputs) if self._compile else outputs
        #: mean lengths in pixels of the predicted and of the true flow in the batch at hand
        self.lengths: tuple[Tensor, Tensor] | None = None

    def training_outputs(self, batch: dict[str, Tensor]) -> Any:
        """All flows of the network for one batch of image pairs."""
        outputs = self._outputs(batch["image1"], batch["image2"])
        with torch.no_grad():
            self.lengths = _mean_length(self.net.final_flow(outputs)), _mean_length(batch["flow"], batch.get("valid"))  # type: ignore[operator]
        return outputs

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """The flow from each frame to the next, in numbers for metrics and in colour for people.

        Raises:
            DataError: the video has no true flow.
        """
        if "flow" not in video.truth:
            raise DataError(f"the validation video {video.id!r} has no true flow")
        truth = video.truth["flow"]
        given = {"flow": truth, "valid": video.truth.get("valid", torch.ones_like(truth[:, :1]))}
        given |= {"occlusion": video.truth["occlusion"]} if "occlusion" in video.truth else {}
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context("flow", video_id=video.id, device=self.device, precision=precision)
        chunks = method.process(chunked(video.frames), context)
        flow = torch.cat([chunk.extras["flow"] for chunk in chunks])
        known = given["valid"] > 0.5
        # nothing moves: any scale shows white
        longest = float((torch.linalg.vector_norm(truth, dim=1, keepdim=True) * known).max()) or 1.0
        return VideoPrediction(
            flow_to_colour(flow, longest),
            flow_to_colour(truth, longest) * known,
            {"image 1": video.frames[:-1], "image 2": video.frames[1:]},
            results={"flow": flow},
            given=given,
        )


def _mean_length(flow: Tensor, valid: Tensor | None = None) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(flow.detach().float(), dim=1, keepdim=True)
    if valid is None:
        return lengths.mean()
    known = valid > 0.5
    total: Tensor = torch.where(known, lengths, torch.zeros_like(lengths)).sum()
    return total / known.sum().clamp(min=1)


class ZeroFlowAlarm(Callback):
    """Warns when a flow network is stuck at predicting no motion, a known end of PWC-Net's training.

    Every ``every`` iterations it compares the mean length of the predicted flow with that of the true flow over the
    batches since. Nothing else of the run changes.

    Args:
        after: iterations before the first comparison; networks begin near zero flow.
        share: the least part of the true flow's length that is no cause for alarm.
        every: iterations between comparisons.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, after: int = 5000, share: float = 0.1, every: int = 1000) -> None:
        if after < 0 or every < 1:
            raise ConfigError(f"expected after >= 0 and every >= 1, got {after} and {every}")
        if not 0 < share < 1:
            raise ConfigError(f"share must be between 0 and 1, got {share}")
        self.after, self.share, self.every = after, share, every
        self._sums: list[float] | Tensor = [0.0, 0.0, 0.0]
        self._checked = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add up lengths; compare when it is time."""
        assert isinstance(pl_module, FlowTask), "this callback is for flow networks"
        if pl_module.lengths is None:
            return
        made, true = pl_module.lengths
        # one tensor on the device: reading it in every iteration would wait for it
        lengths = torch.stack((made.double(), true.double(), torch.ones_like(made, dtype=torch.float64)))
        self._sums = lengths + torch.as_tensor(self._sums, dtype=torch.float64, device=lengths.device)
        iteration = int(trainer.global_step)
        if iteration == self._checked or iteration % self.every:
            return
        made_sum, true_sum, batches = self._sums.tolist()
        self._sums, self._checked = [0.0, 0.0, 0.0], iteration
        if iteration >= self.after and made_sum < self.share * true_sum and trainer.is_global_zero:
            warnings.warn(self._message(iteration, made_sum / batches, true_sum / batches), stacklevel=1)

    def _message(self, iteration: int, made: float, true: float) -> str:
        return (
            f"iteration {iteration}: the network is stuck at zero flow. Its flow is {made:.3g} px long on average, "
            f"{100 * made / true:.2g} % of the true flow's {true:.3g} px. Training seldom recovers from this; start "
            "again with another seed (seed=2), with a warm-up and clipped gradients (as experiment=pwcnet_modern "
            "does), or without augmentation at first (data.augmentation=none). If the loss is your own: a mean over "
            "pixels in place of the sum lets the weight decay win (lower optim.optimizer.weight_decay)."
        )

    def state_dict(self) -> dict[str, Any]:
        """The lengths since the last comparison."""
        return {"sums": torch.as_tensor(self._sums).tolist(), "checked": self._checked}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue in the middle of two comparisons."""
        self._sums, self._checked = list(state_dict["sums"]), int(state_dict["checked"])
