"""Distillation of a privileged teacher's flow (RIFE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select


class MaskedDistillationLoss(nn.Module):
    """RIFE's privileged distillation: each stage's flow is drawn to that of a better teacher.

    Sum over the stages of the mean over all pixels of ``mask * sqrt(mean_c (teacher - stage)^2)`` over the
    four flow channels, in pixels. ``mask`` is 1 where the stage's (unrefined) frame has an absolute error,
    averaged over colours, more than ``threshold`` above the teacher's. Teacher and mask carry no gradient
    (Huang et al., ECCV 2022, section 3.4, with the mask of the official code).

    The official square root has an infinite slope where teacher and stage agree exactly, which yields NaN
    gradients even where the mask is 0; here the slope is 0 there, at unchanged values.

    Args:
        threshold: margin of the error comparison, in units of the image range.
        target: name of the batch entry with the true frame.

    Raises:
        ConfigError: a negative ``threshold``; when called: the network has no teacher.
    """

    def __init__(self, threshold: float = 0.01, target: str = "target") -> None:
        super().__init__()
        if threshold < 0:
            raise ConfigError(f"threshold must not be negative, got {threshold}")
        self.threshold, self.target = threshold, target

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss for :class:`~framewright.models.interpolation.contract.InterpolationOutputs`."""
        truth = select.target(batch, self.target)
        teacher_flow = select.output(outputs, "teacher_flow").detach()
        with torch.no_grad():
            allowed = _error(select.output(outputs, "teacher_prediction"), truth) + self.threshold
        loss = teacher_flow.new_zeros(())
        for flow, frame in zip(outputs.flows, outputs.predictions, strict=True):
            with torch.no_grad():
                mask = (_error(select.full_precision(frame), truth) > allowed).to(teacher_flow.dtype)
            difference = teacher_flow - select.full_precision(flow)
            # the norm over channels has a zero subgradient at zero, unlike the square root of the mean square
            distance = torch.linalg.vector_norm(difference, dim=1, keepdim=True) / difference.shape[1] ** 0.5
            loss = loss + (distance * mask).mean()
        return loss


def _error(image: Tensor, truth: Tensor) -> Tensor:
    return (image - truth).abs().mean(1, keepdim=True)
