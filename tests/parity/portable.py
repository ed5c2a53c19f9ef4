"""Parity without reference code: weights and inputs by formula, sampled outputs of the official network.

Each file of ``data/`` holds a network's official keys, the rule that fills them, the recipe of its inputs,
and up to 256 values of every output of the official code. Usage in a test::

    case = load_case("rife_ifnet")
    network.load_state_dict(case.state_dict())
    frames = case.inputs().frames        # uint8 (T, H, W, 3), see case.conversion
    case.check({"flow0": ..., ...})      # every output, at the stated tolerance
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"

Array = npt.NDArray[Any]


# --- weights


def _matches(rule: Mapping[str, Any], key: str, ndim: int) -> bool:
    tests = rule.get("if", {})
    known = {"ndim_min", "ndim_max", "equals", "prefix", "suffix", "contains"}
    assert tests.keys() <= known, f"unknown test in fill rule: {tests.keys() - known}"
    if ndim < tests.get("ndim_min", ndim) or ndim > tests.get("ndim_max", ndim):
        return False
    if "equals" in tests and key not in tests["equals"]:
        return False
    if "prefix" in tests and not key.startswith(tuple(tests["prefix"])):
        return False
    if "suffix" in tests and not key.endswith(tuple(tests["suffix"])):
        return False
    return "contains" not in tests or any(part in key for part in tests["contains"])


def _draw(rng: str, seed: int, distribution: str, shape: tuple[int, ...]) -> Array:
    generator: Any
    if rng == "PCG64":
        generator = np.random.Generator(np.random.PCG64(seed))
    elif rng == "RandomState":
        generator = np.random.RandomState(seed)
    else:
        raise AssertionError(f"unknown random generator {rng!r}")
    if distribution == "uniform":
        return np.asarray(generator.random(shape) if rng == "PCG64" else generator.random_sample(shape))
    assert distribution == "normal", f"unknown distribution {distribution!r}"
    return np.asarray(generator.standard_normal(shape))


def fill_tensor(key: str, shape: tuple[int, ...], fill: Mapping[str, Any]) -> Array:
    """The float64 value of one entry after the rules of ``fill``."""
    rule = next(r for r in fill["rules"] if _matches(r, key, len(shape)))
    if "const" in rule:
        value = np.asarray(rule["const"], dtype=np.float64).reshape(shape)
    else:
        seed = zlib.crc32((fill.get("salt", "") + key).encode())
        value = _draw(fill["rng"], seed, rule.get("dist", "normal"), shape)
        if rule.get("abs"):
            value = np.abs(value)
        if "fan_in" in rule:
            value = value * np.sqrt(rule["fan_in"] / np.prod(shape[1:]))
        value = rule.get("add", 0.0) + rule.get("mul", 1.0) * value
    for post in fill.get("post", ()):
        if _matches(post, key, len(shape)):
            add = np.asarray(post.get("add", 0.0), dtype=np.float64)
            value = value * post.get("mul", 1.0) + (add.reshape(shape) if add.ndim else add)
    return np.asarray(value)


def fill_state_dict(entries: Mapping[str, Any], fill: Mapping[str, Any]) -> dict[str, Tensor]:
    """``{key: [dtype, shape]}`` filled by rule; integer entries are 0."""
    state = {}
    for key, (dtype_name, shape) in entries.items():
        dtype = getattr(torch, dtype_name)
        if dtype.is_floating_point:
            state[key] = torch.from_numpy(np.array(fill_tensor(key, tuple(shape), fill))).to(dtype)
        else:
            state[key] = torch.zeros(tuple(shape), dtype=dtype)
    return state


# --- inputs


@dataclass(frozen=True)
class Inputs:
    """``frames`` uint8 (T, H, W, 3) RGB; ``masks`` uint8 (T, H, W) 1 inside; ``trimap`` uint8 (H, W)."""

    frames: Array
    masks: Array | None = None
    trimap: Array | None = None


def _photo(name: str) -> Array:
    import skimage.data

    image = np.asarray(getattr(skimage.data, name)())
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def build_inputs(recipe: Mapping[str, Any]) -> Inputs:
    """Moving slices of a photograph; a moving disc of another, a moving mask and a trimap where named."""
    height, width, count = recipe["height"], recipe["width"], recipe["frames"]
    photo = _photo(recipe["photo"])
    rows, columns = np.mgrid[:height, :width]
    frames, masks = [], []
    for t in range(count):
        y, x = recipe["y0"] + recipe["dy"] * t, recipe["x0"] + recipe["dx"] * t
        frame = photo[y : y + height, x : x + width].copy()
        if "disc" in recipe:
            disc = recipe["disc"]
            a, b = rows - (disc["cy"] + disc["dy"] * t), columns - (disc["cx"] + disc["dx"] * t)
            inside = a * a + b * b <= disc["radius"] ** 2
            source = _photo(disc["photo"])
            frame[inside] = source[disc["photo_y"] + a[inside], disc["photo_x"] + b[inside]]
        frames.append(frame)
        if "mask" in recipe:
            masks.append(_mask(recipe["mask"], rows, columns, t))
    trimap = _trimap(recipe["trimap"], rows, columns) if "trimap" in recipe else None
    return Inputs(np.stack(frames), np.stack(masks) if masks else None, trimap)


def _mask(mask: Mapping[str, Any], rows: Array, columns: Array, t: int) -> Array:
    a, b = rows - (mask["cy"] + mask["dy"] * t), columns - (mask["cx"] + mask["dx"] * t)
    h, w = mask["half_height"], mask["half_width"]
    if mask["shape"] == "ellipse":
        inside = a * a * w * w + b * b * h * h <= h * h * w * w
    else:
        assert mask["shape"] == "box", f"unknown mask shape {mask['shape']!r}"
        inside = (np.abs(a) <= h) & (np.abs(b) <= w)
    return inside.astype(np.uint8)


def _trimap(trimap: Mapping[str, Any], rows: Array, columns: Array) -> Array:
    q = (rows - trimap["cy"]) ** 2 + (columns - trimap["cx"]) ** 2
    value = np.where(q <= trimap["inner"] ** 2, 255, np.where(q <= trimap["outer"] ** 2, 128, 0))
    return value.astype(np.uint8)


# --- a case


@dataclass(frozen=True)
class Case:
    """One network of the portable set."""

    name: str
    record: Mapping[str, Any]

    @property
    def conversion(self) -> str:
        """How the inputs become tensors and how the official network was called."""
        return str(self.record["inputs"]["conversion"])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Official keys and shapes, in order."""
        return {key: tuple(shape) for key, (_, shape) in self.record["state_dict"].items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The weights under the official keys."""
        return fill_state_dict(self.record["state_dict"], self.record["fill"])

    def inputs(self) -> Inputs:
        """The inputs, after their checksums were met."""
        inputs = build_inputs(self.record["inputs"]["recipe"])
        arrays = {"frames_u8": inputs.frames, "masks_u8": inputs.masks, "trimap_u8": inputs.trimap}
        for name, expected in self.record["inputs"]["arrays"].items():
            array = arrays[name]
            assert array is not None, f"{self.name}: the recipe makes no {name}"
            assert list(array.shape) == expected["shape"]
            digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            assert digest == expected["sha256"], f"{self.name}: {name} differs from the recorded input"
        return inputs

    def check(self, outputs: Mapping[str, Tensor]) -> None:
        """Compare all outputs (official names, channel order and shapes) at their stated tolerances."""
        stated = self.record["outputs"]
        assert outputs.keys() == stated.keys(), f"{self.name}: compare {sorted(stated)}, got {sorted(outputs)}"
        failures = []
        for name, expected in stated.items():
            failures += [f"{self.name}.{name}: {f}" for f in compare_output(outputs[name], expected)]
        assert not failures, "\n".join(failures)


def compare_output(output: Tensor, expected: Mapping[str, Any]) -> list[str]:
    """What differs between an output and its record; empty where all is met."""
    value = output.detach().double().cpu().numpy()
    if value.ndim == 0:
        value = value.reshape(1)
    if list(value.shape) != expected["shape"]:
        return [f"shape {list(value.shape)} instead of {expected['shape']}"]
    tolerance, flat = expected["tolerance"], value.ravel()
    picked = flat[np.linspace(0, flat.size - 1, min(256, flat.size)).astype(int)]
    deviations = {
        "values": np.abs(picked - np.asarray(expected["values"], dtype=np.float64)).max(),
        "mean": abs(flat.mean() - expected["mean"]),
        "std": abs(flat.std() - expected["std"]),
        "absmax": abs(np.abs(flat).max() - expected["absmax"]),
    }
    # "not <=" rather than ">", so that NaN fails
    return [f"{k} off by {d:.3g} (tolerance {tolerance})" for k, d in deviations.items() if not d <= tolerance]


def load_case(name: str) -> Case:
    """The record ``data/<name>.json``."""
    return Case(name, json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")))
