"""Super-resolution without weights: every pixel repeated, and bicubic interpolation as MATLAB computes it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.resize import from_8bit, imresize, to_8bit
from ..card import ModelCard, PublishedResult
from .contract import check_image

_SELFEXSR = "SelfExSR (Huang, Singh, Ahuja, CVPR 2015), tables per image at github.com/jbhuang0604/SelfExSR"
_SELFEXSR_MEANS = {
    "sr_set5": (28.4177, 0.8101),
    "sr_set14": (25.9933, 0.7023),
    "sr_bsd100": (25.9565, 0.6672),
    "sr_urban100": (23.1381, 0.6573),
}


class Nearest(nn.Module):
    """Repeats every pixel.

    Args:
        scale: 1 or more.

    Raises:
        ConfigError: ``scale`` out of range.
    """

    receptive_radius, alignment = 0, 1

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.scale = _checked(scale)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale * H, scale * W)``.

        Raises:
            ValueError: another shape.
        """
        check_image(image)
        return F.interpolate(image, scale_factor=self.scale, mode="nearest")


class Bicubic(nn.Module):
    """Bicubic interpolation of each channel: what every super-resolution method has to beat.

    The kernel is that of MATLAB's ``imresize`` (a = -1/2). OpenCV's ``INTER_CUBIC`` has another one (a = -3/4) and lies
    0.2 dB higher on Set5; it is not what tables call bicubic.

    Args:
        scale: 1 or more.
        rounded: round to 8 bits before, between the axes and after, as MATLAB does with 8-bit images; without gradient.
            By default the result is exact and differentiable, 0.0015 dB better on Set5.

    Raises:
        ConfigError: ``scale`` out of range.
    """

    receptive_radius, alignment = 2, 1

    def __init__(self, scale: int = 4, rounded: bool = False) -> None:
        super().__init__()
        self.scale, self.rounded = _checked(scale), rounded

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1] -> ``(B, 3, scale * H, scale * W)``, not clamped unless ``rounded``.

        Raises:
            ValueError: another shape.
        """
        check_image(image)
        if self.rounded:
            return from_8bit(imresize(to_8bit(image), self.scale), image.dtype)
        return imresize(image, self.scale)


def _checked(scale: int) -> int:
    if scale < 1:
        raise ConfigError(f"scale must be at least 1, got {scale}")
    return scale


CARDS = (
    ModelCard(
        name="nearest",
        task="super_resolution",
        build=Nearest,
        summary="every pixel repeated",
        baseline=True,
    ),
    ModelCard(
        name="bicubic",
        task="super_resolution",
        build=Bicubic,
        summary="bicubic interpolation as MATLAB's imresize",
        baseline=True,
        published=tuple(
            PublishedResult(benchmark, metric, value, _SELFEXSR, options={"rounded": True})
            for benchmark, values in _SELFEXSR_MEANS.items()
            for metric, value in zip(("psnr_y_rounded", "ssim_y_rounded"), values, strict=True)
        ),
    ),
)
