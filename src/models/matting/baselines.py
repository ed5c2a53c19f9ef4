"""Matting without weights: what a trimap says by itself, GrabCut, and background subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..card import ModelCard
from .contract import VideoMatte, check_trimap, classes_of

_Bytes = npt.NDArray[np.uint8]


class TrimapAlpha(nn.Module):
    """Half opaque wherever the trimap does not know: what every matting method has to beat."""

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha ``(B, 1, H, W)``: 0, 0.5 and 1.

        Raises:
            ValueError: shapes do not fit.
        """
        check_trimap(image, trimap)
        _, unknown, foreground = classes_of(trimap)
        return torch.where(unknown, 0.5, foreground.to(image.dtype))


class GrabCut(nn.Module):
    """GrabCut, as OpenCV computes it, from the box around all that is not known background.

    The result is binary. It runs on the CPU and gives no gradient. Where the box is empty or holds the whole image
    there is nothing to learn the background's colours from: what is not background is then foreground.

    Args:
        iterations: of the alternation between colours and labels.
        trust: use the trimap's known pixels too, not only the box.

    Raises:
        ConfigError: ``iterations`` below 1.
    """

    def __init__(self, iterations: int = 5, trust: bool = False) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"iterations must be at least 1, got {iterations}")
        self.iterations, self.trust = iterations, trust

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha ``(B, 1, H, W)``, 0 or 1.

        Raises:
            ValueError: shapes do not fit.
        """
        check_trimap(image, trimap)
        background, _, foreground = (part[:, 0].cpu().numpy() for part in classes_of(trimap))
        levels = _levels(image)
        found = [self._cut(*sample) for sample in zip(levels, background, foreground, strict=True)]
        made = torch.from_numpy(np.stack(found)) if found else torch.zeros(0, *image.shape[2:])
        return made[:, None].to(image)

    def _cut(
        self, image: _Bytes, background: npt.NDArray[np.bool_], foreground: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        import cv2

        inside = np.zeros_like(background)
        if not background.all():
            rows, columns = (np.flatnonzero((~background).any(axis)) for axis in (1, 0))
            inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        if inside.all() or not inside.any():
            return np.asarray(~background, np.float32)
        mask = np.where(inside, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_BGD))
        if self.trust:
            mask[foreground], mask[background] = cv2.GC_FGD, cv2.GC_BGD
        # its colour models start from random clusters
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(image, mask, None, *models, self.iterations, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
        return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), np.float32)


class BackgroundSubtraction(nn.Module):
    """What changes, in front of what does not: mixtures of Gaussians per pixel (MOG2), as OpenCV computes them.

    For a still camera; no trimap. The first frame has no foreground, because nothing is known before it.

    Args:
        history: frames that the mixture remembers.
        threshold: squared distance, in standard deviations, beyond which a pixel is new.
        opening: diameter in pixels of the ellipse that removes specks; 0: none.

    Raises:
        ConfigError: a number out of range.
    """

    recurrent = True

    def __init__(self, history: int = 500, threshold: float = 16.0, opening: int = 3) -> None:
        super().__init__()
        if history < 1 or threshold <= 0 or opening < 0:
            raise ConfigError(
                f"expected history >= 1, threshold > 0 and opening >= 0, got {history}, {threshold} and {opening}"
            )
        self.history, self.threshold, self.opening = history, threshold, opening

    def forward(self, video: Tensor, state: Any = None, downsample_ratio: float | None = None) -> VideoMatte:
        """Alpha (0 or 1) and the frames themselves as foreground; see :class:`VideoMatte`.

        Args:
            video: ``(B, T, 3, H, W)`` in [0, 1].
            state: of the call for the frames before; it is continued, not copied.
            downsample_ratio: not used.

        Raises:
            ValueError: another shape.
        """
        import cv2

        if video.dim() != 5 or video.shape[2] != 3:
            raise ValueError(f"expected a video (B, T, 3, H, W), got {tuple(video.shape)}")
        if state is None:
            state = tuple(
                cv2.createBackgroundSubtractorMOG2(self.history, self.threshold, detectShadows=False) for _ in video
            )
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.opening, self.opening)) if self.opening else None
        alpha = torch.zeros_like(video[:, :, :1])
        for index, (clip, subtractor) in enumerate(zip(video, state, strict=True)):
            for time, frame in enumerate(_levels(clip)):
                # without a history everything would be new
                first = subtractor.getBackgroundImage() is None
                mask = np.asarray(subtractor.apply(frame))
                if disc is not None:
                    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
                if not first:
                    alpha[index, time, 0] = torch.from_numpy(mask > 0).to(alpha)
        return VideoMatte(alpha, video, state)


def _levels(image: Tensor) -> list[_Bytes]:
    """8-bit RGB ``(H, W, 3)`` of each image."""
    levels = (image.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(levels.permute(0, 2, 3, 1).contiguous().numpy())


CARDS = (
    ModelCard(
        name="trimap_alpha",
        task="matting",
        build=TrimapAlpha,
        summary="half opaque wherever the trimap does not know",
        baseline=True,
    ),
    ModelCard(
        name="grabcut",
        task="matting",
        build=GrabCut,
        summary="GrabCut from the box of the object, OpenCV; binary",
        paper="Rother, Kolmogorov, Blake: GrabCut, SIGGRAPH 2004, https://doi.org/10.1145/1015706.1015720",
        baseline=True,
    ),
    ModelCard(
        name="mog2",
        task="matting",
        build=BackgroundSubtraction,
        summary="background subtraction for still cameras without a trimap, OpenCV; binary",
        paper="Zivkovic: Improved Adaptive Gaussian Mixture Model for Background Subtraction, ICPR 2004, "
        "https://doi.org/10.1109/ICPR.2004.1333992",
        baseline=True,
        recurrent=True,
    ),
)
