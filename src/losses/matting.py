"""Losses of matting networks, of single images with a trimap and of videos without.

A batch holds ``alpha``, ``trimap`` ``(B, 1, H, W)``, ``image``, ``foreground`` and ``background`` ``(B, 3, H, W)``;
of videos ``alpha`` ``(B, T, 1, H, W)`` and ``foreground`` ``(B, T, 3, H, W)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

Average = Literal["elements", "pixels_plus_one"]
_EPSILON = 1e-12


class _UnknownLoss(nn.Module):
    """A mean of ``sqrt(difference^2 + 1e-12)`` over the unknown pixels of the trimap.

    Args:
        of: name of the output.
        average: ``"elements"``: over unknown values, as mmagic; ``"pixels_plus_one"``: over unknown pixels and one
            more, and over colours, as huochaitiantang's code.

    Raises:
        ConfigError: an unknown ``average``; when called: no such output or entry.
    """

    def __init__(self, of: str = "alpha", average: Average = "elements") -> None:
        super().__init__()
        if average not in ("elements", "pixels_plus_one"):
            raise ConfigError(f"average must be 'elements' or 'pixels_plus_one', got {average!r}")
        self.of, self.average = of, average

    def _mean(self, made: Tensor, true: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        if made.shape != true.shape:
            raise ValueError(f"output {self.of!r} gives {tuple(made.shape)}, the truth is {tuple(true.shape)}")
        trimap = select.target(batch, "trimap")
        unknown = ((trimap > 0) & (trimap < 1)).to(made.dtype)
        total = (((made - true).square() + _EPSILON).sqrt() * unknown).sum()
        pixels, channels = unknown.sum(), made.shape[1]
        if self.average == "elements":
            return total / (pixels * channels).clamp(min=1)
        return total / (pixels + 1) / channels


class AlphaLoss(_UnknownLoss):
    """How far alpha is off in the unknown region (Xu et al., CVPR 2017, equation 1).

    Args:
        of, average: see the module's other losses: ``of`` names the output (``"refined"`` for the refinement stage),
            ``average`` is ``"elements"`` (mmagic) or ``"pixels_plus_one"`` (huochaitiantang).
    """

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; the unknown pixels of a batch count alike."""
        return self._mean(select.output(outputs, self.of), select.target(batch, "alpha"), batch)


class CompositionalLoss(_UnknownLoss):
    """How far the image that alpha would make of the true colours is off (Xu et al., CVPR 2017, equation 2).

    Args:
        of, average: as for :class:`AlphaLoss`.
    """

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; the unknown pixels of a batch count alike."""
        alpha = select.output(outputs, self.of)
        front, back = select.target(batch, "foreground"), select.target(batch, "background")
        return self._mean(alpha * front + (1 - alpha) * back, select.target(batch, "image"), batch)


class CoherenceLoss(nn.Module):
    """Mean squared error of the change from frame to frame (Lin et al., WACV 2022, equations 4 and 6; weight 5).

    Args:
        of: name of the output, ``(B, T, C, H, W)``.
        target: name of the batch entry.
        visible: count only where the true alpha is above 0, the other values of the mean being 0.
        alpha: name of the batch entry of that alpha.

    Raises:
        ConfigError: when called: no such output or entry.
        ValueError: when called, if shapes differ.
    """

    def __init__(self, of: str = "alpha", target: str = "alpha", visible: bool = False, alpha: str = "alpha") -> None:
        super().__init__()
        self.of, self.target, self.alpha = of, target, alpha if visible else None

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        made, true = _videos(outputs, self.of, batch, self.target, self.alpha)
        return F.mse_loss(made.diff(dim=1), true.diff(dim=1))


class VisibleL1Loss(nn.Module):
    """Mean absolute error of colours where the true alpha is above 0 (Lin et al., WACV 2022, equation 5).

    Args:
        of: name of the output, ``(B, T, C, H, W)``.
        target: name of the batch entry.
        alpha: name of the batch entry of the true alpha.

    Raises:
        ConfigError: when called: no such output or entry.
        ValueError: when called, if shapes differ.
    """

    def __init__(self, of: str = "foreground", target: str = "foreground", alpha: str = "alpha") -> None:
        super().__init__()
        self.of, self.target, self.alpha = of, target, alpha

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        return F.l1_loss(*_videos(outputs, self.of, batch, self.target, self.alpha))


class BinarySegmentationLoss(nn.Module):
    """Cross-entropy of the segmentation that RVM learns alongside; ``mask`` 1 = person.

    Args:
        of: name of the output.
        target: name of the batch entry, of the same shape.
    """

    def __init__(self, of: str = "logits", target: str = "mask") -> None:
        super().__init__()
        self.of, self.target = of, target

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        return F.binary_cross_entropy_with_logits(select.output(outputs, self.of), select.target(batch, self.target))


def _videos(
    outputs: Any, of: str, batch: Mapping[str, Tensor], target: str, alpha: str | None
) -> tuple[Tensor, Tensor]:
    """The output and its truth, both 0 where the entry ``alpha`` of the batch is (None: everywhere as they are)."""
    made, true = select.output(outputs, of), select.target(batch, target)
    if made.shape != true.shape or made.dim() != 5:
        raise ValueError(
            f"expected videos (B, T, C, H, W) of one shape: output {of!r} is {tuple(made.shape)}, {target!r} is "
            f"{tuple(true.shape)}"
        )
    if alpha is None:
        return made, true
    seen = select.target(batch, alpha) > 0
    return torch.where(seen, made, 0.0), torch.where(seen, true, 0.0)
