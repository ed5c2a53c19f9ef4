"""Segmentation without weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard


class ConstantClass(nn.Module):
    """The same class everywhere: what every method has to beat, and what a collapsed network gives.

    Args:
        num_classes: number of classes.
        label: the class.

    Raises:
        ConfigError: no such class.
    """

    def __init__(self, num_classes: int = 21, label: int = 0) -> None:
        super().__init__()
        if not 0 <= label < num_classes:
            raise ConfigError(f"label must be from 0 to {num_classes - 1}, got {label}")
        self.num_classes, self.label = num_classes, label

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(B, num_classes, H, W)`` of images ``(B, 3, H, W)``: 1 for the class, 0 for the others.

        Raises:
            ValueError: another shape.
        """
        if image.dim() != 4 or image.shape[1] != 3:
            raise ValueError(f"expected images (B, 3, H, W), got {tuple(image.shape)}")
        logits = torch.zeros_like(image[:, :1]).repeat(1, self.num_classes, 1, 1)
        logits[:, self.label] = 1
        return logits


CARD = ModelCard(
    name="constant_class",
    task="segmentation",
    build=ConstantClass,
    summary="the same class everywhere (background)",
    baseline=True,
)
