"""Unsupervised training of path smoothers: the losses see what they should, and a run validates and is kept."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from framewright.cli.entry import compose
from framewright.cli.train import train
from framewright.core.errors import ConfigError
from framewright.datamodules.scenes import ScenesDataset
from framewright.datamodules.scenes.evaluation import SHAKE_VERSIONS, ScenesEvaluation
from framewright.losses import CycleLoss, PathAccelerationLoss, PathDistanceLoss, SteadyMotionLoss, WeightedSum
from framewright.models.registry import create_model
from framewright.tasks import StabilizationTask
from framewright.training.config import OptimSection
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def task(net: nn.Module) -> StabilizationTask:
    terms: dict[str, tuple[float, nn.Module]] = {
        "photometric": (1.0, SteadyMotionLoss()),
        "acceleration": (1.0, PathAccelerationLoss()),
        "distance": (1.0, PathDistanceLoss()),
        "cycle": (1.0, CycleLoss()),
    }
    section = OptimSection(iterations=1, optimizer={"_target_": "torch.optim.SGD", "lr": 0.1})
    return StabilizationTask(net, WeightedSum(terms), section)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    import numpy as np

    data = ScenesDataset("stabilization", 64, 64, settings={"frames": 12, "shake": 1.5})
    return {"video": torch.stack([data.sample(i, np.random.default_rng(i))["video"] for i in range(2)])}


def losses(net: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
    module = task(net)
    with torch.no_grad():
        _, terms = module.losses(module.training_outputs(batch), batch)
    return {name: float(value) for name, value in terms.items()}


def test_losses_tell_a_smooth_path_from_a_shaky_one(batch: dict[str, Tensor]) -> None:
    shaky, smooth = losses(create_model("unsmoothed"), batch), losses(create_model("gaussian_path", sigma=3.0), batch)
    assert smooth["acceleration"] < 0.3 * shaky["acceleration"]
    assert smooth["photometric"] < 0.8 * shaky["photometric"]
    assert shaky["distance"] < 1e-5
    assert smooth["distance"] > 0.1
    assert shaky["cycle"] < 1e-4
    assert smooth["cycle"] > shaky["cycle"]


def test_gradients_reach_the_network(batch: dict[str, Tensor]) -> None:
    module = task(create_model("path_smoother", radius=4, channels=4, layers=2).train())
    total, _ = module.losses(module.training_outputs(batch), batch)
    total.backward()
    gradients = [parameter.grad for parameter in module.net.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients if gradient is not None)


def test_a_run_in_its_tiny_form(tmp_path: Path) -> None:
    typed = ["experiment=stabilization_unsupervised", "debug=tiny", "final=null", "trainer.progress=false"]
    typed += ["trainer.threads=1", "data.workers=0", "data.settings.frames=8", f"run.dir={tmp_path / 'run'}"]
    run = train(compose(CONFIGS, "train", typed), typed, CONFIGS)
    with open(run / "metrics.csv", newline="") as handle:
        last = list(csv.DictReader(handle))[-1]
    assert float(last["val/residual_shake"]) > 0
    assert (run / "weights.safetensors").is_file()


def test_a_smoother_of_paths_keeps_what_is_steady() -> None:
    net = create_model("path_smoother")
    still = torch.zeros(2, 50, 4)
    assert torch.equal(net(still), still)
    pan = torch.arange(150.0).double()[None, :, None] * torch.tensor([0.5, -0.2, 0.0, 1e-4]) + 1e4
    torch.testing.assert_close(net(pan), pan, rtol=0, atol=1e-6)


def test_a_smoother_of_paths_does_not_take_the_shake_of_the_last_frame_for_the_path() -> None:
    generator = torch.Generator().manual_seed(3)
    shaky = torch.randn(64, 60, 4, generator=generator)
    left = create_model("path_smoother")(shaky)
    # a mean that continues the path by reflection passes through its ends: all of the shake is left there
    assert left[:, [0, -1]].std() < 0.7
    assert left[:, 20:40].std() < 0.35


def test_the_long_shaky_scenes_are_the_same_everywhere() -> None:
    for name, version in SHAKE_VERSIONS.items():
        scenes = ScenesEvaluation(name, "stabilization")
        assert scenes.parameters_sha256() == version.parameters_sha256
        truth = scenes._stabilization(0)
        shake = truth["trajectory"] - truth["smooth"]
        assert shake.shape == (60, 4)
        assert 2.5 < float(shake[:, :2].std()) < 5.5
        with pytest.raises(ConfigError, match="stabilization"):
            ScenesEvaluation(name, "flow")
