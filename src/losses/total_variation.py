"""Total variation: how much neighbouring pixels differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

Kind = Literal["anisotropic", "isotropic", "squared"]
_KINDS = ("anisotropic", "isotropic", "squared")


class TotalVariationLoss(nn.Module):
    """Differences between neighbouring pixels of an output, dx to the right and dy down; means over pixels.

    * ``"anisotropic"``: ``mean |dx| + mean |dy|``, as BasicSR;
    * ``"isotropic"``: ``mean sqrt(dx^2 + dy^2)`` over the pixels that have both neighbours (Rudin, Osher and Fatemi,
      1992), which does not prefer edges along the axes; the slope at 0 is 0;
    * ``"squared"``: ``mean dx^2 + mean dy^2``, as in re-implementations of SRGAN.

    Args:
        kind: see above.
        of: name of the output ``(..., H, W)``.
        weight: name of a batch entry that weighs every pixel, ``(..., H, W)`` and broadcastable; a difference takes
            the weight of its left or upper pixel. None: all alike.

    Raises:
        ConfigError: an unknown ``kind``; when called: no such output or entry.
        ValueError: when called, for an output without two pixels in each direction.
    """

    def __init__(self, kind: Kind = "anisotropic", of: str = "prediction", weight: str | None = None) -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ConfigError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
        self.kind, self.of, self.weight = kind, of, weight

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        image = select.output(outputs, self.of)
        if image.dim() < 2 or min(image.shape[-2:]) < 2:
            raise ValueError(f"total variation needs at least 2x2 pixels, got {tuple(image.shape)}")
        dx, dy = image.diff(dim=-1), image.diff(dim=-2)
        if self.kind == "isotropic":
            # the norm has a zero slope at zero, unlike the square root of the sum of squares
            length = torch.linalg.vector_norm(torch.stack((dx[..., :-1, :], dy[..., :-1])), dim=0)
            terms = [(length, (slice(None, -1), slice(None, -1)))]
        else:
            across, down = (dx.abs(), dy.abs()) if self.kind == "anisotropic" else (dx.square(), dy.square())
            terms = [(across, (slice(None), slice(None, -1))), (down, (slice(None, -1), slice(None)))]
        weight = None if self.weight is None else select.target(batch, self.weight)
        loss = image.new_zeros(())
        for differences, (rows, columns) in terms:
            loss = loss + (differences if weight is None else differences * weight[..., rows, columns]).mean()
        return loss
