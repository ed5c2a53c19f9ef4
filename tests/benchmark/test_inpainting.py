"""Inpainting methods in a benchmark: how they are run, what they cost, and a whole table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from framewright.benchmark import Benchmark, Protocol, RunOptions, method_from_spec, run
from framewright.benchmark.cost import macs_of_clip
from framewright.benchmark.tables import make_table
from framewright.core.errors import ConfigError
from framewright.datamodules.base import EvaluationDataset, EvaluationVideo
from framewright.inference import InpaintingOptions, NetworkMethod
from framewright.models.registry import create_model, get_card, save_model


class HiddenVideos(EvaluationDataset):
    """A picture that stands still behind a hole that moves, and once a hole that stays."""

    name = "hidden"

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> EvaluationVideo:
        generator = torch.Generator().manual_seed(index)
        picture = F.interpolate(torch.rand(1, 3, 8, 12, generator=generator), (48, 72), mode="bilinear")
        frames = ((picture * 255).round() / 255).expand(9, -1, -1, -1)
        mask = torch.zeros(9, 1, 48, 72)
        for place in range(9):
            left = 20 + (0 if index else 4 * place)
            mask[place, :, 16:28, left : left + 12] = 1
        return EvaluationVideo(f"video {index}", frames.clone(), {"mask": mask})

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}


PROTOCOL = Protocol.from_mapping(
    {
        "name": "small",
        "version": 1,
        "task": "inpainting",
        "composite": True,
        "quantise": "truncate",
        "metrics": [{"key": "psnr"}],
    }
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = create_model("sttn", **get_card("sttn").tiny)
    # the official initialisation is so small that everything would be grey
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(6)
    save_model(net, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def method(spec: Any, name: str = "x") -> NetworkMethod:
    found = method_from_spec(name, spec, "inpainting").method
    assert isinstance(found, NetworkMethod)
    return found


def test_a_specification_says_how_the_network_is_run(weights: Path) -> None:
    usual = method({"weights": str(weights)})
    assert usual.options is None
    bounded = method({"weights": str(weights), "inference": {"mode": "bounded", "crop": True, "context": 32}})
    assert bounded.options == InpaintingOptions(mode="bounded", crop=True, context=32)
    assert bounded.source.endswith("; run with mode=bounded, crop=True, context=32")
    assert bounded.fingerprint() != usual.fingerprint()
    # said or not, the default is the default
    assert method({"weights": str(weights), "inference": {"mode": "official"}}).fingerprint() == usual.fingerprint()
    dilated = method({"baseline": "telea", "inference": {"dilate": 4}})
    assert dilated.options == InpaintingOptions(dilate=4)


def test_published_numbers_belong_to_the_official_procedure(tmp_path: Path) -> None:
    save_model(create_model("sttn"), tmp_path / "weights.safetensors")
    assert {result.value for result in method(str(tmp_path)).published} >= {30.67, 32.34}
    assert method({"run": str(tmp_path), "inference": {"mode": "bounded"}}).published == ()


@pytest.mark.parametrize(
    ("spec", "task", "message"),
    [
        ({"baseline": "telea", "inference": {"dilte": 1}}, "inpainting", r"'methods.x.inference.dilte'; did you mean"),
        ({"baseline": "telea", "inference": {"mode": "best"}}, "inpainting", r"methods.x.inference.mode: .*'best'"),
        ({"folder": "a", "inference": {"dilate": 1}}, "inpainting", "inference says how a network is run"),
        ({"baseline": "dis", "inference": {"dilate": 1}}, "flow", "methods.x.inference: there is nothing to set"),
    ],
)
def test_mistakes_are_named(spec: Any, task: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        method_from_spec("x", spec, task)


@pytest.mark.parametrize(("name", "giga"), [("sttn", 1031.6), ("dstt", 452.6), ("fuseformer", 751.4), ("telea", None)])
def test_operations_of_a_clip_are_the_published_ones(name: str, giga: float | None) -> None:
    with torch.device("meta"):
        net = create_model(name)
    macs = macs_of_clip(net)
    assert macs == (None if giga is None else pytest.approx(giga * 1e9, abs=5e7))


def test_counting_operations_leaves_the_network_alone() -> None:
    net = create_model("sttn", **get_card("sttn").tiny)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert macs_of_clip(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_table_of_baselines_and_a_network(weights: Path, tmp_path: Path) -> None:
    methods = [
        method("telea", "telea"),
        method("temporal_median", "median"),
        method({"weights": str(weights)}, "official"),
        method({"weights": str(weights), "inference": {"mode": "bounded"}}, "bounded"),
    ]
    benchmark = Benchmark("inpainting_hidden", HiddenVideos(), PROTOCOL, methods)
    options = RunOptions(cache=tmp_path / "cache", pictures=tmp_path / "out", clips=1, progress=False)
    outcome = run(benchmark, options)
    results = outcome.results
    values = {row.name: row.videos for row in results.methods}
    assert values["median"]["video 0"]["psnr"] == 100, "everything is seen once"
    assert values["median"]["video 1"] == values["telea"]["video 1"], "nothing behind the hole is ever seen"
    assert len({row.metrics["psnr"].mean for row in results.methods}) == 4
    table = make_table(results)
    place = [extra.key for extra in table.extras].index("macs_of_clip")
    assert table.extras[place].heading == "MACs of 8 frames of 432x240 (G)"
    assert [row.extras[place].value for row in table.rows[:2]] == ["-", "-"]
    assert float(table.rows[2].extras[place].value) > 0
    assert run(benchmark, options).computed == 0
