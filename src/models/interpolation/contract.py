"""What all interpolation networks share: the check of their inputs and the outputs of a training step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class InterpolationOutputs(NamedTuple):
    """Everything that the losses of an interpolation network look at. Images are RGB.

    Attributes:
        prediction: ``(B, 3, H, W)`` the final frame, in [0, 1].
        predictions: the frame after each stage, coarse to fine, before any refinement.
        flows: ``(B, 4, H, W)`` after each stage: t->0 in channels 0:2, t->1 in channels 2:4, pixels.
        masks: ``(B, 1, H, W)`` after each stage: the weight of the warped ``image0`` in the blend.
        teacher_prediction: the frame of the teacher that saw the target; None without a teacher.
        teacher_flow: its flow ``(B, 4, H, W)``; None without a teacher.
    """

    prediction: Tensor
    predictions: tuple[Tensor, ...]
    flows: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    teacher_prediction: Tensor | None = None
    teacher_flow: Tensor | None = None


def check_frames(image0: Tensor, image1: Tensor, *others: Tensor) -> None:
    """Raise ``ValueError`` unless all are ``(B, 3, H, W)`` of one shape."""
    for image in (image0, image1, *others):
        if image.dim() != 4 or image.shape[1] != 3 or image.shape != image0.shape:
            shapes = ", ".join(str(tuple(i.shape)) for i in (image0, image1, *others))
            raise ValueError(f"interpolation expects frames (B, 3, H, W) of one shape, got {shapes}")


def timestep_column(timestep: float | Tensor, image: Tensor) -> Tensor:
    """The time as ``(B, 1, 1, 1)`` in the dtype and on the device of ``image`` ``(B, 3, H, W)``.

    Raises:
        ValueError: not a number or ``(B,)`` tensor, or outside [0, 1].
    """
    batch = image.shape[0]
    if isinstance(timestep, Tensor):
        if timestep.numel() not in (1, batch):
            raise ValueError(f"timestep must hold 1 or {batch} values, got shape {tuple(timestep.shape)}")
        # a compiled graph cannot branch on values
        if not torch.compiler.is_compiling() and not bool(((timestep >= 0) & (timestep <= 1)).all()):
            raise ValueError(f"timestep must lie in [0, 1], got {timestep.flatten().tolist()}")
        return timestep.to(image).reshape(-1, 1, 1, 1).expand(batch, 1, 1, 1)
    if not 0 <= timestep <= 1:
        raise ValueError(f"timestep must lie in [0, 1], got {timestep}")
    return image.new_full((batch, 1, 1, 1), float(timestep))


def require_middle(timestep: float | Tensor, network: str) -> None:
    """Raise ``ValueError`` unless every time is 0.5, for networks that know the middle only."""
    if isinstance(timestep, Tensor):
        if torch.compiler.is_compiling() or bool((timestep == 0.5).all()):
            return
        given: object = timestep.flatten().tolist()
    elif timestep == 0.5:
        return
    else:
        given = timestep
    raise ValueError(
        f"{network} makes the middle frame only (timestep 0.5), got {given}; use a network for any time such as rife_m"
    )
