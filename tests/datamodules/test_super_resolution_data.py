"""Super-resolution data: samples, layouts, degradation, files of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from framewright.cli.entry import compose
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.check import check
from framewright.datamodules.degradation import RealESRGANDegradation, sharpen
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.datamodules.photographs import held_out_photographs, training_photographs
from framewright.datamodules.scenes.textures import texture_file
from framewright.datamodules.sources import create_source, parse_data
from framewright.datamodules.sr_kernels import SHAPES, draw_kernel, gaussian_kernel, sinc_kernel
from framewright.datamodules.sr_transforms import ScaleTransform
from framewright.ops.resize import imresize
from framewright.video import is_gray_file, write_image
from torch import Tensor

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = ("photographs", "div2k", "flickr2k", "ost", "reds", "images", "df2k", "df2k_ost")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def reduced(image: np.ndarray[Any, Any], scale: int = 4) -> np.ndarray[Any, Any]:
    whole = image[: image.shape[0] // scale * scale, : image.shape[1] // scale * scale]
    return imresize(torch.from_numpy(whole.copy()).permute(2, 0, 1), 1 / scale).permute(1, 2, 0).numpy()


def put(root: Path, name: str, image: np.ndarray[Any, Any]) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_image(root / name, image)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def source(values: dict[str, Any]) -> Any:
    return create_source(parse_data(values), "super_resolution")


def plain(**changes: Any) -> ScaleTransform:
    return ScaleTransform(**{"horizontal_flip": 0.0, "vertical_flip": 0.0, "rotation": 0.0, **changes})


def bytes_of(image: Tensor) -> Tensor:
    return (image * 255).round().byte().permute(1, 2, 0)


class TestSamples:
    @pytest.mark.parametrize("scale", [2, 3, 4])
    def test_a_crop_is_that_of_the_whole_reduced_image(self, scale: int) -> None:
        image = picture(61, 83)
        small = torch.from_numpy(reduced(image, scale))
        places = set()
        for seed in range(12):
            sample = plain(crop=6 * scale, scales=(scale,))(image, None, rng(seed), "x")
            lr, target = bytes_of(sample["lr"]), bytes_of(sample["target"])
            assert lr.shape == (6, 6, 3)
            found = [
                (y, x)
                for y in range(small.shape[0] - 5)
                for x in range(small.shape[1] - 5)
                if torch.equal(small[y : y + 6, x : x + 6], lr)
            ]
            ((y, x),) = found
            places.add((y, x))
            part = image[y * scale : (y + 6) * scale, x * scale : (x + 6) * scale]
            assert torch.equal(target, torch.from_numpy(part))
        assert len(places) > 6

    def test_given_images_are_cut_along(self) -> None:
        image, low = picture(49, 64), picture(12, 16, seed=1)
        sample = plain(crop=16)(image, low, rng(3), "x")
        lr = bytes_of(sample["lr"])
        assert any(
            torch.equal(torch.from_numpy(low[y : y + 4, x : x + 4]), lr)
            and torch.equal(torch.from_numpy(image[4 * y : 4 * y + 16, 4 * x : 4 * x + 16]), bytes_of(sample["target"]))
            for y in range(9)
            for x in range(13)
        )
        with pytest.raises(DataError, match=r"photo.png: the low-resolution image is 14x12, expected 16x12"):
            plain(crop=16)(image, low[:, :14], rng(), "photo.png")

    def test_flips_and_turns_keep_both_together(self) -> None:
        image = picture(32, 32)
        seen = set()
        for seed in range(40):
            sample = ScaleTransform(crop=None, scales=(2,))(image, None, rng(seed), "x")
            whole = torch.from_numpy(image)
            for turn in range(8):
                laid = torch.rot90(whole, turn % 4) if turn < 4 else torch.rot90(whole.flip(0), turn % 4)
                if torch.equal(laid, bytes_of(sample["target"])):
                    seen.add(turn)
            # the kernel is symmetric: turning and reducing commute, up to the order of the axes
            again = imresize((sample["target"] * 255).round().byte(), 0.5)
            assert float((again.float() - sample["lr"] * 255).abs().max()) <= 2
        assert seen == set(range(8))

    def test_several_scales_have_one_target(self) -> None:
        sample = plain(crop=32, scales=(2, 4))(picture(64, 64), None, rng(), "x")
        assert {name: tuple(value.shape) for name, value in sample.items()} == {
            "target": (3, 32, 32),
            "lr_x2": (3, 16, 16),
            "lr_x4": (3, 8, 8),
            "lr": (3, 8, 8),
        }
        assert torch.equal(sample["lr"], sample["lr_x4"])

    def test_samples_depend_on_the_generator_alone(self) -> None:
        transform = ScaleTransform(crop=32, degradation="realesrgan", sharpened=True, shrink=(1.0, 0.5))
        image = picture(90, 100)
        one, two, other = (transform(image, None, rng(seed), "x") for seed in (1, 1, 2))
        assert set(one) == {"lr", "target", "sharp"}
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert not torch.equal(one["lr"], other["lr"])
        assert one["lr"].shape == (3, 8, 8)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"crop": 30}, "crop=30 must be a multiple of the scale 4"),
            ({"scales": (4, 4)}, "different whole numbers"),
            ({"scales": (3, 4), "crop": 24}, "each must divide the largest"),
            ({"shrink": (2.0,)}, "shrink"),
            ({"settings": {"sizes": [7, 21]}}, "belong to degradation=realesrgan"),
            ({"degradation": "realesrgan", "settings": {"fist": {}}}, "there is no 'fist'"),
            ({"degradation": "realesrgan", "settings": {"first": {"jpeg": [95, 30]}}}, "first number"),
            ({"degradation": "realesrgan", "settings": {"first": {"sinc": 2}}}, "expected a probability"),
            ({"degradation": "realesrgan", "settings": {"sizes": [8, 21]}}, "odd"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            ScaleTransform(**options)

    def test_images_below_the_crop_are_told(self) -> None:
        with pytest.raises(DataError, match=r"a.png is 20x40, too small for a crop of 32x32"):
            plain(crop=32)(picture(40, 20), None, rng(), "a.png")
        with pytest.raises(DataError, match=r"dot.png is 1x1, too small"):
            plain(crop=None)(picture(1, 1), None, rng(), "dot.png")


class TestDegradation:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_kernels(self, shape: Any) -> None:
        kernel = gaussian_kernel(21, 2.5, 1.0, 0.4, shape, 1.3)
        assert kernel.sum() == pytest.approx(1)
        assert np.allclose(kernel, kernel[::-1, ::-1])
        assert kernel[10, 10] == kernel.max()
        assert np.allclose(kernel, kernel.T) == ("aniso" not in shape)

    def test_an_oblong_kernel_lies_along_its_axis(self) -> None:
        kernel = gaussian_kernel(31, 4.0, 1.5, np.pi / 6, "aniso")
        axis = np.arange(31) - 15.0
        x, y = np.meshgrid(axis, axis)
        moments = np.array([[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)])
        direction = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
        assert direction @ moments @ direction == pytest.approx(16, rel=0.02)
        assert np.linalg.det(moments) == pytest.approx((4.0 * 1.5) ** 2, rel=0.03)

    def test_a_sinc_filter_stops_high_frequencies(self) -> None:
        kernel = sinc_kernel(21, np.pi / 3)
        response = np.abs(np.fft.fft2(kernel, (63, 63)))
        assert kernel.sum() == pytest.approx(1)
        assert response[2, 0] == pytest.approx(1, abs=0.15)
        assert response[31, 31] < 0.05
        assert (kernel < 0).any()

    def test_drawn_kernels(self) -> None:
        sizes = set()
        for seed in range(60):
            kernel = draw_kernel(
                rng(seed), (7, 21), (0.2, 3), (0.5, 4), (1, 2), (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), 0.1
            )
            sizes.add(kernel.shape[0])
            assert np.isfinite(kernel).all()
            assert kernel.sum() == pytest.approx(1)
        assert sizes == set(range(7, 22, 2))

    def test_everything_off_is_a_mere_reduction(self) -> None:
        off = {"blur": 0.0, "sinc": 0.0, "factor": [1.0, 1.0], "noise": [0.0, 0.0], "poisson": [0.0, 0.0]}
        still = {**off, "jpeg": [100, 100], "sigma": [0.2, 0.2], "shapes": [1, 0, 0, 0, 0, 0]}
        degrade = RealESRGANDegradation.from_mapping({"first": still, "second": still, "final_sinc": 0.0})
        y, x = np.mgrid[0:64, 0:64] / 64
        image = np.stack([x, y, (x + y) / 2], -1).astype(np.float32)
        made = degrade(image, 4, rng())
        expected = image.reshape(16, 4, 16, 4, 3).mean((1, 3)) * 255
        assert float(np.abs(made - expected)[1:-1, 1:-1].max()) < 6

    def test_flat_colour_keeps_its_mean(self) -> None:
        image = np.full((64, 64, 3), 0.5, np.float32)
        means = [RealESRGANDegradation()(image, 4, rng(seed)).mean() for seed in range(12)]
        assert np.mean(means) == pytest.approx(127.5, abs=5)
        assert np.std(means) > 0

    def test_sharpening(self) -> None:
        flat = np.full((40, 40, 3), 0.3, np.float32)
        assert np.allclose(sharpen(flat), flat)
        edge = flat.copy()
        edge[:, 20:] = 0.7
        sharp = sharpen(edge)
        assert sharp[20, 19, 0] < 0.3
        assert sharp[20, 20, 0] > 0.7


class TestSources:
    @pytest.mark.parametrize("name", DATA)
    def test_configurations(self, name: str) -> None:
        values = compose(CONFIGS, "train", [f"data={name}"])["data"]
        made = source(values)
        benchmark, overrides = made.benchmark()
        assert (CONFIGS / "benchmark" / f"{benchmark}.yaml").is_file()
        assert set(overrides) <= {"root"}
        with pytest.raises(ConfigError, match="no samples for the task 'flow'"):
            create_source(parse_data(values), "flow")

    def test_photographs(self) -> None:
        train, held = training_photographs(), held_out_photographs(gray=True)
        assert len(train) == 10
        assert len(held) == 6
        assert not {texture_file(name).sha256 for name in train} & {texture_file(name).sha256 for name in held}
        made = source({"name": "photographs", "crop": 64})
        dataset, validation = made.training(), made.validation()
        sample = dataset.sample(0, rng())
        assert sample["lr"].shape == (3, 16, 16)
        assert sample["lr"].dtype == torch.float32
        assert validation is not None
        assert [video.id for video in validation] == ["coffee", "ihc", "motorcycle_left"]
        assert set(dataset.describe()["photographs"]) == set(train)
        few = source({"name": "photographs", "photographs": ["chelsea", "brick"]}).training()
        assert set(few.describe()["photographs"]) == {"brick", "chelsea"}
        with pytest.raises(ConfigError, match="coffee"):  # held out
            source({"name": "photographs", "photographs": ["coffee"]}).training()
        with pytest.raises(ConfigError, match="photographs has no files"):
            source({"name": "photographs", "root": "/x"}).training()

    def test_div2k(self, tmp_path: Path) -> None:
        for number in (1, 2):
            image = picture(40, 48, number)
            put(tmp_path, f"DIV2K_train_HR/{number:04d}.png", image)
            put(tmp_path, f"DIV2K_train_LR_bicubic/X4/{number:04d}x4.png", reduced(image))
        put(tmp_path, "DIV2K_valid_HR/0801.png", picture(40, 41, 9))
        values = {"name": "div2k", "root": str(tmp_path), "crop": 16}
        made, given = (source({**values, "lr": lr}).training() for lr in ("made", "given"))
        assert len(given) == 2
        assert (given.describe()["low_resolution"], made.describe()["low_resolution"]) == ("given", "made")
        for index in range(2):
            one, two = made.sample(index, rng(index)), given.sample(index, rng(index))
            assert all(torch.equal(one[name], two[name]) for name in ("lr", "target"))
        (video,) = source(values).validation()
        assert (video.id, tuple(video.frames.shape), set(video.truth)) == ("0801", (1, 3, 40, 41), {"gray"})
        twice = {**values, "scales": [2], "lr": "given"}
        with pytest.raises(DataError, match=r"2 of 2 images .* have no low-resolution file for a scale of 2"):
            source(twice).training()
        (tmp_path / "DIV2K_train_LR_bicubic/X4/0002x4.png").unlink()
        with pytest.raises(DataError, match="has no low-resolution image for '0002'"):
            source(values).training()

    def test_mixture(self, tmp_path: Path) -> None:
        put(tmp_path / "d", "DIV2K_train_HR_sub/0001_s001.png", picture(32, 32))
        put(tmp_path / "o", "sky/a.png", picture(32, 32, 1))
        put(tmp_path / "o", "building/b.png", picture(32, 32, 2))
        parts = [
            {"name": "div2k", "root": str(tmp_path / "d"), "sub": True, "repeats": 3},
            {"name": "ost", "root": str(tmp_path / "o")},
        ]
        made = source({"name": "sr_mix", "crop": 16, "degradation": "realesrgan", "parts": parts})
        dataset = made.training()
        assert len(dataset) == 5
        assert dataset.sample(4, rng())["lr"].shape == (3, 4, 4)
        assert dataset.describe()["parts"][1]["transform"]["degradation"]["kind"] == "realesrgan"
        with pytest.raises(ConfigError, match="batch_size"):
            source({"name": "sr_mix", "parts": [{"name": "ost", "batch_size": 2}]})

    def test_reds_and_vid4(self, tmp_path: Path) -> None:
        for clip in ("000", "001"):
            for frame in range(2):
                put(tmp_path / "reds", f"train_sharp/{clip}/{frame:08d}.png", picture(24, 32, frame))
                put(tmp_path / "reds", f"train_sharp_bicubic/X4/{clip}/{frame:08d}.png", picture(6, 8, frame))
        made = source({"name": "reds", "root": str(tmp_path / "reds"), "crop": 16})
        assert len(made.training()) == 2
        assert made.training().files[0].id == "001"
        (video,) = made.validation()
        assert (video.id, tuple(video.truth["lr"].shape)) == ("000", (2, 3, 6, 8))
        put(tmp_path / "vid4", "GT/walk/00000000.png", picture(24, 32))
        values = {"name": "vid4", "root": str(tmp_path / "vid4")}
        dataset = create_evaluation_set(values, "super_resolution")
        assert not dataset.complete
        assert dataset[0].id == "walk"
        with pytest.raises(ConfigError, match="holds no BDx4"):
            create_evaluation_set({**values, "degradation": "BD"}, "super_resolution")
        assert check("reds", tmp_path / "reds", partial=True, progress=False) == 0


class TestEvaluationSets:
    def test_layouts_of_set5(self, tmp_path: Path) -> None:
        names = ("baby", "bird", "butterfly", "head", "woman")
        for index, name in enumerate(names):
            image = picture(33, 38, index)
            put(tmp_path / "edsr/Set5", f"HR/{name}.png", image)
            put(tmp_path / "edsr/Set5", f"LR_bicubic/X4/{name}x4.png", reduced(image))
            put(tmp_path / "basicsr", f"GTmod12/{name}.png", image[:24, :36])
            put(tmp_path / "basicsr", f"LRbicx4/{name}.png", reduced(image[:24, :36]))
            put(tmp_path / "selfexsr/Set5/image_SRF_4", f"img_{index + 1:03d}_SRF_4_HR.png", image[:32, :36])
            put(tmp_path / "selfexsr/Set5/image_SRF_4", f"img_{index + 1:03d}_SRF_4_LR.png", reduced(image[:32, :36]))
        for layout, ids in (("edsr", names), ("basicsr", names), ("selfexsr", [f"img_{i:03d}" for i in range(1, 6)])):
            dataset = create_evaluation_set({"name": "set5", "root": str(tmp_path / layout)}, "super_resolution")
            assert dataset.complete
            assert [video.id for video in dataset] == list(ids)
            assert all("lr" in video.truth for video in dataset)
            assert check("set5", tmp_path / layout, manifest=tmp_path / f"{layout}.json", progress=False) == 0
        made = create_evaluation_set({"name": "set5", "root": str(tmp_path / "edsr"), "scale": 2}, "super_resolution")
        assert "lr" not in made[0].truth
        with pytest.raises(DataError, match=r"Set5: .* is not laid out as expected"):
            create_evaluation_set({"name": "set5", "root": str(tmp_path)}, "super_resolution")
        with pytest.raises(ConfigError, match="super_resolution"):
            create_evaluation_set({"name": "set5", "root": str(tmp_path / "edsr")}, "flow")

    def test_files_of_all_kinds(self, tmp_path: Path) -> None:
        from PIL import Image

        gray = picture(16, 20)[..., 0]
        cv2.imwrite(str(tmp_path / "gray.png"), gray)
        cv2.imwrite(str(tmp_path / "gray16.png"), gray.astype(np.uint16) * 257)
        cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([picture(16, 20), gray]))
        Image.fromarray(picture(16, 20)).quantize(16).save(tmp_path / "palette.png")
        put(tmp_path, "deep/rgb.png", np.repeat(gray[..., None], 3, 2))
        cv2.imwrite(str(tmp_path / "dot.png"), picture(1, 1))
        dataset = create_evaluation_set({"name": "images", "root": str(tmp_path)}, "super_resolution")
        videos = {video.id: video for video in dataset}
        assert set(videos) == {"gray", "gray16", "alpha", "palette", "deep/rgb", "dot"}
        flags = {name for name, video in videos.items() if bool(video.truth["gray"][0])}
        assert flags == {"gray", "gray16"}
        assert all(video.frames.shape[:2] == (1, 3) for video in dataset)
        assert torch.equal(videos["gray"].frames, videos["gray16"].frames)
        assert torch.equal(videos["gray"].frames, videos["deep/rgb"].frames)
        with pytest.raises(DataError, match="cannot be decoded"):
            is_gray_file(__file__)

    def test_your_own_pairs(self, tmp_path: Path) -> None:
        for name in ("a", "sub/b"):
            put(tmp_path / "hr", f"{name}.png", picture(24, 24))
            put(tmp_path / "lr", f"{name}x4.png", picture(6, 6))
        values = {"name": "images", "root": str(tmp_path / "hr"), "lr_root": str(tmp_path / "lr")}
        dataset = create_evaluation_set(values, "super_resolution")
        assert [tuple(video.truth["lr"].shape) for video in dataset] == [(1, 3, 6, 6)] * 2
        (tmp_path / "lr" / "ax4.png").unlink()
        with pytest.raises(DataError, match=r"no low-resolution image for 'a.png'"):
            create_evaluation_set(values, "super_resolution")
