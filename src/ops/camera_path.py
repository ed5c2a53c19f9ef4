"""Camera paths as similarities: composing, inverting, and bounding what a correction leaves of the frame.

A pose ``(..., 4)`` is ``(dx, dy, angle, log_scale)``: the map ``p -> exp(log_scale) R(angle) p + (dx, dy)`` of points
in pixels relative to the frame's centre ``((W - 1) / 2, (H - 1) / 2)``, x to the right, y down, positive angles turning
x towards y. A *motion* maps a frame onto the next one; a *trajectory* ``(..., T, 4)`` holds for each frame the map from
the first one, so that it begins with zeros; a *correction* maps a frame onto the steady one. Angles are not wrapped.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError

Composition = Literal["matrices", "sum"]


def check_poses(poses: Tensor, what: str = "a pose") -> None:
    """Raise ``ValueError`` unless ``poses`` is floating ``(..., 4)``."""
    if poses.dim() < 1 or poses.shape[-1] != 4 or not poses.is_floating_point():
        found = f"{tuple(poses.shape)} {poses.dtype}"
        raise ValueError(f"{what} is floating (..., 4): dx, dy, angle, log scale; got {found}")


def rotated(poses: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """``exp(log_scale) R(angle) (x, y)``: what a pose does to a vector."""
    scale = poses[..., 3].exp()
    cos, sin = scale * poses[..., 2].cos(), scale * poses[..., 2].sin()
    return cos * x - sin * y, sin * x + cos * y


def after(second: Tensor, first: Tensor) -> Tensor:
    """The map that applies ``first`` and then ``second``, poses ``(..., 4)``."""
    x, y = rotated(second, first[..., 0], first[..., 1])
    return torch.stack((x + second[..., 0], y + second[..., 1], *(second + first)[..., 2:].unbind(-1)), -1)


def inverse(poses: Tensor) -> Tensor:
    """The map that undoes each pose ``(..., 4)``."""
    turned = torch.cat((torch.zeros_like(poses[..., :2]), -poses[..., 2:]), -1)
    x, y = rotated(turned, -poses[..., 0], -poses[..., 1])
    return torch.stack((x, y, *turned[..., 2:].unbind(-1)), -1)


def trajectory_of(motions: Tensor, composition: Composition = "matrices") -> Tensor:
    """The camera path of consecutive motions.

    Args:
        motions: ``(..., T - 1, 4)``.
        composition: ``"matrices"`` composes the maps, the later one outermost (``A_t = M_t A_t-1``); ``"sum"`` adds
            the four numbers, the usual approximation for small rotations.

    Returns:
        ``(..., T, 4)``, zeros for the first frame.

    Raises:
        ConfigError: an unknown composition.
        ValueError: shapes do not fit.
    """
    check_poses(motions, "a motion")
    if composition not in ("matrices", "sum"):
        raise ConfigError(f"composition must be 'matrices' or 'sum', got {composition!r}")
    poses = [torch.zeros_like(motions.sum(-2))]
    for motion in motions.unbind(-2):
        poses.append(after(motion, poses[-1]) if composition == "matrices" else poses[-1] + motion)
    return torch.stack(poses, -2)


def correction_of(seen: Tensor, smooth: Tensor, composition: Composition = "matrices") -> Tensor:
    """What moves each frame from the path it was seen on to a smooth one.

    Args:
        seen, smooth: trajectories ``(..., T, 4)``.
        composition: as the trajectories were made.

    Returns:
        ``(..., T, 4)``: ``smooth_t after inverse(seen_t)``, or the difference for sums.
    """
    return after(smooth, inverse(seen)) if composition == "matrices" else smooth - seen


def matrix_of(poses: Tensor, height: int, width: int) -> Tensor:
    """The same maps as affine matrices ``(..., 2, 3)`` on pixel coordinates ``(x, y, 1)`` of the corner."""
    check_poses(poses)
    one, zero = torch.ones_like(poses[..., 0]), torch.zeros_like(poses[..., 0])
    xx, yx = rotated(poses, one, zero)
    xy, yy = rotated(poses, zero, one)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    top = torch.stack((xx, xy, poses[..., 0] + cx - xx * cx - xy * cy), -1)
    bottom = torch.stack((yx, yy, poses[..., 1] + cy - yx * cx - yy * cy), -1)
    return torch.stack((top, bottom), -2)


def pose_of(matrices: Tensor, height: int, width: int) -> Tensor:
    """The poses ``(..., 4)`` of similarity matrices ``(..., 2, 3)`` on pixel coordinates of the corner."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    a, b = matrices[..., 0, 0], matrices[..., 1, 0]
    dx = matrices[..., 0, 0] * cx + matrices[..., 0, 1] * cy + matrices[..., 0, 2] - cx
    dy = matrices[..., 1, 0] * cx + matrices[..., 1, 1] * cy + matrices[..., 1, 2] - cy
    return torch.stack((dx, dy, torch.atan2(b, a), torch.log(torch.hypot(a, b))), -1)


def kept_share(corrections: Tensor, height: int, width: int) -> Tensor:
    """How large a centred window of the corrected frame shows nothing but the frame itself.

    Args:
        corrections: ``(..., 4)`` of frames of this height and width.

    Returns:
        ``(...)``: the largest share u of both sides, at most 1, so that zooming in by 1/u leaves no border; 0 where
        not even the centre is covered.
    """
    check_poses(corrections, "a correction")
    back = inverse(corrections)
    half_x, half_y = (width - 1) / 2, (height - 1) / 2
    share = torch.ones_like(back[..., 0])
    for corner_x, corner_y in ((half_x, half_y), (half_x, -half_y)):
        x, y = rotated(back, torch.full_like(share, corner_x), torch.full_like(share, corner_y))
        for reach, offset, half in ((x, back[..., 0], half_x), (y, back[..., 1], half_y)):
            # the opposite corner reaches as far to the other side
            share = torch.minimum(share, (half - offset.abs()) / reach.abs().clamp(min=1e-9))
    return share.clamp(min=0.0)


def with_zoom(corrections: Tensor, zoom: Tensor) -> Tensor:
    """The corrections ``(..., 4)`` followed by zooming in about the frame's centre by ``zoom`` ``(...)``."""
    nothing = torch.zeros_like(zoom)
    return after(torch.stack((nothing, nothing, nothing, zoom.log()), -1), corrections)
