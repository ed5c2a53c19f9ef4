"""Training of style transfer networks between two domains of video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, DataError
from ..datamodules.base import EvaluationVideo
from ..inference import Context, NetworkMethod, chunked
from ..ops.synthetic_motion import SyntheticMotion
from ..training.gan_module import GanModule
from ..training.task_module import VideoPrediction


class StyleTask(GanModule):
    """Learns to give videos of domain A the appearance of domain B, which show other things.

    A batch holds clips ``a`` and ``b`` ``(B, T, 3, H, W)`` in [0, 1] that do not belong together. The network brings

    * ``training_outputs(a, b, wanted, motion)``, which makes at least the outputs named in ``wanted``;
    * ``judges``, the domain that each discriminator judges by its name, and ``judged(outputs, batch, name)``, its real
      and made samples.

    Only what losses with a weight and discriminators ask for is computed: terms name it with ``reads`` or ``of``; a
    term of weight 0 is measured where its outputs are there anyway. A term with the attribute ``motion`` has videos
    moved by it.

    Raises:
        ConfigError: the network brings none of this (a baseline, or a single generator), or a discriminator has a name
            that it does not know.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        outputs = getattr(self.net, "training_outputs", None)
        if outputs is None:
            raise ConfigError(
                f"{type(self.net).__name__} cannot be trained: it has no training_outputs (recycle_gan needs its "
                "predictors: model.netP=unet_128)"
            )
        judges: Mapping[str, str] = self.net.judges  # type: ignore[assignment]
        for name in self.discriminators:
            if name not in judges:
                raise ConfigError(
                    f"gan.discriminators.{name}: {type(self.net).__name__} has nothing for a discriminator of that "
                    f"name; possible: {', '.join(judges)}"
                )
        wanted = {f"fake_{judges[name]}" for name in self.discriminators}
        self._motion: SyntheticMotion | None = None
        for name, term in self.losses.terms.items():
            if self.losses.weights[name] > 0:
                wanted |= _reads(term)
                self._motion = getattr(term, "motion", self._motion)
        self._wanted = frozenset(wanted)
        for name in [name for name, term in self.losses.terms.items() if not _reads(term) <= wanted]:
            # weight 0, and nothing else needs what it would measure
            del self.losses.terms[name], self.losses.weights[name]
        self._forward_training = torch.compile(outputs) if self._compile else outputs

    def training_outputs(self, batch: dict[str, Tensor]) -> Any:
        """Everything that losses and discriminators ask for."""
        a, motion = batch["a"], None
        if self._motion is not None:
            motion = self._motion.draw(len(a), a.shape[-2], a.shape[-1]).to(a)
        return self._forward_training(a, batch["b"], self._wanted, motion)

    def judged(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """As the network says."""
        pair: tuple[Tensor, Tensor] = self.net.judged(outputs, batch, name)  # type: ignore[operator]
        return pair

    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """The video in the style of its reference, beside the true result where there is one, else beside itself.

        Raises:
            DataError: the network needs a reference and the video has none.
        """
        reference = video.truth.get("reference")
        if reference is None and getattr(self.evaluation_net, "takes_reference", False):
            raise DataError(f"the validation video {video.id!r} has no reference")
        method = NetworkMethod("validation", self.evaluation_net)
        precision = "bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true"
        context = Context("style", video_id=video.id, device=self.device, precision=precision, reference=reference)
        prediction = torch.cat([chunk.frames for chunk in method.process(chunked(video.frames), context)])
        return VideoPrediction(prediction, video.truth.get("styled", video.frames), {"input": video.frames})


def _reads(term: nn.Module) -> set[str]:
    """Outputs of the network that a loss reads."""
    if getattr(term, "adversarial", False):
        return set()
    read = getattr(term, "reads", getattr(term, "of", ()))
    return {read} if isinstance(read, str) else set(read)
