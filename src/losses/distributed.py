"""Quantities that a loss takes over the batches of all processes."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a value that does not depend on any parameter; collective; unchanged where there is one process."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
