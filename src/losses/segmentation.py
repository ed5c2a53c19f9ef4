"""Losses of segmentation networks: ``logits`` ``(B, K, H, W)`` against ``labels`` ``(B, H, W)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

IGNORED = 255


class CrossEntropyLoss(nn.Module):
    """Mean cross-entropy over the pixels with a label; 0 where a batch has none.

    Args:
        of: name of the output.
        target: name of the batch entry.
        ignore: label of pixels that do not count.

    Raises:
        ConfigError: when called: no such output or entry.
        ValueError: when called: a label is no class, or shapes differ.
    """

    def __init__(self, of: str = "logits", target: str = "labels", ignore: int = IGNORED) -> None:
        super().__init__()
        self.of, self.target, self.ignore = of, target, ignore

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; over processes its mean, although each may have another number of pixels."""
        values, counts = self._pixels(outputs, batch)
        return values.sum() / counts.sum().clamp(min=1)

    def _pixels(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The cross-entropy of each pixel, 0 where it does not count, and where it counts."""
        logits, labels = select.output(outputs, self.of), select.target(batch, self.target).long()
        if labels.shape != (logits.shape[0], *logits.shape[2:]):
            raise ValueError(
                f"output {self.of!r} has shape {tuple(logits.shape)}, but {self.target!r} has {tuple(labels.shape)}"
            )
        counts = labels != self.ignore
        wrong = counts & ((labels < 0) | (labels >= logits.shape[1]))
        if bool(wrong.any()):
            raise ValueError(
                f"the label {int(labels[wrong][0])} is no class: the network has {logits.shape[1]} "
                f"(0 to {logits.shape[1] - 1}); set model.num_classes, or map the labels ({self.ignore} is ignored)"
            )
        return F.cross_entropy(logits, labels, ignore_index=self.ignore, reduction="none"), counts


class FocalLoss(CrossEntropyLoss):
    """``alpha * (1 - p)^gamma * cross-entropy``, p the probability of the true class (Lin et al., ICCV 2017).

    Args:
        alpha: factor.
        gamma: 0 gives the cross-entropy.
        average: ``"counted"``: mean over the pixels with a label; ``"all"``: over all pixels, as VainF's code.
        of, target, ignore: see :class:`CrossEntropyLoss`.

    Raises:
        ConfigError: a negative ``gamma``, or an unknown ``average``.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        gamma: float = 2.0,
        average: str = "counted",
        of: str = "logits",
        target: str = "labels",
        ignore: int = IGNORED,
    ) -> None:
        super().__init__(of, target, ignore)
        if gamma < 0 or average not in ("counted", "all"):
            raise ConfigError(f"expected gamma >= 0 and average 'counted' or 'all', got {gamma} and {average!r}")
        self.alpha, self.gamma, self.average = alpha, gamma, average

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss."""
        values, counts = self._pixels(outputs, batch)
        total = (self.alpha * (1 - (-values).exp()) ** self.gamma * values).sum()
        return total / (values.numel() if self.average == "all" else counts.sum().clamp(min=1))
