"""Points followed through several frames along optical flow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .occlusion import inconsistent


def chain_flows(forward: Sequence[Tensor], backward: Sequence[Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
    """Where points of the first frame are in the following ones, and whether they can be seen there.

    A point is lost where the flows of both directions disagree (Sundaram, Brox, Keutzer, "Dense Point Trajectories by
    GPU-Accelerated Large Displacement Optical Flow", ECCV 2010, section 3), and outside of the frame. Lost points move
    on with the flow around them but are not seen again.

    Args:
        forward: of each frame to the next, ``(2, H, W)`` in pixels; none: the points stay.
        backward: of each next frame back to the one before.
        points: ``(N, 2)``, x and y in pixels of the first frame.

    Returns:
        Positions ``(L + 1, N, 2)`` and visibility ``(L + 1, N)`` boolean for L flows.

    Raises:
        ValueError: not as many flows back as forth, or other shapes.
    """
    if len(forward) != len(backward) or points.dim() != 2 or points.shape[1] != 2:
        raise ValueError(
            f"expected as many flows back as forth and points (N, 2), got {len(forward)}, {len(backward)} and "
            f"{tuple(points.shape)}"
        )
    position = points.float()
    seen = torch.ones(len(points), dtype=torch.bool, device=points.device)
    positions, visible = [position], [seen]
    for flow, back in zip(forward, backward, strict=True):
        height, width = flow.shape[1:]
        lost = inconsistent(flow[None], back[None])[0].to(flow)
        here = _sampled(torch.cat((flow, lost)), position)
        position = position + here[:, :2]
        x, y = position.T
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        seen = seen & inside & (here[:, 2] < 0.5)
        positions.append(position)
        visible.append(seen)
    return torch.stack(positions), torch.stack(visible)


def grid_points(height: int, width: int, step: int) -> Tensor:
    """Points ``(N, 2)``, x and y, every ``step`` pixels about the centre of a frame."""
    x, y = (torch.arange(((size - 1) % step) / 2, size, step) for size in (width, height))
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((columns.flatten(), rows.flatten()), 1)


def followed(field: Tensor, flow: Tensor) -> Tensor:
    """The displacement ``(2, H, W)`` of two steps: ``flow`` first, then ``field`` from where it leads.

    Args:
        field: from the second frame on, ``(2, H, W)`` in pixels.
        flow: from the first to the second frame.
    """
    height, width = flow.shape[1:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device), torch.arange(width, device=flow.device), indexing="ij"
    )
    places = torch.stack((x, y)).to(flow) + flow
    moved = _sampled(field, places.flatten(1).T).T
    return flow + torch.unflatten(moved, 1, (height, width))


def _sampled(values: Tensor, position: Tensor) -> Tensor:
    """``(C, H, W)`` at positions ``(N, 2)`` in pixels, bilinearly, edges repeated: ``(N, C)``."""
    height, width = values.shape[1:]
    size = torch.tensor([width, height], dtype=position.dtype, device=position.device)
    grid = (2 * position + 1) / size - 1
    sampled = F.grid_sample(
        values[None].float(), grid[None, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[0, :, 0].T
