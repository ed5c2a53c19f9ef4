"""What all inpainting networks share: ``net(video, mask)`` gives the video with its holes filled.

Videos are ``(B, T, 3, H, W)`` RGB in [0, 1] of any size and length, masks ``(B, T, 1, H, W)`` with 1 = hole. Known
pixels come back as the network predicts them; :func:`composite` puts the given ones back.

The forward pass has three steps, so that a program that runs windows over a long video encodes every frame once:
``encode`` sees frames one by one, ``transform`` lets the frames of a window exchange information, ``decode`` turns
features into frames one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.pad import pad_to_multiple

Implementation = Literal["fused", "plain"]


class InpaintingOutputs(NamedTuple):
    """What the losses see.

    Attributes:
        prediction: ``(B, T, 3, H, W)`` in [0, 1], as the network predicts it.
        composite: the same inside the holes, the given video elsewhere.
    """

    prediction: Tensor
    composite: Tensor


def composite(video: Tensor, prediction: Tensor, mask: Tensor) -> Tensor:
    """``prediction`` inside the holes (mask 1), ``video`` elsewhere; tensors of one size ``(..., C, H, W)``."""
    return video * (1 - mask) + prediction * mask


def check_video(video: Tensor, mask: Tensor) -> None:
    """Raise ``ValueError`` unless they are floating ``(B, T, 3, H, W)`` and ``(B, T, 1, H, W)`` of one size."""
    shapes = f"{tuple(video.shape)} and {tuple(mask.shape)}"
    if video.dim() != 5 or video.shape[2] != 3:
        raise ValueError(f"inpainting expects a video (B, T, 3, H, W) and a mask (B, T, 1, H, W), got {shapes}")
    if mask.shape != (*video.shape[:2], 1, *video.shape[3:]):
        raise ValueError(
            "inpainting expects a mask (B, T, 1, H, W) with a frame for every frame of the video (B, T, 3, H, W), "
            f"of its size, got {tuple(mask.shape)} for {tuple(video.shape)}"
        )
    if not (video.is_floating_point() and mask.is_floating_point()):
        raise ValueError(f"inpainting expects floating-point video and mask, got {video.dtype} and {mask.dtype}")
    if min(video.shape) < 1:
        raise ValueError(f"inpainting expects at least one frame and one pixel, got {shapes}")


class InpaintingNetwork(nn.Module, ABC):
    """The part of the forward pass that the networks have in common.

    A network sets ``multiple`` (frames are padded to it, below and to the right, by repeating the edge), ``decoder``,
    and defines :meth:`_features` and :meth:`transform`. Holes become 0 in [-1, 1], the middle grey.

    Args:
        multiple: height and width that the network computes at are multiples of it.
        implementation: ``"fused"``, or ``"plain"`` for a computation step by step as the official code does it, slower
            and with more memory, which measurements compare with. The results differ by rounding only.
    """

    decoder: nn.Module

    def __init__(self, multiple: int, implementation: Implementation) -> None:
        super().__init__()
        if implementation not in ("fused", "plain"):
            raise ConfigError(f"implementation must be 'fused' or 'plain', got {implementation!r}")
        self.multiple = multiple
        self.implementation = implementation

    @property
    def fused(self) -> bool:
        """Whether the faster computation is used."""
        return self.implementation == "fused"

    def forward(self, video: Tensor, mask: Tensor) -> Tensor:
        """The video as the network predicts it, holes filled.

        Args:
            video: ``(B, T, 3, H, W)`` RGB in [0, 1]; what it holds inside the holes does not matter.
            mask: ``(B, T, 1, H, W)``, 1 = hole, 0 = known.

        Returns:
            ``(B, T, 3, H, W)`` in [0, 1], float32.

        Raises:
            ValueError: shapes do not fit.
        """
        check_video(video, mask)
        count = video.shape[:2]
        features = torch.unflatten(self.encode(video.flatten(0, 1), mask.flatten(0, 1)), 0, count)
        features = self.transform(features, mask)
        frames = self.decode(features.flatten(0, 1), (video.shape[3], video.shape[4]))
        return torch.unflatten(frames, 0, count)

    def training_outputs(self, video: Tensor, mask: Tensor) -> InpaintingOutputs:
        """All that the losses need; arguments as for :meth:`forward`, ``video`` with the truth inside the holes."""
        prediction = self(video, mask)
        return InpaintingOutputs(prediction, composite(video, prediction, mask))

    def encode(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Features of frames, each for itself.

        Args:
            frames: ``(N, 3, H, W)`` RGB in [0, 1].
            masks: ``(N, 1, H, W)``, 1 = hole.

        Returns:
            ``(N, C, h, w)``, where h and w are a quarter of H and W rounded up to ``multiple``.

        Raises:
            ValueError: shapes do not fit.
        """
        check_video(frames.unsqueeze(0), masks.unsqueeze(0))
        frames, _ = pad_to_multiple(frames, self.multiple)
        masks, _ = pad_to_multiple(masks, self.multiple)
        return self._features(self.arrange((frames * 2 - 1) * (1 - masks)))

    @abstractmethod
    def transform(self, features: Tensor, masks: Tensor | None = None) -> Tensor:
        """Exchange of information between the frames of a window.

        Args:
            features: ``(B, T, C, h, w)`` of :meth:`encode`, for any frames in any order.
            masks: ``(B, T, 1, H, W)`` of these frames; only needed where an option of the network says so.

        Returns:
            ``(B, T, C, h, w)``, of which any frames can be given to :meth:`decode`.
        """

    def decode(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Frames of transformed features, each for itself.

        Args:
            features: ``(N, C, h, w)``.
            size: height and width of the frames that were encoded.

        Returns:
            ``(N, 3, *size)`` in [0, 1], float32.
        """
        pixels = self.decoder(self.arrange(features))[..., : size[0], : size[1]]
        return (torch.tanh(pixels.to(torch.promote_types(pixels.dtype, torch.float32))) + 1) / 2

    def arrange(self, x: Tensor) -> Tensor:
        """``x`` in the memory order in which a CPU convolves faster; elsewhere unchanged."""
        if self.fused and x.device.type == "cpu":
            return x.contiguous(memory_format=torch.channels_last)
        return x.contiguous()

    @abstractmethod
    def _features(self, frames: Tensor) -> Tensor:
        """Features of ``(N, 3, H, W)`` in [-1, 1] with holes at 0."""


class ClipInpainter(nn.Module, ABC):
    """A method that fills frames of a clip from the others by itself, without windows and references.

    Attributes:
        reach: so many frames before and after a frame can matter for it.
        step: so many frames are best filled at once when a long video is cut into overlapping clips.
    """

    reach = 0
    step = 8

    def forward(self, video: Tensor, mask: Tensor) -> Tensor:
        """The video with its holes filled, known pixels unchanged.

        Args:
            video: ``(B, T, 3, H, W)`` RGB in [0, 1]; what it holds inside the holes does not matter.
            mask: ``(B, T, 1, H, W)``, 1 = hole, 0 = known.

        Returns:
            ``(B, T, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: shapes do not fit.
        """
        check_video(video, mask)
        frames = range(video.shape[1])
        return torch.stack([self.fill(clip, holes, frames) for clip, holes in zip(video, mask, strict=True)])

    @abstractmethod
    def fill(self, video: Tensor, mask: Tensor, wanted: range) -> Tensor:
        """Only the ``wanted`` frames ``(K, 3, H, W)`` of a clip ``(T, 3, H, W)`` with masks ``(T, 1, H, W)``."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None = None, *, fused: bool, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1).

    Args:
        query, key, value: ``(..., N, D)``.
        hidden: True for keys that nothing may look at, broadcast to ``(..., N, N)``. Where all are hidden, all count
            alike.
        fused: one kernel that never holds the N x N weights, where the device has one.
        dropout: share of the weights that is dropped.

    Returns:
        ``(..., N, D)``.
    """
    penalty = None if hidden is None else torch.zeros_like(hidden, dtype=query.dtype).masked_fill(hidden, -1e9)
    if fused:
        return F.scaled_dot_product_attention(query, key, value, penalty, dropout)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if penalty is not None:
        scores = scores + penalty
    return F.dropout(scores.softmax(-1), dropout) @ value
