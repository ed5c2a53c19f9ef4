"""Weights by formula, as the recorded reference values were computed with: pretrained files cannot be shipped."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from framewright.models.registry import create_model
from torch import Tensor

Array = npt.NDArray[np.float64]

#: where the trunk of LPIPS keeps ``features.N`` in the package lpips: first layer of each slice
SLICES = {"alexnet": (0, 2, 5, 8, 10), "vgg16": (0, 4, 9, 16, 23), "squeezenet": (0, 2, 5, 8, 10, 11, 12)}


def golden_tensor(key: str, shape: tuple[int, ...]) -> Array:
    """The rule of ``metrics/golden/golden.json``."""
    z = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if len(shape) >= 2:
        return np.asarray(z * np.sqrt(2 / np.prod(shape[1:])))
    if key.endswith("running_var"):
        return np.asarray(1 + 0.1 * np.abs(z))
    if key.endswith(("running_mean", "bias")):
        return np.asarray(0.1 * z)
    return np.asarray(1 + 0.1 * z)


def devil_tensor(key: str, shape: tuple[int, ...]) -> Array:
    """The rule of ``metrics/devil_devkit/devil_metrics_golden.json``."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("running_var"):
        return np.asarray(1 + 0.1 * rng.random(shape))
    z = rng.standard_normal(shape)
    if len(shape) >= 2:
        return np.asarray(z * np.sqrt(2 / np.prod(shape[1:])))
    norm = key.endswith(".weight") and ("bn" in key or "norm" in key)
    return np.asarray(1 + 0.1 * z if norm else 0.1 * z)


def in_lpips(model: str, key: str) -> str:
    """``features.N.x`` under the name that it has in ``lpips.LPIPS(...).net``."""
    _, layer, rest = key.split(".", 2)
    position = sum(int(layer) >= first for first in SLICES[model])
    return f"slice{position}.{layer}.{rest}"


def recipe_state(
    model: str, tensor: Callable[[str, tuple[int, ...]], Array], rename: Callable[[str], str] = str
) -> dict[str, Tensor]:
    """A state dict of the network ``model``; each tensor is drawn for the key ``rename(key)``."""
    state = create_model(model).state_dict()
    return {
        key: torch.from_numpy(np.array(tensor(rename(key), tuple(value.shape)))).float()
        if value.is_floating_point()
        else torch.zeros_like(value)
        for key, value in state.items()
    }


def write_recipe(folder: Path, model: str, kind: str = "golden") -> Path:
    """A weight file of the network ``model`` in the layout of the official one."""
    path = folder / f"{model}-{kind}.pth"
    if not path.exists():
        if kind == "golden":
            state = recipe_state(model, golden_tensor)
        elif model in SLICES:
            state = recipe_state(model, devil_tensor, lambda key: in_lpips(model, key))
        else:
            state = recipe_state(model, devil_tensor)
        torch.save(state, path)
    return path
