"""Training of optical flow: it learns, validates in pixels, continues exactly, and notices when it learns nothing."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.cli.entry import compose
from framewright.cli.train import check, train
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.base import EvaluationVideo
from framewright.datamodules.scenes import ScenesEvaluation
from framewright.losses import MultiScaleEndPointLoss, WeightedSum
from framewright.models.flow.pwcnet import PWCNet
from framewright.models.registry import create_model, get_card
from framewright.tasks import FlowTask, ZeroFlowAlarm
from framewright.training.checkpoints import newest_checkpoint
from framewright.training.config import OptimSection
from framewright.training.schedules import HalvingRounds

from ..training.test_resume import Crash, assert_equal_runs, crash_at

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TINY = ["debug=tiny", "final=null", "trainer.progress=false", "trainer.threads=1", "data.workers=0"]

Run = Callable[..., Path]


@pytest.fixture
def run_flow(tmp_path: Path) -> Run:
    """Call with overrides; trains the flow quickstart in its tiny form and returns the run folder."""

    def call(*overrides: str, name: str = "run") -> Path:
        typed = ["experiment=quickstart_flow", *TINY, *overrides]
        if not any(override.startswith("resume=") for override in overrides):
            typed.append(f"run.dir={tmp_path / name}")
        return train(compose(CONFIGS, "train", typed), typed, CONFIGS)

    return call


def rows(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def task(net: Any = None, **optim: Any) -> FlowTask:
    net = net or create_model("pwcnet", channels=(4, 4, 6, 6, 8, 8), decoder_channels=(8, 6), context_channels=())
    section = OptimSection(iterations=1, optimizer={"_target_": "torch.optim.SGD", "lr": 0.1}, **optim)
    return FlowTask(net, WeightedSum({"end_point": (1.0, MultiScaleEndPointLoss())}), section)


def test_one_batch_can_be_learned_by_heart(run_flow: Run) -> None:
    run = run_flow(
        *("debug.repeat_batches=1", "optim.iterations=80", "validation.every=100", "checkpoint.every=100"),
        *("optim.optimizer.lr=5e-3", "optim.scheduler=null"),
    )
    losses = [float(row["train/loss"]) for row in rows(run)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_validation_measures_in_pixels_and_writes_clips(run_flow: Run) -> None:
    run = run_flow("validation.metrics={epe: {}, fl_all: {}, psnr: {}}", "checkpoint.monitor=val/epe")
    last = rows(run)[-1]
    module = torch.load(newest_checkpoint(run).path, weights_only=True)
    net = create_model(module["framewright"]["model"], **module["framewright"]["options"])
    net.load_state_dict({k.removeprefix("net."): v for k, v in module["state_dict"].items() if k.startswith("net.")})
    video = ScenesEvaluation("scenes_val_v1", "flow", videos=1)[0]
    with torch.no_grad():
        made = torch.cat([net(a[None], b[None]) for a, b in zip(video.frames, video.frames[1:], strict=False)])
    expected = torch.linalg.vector_norm(made - video.truth["flow"], dim=1).mean()
    assert float(last["val/epe"]) == pytest.approx(float(expected), rel=1e-4)
    assert 0 < float(last["val/fl_all"]) <= 100
    assert float(last["val/psnr"]) > 0
    assert len(list((run / "samples").rglob("*.mp4"))) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_equals_uninterrupted(workers: int, run_flow: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = ["optim.iterations=7", "optim.accumulate=2", "optim.ema=0.9", "validation.every=3", "checkpoint.every=2"]
    recipe += ["checkpoint.export=best", f"data.workers={workers}", "optim.decay_biases=false"]
    whole = run_flow(*recipe, name="whole")
    with monkeypatch.context() as patch:
        crash_at(5, patch)
        with pytest.raises(Crash):
            run_flow(*recipe, name="parts")
    parts = whole.parent / "parts"
    assert newest_checkpoint(parts).iteration == 4
    run_flow(f"resume={parts}")
    assert_equal_runs(whole, parts)


class Trainer:
    """As much of a trainer as the alarm looks at."""

    is_global_zero = True
    global_step = 0


def watch(alarm: ZeroFlowAlarm, made: list[float], true: float = 8.0, start: int = 0) -> list[str]:
    """What the alarm says about batches with these mean lengths."""
    trainer, module, said = Trainer(), task(), []
    for number, length in enumerate(made, start + 1):
        trainer.global_step = number
        module.lengths = torch.tensor(length), torch.tensor(true)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            alarm.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
        said += [f"{number}: {warning.message}" for warning in caught]
    return said


def test_the_alarm_names_the_trouble_and_its_remedies() -> None:
    said = watch(ZeroFlowAlarm(after=20, share=0.1, every=10), [0.02] * 40)
    assert [text.split(":")[0] for text in said] == ["20", "30", "40"]
    for part in ("stuck at zero flow", "0.02 px", "0.25 %", "8 px", "seed=2", "pwcnet_modern", "augmentation=none"):
        assert part in said[0]


def test_the_alarm_is_silent_where_something_moves() -> None:
    alarm = ZeroFlowAlarm(after=20, share=0.1, every=10)
    # the beginning is not held against the network, and the mean over the batches counts
    assert not watch(alarm, [0.0] * 10 + [0.0, 2.0] * 15)


def test_the_alarm_continues_where_it_was() -> None:
    lengths = [0.0] * 15 + [1.5] * 5
    whole = ZeroFlowAlarm(after=20, share=0.1, every=10)
    parts = [ZeroFlowAlarm(after=20, share=0.1, every=10) for _ in range(2)]
    said = watch(whole, lengths)
    watch(parts[0], lengths[:13])
    parts[1].load_state_dict(parts[0].state_dict())
    assert watch(parts[1], lengths[13:], start=13) == said
    assert len(said) == 1


def test_a_run_at_zero_flow_sets_off_the_alarm(run_flow: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PWCNet, "final_flow", lambda self, outputs: 0.001 * outputs[0])
    with pytest.warns(UserWarning, match="iteration 3: the network is stuck at zero flow"):
        run_flow("callbacks.zero_flow_alarm.after=3", "callbacks.zero_flow_alarm.every=3")


def test_lengths_are_of_known_flow_and_in_pixels() -> None:
    module = task()
    image = torch.rand(1, 3, 64, 64)
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, :, :32] = 6.0
    flow[:, :, 32:] = float("nan")
    valid = torch.zeros(1, 1, 64, 64)
    valid[:, :, :16] = 1
    outputs = module.training_outputs({"image1": image, "image2": image, "flow": flow, "valid": valid})
    assert module.lengths is not None
    assert float(module.lengths[1]) == pytest.approx(6 * 2**0.5)
    expected = 20 * torch.linalg.vector_norm(outputs[0].detach(), dim=1).mean()
    assert float(module.lengths[0]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("name", ["pwcnet", "raft_small", "spynet"])
def test_the_final_flow_is_what_the_network_returns(name: str) -> None:
    torch.manual_seed(0)
    net = create_model(name, **get_card(name).tiny)
    images = torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        whole, final = net(*images), net.final_flow(net.training_outputs(*images))
    if final.shape != whole.shape:
        final = torch.nn.functional.interpolate(final, whole.shape[2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(final, whole)


def test_a_validation_video_without_flow_is_named() -> None:
    with pytest.raises(DataError, match="'clip_7' has no true flow"):
        task().predict_video(EvaluationVideo("clip_7", torch.rand(2, 3, 64, 64)))


def test_biases_can_be_spared_the_weight_decay() -> None:
    optimizer = task(decay_biases=False).configure_optimizers()
    decayed, spared = optimizer.param_groups
    assert {p.dim() for p in decayed["params"]} == {4}
    assert {p.dim() for p in spared["params"]} == {1}
    assert spared["weight_decay"] == 0.0
    assert len(task().configure_optimizers().param_groups) == 1


def test_rounds_start_anew_and_halve() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = HalvingRounds(optimizer, rates=[0.8, 0.4], length=4, milestones=[1, 3])
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.8, 0.4, 0.4, 0.2, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1])
    with pytest.raises(ValueError, match="between 0 and length"):
        HalvingRounds(optimizer, rates=[1.0], length=4, milestones=[4])


def test_metrics_that_validation_cannot_measure_are_refused_at_once() -> None:
    values = compose(CONFIGS, "train", ["experiment=quickstart_flow", "validation.metrics={psnr_hole: {}}"])
    with pytest.raises(ConfigError, match=r"the metric 'psnr_hole' needs masks of holes; possible here: .*epe"):
        check(values)
