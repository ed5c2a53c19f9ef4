"""MATLAB's imresize, against published low-resolution images and against what is known of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.ops.resize import imresize, shrink, to_8bit
from framewright.video import read_image
from torch import Tensor


def load(path: Path) -> Tensor:
    return torch.from_numpy(read_image(path)).permute(2, 0, 1)


def cut(image: Tensor, multiple: int) -> Tensor:
    return image[:, : image.shape[1] // multiple * multiple, : image.shape[2] // multiple * multiple]


def test_set5_is_reproduced_to_the_last_bit(assets: Path) -> None:
    folder = assets / "super_resolution" / "set5"
    images = sorted((folder / "HR").glob("*.png"))
    assert len(images) == 5
    for path in images:
        given = load(folder / "LR_bicubic_X4" / f"{path.stem}x4.png")
        made = imresize(cut(load(path), 4), 0.25)
        assert int((made != given).sum()) == 0, path.stem
        # images in [0, 1] take the same way
        assert torch.equal(to_8bit(shrink(cut(load(path), 4) / 255, 4)), given)
        # without rounding between the axes every tenth pixel differs
        once = (imresize(cut(load(path), 4).double(), 0.25) + 0.5).floor().clamp(0, 255).byte()
        assert 0.05 < float((once != given).float().mean()) < 0.2


def test_sets_of_earlier_matlab_repeat_the_border(assets: Path) -> None:
    images = sorted((assets / "super_resolution" / "set14_x4").glob("*_HR.png"))
    assert len(images) == 14
    for path in images:
        given = load(path.with_name(path.name.replace("_HR", "_LR")))
        assert torch.equal(imresize(load(path), 0.25, edges="repeat"), given), path.stem
        different = imresize(load(path), 0.25) != given
        assert bool(different.any())
        assert not bool(different[:, 2:-2, 2:-2].any())


def test_weights_of_halving() -> None:
    line = torch.zeros(1, 16, dtype=torch.float64)
    line[0, 8] = 1
    half = imresize(line, size=(1, 8))
    # Keys' kernel at a quarter, three quarters ... of its width, halved
    assert half[0, 2:7].tolist() == pytest.approx([-0.01171875, 0.11328125, 0.43359375, -0.03515625, 0.0])


def test_enlarging_passes_through_constants_and_lines() -> None:
    image = torch.arange(12.0, dtype=torch.float64).repeat(10, 1)
    large = imresize(image, 3)
    assert large.shape == (30, 36)
    inner = large[15, 9:-9]
    assert torch.allclose(inner.diff(), torch.full((17,), 1 / 3, dtype=torch.float64))
    assert torch.allclose(imresize(torch.full((5, 7), 0.3), 1.7), torch.full((9, 12), 0.3))


@pytest.mark.parametrize(("scale", "expected"), [(0.25, (3, 4)), (2, (20, 26)), (1.5, (15, 20)), (0.1, (1, 2))])
def test_sizes_are_rounded_up(scale: float, expected: tuple[int, int]) -> None:
    assert imresize(torch.rand(3, 10, 13), scale).shape == (3, *expected)


def test_one_pixel_and_identity() -> None:
    pixel = torch.rand(1, 3, 1, 1)
    assert torch.allclose(imresize(pixel, 4), pixel.expand(1, 3, 4, 4))
    image = torch.randint(0, 256, (3, 9, 8), dtype=torch.uint8)
    assert torch.equal(imresize(image, 1), image)


def test_rows_come_first_unless_columns_shrink_more() -> None:
    image = torch.randint(0, 256, (64, 64), dtype=torch.uint8)
    both = imresize(image, size=(16, 16))
    rows_first = imresize(imresize(image, size=(16, 64)), size=(16, 16))
    columns_first = imresize(imresize(image, size=(64, 16)), size=(16, 16))
    assert torch.equal(both, rows_first)
    assert not torch.equal(rows_first, columns_first)
    assert torch.equal(imresize(image, size=(32, 16)), imresize(imresize(image, size=(64, 16)), size=(32, 16)))


def test_gradients() -> None:
    image = torch.rand(1, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: imresize(x, 0.5), (image,))
    with torch.inference_mode():
        imresize(torch.rand(1, 1, 7, 5), 2)
    imresize(torch.rand(1, 1, 7, 5, requires_grad=True), 2).sum().backward()


def test_half_precision_is_computed_in_float32() -> None:
    image = torch.rand(3, 12, 12).half()
    made = imresize(image, 0.5)
    assert made.dtype == torch.float16
    assert torch.equal(made, imresize(image.float(), 0.5).half())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a scale or a size"),
        ({"scale": 2, "size": (4, 4)}, "either a scale or a size"),
        ({"scale": 0}, "must be positive"),
        ({"scale": float("nan")}, "must be positive"),
        ({"size": (0, 4)}, "must be positive"),
        ({"scale": 2, "edges": "wrap"}, "edges"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        imresize(torch.rand(3, 4, 4), **arguments)  # type: ignore[arg-type]


def test_bad_images() -> None:
    with pytest.raises(ValueError, match="uint8 or floating point"):
        imresize(torch.zeros(3, 4, 4, dtype=torch.int32), 2)
    with pytest.raises(ValueError, match="at least one pixel"):
        imresize(torch.zeros(3, 0, 4), 2)
    with pytest.raises(ValueError, match="not a multiple"):
        shrink(torch.zeros(3, 6, 4), 4)
