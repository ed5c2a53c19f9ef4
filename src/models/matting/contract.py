"""What matting networks take and give."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class VideoMatte(NamedTuple):
    """What a recurrent matting network gives for a video.

    Attributes:
        alpha: ``(B, T, 1, H, W)`` in [0, 1].
        foreground: ``(B, T, 3, H, W)`` in [0, 1], the colours of the object alone.
        state: to be handed back with the frames that follow.
    """

    alpha: Tensor
    foreground: Tensor
    state: tuple[Tensor, ...]


def check_trimap(image: Tensor, trimap: Tensor) -> None:
    """Raise ``ValueError`` unless ``(B, 3, H, W)`` and ``(B, 1, H, W)`` of one size."""
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"expected images (B, 3, H, W), got {tuple(image.shape)}")
    expected = (image.shape[0], 1, *image.shape[2:])
    if tuple(trimap.shape) != expected:
        raise ValueError(
            f"the trimap is {tuple(trimap.shape)}, expected {expected}: one channel, of the size of the image"
        )


def classes_of(trimap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a trimap says background (0), unknown (anything between) and foreground (1), boolean."""
    background, foreground = trimap <= 0, trimap >= 1
    return background, ~(background | foreground), foreground
