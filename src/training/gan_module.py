"""The LightningModule of every task that may be trained against discriminators."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.config import instantiate
from ..core.errors import CheckpointError, ConfigError
from ..losses import WeightedSum
from .config import GanSection, OptimSection
from .image_pool import ImagePool
from .task_module import TaskModule


class DiscriminatorLoss(Protocol):
    """What a discriminator minimises."""

    def discriminator(self, real: Tensor, made: Tensor) -> Tensor:
        """A scalar for its scores of real and of made samples."""


@dataclass(frozen=True)
class Adversaries:
    """The discriminators of a run.

    Attributes:
        nets: by name.
        loss: what each of them minimises; it has no parameters.
        section: optimizer, schedule, order of the steps.
    """

    nets: Mapping[str, nn.Module]
    loss: DiscriminatorLoss
    section: GanSection


class GanModule(TaskModule):
    """Training of a generator against any number of discriminators; without one, of the generator alone.

    Lightning's manual optimisation leaves to its user what is done here (issue numbers are Lightning's):

    * One iteration is one step of the generator's optimizer. Lightning would count the discriminators' too (#17958),
      and ``max_steps``, checkpoints and logs would come at the wrong time.
    * Gradients are clipped per network and unscaled, in :meth:`on_before_optimizer_step` (#18089).
    * A discriminator gets no gradient from the generator's losses, and the generator none from the discriminator's.
    * Each network's backward pass is followed by its own step, so that under fp16 a change of the gradient scale at
      one step does not spoil the gradients of the next.
    * ``optim.accumulate`` batches are collected, and then all of them pass through the discriminators' phase and
      through the generator's: the result is that of one batch of all samples, also where the generator is judged by
      discriminators that have just made their step. That costs a second forward pass of the generator.
    * Several processes average the gradients of one network before its step. Lightning's DDP would look for unused
      parameters and send the gradients of all networks at each backward pass.
    * With ``gan.pool`` discriminators learn from samples that were made earlier too; what is kept of them, on every
      process, is part of checkpoints.
    * Schedules step once per iteration, a discriminator's from its first step on; the average (``optim.ema``) follows
      the generator only.

    A task defines :meth:`training_outputs` and :meth:`judged`. To the outputs are added, for the generator's losses,
    ``scores`` of the made samples, and ``real_scores`` where a term has the attribute ``wants_real``; with several
    discriminators ``scores_<name>`` and ``real_scores_<name>``.

    Args:
        net: the generator.
        losses: the generator's.
        optim: as for :class:`TaskModule`; the generator's.
        adversaries: the discriminators, None for none.
        compile: compile the generator's training forward.
        allow_targets: packages whose classes ``_target_`` may name beside the default ones.

    Raises:
        ConfigError: a discriminator cannot be called so, or a schedule for a network that has none.
    """

    def __init__(
        self,
        net: nn.Module,
        losses: WeightedSum,
        optim: OptimSection,
        adversaries: Adversaries | None = None,
        *,
        compile: bool = False,
        allow_targets: Iterable[str] = (),
    ) -> None:
        super().__init__(net, losses, optim, compile=compile, allow_targets=allow_targets)
        self.automatic_optimization = False
        self._adversaries = adversaries
        nets = {} if adversaries is None else dict(adversaries.nets)
        self.discriminators = nn.ModuleDict({name: module.train() for name, module in nets.items()})
        judging = {name: term for name, term in losses.terms.items() if getattr(term, "adversarial", False)}
        if adversaries is None and any(losses.weights[name] for name in judging):
            raise ConfigError(
                f"the loss terms {', '.join(judging)} need discriminators and gan is null: choose some "
                "(for example gan=temporal_patchgan), or set the weight of these terms to 0"
            )
        self._judging_terms = tuple(judging)
        self._wants_real = any(getattr(term, "wants_real", False) for term in judging.values())
        size = 0 if adversaries is None else adversaries.section.pool
        self._pools = {name: ImagePool(size, seed=place) for place, name in enumerate(nets)}
        self._waiting: list[dict[str, Tensor]] = []
        #: what is logged of each batch of the group
        self._terms: list[dict[str, Tensor]] = []

    @property
    def accumulating(self) -> bool:
        """Whether batches are waiting for the rest of their group."""
        return bool(self._waiting)

    @abstractmethod
    def judged(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """Real and made samples, in this order, for the discriminator ``name``."""

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:  # type: ignore[override]
        """Collect a batch; when the group is complete, one step of every network."""
        self._waiting.append(batch)
        if len(self._waiting) < self._optim.accumulate:
            return
        batches, self._waiting = self._waiting, []
        self._terms = [{} for _ in batches]
        adversarial = self._adversaries is not None and self.iteration >= self._adversaries.section.start
        if not adversarial:
            self._train_generator(batches, None, adversarial=False)
        elif self._adversaries is not None and self._adversaries.section.order == "generator_first":
            self._train_discriminators(self._train_generator(batches, None))
        else:
            # of a single batch the graph is kept, which the generator's own phase uses again
            with torch.set_grad_enabled(len(batches) == 1):
                outputs = [self._outputs_of(batch) for batch in batches]
            self._train_discriminators([self._samples(o, batch) for o, batch in zip(outputs, batches, strict=True)])
            self._train_generator(batches, outputs if len(batches) == 1 else None)
        count = None if adversarial else int(self._optim.scheduler is not None)
        for schedule in self._schedules()[:count]:
            schedule.step()
        self._measured.extend(self._terms)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip and log the gradient norm of the network whose step this is."""
        names = ["", *self.discriminators]
        name = names[self._raw_optimizers().index(optimizer)]
        clip = self._optim.gradient_clip
        if name and self._adversaries is not None:
            clip = self._adversaries.section.gradient_clip
        self._clip(optimizer, clip, f"_{name}" if name else "")

    def configure_optimizers(self) -> Any:
        """The generator's optimizer, then one for each discriminator, with the schedules; steps are ours."""
        own, theirs = self._optim, None if self._adversaries is None else self._adversaries.section
        optimizer, scheduler = own.optimizer, own.scheduler
        plans = [(self._trained_parameters(), optimizer, scheduler, "optim")]
        if theirs is not None:
            if theirs.optimizer is not None:
                optimizer, scheduler = theirs.optimizer, theirs.scheduler
            elif theirs.scheduler is not None:
                scheduler = theirs.scheduler
            parameters = [[p for p in net.parameters() if p.requires_grad] for net in self.discriminators.values()]
            plans.extend((group, optimizer, scheduler, "gan") for group in parameters)
        optimizers, schedules = [], []
        for group, optimizer, scheduler, where in plans:
            built = instantiate(optimizer, group, where=f"{where}.optimizer", allow=self._allow_targets)
            optimizers.append(built)
            if scheduler is not None:
                schedule = instantiate(scheduler, built, where=f"{where}.scheduler", allow=self._allow_targets)
                schedules.append({"scheduler": schedule, "interval": "step"})
        return optimizers, schedules

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the pools of every process."""
        super().on_save_checkpoint(checkpoint)
        if not any(pool.size for pool in self._pools.values()):
            return
        own = {name: pool.state_dict() for name, pool in self._pools.items()}
        states: list[Any] = [own]
        if self.trainer.world_size > 1:
            states = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(states, own)
        checkpoint["framewright_pools"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Fill the pools of this process as they were.

        Raises:
            CheckpointError: the checkpoint has none, and ``gan.pool`` asks for them.
        """
        super().on_load_checkpoint(checkpoint)
        for name, pool in self._pools.items():
            if pool.size == 0:
                continue
            states = checkpoint.get("framewright_pools")
            if states is None or len(states) <= self.global_rank or name not in states[self.global_rank]:
                raise CheckpointError(
                    f"the checkpoint holds no pool of earlier samples for the discriminator {name!r}, so that a run "
                    f"with gan.pool={pool.size} cannot go on exactly"
                )
            pool.load_state_dict(states[self.global_rank][name])

    # --- the two phases

    def _train_discriminators(self, samples: Sequence[Mapping[str, tuple[Tensor, Tensor]]]) -> None:
        """One step of each discriminator on real and made samples, which carry no graph."""
        assert self._adversaries is not None
        for place, (name, net) in enumerate(self.discriminators.items(), start=1):
            optimizer = self._raw_optimizers()[place]
            optimizer.zero_grad(set_to_none=True)
            for terms, pair in zip(self._terms, samples, strict=True):
                real, made = (net(sample) for sample in pair[name])
                loss = self._adversaries.loss.discriminator(real, made)
                if not bool(torch.isfinite(loss)):
                    self._stop_not_finite(
                        {f"{name} (discriminator)": loss}, {"real": pair[name][0], "made": pair[name][1]}
                    )
                self._backward(loss / len(samples))
                measured = {"loss": loss, "real": real.float().mean(), "made": made.float().mean()}
                terms |= {f"train/{name}_{what}": value.detach() for what, value in measured.items()}
            self._average_gradients(optimizer)
            # past Lightning's wrapper, which would count this step as an iteration
            self.trainer.strategy.optimizer_step(optimizer, lambda: None, model=self)

    def _train_generator(
        self, batches: Sequence[dict[str, Tensor]], ready: Sequence[dict[str, Any]] | None, adversarial: bool = True
    ) -> list[dict[str, tuple[Tensor, Tensor]]]:
        """One step of the generator, judged by frozen discriminators.

        Args:
            batches: the group.
            ready: outputs with their graph, None to compute them.
            adversarial: whether the discriminators take part.

        Returns:
            For each batch what the discriminators are to learn from, detached.
        """
        optimizer = self.optimizers()
        optimizer = optimizer[0] if isinstance(optimizer, list) else optimizer
        optimizer.zero_grad(set_to_none=True)
        samples: list[dict[str, tuple[Tensor, Tensor]]] = []
        with _frozen(self.discriminators):
            for index, batch in enumerate(batches):
                outputs = self._outputs_of(batch) if ready is None else ready[index]
                if adversarial:
                    samples.append(self._samples(outputs, batch))
                    outputs = {**outputs, **self._scores(outputs, batch)}
                total, terms = self.losses(outputs, batch, skip=() if adversarial else self._judging_terms)
                if not bool(torch.isfinite(total)):
                    self._stop_not_finite(terms, batch)
                self._backward(total / len(batches))
                named = {f"train/{name}": value.detach() for name, value in terms.items()}
                self._terms[index] |= {**named, "train/loss": total.detach()}
        self._average_gradients(self._raw_optimizers()[0])
        optimizer.step()
        if self.ema is not None:
            self.ema.update(self.net)
        return samples

    def _outputs_of(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        outputs = self.training_outputs(batch)
        return dict(outputs) if isinstance(outputs, Mapping) else dict(outputs._asdict())

    def _samples(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        pairs = {name: self.judged(outputs, batch, name) for name in self.discriminators}
        return {name: (real.detach(), self._pools[name].exchange(made)) for name, (real, made) in pairs.items()}

    def _scores(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the discriminators say, under the names that losses ask for."""
        scores: dict[str, Tensor] = {}
        for name, net in self.discriminators.items():
            real, made = self.judged(outputs, batch, name)
            suffix = f"_{name}" if len(self.discriminators) > 1 else ""
            if self._wants_real:
                with torch.no_grad():
                    scores[f"real_scores{suffix}"] = net(real)
            scores[f"scores{suffix}"] = net(made)
        return scores

    # --- Lightning

    def _raw_optimizers(self) -> list[Optimizer]:
        found = self.optimizers(use_pl_optimizer=False)
        return list(found) if isinstance(found, list) else [found]

    def _schedules(self) -> list[Any]:
        found = self.lr_schedulers()
        return [] if found is None else list(found) if isinstance(found, list) else [found]

    def _backward(self, loss: Tensor) -> None:
        strategy = self.trainer.strategy
        block = getattr(strategy, "block_backward_sync", contextlib.nullcontext)
        with block():
            self.manual_backward(loss)

    def _average_gradients(self, optimizer: Optimizer) -> None:
        if self.trainer.world_size > 1:
            average_gradients([parameter for group in optimizer.param_groups for parameter in group["params"]])


@contextlib.contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No gradient reaches the parameters of ``module``; it still passes through to its input."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def average_gradients(parameters: Sequence[nn.Parameter], bucket: int = 2**24) -> None:
    """Replace gradients by their mean over all processes; collective.

    A parameter that has a gradient on some processes only counts as zero on the others; one without any keeps none.

    Args:
        parameters: the same on every process, on one device.
        bucket: numbers sent at once, about.
    """
    if not parameters:
        return
    world = torch.distributed.get_world_size()
    used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
    torch.distributed.all_reduce(used)
    gradients = []
    for parameter, count in zip(parameters, used.tolist(), strict=True):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    while gradients:
        group: list[Tensor] = []
        while gradients and (
            not group or (group[0].dtype == gradients[0].dtype and sum(map(Tensor.numel, group)) < bucket)
        ):
            group.append(gradients.pop(0))
        flat = torch.cat([gradient.flatten() for gradient in group])
        torch.distributed.all_reduce(flat)
        flat /= world
        for gradient, mean in zip(group, torch.split(flat, [g.numel() for g in group]), strict=True):
            gradient.copy_(mean.view_as(gradient))
