"""Training of style transfer: what is computed, what is refused, and that it learns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.cli.entry import compose
from framewright.cli.train import train
from framewright.core.errors import ConfigError
from framewright.losses import AdversarialLoss, RecycleReconstructionLoss, TotalVariationLoss, WeightedSum
from framewright.models.registry import create_model, get_card
from framewright.tasks import StyleTask
from framewright.training.config import GanSection, OptimSection
from framewright.training.gan_module import Adversaries
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def task(name: str, terms: dict[str, tuple[float, nn.Module]], *judges: str, **options: Any) -> StyleTask:
    section = OptimSection(iterations=1, optimizer={"_target_": "torch.optim.SGD", "lr": 0.1})
    adversaries = None
    if judges:
        nets = {judge: create_model("patchgan", ndf=2, n_layers=1) for judge in judges}
        sections = {judge: {"name": "patchgan"} for judge in judges}
        gan = GanSection.model_validate({"discriminators": sections, "loss": {"_target_": "x"}})
        adversaries = Adversaries(nets, AdversarialLoss("lsgan"), gan)
    net = create_model(name, **{**get_card(name).tiny, **options})
    return StyleTask(net, WeightedSum(terms), section, adversaries)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {name: torch.rand(1, 3, 3, 32, 32, generator=draw) for name in "ab"}


def test_only_what_counts_is_computed(batch: dict[str, Tensor]) -> None:
    terms: dict[str, tuple[float, nn.Module]] = {
        "cycle": (0.0, RecycleReconstructionLoss("cycle")),
        "identity": (1.0, RecycleReconstructionLoss("identity", ["a"])),
        "smooth": (0.0, TotalVariationLoss(of="identity_a")),
    }
    module = task("rgan", terms)
    outputs = module.training_outputs(batch)
    assert set(outputs) == {"identity_a"}
    # a term of weight 0 is measured where that costs nothing
    assert set(module.losses.terms) == {"identity", "smooth"}
    _, values = module.losses(outputs, batch)
    assert values["smooth"] > 0


def test_discriminators_need_their_domain(batch: dict[str, Tensor]) -> None:
    terms: dict[str, tuple[float, nn.Module]] = {"gan": (1.0, AdversarialLoss("lsgan", of="scores"))}
    assert set(task("rgan", terms, "frame").training_outputs(batch)) == {"fake_b"}
    assert set(task("rgan", terms, "frame_a").training_outputs(batch)) == {"fake_a"}
    with pytest.raises(ConfigError, match="possible: frame, temporal, frame_a, temporal_a"):
        task("rgan", terms, "D_A")


def test_a_single_generator_is_refused() -> None:
    terms: dict[str, tuple[float, nn.Module]] = {"cycle": (1.0, RecycleReconstructionLoss("cycle"))}
    with pytest.raises(ConfigError, match="netP=unet_128"):
        task("recycle_gan", terms)


def test_recycle_gan_trains_two_of_each_with_pools(tmp_path: Path) -> None:
    typed = ["experiment=recycle_gan", "debug=tiny", "gan.pool=5", "loss.cycle.weight=10", "loss.identity.weight=5"]
    typed += ["final=null", "trainer.progress=false", "trainer.threads=1", "data.workers=0", "checkpoint.every=3"]
    typed += ["model.netP=unet_32", f"run.dir={tmp_path / 'run'}"]
    run = train(compose(CONFIGS, "train", typed), typed, CONFIGS)
    with open(run / "metrics.csv", newline="") as handle:
        row = list(csv.DictReader(handle))[-1]
    assert all(
        float(row[f"train/{name}"]) > 0 for name in ("recycle", "prediction", "cycle", "identity", "adversarial")
    )
    assert all(float(row[f"train/{name}_loss"]) > 0 for name in ("D_A", "D_B"))
    state = torch.load(run / "checkpoints" / "iter_00000003.ckpt", weights_only=True)
    parts = {key.split(".")[1] for key in state["state_dict"] if key.startswith("net.")}
    assert parts == {"G_A", "G_B", "P_A", "P_B"}
    assert len(state["optimizer_states"]) == 3
    (pools,) = state["framewright_pools"]
    assert [len(pools[name]["images"]) for name in ("D_A", "D_B")] == [5, 5]
    both = {way: create_model("recycle_gan", str(run), direction=way) for way in ("ab", "ba")}
    video = torch.rand(1, 1, 3, 16, 16)
    with torch.no_grad():
        assert not torch.equal(both["ab"](video).video, both["ba"](video).video)
