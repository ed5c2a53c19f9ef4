"""The portable harness itself: the rule grammar and the input recipes, against values worked out by hand."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from .portable import build_inputs, compare_output, fill_state_dict, fill_tensor


def normal(key: str, shape: tuple[int, ...], rng: str = "PCG64") -> np.ndarray:
    seed = zlib.crc32(key.encode())
    generator = np.random.RandomState(seed) if rng == "RandomState" else np.random.default_rng(seed)
    return np.asarray(generator.standard_normal(shape))


def fill(*rules: dict[str, object], rng: str = "PCG64", **more: object) -> dict[str, object]:
    return {"salt": "", "rng": rng, "rules": list(rules), **more}


@pytest.mark.parametrize("rng", ["PCG64", "RandomState"])
def test_scale_fan_in_offset_and_absolute_value(rng: str) -> None:
    noise = normal("a.weight", (4, 3, 2), rng)
    plain = fill_tensor("a.weight", (4, 3, 2), fill({}, rng=rng))
    np.testing.assert_array_equal(plain, noise)
    scaled = fill_tensor("a.weight", (4, 3, 2), fill({"fan_in": 2.0, "mul": 0.5, "add": 1.0}, rng=rng))
    np.testing.assert_allclose(scaled, 1 + 0.5 * noise * np.sqrt(2 / 6), rtol=1e-15)
    absolute = fill_tensor("a.weight", (4, 3, 2), fill({"abs": True}, rng=rng))
    np.testing.assert_array_equal(absolute, np.abs(noise))


def test_salt_uniform_and_constants() -> None:
    salted = fill_tensor("b", (5,), fill({}, salt="s."))
    np.testing.assert_array_equal(salted, normal("s.b", (5,)))
    uniform = fill_tensor("b", (5,), fill({"dist": "uniform"}))
    np.testing.assert_array_equal(uniform, np.random.default_rng(zlib.crc32(b"b")).random(5))
    old = fill_tensor("b", (5,), fill({"dist": "uniform"}, rng="RandomState"))
    np.testing.assert_array_equal(old, np.random.RandomState(zlib.crc32(b"b")).random_sample(5))
    constant = fill_tensor("b", (1, 3, 1), fill({"const": [1, 2, 3]}))
    np.testing.assert_array_equal(constant, np.array([1.0, 2, 3]).reshape(1, 3, 1))


@pytest.mark.parametrize(
    ("test", "hits"),
    [
        ({}, ["bn1.weight", "conv.weight", "conv.bias"]),
        ({"suffix": ["bias", "scale"]}, ["conv.bias"]),
        ({"prefix": ["bn"]}, ["bn1.weight"]),
        ({"contains": ["n1", "zzz"]}, ["bn1.weight"]),
        ({"equals": ["conv.bias"]}, ["conv.bias"]),
        ({"suffix": ["weight"], "prefix": ["conv"]}, ["conv.weight"]),
        ({"ndim_min": 2}, ["conv.weight"]),
        ({"ndim_min": 1, "ndim_max": 1, "suffix": ["weight"]}, ["bn1.weight"]),
    ],
)
def test_first_matching_rule_decides(test: dict[str, object], hits: list[str]) -> None:
    shapes = {"bn1.weight": (2,), "conv.weight": (2, 2), "conv.bias": (2,)}
    rules = fill({"if": test, "add": 1000.0}, {"add": -1000.0})
    assert [k for k, s in shapes.items() if fill_tensor(k, s, rules).mean() > 0] == hits


def test_unknown_tests_are_refused() -> None:
    with pytest.raises(AssertionError, match="unknown test"):
        fill_tensor("a", (1,), fill({"if": {"regex": "a"}}))


def test_every_matching_post_rule_applies_in_order() -> None:
    post = [
        {"if": {"prefix": ["fc"]}, "mul": 2.0, "add": 1},
        {"if": {"suffix": ["bias"]}, "mul": 10.0},
        {"if": {"equals": ["other"]}, "mul": 0.0},
        {"if": {"equals": ["fc.bias"]}, "add": [1, 2, 3]},
    ]
    value = fill_tensor("fc.bias", (3,), fill({"const": [1, 1, 1]}, post=post))
    np.testing.assert_array_equal(value, [31, 32, 33])


def test_state_dict_types() -> None:
    state = fill_state_dict({"n": ["int64", []], "w": ["float32", [2, 2]], "s": ["float32", []]}, fill({}))
    assert state["n"].dtype == torch.int64
    assert state["n"] == 0
    assert state["s"].shape == ()
    assert torch.equal(state["w"], torch.from_numpy(normal("w", (2, 2)).astype(np.float32)))


def test_input_recipe() -> None:
    import skimage.data

    recipe = {
        "photo": "coffee",
        "y0": 100,
        "x0": 120,
        "dy": -2,
        "dx": 3,
        "height": 30,
        "width": 40,
        "frames": 2,
        "disc": {
            "photo": "gravel",
            "photo_y": 50,
            "photo_x": 60,
            "cy": 15,
            "cx": 20,
            "dy": 1,
            "dx": -2,
            "radius": 6,
        },
        "mask": {"shape": "box", "cy": 10, "cx": 12, "dy": 1, "dx": 2, "half_height": 2, "half_width": 3},
        "trimap": {"cy": 15, "cx": 20, "inner": 5, "outer": 10},
    }
    inputs = build_inputs(recipe)
    assert inputs.frames.shape == (2, 30, 40, 3)
    np.testing.assert_array_equal(inputs.frames[1, 0, 0], skimage.data.coffee()[98, 123])
    # the centre of the disc at t = 1, and its last pixel to the right
    np.testing.assert_array_equal(inputs.frames[1, 16, 18], np.repeat(skimage.data.gravel()[50, 60], 3))
    np.testing.assert_array_equal(inputs.frames[1, 16, 24], np.repeat(skimage.data.gravel()[50, 66], 3))
    np.testing.assert_array_equal(inputs.frames[1, 16, 25], skimage.data.coffee()[98 + 16, 123 + 25])
    assert inputs.masks is not None
    assert inputs.masks[1].sum() == 5 * 7
    assert inputs.masks[1, 9:14, 11:18].all()
    assert inputs.trimap is not None
    assert [inputs.trimap[15, 20 + d] for d in (0, 5, 6, 10, 11)] == [255, 255, 128, 128, 0]
    ellipse = {**recipe, "mask": {**recipe["mask"], "shape": "ellipse"}}  # type: ignore[dict-item]
    masks = build_inputs(ellipse).masks
    assert masks is not None
    assert masks[0, 8, 12] == masks[0, 10, 15] == 1
    assert masks[0, 8, 13] == masks[0, 10, 16] == 0


def test_comparison_catches_values_statistics_shape_and_nan() -> None:
    output = torch.linspace(-3, 2, 1000, dtype=torch.float64).view(10, 100)
    picked = [float(output.flatten()[k * 999 // 255]) for k in range(256)]
    expected = {
        "shape": [10, 100],
        "tolerance": 1e-6,
        "values": picked,
        "mean": float(output.mean()),
        "std": float(output.std(correction=0)),
        "absmax": 3.0,
    }
    assert compare_output(output, expected) == []
    assert compare_output(output.view(100, 10), expected)
    assert len(compare_output(output + 1e-3, expected)) == 3
    assert len(compare_output(torch.full_like(output, float("nan")), expected)) == 4
    spike = output.clone()
    spike[3, 33] = 50
    assert any("absmax" in failure for failure in compare_output(spike, expected))
