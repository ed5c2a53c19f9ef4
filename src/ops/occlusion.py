"""Which pixels of a frame have no partner in the next one, from the flow in both directions."""

from __future__ import annotations

import torch
from torch import Tensor

from .warp import warp


def inconsistent(flow: Tensor, reverse: Tensor) -> Tensor:
    """Where ``flow`` followed by ``reverse`` does not lead back (Sundaram et al., ECCV 2010, equation 5).

    With w the reverse flow at the end of the flow f: ``|f + w|^2 > 0.01 (|f|^2 + |w|^2) + 0.5``. Outside the frame
    the reverse flow of its edge is taken.

    Args:
        flow: ``(B, 2, H, W)`` from a to b in pixels.
        reverse: the same shape, from b to a.

    Returns:
        ``(B, 1, H, W)`` boolean, on the grid of a.

    Raises:
        ValueError: shapes do not fit.
    """
    back, flow = warp(reverse, flow).double(), flow.double()
    return _squared(flow + back) > 0.01 * (_squared(flow) + _squared(back)) + 0.5


def motion_boundary(flow: Tensor) -> Tensor:
    """Where the flow changes abruptly (Sundaram et al., ECCV 2010, equation 6).

    The sum of the squared differences of both components to the pixels on the right and below exceeds
    ``0.01 |f|^2 + 0.002``; beyond the last column and row there is no difference.

    Args:
        flow: ``(B, 2, H, W)`` in pixels.

    Returns:
        ``(B, 1, H, W)`` boolean.

    Raises:
        ValueError: not a flow.
    """
    if flow.dim() != 4 or flow.shape[1] != 2:
        raise ValueError(f"a flow is (B, 2, H, W), got {tuple(flow.shape)}")
    flow = flow.double()
    change = torch.zeros_like(flow[:, :1])
    change[..., :, :-1] += _squared(flow[..., :, 1:] - flow[..., :, :-1])
    change[..., :-1, :] += _squared(flow[..., 1:, :] - flow[..., :-1, :])
    return change > 0.01 * _squared(flow) + 0.002


def occluded(flow: Tensor, reverse: Tensor) -> Tensor:
    """Pixels of a that are hidden in b, or whose flow cannot be trusted.

    :func:`inconsistent` or :func:`motion_boundary`: the mask of Lai et al., "Learning Blind Video Temporal
    Consistency", ECCV 2018, section 4.2. Arguments and result as for :func:`inconsistent`.
    """
    return inconsistent(flow, reverse) | motion_boundary(flow)


def _squared(flow: Tensor) -> Tensor:
    return flow.square().sum(1, keepdim=True)
