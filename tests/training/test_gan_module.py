"""Training against discriminators: every step is compared with the same step written out in plain PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from framewright.core.errors import ConfigError, TrainingError
from framewright.losses import AdversarialLoss, RelativisticAdversarialLoss, WeightedSum
from framewright.training.config import GanSection, OptimSection
from framewright.training.gan_module import Adversaries, GanModule
from framewright.training.task_module import is_step_boundary
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

ADAM = {"_target_": "torch.optim.Adam", "lr": 1e-2, "betas": [0.0, 0.9]}
STEPS = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 2, "gamma": 0.5}


class Distance(nn.Module):
    """Mean of squares, per sample and therefore over any grouping of them."""

    def forward(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        return (outputs["made"] - batch["target"]).square().mean()


class Toy(GanModule):
    def training_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"made": self.net(batch["input"])}

    def judged(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        return batch["target"], outputs["made"]

    def predict_video(self, video: Any) -> Any:
        raise AssertionError("not validated here")


def generator() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))


def discriminator(seed: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


def samples(count: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return {name: torch.randn(count, 4, generator=draw) for name in ("input", "target")}


def batches(size: int, count: int) -> list[dict[str, Tensor]]:
    whole = samples(size * count)
    return [{name: value[i * size : (i + 1) * size] for name, value in whole.items()} for i in range(count)]


def module(gan: Mapping[str, Any] | None = None, names: tuple[str, ...] = ("critic",), **optim: Any) -> Toy:
    losses = {"l2": (1.0, Distance())}
    adversaries = None
    if gan is not None:
        of = ["scores"] if len(names) == 1 else [f"scores_{name}" for name in names]
        losses |= {f"adversarial{i}": (0.1, AdversarialLoss("hinge", of=name)) for i, name in enumerate(of)}
        section = GanSection.model_validate(
            {"discriminators": {name: {"name": "toy"} for name in names}, "loss": {"_target_": "x"}, **gan}
        )
        nets = {name: discriminator(2 + i) for i, name in enumerate(names)}
        adversaries = Adversaries(nets, AdversarialLoss("hinge"), section)
    section = OptimSection.model_validate({"iterations": 100, "optimizer": ADAM, "scheduler": STEPS, **optim})
    return Toy(generator(), WeightedSum(losses), section, adversaries)


def train(toy: Toy, data: list[dict[str, Tensor]], iterations: int, *callbacks: Callback) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=iterations,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=list(callbacks),
    )
    # checkpoints, which need a registered network, are not written here
    trainer.fit(toy, torch.utils.data.DataLoader(data, batch_size=None))
    return trainer


def written_out(data: list[dict[str, Tensor]], first: str) -> tuple[nn.Module, nn.Module]:
    """The same training as one would write it by hand."""
    net, critic = generator(), discriminator()
    adam = {"lr": ADAM["lr"], "betas": (0.0, 0.9)}
    one, two = torch.optim.Adam(net.parameters(), **adam), torch.optim.Adam(critic.parameters(), **adam)
    rates = [torch.optim.lr_scheduler.StepLR(o, 2, 0.5) for o in (one, two)]
    for batch in data:
        made = net(batch["input"])

        def judge(made: Tensor = made, batch: dict[str, Tensor] = batch) -> None:
            two.zero_grad()
            real = torch.relu(1 - critic(batch["target"])).mean()
            ((real + torch.relu(1 + critic(made.detach())).mean()) / 2).backward()
            two.step()

        def make(made: Tensor = made, batch: dict[str, Tensor] = batch) -> None:
            one.zero_grad()
            ((made - batch["target"]).square().mean() - 0.1 * critic(made).mean()).backward()
            one.step()

        steps = [judge, make] if first == "discriminator_first" else [make, judge]
        for step in steps:
            step()
        for rate in rates:
            rate.step()
    return net, critic


def assert_equal(a: nn.Module, b: nn.Module, tolerance: float = 0.0) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=tolerance, msg=name)


@pytest.mark.parametrize("order", ["discriminator_first", "generator_first"])
def test_equals_the_training_written_out(order: str) -> None:
    data = batches(8, 5)
    toy = module({"order": order})
    train(toy, data, 5)
    net, critic = written_out(data, order)
    assert_equal(toy.net, net)
    assert_equal(toy.discriminators["critic"], critic)


def esrgan_written_out(data: list[dict[str, Tensor]]) -> tuple[nn.Module, nn.Module]:
    """The steps of ESRGAN's official training: the generator's, then two backward passes of the discriminator."""

    def entropy(logits: Tensor, label: float) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    net, critic = generator(), discriminator()
    one, two = (torch.optim.Adam(n.parameters(), lr=ADAM["lr"], betas=(0.0, 0.9)) for n in (net, critic))
    for batch in data:
        target, made = batch["target"], net(batch["input"])
        one.zero_grad()
        real, scores = critic(target).detach(), critic(made)
        adversarial = (entropy(real - scores.mean(), 0) + entropy(scores - real.mean(), 1)) / 2
        ((made - target).square().mean() + 0.1 * adversarial).backward()
        one.step()
        two.zero_grad()
        (entropy(critic(target) - critic(made).detach().mean(), 1) * 0.5).backward()
        (entropy(critic(made.detach()) - critic(target).detach().mean(), 0) * 0.5).backward()
        two.step()
    return net, critic


def test_relativistic_steps_are_those_of_esrgan() -> None:
    data, loss = batches(8, 5), RelativisticAdversarialLoss()
    gan = {"discriminators": {"critic": {"name": "toy"}}, "loss": {"_target_": "x"}, "order": "generator_first"}
    adversaries = Adversaries({"critic": discriminator()}, loss, GanSection.model_validate(gan))
    optim = OptimSection.model_validate({"iterations": 100, "optimizer": ADAM})
    toy = Toy(generator(), WeightedSum({"l2": (1.0, Distance()), "gan": (0.1, loss)}), optim, adversaries)
    train(toy, data, 5)
    net, critic = esrgan_written_out(data)
    assert_equal(toy.net, net, 1e-6)
    assert_equal(toy.discriminators["critic"], critic, 1e-6)


class Watch(Callback):
    """Records what the module says at the end of each batch."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []
        self.values: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.seen.append((int(trainer.global_step), is_step_boundary(trainer)))
        if is_step_boundary(trainer):
            assert isinstance(pl_module, Toy)
            self.values.append(pl_module.take_step_metrics(reduce=False))


def test_an_iteration_is_a_step_of_the_generator_and_the_run_ends_after_so_many() -> None:
    toy, watch = module({}, names=("one", "two"), accumulate=2), Watch()
    trainer = train(toy, batches(4, 40), 5, watch)
    assert trainer.global_step == 5
    assert watch.seen == [(i // 2, i % 2 == 0) for i in range(1, 11)]
    states = [optimizer.state_dict()["state"] for optimizer in trainer.optimizers]
    assert [int(state[0]["step"]) for state in states] == [5, 5, 5]
    # the rate is halved every second iteration, whatever number of networks there is
    assert [round(values["train/lr_two"], 6) for values in watch.values] == [0.01, 0.01, 0.005, 0.005, 0.0025]


@pytest.mark.parametrize("order", ["discriminator_first", "generator_first"])
def test_four_batches_of_two_equal_one_of_eight(order: str) -> None:
    # Adam would divide a gradient near zero, and with it its rounding, by its own size
    plain = {"_target_": "torch.optim.SGD", "lr": 0.1}
    whole = module({"order": order}, optimizer=plain)
    parts = module({"order": order}, optimizer=plain, accumulate=4)
    watch_whole, watch_parts = Watch(), Watch()
    train(whole, batches(8, 4), 4, watch_whole)
    train(parts, batches(2, 16), 4, watch_parts)
    assert_equal(whole.net, parts.net, 1e-6)
    assert_equal(whole.discriminators, parts.discriminators, 1e-6)
    for a, b in zip(watch_whole.values, watch_parts.values, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_gradients_are_clipped_for_each_network() -> None:
    toy, watch = module({"gradient_clip": 0.02}, gradient_clip=0.05), Watch()
    train(toy, batches(8, 3), 3, watch)
    for name, limit in (("", 0.05), ("_critic", 0.02)):
        # the log has the norm before clipping
        assert watch.values[0][f"train/grad_norm{name}"] > limit
    for parameters, limit in ((toy.net, 0.05), (toy.discriminators, 0.02)):
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters.parameters() if p.grad is not None])
        assert float(norm) == pytest.approx(limit, rel=1e-3)


def test_the_average_follows_the_generator_only() -> None:
    toy = module({}, ema=0.9)
    train(toy, batches(8, 3), 3)
    kinds = {key.split(".")[0] for key in toy.state_dict()}
    assert kinds == {"net", "discriminators", "ema"}
    assert {k for k in toy.state_dict() if k.startswith("ema.")} == {
        "ema.updates", *(f"ema.net.{key}" for key in toy.net.state_dict())
    }  # fmt: skip
    assert int(toy.ema.updates) == 3  # type: ignore[union-attr]
    assert not torch.equal(toy.ema.net[0].weight, toy.net[0].weight)  # type: ignore[union-attr, index]


def test_discriminators_learn_from_earlier_samples_too() -> None:
    data = batches(8, 6)
    plain, pooled = module({}), module({"pool": 12})
    train(plain, data, 1)
    train(pooled, data, 1)
    # until the pool is full, samples are new
    assert_equal(plain.discriminators, pooled.discriminators)
    for toy in (later := [module({}), module({"pool": 12})]):
        train(toy, data, 6)
    assert not torch.equal(later[0].discriminators["critic"][0].weight, later[1].discriminators["critic"][0].weight)  # type: ignore[index]


def test_discriminators_take_part_after_start() -> None:
    toy, watch = module({"start": 2}), Watch()
    before = copy.deepcopy(toy.discriminators)
    train(toy, batches(8, 2), 2, watch)
    assert_equal(toy.discriminators, before)
    assert [values["train/adversarial0"] for values in watch.values] == [0, 0]
    assert_equal(toy.net, _alone(batches(8, 2)))
    later, watch = module({"start": 2}), Watch()
    train(later, batches(8, 3), 3, watch)
    assert watch.values[2]["train/adversarial0"] != 0
    assert not torch.equal(later.discriminators["critic"][0].weight, before["critic"][0].weight)  # type: ignore[index]


def _alone(data: list[dict[str, Tensor]]) -> nn.Module:
    toy = module()
    train(toy, data, len(data))
    return toy.net


def test_a_generator_alone_needs_no_discriminator() -> None:
    data, toy = batches(8, 3), module()
    train(toy, data, 3)
    net = generator()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.0, 0.9))
    rate = torch.optim.lr_scheduler.StepLR(adam, 2, 0.5)
    for batch in data:
        adam.zero_grad()
        (net(batch["input"]) - batch["target"]).square().mean().backward()
        adam.step()
        rate.step()
    assert_equal(toy.net, net)


def test_an_adversarial_term_without_discriminators_is_refused() -> None:
    losses = WeightedSum({"l2": (1.0, Distance()), "adversarial": (0.1, AdversarialLoss())})
    section = OptimSection.model_validate({"iterations": 1, "optimizer": ADAM})
    with pytest.raises(ConfigError, match="adversarial need discriminators and gan is null"):
        Toy(generator(), losses, section)


def test_what_is_not_finite_names_the_discriminator() -> None:
    toy = module({})
    data = batches(8, 1)
    with torch.no_grad():
        toy.discriminators["critic"][0].weight[0, 0] = float("nan")  # type: ignore[index]
    with pytest.raises(TrainingError, match=r"not finite at iteration 0: critic \(discriminator\)"):
        train(toy, data, 1)


def test_the_discriminator_has_an_optimizer_of_its_own() -> None:
    toy = module({"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.5}})
    trainer = train(toy, batches(8, 2), 2)
    kinds = [type(optimizer).__name__ for optimizer in trainer.optimizers]
    assert kinds == ["Adam", "SGD"]
    # no schedule of its own: it does not inherit one that was made for another optimizer
    assert trainer.optimizers[1].param_groups[0]["lr"] == 0.5
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.005
