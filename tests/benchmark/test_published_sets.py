"""The interpolation benchmarks on published data sets: configuration, padding, published rows."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.benchmark import Benchmark, Protocol, load_protocol, run
from framewright.benchmark.problems import make_problem
from framewright.cli.entry import compose
from framewright.cli.evaluate import EvaluateSection, evaluate
from framewright.core.config import parse_section
from framewright.core.errors import DataError
from framewright.datamodules.evaluation_sets import EVALUATION_SETS, create_evaluation_set
from framewright.inference import Chunk, Context, NetworkMethod, chunked
from framewright.models.card import PublishedResult
from framewright.models.catalog import get_card, list_models
from torch import Tensor, nn

CONFIGS = Path(__file__).parents[2] / "configs"
BENCHMARKS = sorted(path.stem for path in (CONFIGS / "benchmark").glob("*.yaml"))


def layouts() -> Any:
    place = Path(__file__).parents[1] / "datamodules" / "published_layouts.py"
    spec = importlib.util.spec_from_file_location("published_layouts", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder(nn.Module):
    """The mean of both frames; keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, image0: Tensor, image1: Tensor, timestep: float | Tensor = 0.5) -> Tensor:
        self.seen.append(image0)
        return (image0 + image1) / 2


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_composes_and_its_keys_are_valid(name: str) -> None:
    config = parse_section(EvaluateSection, compose(CONFIGS, "evaluate", [f"benchmark={name}"]))
    assert config.benchmark == name
    protocol = Protocol.from_mapping(config.protocol)
    section = parse_section(EVALUATION_SETS[config.data["name"]], config.data, "data")
    assert section.videos is None
    # the masks of published inpainting tables are files that people have to bring
    own = {key: value for key, value in config.published_when.items() if key != "masks"}
    assert {key: config.data[key] for key in own} == own
    assert protocol.stride == config.data.get("multiple", protocol.stride)


@pytest.mark.parametrize("name", list_models("interpolation"))
def test_every_published_number_has_its_benchmark(name: str) -> None:
    for result in get_card(name).published:
        values = compose(CONFIGS, "evaluate", [f"benchmark=interpolation_{result.benchmark}"])
        metrics = Protocol.from_mapping(values["protocol"]).metrics
        assert result.metric in {metric.key for metric in metrics} | {metric.registered_name for metric in metrics}


def test_middlebury_pads_to_640x480_below_and_to_the_right(tmp_path: Path) -> None:
    root = layouts().middlebury(tmp_path, (380, 420))
    dataset = create_evaluation_set({"name": "middlebury_other", "root": str(root), "videos": 2}, "interpolation")
    net = Recorder()
    method = NetworkMethod("net", net)
    protocol = load_protocol(CONFIGS / "protocol" / "interpolation_ie.yaml")
    results = run(Benchmark("interpolation_middlebury_other", dataset, protocol, [method])).results
    # inputs v and v + 20, truth v + 13: the mean misses by 3 grey levels everywhere
    assert results.method("net").metrics["interpolation_error"].mean == pytest.approx(3.0, abs=1e-4)
    seen = net.seen[-1]
    assert seen.shape == (1, 3, 480, 640)
    assert (seen[..., :380, :420] > 0).all()
    assert (seen[..., 380:, :] == 0).all()
    assert (seen[..., :, 420:] == 0).all()


@pytest.mark.parametrize(("rows", "padded"), [(544, 576), (720, 768), (1080, 1088)])
def test_hd_pads_rows_as_official(rows: int, padded: int) -> None:
    protocol = load_protocol(CONFIGS / "protocol" / "interpolation_luma.yaml")
    assert protocol.padding is not None
    assert protocol.padding.rule().padded_size(rows, 1280) == (padded, 1280)


def test_hd_repeats_edges_on_both_sides() -> None:
    protocol = load_protocol(CONFIGS / "protocol" / "interpolation_luma_4x.yaml")
    assert protocol.padding is not None
    net = Recorder()
    frames = torch.rand(2, 3, 20, 64)
    context = Context("interpolation", (0.25, 0.5, 0.75), padding=protocol.padding.rule())
    (chunk,) = NetworkMethod("net", net).process(chunked(frames), context)
    assert torch.equal(chunk.frames, frames.mean(0, keepdim=True).expand(3, -1, -1, -1))
    seen = net.seen[0][0]
    assert seen.shape == (3, 64, 64)
    assert torch.equal(seen[:, 22:42], frames[0])
    assert torch.equal(seen[:, 0], frames[0, :, 0])
    assert torch.equal(seen[:, 63], frames[0, :, 19])


def test_frames_larger_than_the_padding_are_told(tmp_path: Path) -> None:
    root = layouts().middlebury(tmp_path, (481, 24))
    dataset = create_evaluation_set({"name": "middlebury_other", "root": str(root)}, "interpolation")
    protocol = load_protocol(CONFIGS / "protocol" / "interpolation_ie.yaml")
    with pytest.raises(DataError, match=r"'Beanbags' cannot be used: 24x481 is larger than the 640x480"):
        make_problem(dataset[0], protocol, torch.device("cpu"))


class Known:
    """A method with a published number for HD; repeats the left frame."""

    name, source, weights_sha256, parameters = "known", "test", None, None
    published = (PublishedResult("hd_4x_544p", "psnr_y", 22.96, "readme"), PublishedResult("hd", "psnr_y", 32.14, "r"))

    def fingerprint(self) -> None:
        return None

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        frames = torch.cat([chunk.frames for chunk in chunks])
        yield Chunk(0, frames[:-1].repeat_interleave(len(context.timesteps), 0))


@pytest.mark.parametrize(
    ("benchmark", "changes", "expected"),
    [
        ("interpolation_hd_4x_544p", [], 22.96),
        ("interpolation_hd_4x_544p", ["data.videos=2"], None),
        ("interpolation_hd", ["data.resolution=544p"], None),
    ],
)
def test_published_numbers_stand_beside_the_whole_set_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: str, changes: list[str], expected: float | None
) -> None:
    from types import SimpleNamespace

    from framewright.benchmark.results import read_results

    root = layouts().hd_544(tmp_path / "HD_dataset")
    monkeypatch.setattr(
        "framewright.inference.specs.method_from_spec",
        lambda name, spec, task: SimpleNamespace(method=Known(), decision="known", run=None),
    )
    overrides = [f"benchmark={benchmark}", f"data.root={root}", "methods.known=known", f"out={tmp_path / 'out'}"]
    values = compose(CONFIGS, "evaluate", [*overrides, "pictures.clips=0", *changes])
    metric = read_results(evaluate(values) / "results.json").method("known").metrics["psnr_y"]
    assert metric.mean is not None
    assert (metric.published and metric.published.value) == expected
