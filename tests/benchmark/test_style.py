"""The tables of style transfer: references of the data set and of methods, own references, caches, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.benchmark.protocol import Protocol, load_protocol
from framewright.benchmark.runner import Benchmark, Outcome, RunOptions, run
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.inference.specs import method_from_spec
from framewright.video import save_video
from framewright.video.images import write_image

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    import skimage.data

    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, top in (("one", 40), ("two", 200)):
        clip = torch.stack([photo[:, top : top + 64, 100 + 2 * t : 196 + 2 * t] for t in range(6)])
        save_video(clip, folder / f"{name}.mp4")
    return folder


def colour(path: Path, *levels: int) -> str:
    write_image(path, np.broadcast_to(np.array(levels, np.uint8), (24, 32, 3)).copy())
    return str(path)


def table(values: dict[str, Any], specs: dict[str, Any], protocol: Protocol, **options: Any) -> Outcome:
    methods = [method_from_spec(name, spec, "style").method for name, spec in specs.items()]
    dataset = create_evaluation_set(values, "style")
    return run(
        Benchmark("style_folder", dataset, protocol, methods), RunOptions(progress=False, resamples=0, **options)
    )


def test_references_of_the_data_and_of_methods(videos: Path, tmp_path: Path) -> None:
    red, blue = colour(tmp_path / "red.png", 200, 60, 50), colour(tmp_path / "blue.png", 40, 60, 180)
    values = {"name": "folder", "root": str(videos), "reference": red, "split": "all"}
    specs = {
        "input": "unstyled",
        "red": "reinhard",
        "blue": {"baseline": "reinhard", "inference": {"reference": blue}},
        "input_as_blue": {"baseline": "unstyled", "inference": {"reference": blue}},
        "matched": {"baseline": "histogram_matching", "inference": {"coherence": 0.6}},
    }
    protocol = load_protocol(CONFIGS / "protocol/style_scenes.yaml").choose(["colour_distance", "warp_error_short"])
    outcome = table(values, specs, protocol, cache=tmp_path / "cache")
    found = {method.name: method.metrics["colour_distance"].mean for method in outcome.results.methods}
    # each method is measured against its own reference
    assert found["red"] < 1
    assert found["blue"] < 1
    assert found["input"] != found["input_as_blue"]
    assert min(found["input"], found["input_as_blue"]) > 20  # type: ignore[type-var]
    assert found["matched"] < 5  # type: ignore[operator]
    again = table(values, specs, protocol, cache=tmp_path / "cache")
    assert (again.computed, again.cached) == (0, 10)
    # another picture under the same name is another method
    colour(tmp_path / "blue.png", 20, 160, 60)
    later = table(values, specs, protocol, cache=tmp_path / "cache")
    assert later.computed == 4
    green = {method.name: method.metrics["colour_distance"].mean for method in later.results.methods}
    assert green["input_as_blue"] != found["input_as_blue"]
    assert {name: green[name] for name in ("input", "red", "matched")} == {
        name: found[name] for name in ("input", "red", "matched")
    }


def test_videos_in_pairs_and_a_table_without_downloads(videos: Path, tmp_path: Path) -> None:
    values = {"name": "style_folders", "content": str(videos), "style": str(videos), "split": "all"}
    dataset = create_evaluation_set(values, "style")
    assert [video.truth["reference"].shape for video in dataset] == [(3, 3, 64, 96)] * 2
    protocol = load_protocol(CONFIGS / "protocol/style_video.yaml")
    # lpips, fid and their like need weights, which are absent here
    columns = [metric.key for metric in protocol.metrics]
    outcome = table({**values, "videos": 1, "max_frames": 3}, {"reinhard": "reinhard"}, protocol.choose(columns[2:]))
    (method,) = outcome.results.methods
    measured = {key for key, result in method.metrics.items() if result.mean is not None}
    assert measured == {"colour_distance"}
    assert method.metrics["artfid"].reason


def test_scenes_know_the_right_result(tmp_path: Path) -> None:
    protocol = load_protocol(CONFIGS / "protocol/style_scenes.yaml").choose(["psnr_styled", "colour_distance", "ssim"])
    values = {"name": "scenes", "version": "scenes_val_v1", "videos": 1, "appearances": ["dusk"]}
    (method, plain) = table(values, {"reinhard": "reinhard", "input": "unstyled"}, protocol).results.methods
    assert all(result.mean is not None for result in method.metrics.values())
    assert method.metrics["colour_distance"].mean < plain.metrics["colour_distance"].mean  # type: ignore[operator]
    assert 10 < plain.metrics["psnr_styled"].mean < 30  # type: ignore[operator]
    assert plain.metrics["ssim"].mean == 1


def test_messages(videos: Path, tmp_path: Path) -> None:
    values = {"name": "folder", "root": str(videos), "split": "all"}
    protocol = load_protocol(CONFIGS / "protocol/style_scenes.yaml").choose(["colour_distance"])
    with pytest.raises(ConfigError, match=r"'reinhard' takes the style of a reference.*data\.reference"):
        table(values, {"reinhard": "reinhard"}, protocol)
    with pytest.raises(DataError, match=r"colour_distance of method 'input'.*needs a reference"):
        table(values, {"input": "unstyled"}, protocol)
    with pytest.raises(DataError, match="there is no reference"):
        create_evaluation_set({**values, "reference": str(tmp_path / "no.png")}, "style")
    with pytest.raises(ConfigError, match=r"data\.reference belongs to style transfer"):
        create_evaluation_set({**values, "reference": colour(tmp_path / "a.png", 1, 2, 3)}, "interpolation")
    with pytest.raises(ConfigError, match="unknown appearance 'dust'"):
        create_evaluation_set({"name": "scenes", "appearances": ["dust"]}, "style")
    with pytest.raises(ConfigError, match=r"unknown key 'methods\.x\.inference\.referense'"):
        method_from_spec("x", {"baseline": "reinhard", "inference": {"referense": "a.png"}}, "style")
