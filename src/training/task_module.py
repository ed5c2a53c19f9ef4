"""The LightningModule that every task with one optimizer builds on."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.config import instantiate
from ..core.errors import TrainingError
from ..core.files import atomic_path
from ..datamodules.base import EvaluationVideo
from ..losses import WeightedSum
from ..metrics import VideoPair
from ..models.registry import model_info
from .config import OptimSection
from .ema import Ema


@dataclass(frozen=True)
class VideoPrediction:
    """What validation scores and shows of one video.

    Attributes:
        prediction: ``(N, 3, H, W)`` in [0, 1].
        target: the truth, same shape.
        shown: further rows of the sample clip by label, same number of frames.
        results: what the network made besides frames, by name, time axis first; metrics read it.
        given: ground truth besides frames, by name, time axis first.
        mask: ``(N, 1, H, W)``, 1 = hole, for metrics that look at holes.
        scale: for super-resolution, how many times larger the prediction is than what the network saw.
    """

    prediction: Tensor
    target: Tensor
    shown: Mapping[str, Tensor]
    results: Mapping[str, Tensor] = field(default_factory=dict)
    given: Mapping[str, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None
    scale: int = 1

    def pair(self, video_id: str, device: torch.device) -> VideoPair:
        """What a metric sees of the video, on ``device``."""
        return VideoPair(
            self.prediction.to(device),
            self.target.to(device),
            None if self.mask is None else self.mask.to(device),
            video_id=video_id,
            results={name: value.to(device) for name, value in self.results.items()},
            given={name: value.to(device) for name, value in self.given.items()},
            scale=self.scale,
        )


class TaskModule(pl.LightningModule):
    """Training of one network with one optimizer and a named sum of losses.

    A task says how a batch becomes network outputs (:meth:`training_outputs`) and how a whole video is
    predicted (:meth:`predict_video`); everything else is here. Clipping happens on true (unscaled) gradients,
    whose norm is logged; a loss or a gradient that is not finite stops the run and keeps the batch.

    Args:
        net: the network; its keys in checkpoints begin with ``net.``.
        losses: the named sum; it stays outside the module tree, so that frozen networks inside of it never
            reach checkpoints or optimizers.
        optim: iterations, optimizer, schedule, clipping, EMA.
        compile: compile the training forward with ``torch.compile``.
        allow_targets: packages whose classes ``_target_`` may name beside the default ones.
    """

    #: whether the videos of the task have holes, so that metrics of holes can be validated
    has_masks: ClassVar[bool] = False

    def __init__(
        self,
        net: nn.Module,
        losses: WeightedSum,
        optim: OptimSection,
        *,
        compile: bool = False,
        allow_targets: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.net = net.train()
        self.ema = Ema(net, optim.ema) if optim.ema is not None else None
        self._outside = {"losses": losses}
        self._optim = optim
        self._allow_targets = tuple(allow_targets)
        self._compile = compile
        self._measured: list[dict[str, Tensor]] = []
        self._step_values: dict[str, float] = {}
        #: where the batch of a failed iteration is kept; set by the run
        self.run_directory: Path | None = None

    @property
    def losses(self) -> WeightedSum:
        """The loss terms and their weights."""
        return self._outside["losses"]

    @property
    def iteration(self) -> int:
        """Number of optimizer steps done."""
        return int(self.trainer.global_step)

    @property
    def accumulating(self) -> bool:
        """Whether the batch that just ended waits for further ones before the next step."""
        return self.trainer.fit_loop.epoch_loop._should_accumulate()

    @property
    def evaluation_net(self) -> nn.Module:
        """The network that validation, samples and the exported weights use: the average if there is one."""
        return self.net if self.ema is None else self.ema.net

    @abstractmethod
    def training_outputs(self, batch: dict[str, Tensor]) -> Any:
        """The network's outputs for a batch, in the form that the task's losses read."""

    @abstractmethod
    def predict_video(self, video: EvaluationVideo) -> VideoPrediction:
        """Predict one whole video with :attr:`evaluation_net` through the inference engine."""

    def on_fit_start(self) -> None:
        """Move what is outside the module tree to the device."""
        self.losses.to(self.device)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One batch: outputs, named losses, their weighted sum."""
        outputs = self.training_outputs(batch)
        total: Tensor
        total, terms = self.losses(outputs, batch)
        if not bool(torch.isfinite(total)):
            self._stop_not_finite(terms, batch)
        self._measured.append(
            {**{f"train/{name}": value.detach() for name, value in terms.items()}, "train/loss": total.detach()}
        )
        return total

    def drop_step_metrics(self) -> None:
        """Forget the values of a step that is not logged; reading them would wait for the device."""
        self._measured = []

    def take_step_metrics(self, reduce: bool) -> dict[str, float]:
        """Losses (means over the accumulated batches), gradient norm and rate of the step just done; clears them.

        Args:
            reduce: average the losses over all processes (collective).
        """
        measured, self._measured = self._measured, []
        names = list(measured[0])
        means = torch.stack([torch.stack([batch[name].float() for name in names]) for batch in measured]).mean(0)
        if reduce:
            means = self.trainer.strategy.reduce(means, reduce_op="mean")
        return {**dict(zip(names, means.tolist(), strict=True)), **self._step_values}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip and log the gradient norm. Gradients are unscaled here, so that the threshold means itself."""
        self._clip(optimizer, self._optim.gradient_clip)

    def _clip(self, optimizer: Optimizer, limit: float | None, suffix: str = "") -> None:
        """Clip the gradients of one optimizer, and keep norm and learning rate for the log."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        scaled = str(self.trainer.precision).startswith("16")
        # under fp16 the gradient scaler skips such a step by itself and lowers its scale
        if not scaled and not math.isfinite(float(norm)):
            names = [n for n, p in self.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
            raise TrainingError(
                f"the gradient is not finite at iteration {self.iteration} (first of {len(names)} parameters: "
                f"{names[0] if names else 'norm overflow'}). Lower the learning rate or set optim.gradient_clip."
            )
        if limit is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        rate = float(optimizer.param_groups[0]["lr"])
        self._step_values |= {f"train/grad_norm{suffix}": float(norm), f"train/lr{suffix}": rate}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then let the average follow."""
        super().optimizer_step(*args, **kwargs)
        if self.ema is not None:
            self.ema.update(self.net)

    def configure_optimizers(self) -> Any:
        """The optimizer and the per-iteration schedule that the configuration names."""
        parameters = self._trained_parameters()
        optimizer = instantiate(self._optim.optimizer, parameters, where="optim.optimizer", allow=self._allow_targets)
        if self._optim.scheduler is None:
            return optimizer
        scheduler = instantiate(self._optim.scheduler, optimizer, where="optim.scheduler", allow=self._allow_targets)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _trained_parameters(self) -> list[Any]:
        """What is trained: a list, or groups where some parameters have another rate or are not to decay."""
        trained = [(name, parameter) for name, parameter in self.net.named_parameters() if parameter.requires_grad]
        factors, spare = self._optim.lr_factors, not self._optim.decay_biases
        if not factors and not spare:
            return [parameter for _, parameter in trained]
        found: dict[tuple[float | None, bool], list[Tensor]] = {}
        for name, parameter in trained:
            factor = next((factors[prefix] for prefix in factors if name.startswith(prefix)), None)
            found.setdefault((factor, spare and parameter.dim() <= 1), []).append(parameter)
        groups = []
        for (factor, undecayed), parameters in sorted(found.items(), key=lambda item: item[0][1]):
            group: dict[str, Any] = {"params": parameters}
            group |= {"weight_decay": 0.0} if undecayed else {}
            group |= {} if factor is None else {"lr": factor * self._optim.optimizer["lr"]}
            groups.append(group)
        return groups

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what :func:`framewright.load_model` needs, in builtins only."""
        info = model_info(self.net)
        checkpoint["framewright"] = {
            "model": info.name,
            "options": dict(info.options),
            "parts": {argument: asdict(part) for argument, part in info.parts.items()},
            "iteration": self.iteration,
            "weights": "live" if self.ema is None else "ema",
        }

    def _stop_not_finite(self, terms: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        bad = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
        where = ""
        if self.run_directory is not None:
            rank = f"_rank{self.global_rank}" if self.trainer.world_size > 1 else ""
            path = self.run_directory / f"not_finite_{self.iteration:08d}{rank}.pt"
            kept = {name: value.detach().cpu() for name, value in batch.items() if isinstance(value, Tensor)}
            with atomic_path(path) as temporary:
                torch.save(kept, temporary)
            where = f" The batch is kept in {path}."
        raise TrainingError(
            f"the loss is not finite at iteration {self.iteration}: {', '.join(bad) or 'the weighted sum'}.{where} "
            "Lower the learning rate, set optim.gradient_clip, or look at the batch."
        )


def is_step_boundary(trainer: pl.Trainer) -> bool:
    """Whether the batch that just ended completed an optimizer step (and not only accumulated)."""
    module = trainer.lightning_module
    assert isinstance(module, TaskModule)
    return not module.accumulating
