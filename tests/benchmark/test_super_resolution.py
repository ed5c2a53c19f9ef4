"""The super-resolution benchmarks against the figures of reference code and of published tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.benchmark import Benchmark, Protocol, load_protocol, run
from framewright.benchmark.problems import make_problem
from framewright.cli.entry import compose
from framewright.cli.evaluate import evaluate
from framewright.core.errors import ConfigError, DataError, WeightsError
from framewright.datamodules.base import EvaluationVideo
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.inference import FolderMethod, NetworkMethod, chunked
from framewright.metrics import VideoPair, create_metric
from framewright.models.catalog import get_card, list_models
from framewright.models.registry import create_model
from framewright.video import write_image

CONFIGS = Path(__file__).parents[2] / "configs"
CPU = torch.device("cpu")


def protocol(name: str = "sr_y", **changes: Any) -> Protocol:
    loaded = load_protocol(CONFIGS / "protocol" / f"{name}.yaml")
    return Protocol.from_mapping({**loaded.model_dump(), **changes})


def table(root: Path, name: str, method: NetworkMethod, protocol_name: str = "sr_y", **options: Any) -> Any:
    dataset = create_evaluation_set({"name": name, "root": str(root)}, "super_resolution")
    chosen = load_protocol(CONFIGS / "protocol" / f"{protocol_name}.yaml").choose(None, options)
    assert dataset.complete
    return run(Benchmark(f"sr_{name}", dataset, chosen, [method])).results.methods[0]


def bicubic(*, rounded: bool) -> NetworkMethod:
    net = create_model("bicubic", rounded=rounded)
    return NetworkMethod("bicubic", net, published=get_card("bicubic").published if rounded else ())


def golden(assets: Path, name: str) -> Any:
    return json.loads((assets / "parity" / "super_resolution" / name).read_text())


def check(result: Any, expected: dict[str, dict[str, float]]) -> None:
    for key in ("psnr_y", "ssim_y"):
        tolerance = 1e-3 if key == "psnr_y" else 1e-4
        assert result.metrics[key].mean == pytest.approx(expected["MEAN"][key], abs=tolerance)
        for video, values in result.videos.items():
            assert values[key] == pytest.approx(expected[video][key], abs=tolerance), video


def test_bicubic_on_set5_equals_the_reference(assets: Path) -> None:
    expected = golden(assets, "set5_x4_golden.json")["bicubic_matlab_up_of_given_LR"]
    check(table(assets, "set5", bicubic(rounded=False)), expected)


def test_rounded_y_on_set5(assets: Path) -> None:
    mean = golden(assets, "set5_x4_golden.json")["bicubic_matlab_up_of_given_LR"]["MEAN"]
    options = {"psnr_y": {"round_y": True}, "ssim_y": {"round_y": True}}
    result = table(assets, "set5", bicubic(rounded=False), **options)
    assert result.metrics["psnr_y"].mean == pytest.approx(mean["psnr_y_rounded"], abs=1e-4)
    assert result.metrics["ssim_y"].mean == pytest.approx(mean["ssim_y_rounded"], abs=1e-5)


@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_the_tables_of_selfexsr_to_the_fourth_decimal(assets: Path, name: str) -> None:
    printed = golden(assets, "selfexsr_x4_tables.json")[name]
    result = table(assets, name.lower(), bicubic(rounded=True), "sr_y_rounded")
    for key, column in (("psnr_y_rounded", "PSNR"), ("ssim_y_rounded", "SSIM")):
        per_image = [row[printed["methods"].index("Bicubic")] for row in printed[column]]
        found = [result.videos[video][key] for video in sorted(result.videos)]
        assert found == pytest.approx(per_image, abs=1e-4 if key.startswith("psnr") else 1e-5)
        metric = result.metrics[key]
        assert metric.mean == pytest.approx(metric.published.value, abs=6e-5)


def test_gray_files_of_set14_in_both_conventions(assets: Path) -> None:
    expected = golden(assets, "selfexsr_x4_golden.json")["Set14"]["bicubic"]
    converted = table(assets, "set14", bicubic(rounded=True))
    assert converted.metrics["psnr_y"].mean == pytest.approx(expected["psnr_y"], abs=1e-4)
    assert converted.metrics["ssim_y"].mean == pytest.approx(expected["ssim_y"], abs=1e-4)
    plane = table(assets, "set14", bicubic(rounded=True), psnr_y={"gray": "plane"}, ssim_y={"gray": "plane"})
    lower = {video for video in plane.videos if plane.videos[video]["psnr_y"] < converted.videos[video]["psnr_y"] - 1}
    # the bridge is a gray file; the man looks gray and is stored as RGB
    assert lower == {"img_003"}
    assert converted.videos["img_003"]["psnr_y"] - plane.videos["img_003"]["psnr_y"] == pytest.approx(
        20 * np.log10(255 / 219), abs=0.01
    )


@pytest.mark.skipif("srvgg" not in list_models(), reason="the network is not part of this installation")
def test_real_weights_on_set5_equal_the_reference(assets: Path) -> None:
    expected = golden(assets, "set5_x4_golden.json")["realesr-animevideov3"]
    weights = str(assets / "weights" / "realesr-animevideov3.pth")
    check(table(assets, "set5", NetworkMethod("srvgg", create_model("srvgg", weights))), {**expected})


def test_the_command(assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        *("benchmark=sr_set5", f"data.root={assets}", "methods.bicubic=bicubic", "data.videos=2", "device=cpu"),
        *(f"out={tmp_path / 'out'}", "pictures.clips=1"),
    ]
    evaluate(compose(CONFIGS, "evaluate", arguments))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["benchmark"] == "sr_set5_part"
    assert set(results["methods"][0]["videos"]) == {"baby", "butterfly"}
    assert "bicubic" in capsys.readouterr().out
    assert list((tmp_path / "out").rglob("*.mp4"))


def test_low_resolution_is_made_where_it_is_not_given() -> None:
    frames = torch.randint(0, 256, (2, 3, 23, 18)).float() / 255
    problem = make_problem(EvaluationVideo("v", frames), protocol(), CPU)
    assert problem.sources.shape == (2, 3, 5, 4)
    assert torch.equal(problem.targets, frames[..., :20, :16])
    assert problem.preview(1).shape == (3, 20, 16)
    given = torch.rand(2, 3, 5, 4)
    assert torch.equal(make_problem(EvaluationVideo("v", frames, {"lr": given}), protocol(), CPU).sources, given)
    repeated = make_problem(EvaluationVideo("v", frames, {"lr": given}), protocol(lr="repeat"), CPU)
    assert not torch.equal(repeated.sources, given)


def test_low_resolution_of_another_scale_is_told() -> None:
    video = EvaluationVideo("v", torch.rand(1, 3, 24, 24), {"lr": torch.rand(1, 3, 12, 12)})
    with pytest.raises(DataError, match=r"'v' cannot be used: the low-resolution frames are .* a scale of 4"):
        make_problem(video, protocol(), CPU)
    assert make_problem(video, protocol(scale=2), CPU).context.scale == 2
    with pytest.raises(DataError, match="too small for a scale of 4"):
        make_problem(EvaluationVideo("dot", torch.rand(1, 3, 1, 1)), protocol(), CPU)


def test_a_network_of_another_scale_is_told() -> None:
    problem = make_problem(EvaluationVideo("v", torch.rand(1, 3, 24, 24)), protocol(), CPU)
    method = NetworkMethod("twice", create_model("bicubic", scale=2))
    with pytest.raises(ConfigError, match="'twice' enlarges 2 times, asked for is 4 times"):
        list(method.process(problem.chunks(), problem.context))


def test_stored_results_have_the_size_of_the_target(tmp_path: Path) -> None:
    image = np.zeros((24, 28, 3), np.uint8)
    write_image(tmp_path / "a.png", image)
    problem = make_problem(EvaluationVideo("a", torch.rand(1, 3, 24, 28)), protocol(), CPU)
    (chunk,) = FolderMethod("mine", tmp_path).process(problem.chunks(), problem.context)
    assert chunk.frames.shape == problem.targets.shape
    write_image(tmp_path / "a.png", image[:6, :7])
    with pytest.raises(DataError, match="are 7x6, expected 28x24"):
        list(FolderMethod("mine", tmp_path).process(problem.chunks(), problem.context))


def test_scale_belongs_to_super_resolution() -> None:
    with pytest.raises(ConfigError, match="scale=2 belongs to super-resolution"):
        protocol("interpolation", scale=2)


@pytest.mark.parametrize("name", list_models("super_resolution"))
def test_every_published_number_has_its_benchmark_and_column(name: str) -> None:
    keys = {metric.key for path in (CONFIGS / "protocol").glob("sr_*.yaml") for metric in load_protocol(path).metrics}
    for result in get_card(name).published:
        assert (CONFIGS / "benchmark" / f"{result.benchmark}.yaml").is_file(), result.benchmark
        assert result.metric in keys


def test_columns_of_gans_need_their_weights_or_are_empty() -> None:
    dataset = create_evaluation_set({"name": "photographs", "videos": 1}, "super_resolution")
    chosen = load_protocol(CONFIGS / "protocol" / "sr_perceptual.yaml")
    result = run(Benchmark("sr_photographs", dataset, chosen, [bicubic(rounded=False)])).results.methods[0]
    assert result.metrics["psnr_y"].mean is not None
    assert result.metrics["niqe"].mean is None
    assert "niqe_pris_params.npz" in str(result.metrics["niqe"].reason)
    with pytest.raises(WeightsError):
        create_metric("niqe")


class TestLuma:
    def test_a_known_difference(self) -> None:
        target = torch.full((1, 3, 24, 24), 100 / 255)
        pair = VideoPair(target + 1 / 255, target, scale=4)
        # one level of all colours is 219/255 of a level of Y
        assert float(create_metric("psnr_y601").values(pair)) == pytest.approx(20 * np.log10(255 * 255 / 219))  # type: ignore[attr-defined]
        plane = create_metric("psnr_y601", gray="plane")
        assert float(plane.values(pair)) == pytest.approx(20 * np.log10(255))  # type: ignore[attr-defined]
        given = VideoPair(target + 1 / 255, target, scale=4, given={"gray": torch.zeros(1)})
        assert float(plane.values(given)) == pytest.approx(20 * np.log10(255 * 255 / 219))  # type: ignore[attr-defined]

    def test_the_border_does_not_count(self) -> None:
        target = torch.rand(2, 3, 24, 24)
        made = target.clone()
        made[..., :4] = 0
        values = create_metric("psnr_y601", crop_border=None)
        assert torch.isinf(values.values(VideoPair(made, (target * 255).round() / 255, scale=4))).all()  # type: ignore[attr-defined]
        assert not torch.isinf(values.values(VideoPair(made, target, scale=3))).any()  # type: ignore[attr-defined]

    def test_ssim_equals_scikit_image(self) -> None:
        from skimage.metrics import structural_similarity

        generator = torch.Generator().manual_seed(0)
        target = torch.randint(0, 256, (1, 3, 40, 33), generator=generator).float() / 255
        made = (target + 0.1 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
        weights = np.array([65.481, 128.553, 24.966]) / 255
        planes = [
            16 + np.einsum("chw,c->hw", np.rint(image[0].double().numpy() * 255), weights)[2:-2, 2:-2]
            for image in (made, target)
        ]
        expected = structural_similarity(
            *planes, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        found = create_metric("ssim_y601").values(VideoPair(made, target, scale=2))  # type: ignore[attr-defined]
        assert float(found) == pytest.approx(expected, abs=1e-9)

    def test_too_small(self) -> None:
        tiny = VideoPair(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), scale=4)
        with pytest.raises(ValueError, match="has nothing else"):
            create_metric("psnr_y601").values(tiny)  # type: ignore[attr-defined]
        small = VideoPair(torch.rand(1, 3, 16, 30), torch.rand(1, 3, 16, 30), scale=4)
        with pytest.raises(ValueError, match="11x11"):
            create_metric("ssim_y601").values(small)  # type: ignore[attr-defined]

    @pytest.mark.parametrize("options", [{"gray": "red"}, {"crop_border": -1}, {"infinite": "zero"}])
    def test_bad_options(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            create_metric("psnr_y601", **options)


def test_chunks_do_not_change_the_result() -> None:
    frames = torch.rand(5, 3, 9, 11)
    net = create_model("bicubic", scale=2)
    problem = make_problem(EvaluationVideo("v", torch.rand(1, 3, 24, 24)), protocol(scale=2), CPU)
    method = NetworkMethod("b", net, pixel_budget=9 * 11 * 4 * 2)
    whole = torch.cat([chunk.frames for chunk in method.process(chunked(frames), problem.context)])
    parts = list(method.process(chunked(frames, 1), problem.context))
    assert [chunk.start for chunk in parts] == [0, 2, 4]
    assert torch.equal(torch.cat([chunk.frames for chunk in parts]), whole)
