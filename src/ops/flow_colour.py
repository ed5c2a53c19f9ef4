"""Optical flow as colour: hue tells the direction, saturation the length.

The colour wheel of Baker et al., "A Database and Evaluation Methodology for Optical Flow" (IJCV 2011), Middlebury:
55 hues, spaced so that neighbours look equally different; white is no motion.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# hues from one corner of the colour cube to the next: red, yellow, green, cyan, blue, magenta, red
_CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))
_STEPS = (15, 6, 4, 11, 13, 6)
_BEYOND = 0.75


def colour_wheel() -> Tensor:
    """The wheel ``(55, 3)``, RGB float32 in [0, 1]; it starts with red and goes over yellow to green and blue.

    The published wheel is made of 8-bit levels, so the values are multiples of 1/255.
    """
    rows = []
    for index, steps in enumerate(_STEPS):
        start = torch.tensor(_CORNERS[index], dtype=torch.float64)
        end = torch.tensor(_CORNERS[(index + 1) % len(_CORNERS)], dtype=torch.float64)
        rising = torch.floor(255 * torch.arange(steps, dtype=torch.float64) / steps)[:, None] / 255
        # a channel that falls is 255 minus the rounded rise
        rows.append(start + rising * (end - start))
    return torch.cat(rows).float()


def flow_to_colour(flow: Tensor, maximum: float | Tensor | None = None) -> Tensor:
    """Colour-code optical flow.

    A pixel that moves right is red, down yellow, left cyan-blue, up violet. The longer the motion, the more
    saturated its colour; motion longer than ``maximum`` is darkened. Unknown flow (NaN or infinite) is black.

    Args:
        flow: ``(B, 2, H, W)``, u and v in pixels.
        maximum: length in pixels that is fully saturated: one number, or ``(B,)``; None: the longest motion of each
            image by itself. Give the same number to compare images.

    Returns:
        RGB ``(B, 3, H, W)`` in [0, 1], float32.

    Raises:
        ValueError: another shape, or a maximum that is not positive.
    """
    if flow.dim() != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow_to_colour expects flow (B, 2, H, W), got {tuple(flow.shape)}")
    flow = flow.detach().float()
    known = torch.isfinite(flow).all(dim=1)
    flow = torch.where(known[:, None], flow, torch.zeros_like(flow))
    length = torch.linalg.vector_norm(flow, dim=1)
    if maximum is None:
        # nothing moves: any scale shows white
        scale = length.flatten(1).amax(dim=1)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    else:
        scale = torch.as_tensor(maximum, dtype=torch.float32, device=flow.device).expand(len(flow))
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise ValueError(f"flow_to_colour expects a positive maximum in pixels, got {maximum}")
    saturation = (length / scale[:, None, None])[..., None]
    hue = _hue(flow)
    coloured = torch.where(saturation <= 1, 1 - saturation * (1 - hue), hue * _BEYOND)
    coloured = torch.where(known[..., None], coloured, torch.zeros_like(coloured))
    return coloured.clamp(0, 1).permute(0, 3, 1, 2).contiguous()


def _hue(flow: Tensor) -> Tensor:
    """Fully saturated colours ``(B, H, W, 3)`` by direction, interpolated around the wheel."""
    wheel = colour_wheel().to(flow.device)
    count = len(wheel)
    angle = torch.atan2(-flow[:, 1], -flow[:, 0]) / math.pi
    position = (angle + 1) / 2 * (count - 1)
    low = position.floor()
    share = (position - low)[..., None]
    index = low.long().clamp(0, count - 1)
    return (1 - share) * wheel[index] + share * wheel[(index + 1) % count]
