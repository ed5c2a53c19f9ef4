"""Peak signal-to-noise ratio."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import FrameMetric, check_frames, round_to_8bit


class PSNR(FrameMetric):
    """PSNR over all RGB values of a frame, in dB, averaged over frames: ``-10 log10(mean squared error)``.

    Args:
        rounded: compare the prediction as 8-bit image, as the published interpolation tables do. The target
            is taken as it is.
        infinite: what a frame without any error (infinite PSNR) counts as. ``"clip"``, the default, counts
            ``maximum``: then all methods are averaged over the same frames, and one perfect frame of a static
            scene cannot make a mean infinite. ``"exclude"`` leaves such frames out.
        maximum: the value of an identical frame, and the ceiling of all values, under ``"clip"``, in dB.

    Raises:
        ConfigError: an unknown ``infinite`` or a ``maximum`` that is not positive.
    """

    key = "psnr"
    unit = "dB"
    higher_is_better = True
    decimals = 2

    def __init__(
        self, rounded: bool = True, infinite: Literal["clip", "exclude"] = "clip", maximum: float = 100.0
    ) -> None:
        super().__init__()
        if infinite not in ("clip", "exclude"):
            raise ConfigError(f"infinite must be 'clip' or 'exclude', got {infinite!r}")
        if maximum <= 0:
            raise ConfigError(f"maximum must be positive, got {maximum}")
        self.rounded, self.infinite, self.maximum = rounded, infinite, maximum

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """PSNR of each frame ``(N,)`` in dB; ``+inf`` where the frames are identical."""
        check_frames(prediction, target)
        prediction, target = prediction.detach(), target.detach()
        if self.rounded:
            prediction = _snap(round_to_8bit(prediction))
            target = _snap(target)
        return -10 * self._difference(prediction.double(), target.double()).square().mean((1, 2, 3)).log10()

    def _difference(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What is squared, ``(N, C, H, W)`` float64."""
        return prediction - target

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values that count, after the rule ``infinite``."""
        if self.infinite == "clip":
            return super().summarise(values.clamp(max=self.maximum))
        return super().summarise(values[~torch.isposinf(values)])


class LumaPSNR(PSNR):
    """PSNR of luma, ``Y = 0.299 R + 0.587 G + 0.114 B`` (full-range BT.601, the Y of scikit-image's ``rgb2yuv``).

    The measure of RIFE's HD table: the prediction is rounded as RGB image, luma itself is not rounded. It is not
    the luma PSNR of super-resolution, whose Y is scaled to 16..235. Arguments as for :class:`PSNR`.
    """

    key = "psnr_y"

    def _difference(self, prediction: Tensor, target: Tensor) -> Tensor:
        weights = torch.tensor([0.299, 0.587, 0.114], dtype=prediction.dtype, device=prediction.device)
        return torch.einsum("nchw,c->nhw", prediction - target, weights).unsqueeze(1)


def _snap(image: Tensor) -> Tensor:
    """In float64, values that are n/255 up to float32 rounding exactly so; others unchanged."""
    image = image.double()
    snapped = (image * 255).round() / 255
    return torch.where((snapped - image).abs() < 1e-7, snapped, image)
