"""How a loss term finds its tensors in the outputs of a network and in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError, nearest


def output(outputs: Any, name: str) -> Tensor:
    """The field ``name`` of a NamedTuple or mapping of outputs, at least in float32.

    Raises:
        ConfigError: the network gives no such output, or gives None (for example no teacher).
    """
    fields = outputs if isinstance(outputs, Mapping) else outputs._asdict()
    if name not in fields:
        raise ConfigError(
            f"a loss asks for the output {name!r}, but the network gives {', '.join(fields)}{nearest(name, fields)}"
        )
    value = fields[name]
    if not isinstance(value, Tensor):
        raise ConfigError(
            f"a loss asks for the output {name!r}, but the network gives {type(value).__name__} there; "
            "a teacher_* output needs a network built with teacher=true"
        )
    return full_precision(value)


def target(batch: Mapping[str, Tensor], name: str) -> Tensor:
    """The entry ``name`` of a batch, at least in float32.

    Raises:
        ConfigError: the batch has no such entry.
    """
    if name not in batch:
        raise ConfigError(
            f"a loss asks for {name!r} of the batch, which holds {', '.join(batch)}{nearest(name, batch)}"
        )
    return full_precision(batch[name])


def pair(outputs: Any, of: str, batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """The output ``of`` and the entry ``name`` of a batch, which have one shape; at least in float32.

    Raises:
        ConfigError: there is no such output or entry.
        ValueError: the shapes differ.
    """
    made, truth = output(outputs, of), target(batch, name)
    if made.shape != truth.shape:
        raise ValueError(f"output {of!r} has shape {tuple(made.shape)}, but {name!r} has {tuple(truth.shape)}")
    return made, truth


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is that already: losses are not computed in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
