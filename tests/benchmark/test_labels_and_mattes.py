"""Benchmarks of segmentation and matting: what methods see, what is pooled, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.benchmark import Benchmark, RunOptions, load_protocol, run
from framewright.benchmark.problems import make_problem
from framewright.core.errors import DataError
from framewright.datamodules.base import EvaluationDataset, EvaluationVideo
from framewright.inference import Method
from framewright.inference.specs import method_from_spec
from framewright.models.registry import all_cards
from framewright.ops.label_colour import labels_to_colour
from framewright.video import write_image
from torch import Tensor

CONFIGS = Path(__file__).parents[2] / "configs"
CPU = torch.device("cpu")


class Scenes(EvaluationDataset):
    """Two videos: half and a quarter of the pixels are of class 1; alpha is a ramp with a trimap around it."""

    name = "halves"

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> EvaluationVideo:
        labels = torch.zeros(2, 16, 32, dtype=torch.int64)
        labels[:, :, : 16 // (index + 1)] = 1
        ramp = torch.linspace(1.5, -0.5, 32).clamp(0, 1).expand(2, 1, 16, 32)
        alpha = (ramp * 255).round() / 255
        trimap = torch.where(alpha == 1, 1.0, torch.where(alpha == 0, 0.0, 0.5))
        frames = torch.rand(2, 3, 16, 32, generator=torch.Generator().manual_seed(index))
        return EvaluationVideo(f"half_{index}", frames, {"labels": labels, "alpha": alpha, "trimap": trimap})

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}


def measured(protocol: str, methods: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    chosen = load_protocol(CONFIGS / "protocol" / f"{protocol}.yaml")
    made: list[Method] = [method_from_spec(name, spec, chosen.task).method for name, spec in methods.items()]
    outcome = run(Benchmark("test", Scenes(), chosen, made), RunOptions(progress=False, resamples=0))
    return {
        method.name: {key: result.mean for key, result in method.metrics.items()} for method in outcome.results.methods
    }


def test_miou_is_pooled_over_videos() -> None:
    methods = {
        "zero": {"baseline": "constant_class", "options": {"num_classes": 6}},
        "one": {"baseline": "constant_class", "options": {"num_classes": 6, "label": 1}},
    }
    found = measured("segmentation_scenes", methods)
    # 3/8 of all pixels are of class 1; the other class has IoU 0, four classes do not occur
    assert found["zero"]["miou"] == pytest.approx(100 * 5 / 8 / 2)
    assert found["one"]["miou"] == pytest.approx(100 * 3 / 8 / 2)
    assert found["one"]["pixel_accuracy"] == pytest.approx(100 * 3 / 8)


def test_labels_are_shown_in_the_colours_of_voc() -> None:
    colours = labels_to_colour(torch.tensor([[0, 1, 2, 3, 8, 15, 255]])) * 255
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (64, 0, 0), (192, 128, 128), (224, 224, 192)]
    assert [tuple(int(v) for v in colours[:, 0, x]) for x in range(7)] == expected


def test_mattes_of_baselines_and_of_a_folder(tmp_path: Path) -> None:
    for video in Scenes():
        for index, alpha in enumerate(video.truth["alpha"]):
            pixels = (alpha[0] * 255).round().to(torch.uint8).numpy()
            (tmp_path / "theirs" / video.id).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / "theirs" / video.id / f"{index:04d}.png", np.repeat(pixels[..., None], 3, 2))
    methods = {"half": "trimap_alpha", "theirs": {"folder": str(tmp_path / "theirs")}}
    found = measured("composition1k", methods)
    assert found["theirs"] == pytest.approx({"sad": 0.0, "mse": 0.0, "grad": 0.0, "conn": 0.0}, abs=1e-9)
    truth = Scenes()[0].truth
    unknown = truth["trimap"] == 0.5
    half = 128 / 255
    assert found["half"]["mse"] == pytest.approx(
        float(((half - truth["alpha"][unknown].double()) ** 2).mean()), rel=1e-5
    )


def test_recurrent_methods_see_no_trimap_and_others_must() -> None:
    protocol = load_protocol(CONFIGS / "protocol" / "videomatte.yaml")
    video = Scenes()[0]
    free = EvaluationVideo(video.id, video.frames, {"alpha": video.truth["alpha"]})
    problem = make_problem(free, protocol, CPU)
    made = list(method_from_spec("mog2", "mog2", "matting").method.process(problem.chunks(), problem.context))
    assert made[0].extras["alpha"].shape == (2, 1, 16, 32)
    needy = method_from_spec("half", "trimap_alpha", "matting").method
    with pytest.raises(DataError, match="no trimap"):
        list(needy.process(problem.chunks(), problem.context))


@pytest.mark.parametrize(
    ("protocol", "truth", "message"),
    [
        ("voc_val", {}, "no true labels"),
        ("voc_val", {"labels": torch.zeros(2, 16, 31)}, "expected"),
        ("composition1k", {"trimap": torch.zeros(2, 1, 16, 32)}, "no true alpha"),
    ],
)
def test_unsuitable_videos_are_refused(protocol: str, truth: dict[str, Tensor], message: str) -> None:
    video = EvaluationVideo("clip", torch.rand(2, 3, 16, 32), truth)
    with pytest.raises(DataError, match=message):
        make_problem(video, load_protocol(CONFIGS / "protocol" / f"{protocol}.yaml"), CPU)


def test_published_values_belong_to_columns_of_their_benchmark() -> None:
    known = ("voc_val", "cityscapes_val", "coco_voc_val", "composition1k")
    seen = 0
    for card in all_cards().values():
        if card.task not in ("segmentation", "matting"):
            continue
        for result in card.published:
            assert result.benchmark in known
            protocol = load_protocol(CONFIGS / "protocol" / f"{result.benchmark}.yaml")
            assert result.metric in {choice.key for choice in protocol.metrics}
            assert (CONFIGS / "benchmark" / f"{card.task}_{result.benchmark}.yaml").is_file()
            seen += 1
    assert seen > 10
