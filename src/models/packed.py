"""Weights in half or a quarter of the bytes: float16, or int8 with a factor per output channel.

Both are forms of a file only. A network that is loaded from such a file computes in float32 as ever; int8 weights are
multiplied out. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: A whitepaper", 2018
(https://arxiv.org/abs/1806.08342), section 3: symmetric, levels -127 to 127, one factor for each output channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.errors import ConfigError, WeightsError

Storage = Literal["float16", "int8"]

LEVELS = 127
FACTOR = ".int8_factor"


def pack(state: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """The tensors as they are stored.

    With ``"int8"``, tensors of two and more dimensions become int8 and get a second tensor ``<key>.int8_factor`` with
    one float32 for each first index; vectors (biases, slopes), of which there are few numbers, stay as they are. With
    ``"float16"`` all floating-point tensors are rounded.

    Args:
        state: of a network; integers are left alone.
        storage: the form.

    Raises:
        ConfigError: another form.
        WeightsError: a number that is not finite, or beyond the range of float16.
    """
    if storage not in get_args(Storage):
        raise ConfigError(f"weights are stored as {' or '.join(get_args(Storage))}, not as {storage!r}")
    packed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        value = tensor.detach().cpu()
        if not value.is_floating_point() or (storage == "int8" and value.dim() < 2):
            packed[key] = value
            continue
        stored = value.half() if storage == "float16" else value
        if not bool(torch.isfinite(stored).all()):
            raise WeightsError(f"the weights {key!r} have numbers that {storage} cannot hold")
        packed[key] = stored
        if storage == "int8":
            packed[key], packed[key + FACTOR] = _quantise(value.float())
    return packed


def unpack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network out of what :func:`pack` made; others stay as they are.

    float16 stays too: a network converts what it is given.
    """
    factors = {key.removesuffix(FACTOR): value for key, value in state.items() if key.endswith(FACTOR)}
    return {
        key: _restore(value, factors[key]) if key in factors else value
        for key, value in state.items()
        if not key.endswith(FACTOR)
    }


def _quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    largest = weight.flatten(1).abs().amax(dim=1)
    # a channel of zeros has no range; any factor gives zeros back
    factor = torch.where(largest > 0, largest / LEVELS, torch.ones_like(largest))
    levels = (weight / _along(factor, weight)).round().clamp(-LEVELS, LEVELS)
    return levels.to(torch.int8), factor


def _restore(levels: Tensor, factor: Tensor) -> Tensor:
    return levels.float() * _along(factor, levels)


def _along(factor: Tensor, weight: Tensor) -> Tensor:
    return factor.reshape(-1, *(1 for _ in weight.shape[1:]))
