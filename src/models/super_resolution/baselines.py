"""Super-resolution without weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import check_image


class Nearest(nn.Module):
    """Repeats every pixel.

    Args:
        scale: 1 or more.

    Raises:
        ConfigError: ``scale`` out of range.
    """

    receptive_radius, alignment = 0, 1

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        if scale < 1:
            raise ConfigError(f"scale must be at least 1, got {scale}")
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale * H, scale * W)``.

        Raises:
            ValueError: another shape.
        """
        check_image(image)
        return F.interpolate(image, scale_factor=self.scale, mode="nearest")


CARD = ModelCard(
    name="nearest",
    task="super_resolution",
    build=Nearest,
    summary="every pixel repeated",
    baseline=True,
)
