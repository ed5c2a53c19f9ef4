"""Learning-rate schedules of published recipes that torch does not bring along.

Each steps once per iteration (optimizer step).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

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


class Poly(LRScheduler):
    """``lr = max(base * (1 - n / total)^power, minimum)``, the schedule of the DeepLab papers.

    Args:
        optimizer: its rates are the base rates.
        total: iterations of the whole run.
        power: 0.9 in the papers.
        minimum: lowest rate, of every group.
    """

    def __init__(self, optimizer: Optimizer, total: int, power: float = 0.9, minimum: float = 1e-6) -> None:
        if total < 1 or power <= 0 or minimum < 0:
            raise ValueError(f"expected total >= 1, power > 0 and minimum >= 0, got {total}, {power} and {minimum}")
        self.total, self.power, self.minimum = total, power, minimum
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Rates of iteration ``last_epoch`` (torch's name for the counter), one per parameter group."""
        left = (1 - min(self.last_epoch, self.total) / self.total) ** self.power
        return [max(float(base) * left, self.minimum) for base in self.base_lrs]


class HalvingRounds(LRScheduler):
    """Rounds of equal length, each from a rate of its own that is halved at the same places.

    In round r, ``n`` iterations after its start: ``lr = rates[r] / 2^(number of milestones <= n)``; past the last
    round its last rate stays. The jump up at the start of a round is meant to leave a poor minimum (PWC-Net, Sun et
    al., TPAMI 2020, section 4; the rounds of its fine-tuning stages). Rates are absolute, the optimizer's own is not
    used.

    Args:
        optimizer: the optimizer.
        rates: first rate of each round.
        length: iterations of a round.
        milestones: increasing, within a round.
    """

    def __init__(self, optimizer: Optimizer, rates: Sequence[float], length: int, milestones: Sequence[int]) -> None:
        if not rates or min(rates) <= 0:
            raise ValueError(f"rates must be positive numbers, one per round, got {list(rates)}")
        if list(milestones) != sorted(set(milestones)) or any(not 0 < m < length for m in milestones):
            raise ValueError(f"milestones must increase between 0 and length ({length}), got {list(milestones)}")
        self.rates, self.length, self.milestones = list(rates), length, list(milestones)
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Rates of iteration ``last_epoch`` (torch's name for the counter), one per parameter group."""
        step = min(self.last_epoch, self.length * len(self.rates) - 1)
        number, within = divmod(step, self.length)
        rate = self.rates[number] / 2 ** bisect_right(self.milestones, within)
        return [rate] * len(self.base_lrs)


class HoldThenFall(LRScheduler):
    """The base rate for half of the epochs, then a straight line to 0, as the code of Recycle-GAN has it.

    In epoch ``e`` of ``epochs``, counted from 0: ``lr = base * (1 - max(0, e + 2 - hold) / (epochs - hold + 1))``. So
    with the official 100 + 100 epochs the rate begins to fall in the hundredth epoch, and is 0 in the last.

    Args:
        optimizer: its rates are the base rates.
        total: iterations of the whole run, which are shared out among the epochs.
        epochs: of the whole run.
        hold: epochs of the base rate, the last of which falls already.
    """

    def __init__(self, optimizer: Optimizer, total: int, epochs: int = 200, hold: int = 100) -> None:
        if total < 1 or not 0 <= hold <= epochs or epochs < 1:
            raise ValueError(f"expected total >= 1 and 0 <= hold <= epochs, got {total}, {hold} and {epochs}")
        self.total, self.epochs, self.hold = total, epochs, hold
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Rates of iteration ``last_epoch`` (torch's name for the counter), one per parameter group."""
        epoch = min(self.last_epoch * self.epochs // self.total, self.epochs - 1)
        factor = 1 - max(0, epoch + 2 - self.hold) / (self.epochs - self.hold + 1)
        return [float(base) * factor for base in self.base_lrs]
