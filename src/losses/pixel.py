"""Pixel-wise losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select


class L1Loss(nn.Module):
    """Mean absolute difference between one output of a network and one entry of the batch.

    Args:
        of: name of the output.
        target: name of the batch entry.

    Raises:
        ConfigError: when called, if there is no such output or entry.
        ValueError: when called, if shapes differ.
    """

    def __init__(self, of: str = "prediction", target: str = "target") -> None:
        super().__init__()
        self.of, self.target = of, target

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        return F.l1_loss(*select.pair(outputs, self.of, batch, self.target))


class CharbonnierLoss(nn.Module):
    """Mean of ``sqrt(difference^2 + epsilon^2)``, a smooth L1 (Lai et al., CVPR 2017, section 3.3).

    Args:
        of: name of the output.
        epsilon: width of the smooth part, in units of the image range.
        target: name of the batch entry.

    Raises:
        ConfigError: ``epsilon`` not positive; when called: no such output or entry.
        ValueError: when called, if shapes differ.
    """

    def __init__(self, of: str = "prediction", epsilon: float = 1e-3, target: str = "target") -> None:
        super().__init__()
        if epsilon <= 0:
            raise ConfigError(f"epsilon must be positive, got {epsilon}")
        self.of, self.epsilon, self.target = of, epsilon, target

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        prediction, truth = select.pair(outputs, self.of, batch, self.target)
        return ((prediction - truth).square() + self.epsilon**2).sqrt().mean()
