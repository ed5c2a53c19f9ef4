"""Super-resolution without weights: bicubic interpolation as MATLAB computes it."""

from __future__ import annotations

from torch import Tensor, nn

from ...core.errors import ConfigError
from ...ops.resize import enlarge
from ..card import ModelCard, PublishedResult

_SELFEXSR = "SelfExSR (Huang, Singh, Ahuja, CVPR 2015), tables per image at github.com/jbhuang0604/SelfExSR"
_SELFEXSR_MEANS = {
    "sr_set5": (28.4177, 0.8101),
    "sr_set14": (25.9933, 0.7023),
    "sr_bsd100": (25.9565, 0.6672),
    "sr_urban100": (23.1381, 0.6573),
}


class Bicubic(nn.Module):
    """Bicubic interpolation of each channel: what every super-resolution method has to beat.

    The kernel is that of MATLAB's ``imresize`` (a = -1/2). OpenCV's ``INTER_CUBIC`` has another one (a = -3/4) and lies
    0.2 dB higher on Set5; it is not what tables call bicubic.

    Args:
        scale: factor.
        rounded: round to 8 bits between the axes, as MATLAB does with 8-bit images; without gradient. By default the
            result is exact and differentiable, 0.0015 dB better on Set5.

    Raises:
        ConfigError: a scale below 1.
    """

    receptive_radius, alignment = 2, 1

    def __init__(self, scale: int = 4, rounded: bool = False) -> None:
        super().__init__()
        if scale < 1:
            raise ConfigError(f"scale must be at least 1, got {scale}")
        self.scale, self.rounded = int(scale), rounded

    def forward(self, image: Tensor) -> Tensor:
        """Image ``(B, 3, H, W)`` RGB in [0, 1]; ``(B, 3, scale * H, scale * W)`` in [0, 1].

        Raises:
            ValueError: the shape does not fit.
        """
        if image.dim() != 4 or image.shape[1] != 3 or 0 in image.shape[2:]:
            raise ValueError(f"super-resolution expects images (B, 3, H, W), got {tuple(image.shape)}")
        return enlarge(image, self.scale, rounded=self.rounded)


CARDS = (
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
