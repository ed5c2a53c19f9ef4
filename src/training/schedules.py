"""Learning-rate schedules of published recipes that torch does not bring along.

Each steps once per iteration (optimizer step).
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupCosine(LRScheduler):
    """Linear warm-up from 0 to the base rate, then half a cosine down to ``minimum``.

    For ``n < warmup``: ``lr = base * n / warmup``; afterwards
    ``lr = minimum + (base - minimum) * (1 + cos(pi * (n - warmup) / (total - warmup))) / 2``.
    This is the schedule of RIFE (Huang et al., ECCV 2022; official training script) with 2000 warm-up steps.

    Args:
        optimizer: its rates are the base rates.
        total: iterations of the whole run.
        warmup: iterations of the warm-up.
        minimum: rate at the end.
    """

    def __init__(self, optimizer: Optimizer, total: int, warmup: int = 0, minimum: float = 0.0) -> None:
        if not 0 <= warmup < total:
            raise ValueError(f"warmup ({warmup}) must be at least 0 and below total ({total})")
        self.total = total
        self.warmup = warmup
        self.minimum = minimum
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Rates of iteration ``last_epoch`` (torch's name for the counter), one per parameter group."""
        step = min(self.last_epoch, self.total)
        if step < self.warmup:
            return [float(base) * step / self.warmup for base in self.base_lrs]
        progress = (step - self.warmup) / (self.total - self.warmup)
        weight = (1 + math.cos(math.pi * progress)) / 2
        return [self.minimum + (float(base) - self.minimum) * weight for base in self.base_lrs]
