"""The named, weighted sum of loss terms that training minimises."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError


class WeightedSum(nn.Module):
    """Sum of named loss terms, each with a weight.

    Args:
        terms: ``{name: (weight, module)}``; each module is called ``module(outputs, batch)`` and returns a
            scalar. A term with weight 0 is measured without a gradient and stays out of the sum.

    Raises:
        ConfigError: no terms, a name that cannot be logged, a weight that is not finite or is negative.
    """

    def __init__(self, terms: Mapping[str, Sequence[Any]]) -> None:
        super().__init__()
        if not terms:
            raise ConfigError("the loss has no terms; give at least one as {name: [weight, term]}")
        self.weights: dict[str, float] = {}
        self.terms = nn.ModuleDict()
        for name, entry in terms.items():
            if not name or "." in name or hasattr(self.terms, name):
                raise ConfigError(f"{name!r} cannot name a loss term: use letters, digits and underscores")
            if len(entry) != 2 or not isinstance(entry[1], nn.Module):
                raise ConfigError(f"the loss term {name!r} must be [weight, term], got {entry!r}")
            weight = float(entry[0])
            if not math.isfinite(weight) or weight < 0:
                raise ConfigError(f"the weight of the loss term {name!r} must be 0 or positive, got {weight}")
            self.weights[name] = weight
            self.terms[name] = entry[1]

    def forward(
        self, outputs: Any, batch: Mapping[str, Tensor], skip: Collection[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, and every term before weighting (detached, for the log); terms named in ``skip`` are 0."""
        total: Tensor | None = None
        values: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            weight = self.weights[name]
            if name in skip:
                values[name] = next(iter(batch.values())).new_zeros((), dtype=torch.float32)
                continue
            with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
                value = term(outputs, batch)
            values[name] = value.detach()
            if weight != 0:
                total = weight * value if total is None else total + weight * value
        if total is None:
            total = torch.zeros_like(next(iter(values.values())))
        return total, values
