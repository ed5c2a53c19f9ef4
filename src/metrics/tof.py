"""Temporal difference of optical flow (Chu et al., TecoGAN, ACM TOG 2020)."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import VideoMetric, round_to_8bit
from .pair import Tensors, VideoPair

_FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)


class TemporalFlowDifference(VideoMetric):
    """tOF: mean length of the difference of the optical flows of prediction and ground truth, in pixels.

    Flow is OpenCV's Farneback (pyramid 0.5, 3 levels, window 15, 3 iterations, 5 neighbours, 1.2) between
    consecutive 8-bit grey frames, as in the official evaluation of TecoGAN.

    Args:
        crop: ``"tecogan"`` measures a centred region whose sides are the largest multiples of 32 that leave out at
            least 16 rows and 16 columns in all; ``"none"`` measures the whole frame.
        cut: frames left out at each end of the video, 2 in the official evaluation.

    Raises:
        ConfigError: an unknown ``crop`` or a negative ``cut``.
    """

    key = "tof"
    unit = "px"
    higher_is_better = False
    decimals = 3
    items = "pair"

    def __init__(self, crop: Literal["tecogan", "none"] = "tecogan", cut: int = 2) -> None:
        super().__init__()
        if crop not in ("tecogan", "none"):
            raise ConfigError(f"crop must be 'tecogan' or 'none', got {crop!r}")
        if cut < 0:
            raise ConfigError(f"cut must not be negative, got {cut}")
        self.crop, self.cut = crop, cut
        self.minimum_frames = 2 * cut + 2

    def values(self, pair: VideoPair) -> Tensor:
        """The mean difference of each pair of consecutive frames ``(T - 1 - 2 cut,)``."""
        self.check(pair)
        rows, columns = (self._kept(side, what) for side, what in zip(pair.target.shape[2:], "HW", strict=True))
        kept = slice(self.cut, len(pair) - self.cut)
        identity = {"cut": self.cut}
        real = pair.truth.get("farneback_flow", identity, lambda: _flows(pair.target[kept]))["flow"]
        made = pair.made.get("farneback_flow", identity, lambda: _flows(pair.prediction[kept]))["flow"]
        difference = (made - real)[:, :, rows, columns].square().sum(1).sqrt()
        return difference.mean((1, 2), dtype=torch.float64).to(pair.target.device)

    def _kept(self, side: int, what: str) -> slice:
        """What of an axis is measured."""
        if self.crop == "none":
            return slice(0, side)
        size = (side - 16) // 32 * 32
        if size < 32:
            raise ValueError(f"{self.key} with crop='tecogan' needs frames of at least 48x48 pixels, got {what}={side}")
        start = (side - size) // 2
        return slice(start, start + size)


def _flows(frames: Tensor) -> Tensors:
    """Farneback flow ``(T - 1, 2, H, W)`` float32 from each frame to the next, on the CPU."""
    import cv2

    images = (round_to_8bit(frames.detach()) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    grey = [cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in images]
    flows = []
    for before, after in itertools.pairwise(grey):
        start = np.zeros((*before.shape, 2), np.float32)
        flows.append(torch.from_numpy(cv2.calcOpticalFlowFarneback(before, after, start, *_FARNEBACK)))
    return {"flow": torch.stack(flows).permute(0, 3, 1, 2)}
