"""Every experiment composes, validates, and does optimizer steps in its tiny form."""

from __future__ import annotations

import csv
from pathlib import Path

import framewright
import pytest
from framewright.benchmark.protocol import load_protocol
from framewright.cli.entry import compose
from framewright.cli.evaluate import EvaluateSection
from framewright.cli.train import check, train
from framewright.core.config import parse_section
from framewright.models.registry import get_card

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


# experiments whose model section fits every network that the group names
OF_TASK = {
    "interpolation": "quickstart",
    "flow": "pwcnet_chairs",
    "inpainting": "sttn_youtubevos",
    "super_resolution": "rrdbnet_psnr_x4",
    "stabilization": "stabilization_unsupervised",
    "segmentation": "quickstart_segmentation",
    "matting": "quickstart_matting",
    "style": "recycle_gan",
}


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize("experiment", names("experiment"))
def test_experiment_composes_and_validates(experiment: str) -> None:
    config = check(compose(CONFIGS, "train", [f"experiment={experiment}"]))
    assert config.experiment == experiment
    assert config.final is None or config.final.benchmark in (None, *names("benchmark"))


@pytest.mark.parametrize("experiment", names("experiment"))
def test_experiment_trains_in_its_tiny_form(experiment: str, tmp_path: Path) -> None:
    typed = [f"experiment={experiment}", "debug=tiny", "trainer.progress=false", "data.workers=0"]
    typed += [f"run.dir={tmp_path / 'run'}", "final=null"]
    run = train(compose(CONFIGS, "train", typed), typed, CONFIGS)
    with open(run / "metrics.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["iteration"]) for row in rows] == [1, 2, 3]
    assert all(float(row["train/loss"]) > 0 for row in rows)
    net = framewright.load_model(run)
    assert not net.training


@pytest.mark.parametrize("group", ["model", "data", "loss", "trainer", "logger", "callbacks", "debug"])
def test_every_choice_composes_and_validates(group: str) -> None:
    for name in names(group):
        task = get_card(name).task if group == "model" else "interpolation"
        # recurrent, without a trimap: trained with other losses than the rest of its task
        experiment = "rvm_scenes" if name == "rvm" else OF_TASK[task]
        check(compose(CONFIGS, "train", [f"experiment={experiment}", f"{group}={name}"]))


@pytest.mark.parametrize("benchmark", names("benchmark"))
def test_every_benchmark_composes_and_validates(benchmark: str) -> None:
    values = compose(CONFIGS, "evaluate", [f"benchmark={benchmark}", "methods.a=frame_average"])
    config = parse_section(EvaluateSection, values)
    assert config.benchmark == benchmark


@pytest.mark.parametrize("protocol", names("protocol"))
def test_every_protocol_is_valid(protocol: str) -> None:
    assert load_protocol(CONFIGS / "protocol" / f"{protocol}.yaml").name == protocol


SOURCES_OF_TASK = {
    "interpolation": ["scenes", "folder", "vimeo90k_triplet", "vimeo90k_septuplet"],
    "flow": [
        *("scenes", "flying_chairs", "flying_things", "sintel", "kitti2012", "kitti2015", "hd1k", "middlebury_flow"),
        *("flow_mix_sintel", "flow_mix_kitti"),
    ],
    "inpainting": ["scenes", "folder", "youtube_vos", "davis"],
    "segmentation": ["scenes", "voc", "cityscapes", "label_folder"],
    "matting": ["scenes", "matting_composites"],
    "super_resolution": [
        *("scenes", "photographs", "div2k", "flickr2k", "ost", "reds", "images", "df2k", "df2k_ost"),
    ],
    "stabilization": ["scenes"],
    "style": ["scenes", "style_folders"],
}


@pytest.mark.parametrize(("task", "source"), [(t, source) for t, known in SOURCES_OF_TASK.items() for source in known])
def test_the_benchmark_of_every_data_source_exists(task: str, source: str) -> None:
    from framewright.datamodules.evaluation_sets import EVALUATION_SETS
    from framewright.datamodules.sources import create_source, parse_data

    values = compose(CONFIGS, "train", [f"data={source}"])["data"]
    name, data = create_source(parse_data(values), task).benchmark()
    assert name in names("benchmark")
    composed = compose(CONFIGS, "evaluate", [f"benchmark={name}"])["data"]
    section = EVALUATION_SETS[composed["name"]]
    assert set(data) <= set(section.model_fields)


def test_every_data_choice_belongs_to_a_task() -> None:
    listed = {source for sources in SOURCES_OF_TASK.values() for source in sources}
    assert listed | {"scenes_gentle"} == set(names("data"))
