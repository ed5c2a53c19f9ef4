"""Random smooth motion, to compare what a network makes of a moved frame with the moved result."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import ConfigError


@dataclass(frozen=True)
class SyntheticMotion:
    """Draws flow fields: noise on a coarse grid, enlarged, plus one shift, smoothed.

    Wang et al., "Consistent Video Style Transfer via Relaxation and Regularization", TIP 2020, section III, with the
    values of its code, which Wang et al., "Learning Temporally and Semantically Consistent Unpaired Video-to-Video
    Translation Through Pseudo-Supervision From Synthetic Optical Flow", AAAI 2022, takes over.

    Attributes:
        noise: deviation of the noise in pixels.
        shift: largest shift along each axis in pixels; uniform.
        cell: pixels of the frame per cell of the grid; at least one cell.
        blur: side of the box that smooths the field, in pixels; at most the frame's shorter side.

    Raises:
        ConfigError: a value out of range.
    """

    noise: float = 8.0
    shift: float = 10.0
    cell: int = 100
    blur: int = 100

    def __post_init__(self) -> None:
        if self.noise < 0 or self.shift < 0 or self.cell < 1 or self.blur < 1:
            raise ConfigError(
                f"expected noise and shift of 0 or more, cell and blur of 1 or more, got {self.noise}, {self.shift}, "
                f"{self.cell} and {self.blur}"
            )

    def draw(self, batch: int, height: int, width: int, generator: torch.Generator | None = None) -> Tensor:
        """Flows ``(B, 2, H, W)`` in pixels; random numbers of ``generator``, None: torch's own."""
        rows, columns = max(1, height // self.cell), max(1, width // self.cell)
        grid = self.noise * torch.randn(batch, 2, rows, columns, generator=generator)
        flow = F.interpolate(grid, (height, width), mode="bilinear", align_corners=False)
        shift = (2 * torch.rand(batch, 2, 1, 1, generator=generator) - 1) * self.shift
        side = min(self.blur, height, width)
        side -= 1 - side % 2
        padded = F.pad(flow + shift, (side // 2,) * 4, mode="replicate")
        return F.avg_pool2d(padded, side, stride=1)
