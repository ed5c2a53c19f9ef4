"""What all style networks share: ``net(video, reference, state)`` gives the video in another style.

Videos are ``(B, T, 3, H, W)`` RGB in [0, 1] of any size and length. A reference, of any other size, is an image
``(B, 3, h, w)`` or a clip ``(B, S, 3, h, w)``, one for each video. Networks with the attribute ``takes_reference`` need
one at least with the first frames; the others have one style, and look at none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class StyledVideo(NamedTuple):
    """What a style network gives.

    Attributes:
        video: ``(B, T, 3, H, W)`` in [0, 1].
        state: to be handed back with the frames that follow; None where frames are independent of each other.
    """

    video: Tensor
    state: tuple[Tensor, ...] | None = None


class FrameStyle(nn.Module, ABC):
    """A network with one style that sees every frame for itself; it defines :meth:`stylise`."""

    takes_reference = False
    recurrent = False

    def forward(self, video: Tensor, reference: Tensor | None = None, state: Any = None) -> StyledVideo:
        """The video in the network's style.

        Args:
            video: ``(B, T, 3, H, W)`` RGB in [0, 1].
            reference: not looked at.
            state: not looked at.

        Raises:
            ValueError: another shape.
        """
        check_video(video)
        return StyledVideo(torch.unflatten(self.stylise(video.flatten(0, 1)), 0, video.shape[:2]))

    @abstractmethod
    def stylise(self, frames: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` in [0, 1] -> the same shape and range."""


class ReferenceStyle(nn.Module, ABC):
    """A method that takes the style of a reference as a few statistics and sees every frame for itself.

    The statistics are the state, so that a reference is looked at once for a whole video. Once there is a state the
    reference is not looked at.
    """

    takes_reference = True
    recurrent = False

    def forward(
        self, video: Tensor, reference: Tensor | None = None, state: tuple[Tensor, ...] | None = None
    ) -> StyledVideo:
        """The video in the style of the reference.

        Args:
            video: ``(B, T, 3, H, W)`` RGB in [0, 1].
            reference: ``(B, 3, h, w)`` or ``(B, S, 3, h, w)`` RGB in [0, 1].
            state: of an earlier call; replaces the reference.

        Raises:
            ValueError: another shape, or neither reference nor state.
        """
        check_video(video)
        if state is None:
            if reference is None:
                raise ValueError(f"{type(self).__name__} needs a reference: an image (B, 3, h, w) or a clip")
            state = self.describe(reference_clip(reference, video.shape[0]))
        per_frame = tuple(part.repeat_interleave(video.shape[1], 0) for part in state)
        frames = self.stylise(video.flatten(0, 1), per_frame)
        return StyledVideo(torch.unflatten(frames, 0, video.shape[:2]), state)

    @abstractmethod
    def describe(self, reference: Tensor) -> tuple[Tensor, ...]:
        """Statistics of clips ``(B, S, 3, h, w)``, each ``(B, ...)``."""

    @abstractmethod
    def stylise(self, frames: Tensor, style: tuple[Tensor, ...]) -> Tensor:
        """Frames ``(N, 3, H, W)`` in [0, 1], with statistics for each of them -> the same shape and range."""


def check_video(video: Tensor) -> None:
    """Raise ``ValueError`` unless ``video`` is floating ``(B, T, 3, H, W)`` with at least one frame."""
    if video.dim() != 5 or video.shape[2] != 3 or min(video.shape) < 1:
        raise ValueError(f"style transfer expects a video (B, T, 3, H, W), got {tuple(video.shape)}")
    if not video.is_floating_point():
        raise ValueError(f"style transfer expects a floating-point video in [0, 1], got {video.dtype}")


def reference_clip(reference: Tensor, batch: int) -> Tensor:
    """A reference as a clip ``(B, S, 3, h, w)``; a grey one ``(B, ..., 1, h, w)`` gets three channels.

    Raises:
        ValueError: another shape, or another number of references than videos.
    """
    clip = reference.unsqueeze(1) if reference.dim() == 4 else reference
    if clip.dim() != 5 or clip.shape[2] not in (1, 3) or min(clip.shape) < 1 or clip.shape[0] != batch:
        raise ValueError(
            f"expected a reference (B, 3, h, w) or (B, S, 3, h, w) for each of {batch} videos, "
            f"got {tuple(reference.shape)}"
        )
    return clip.expand(-1, -1, 3, -1, -1)
