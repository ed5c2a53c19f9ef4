"""PSNR and SSIM of luma as super-resolution reports them.

Y is that of MATLAB's ``rgb2ycbcr`` (BT.601, 16 to 235), of 8-bit RGB, without as many pixels at each border as the
scale. The two families of published tables differ in whether Y is rounded to whole levels, and in what a gray image is.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import VideoMetric, to_double
from .pair import VideoPair
from .psnr import Infinite, check_infinite, settle_infinite
from .ssim import ssim_map

Gray = Literal["convert", "plane"]
_WEIGHTS = (65.481, 128.553, 24.966)


def studio_luma(frames: Tensor) -> Tensor:
    """``Y = 16 + 65.481 R + 128.553 G + 24.966 B`` of ``(N, 3, H, W)`` in [0, 1]: ``(N, H, W)`` from 16 to 235."""
    return torch.einsum("nchw,c->nhw", frames, frames.new_tensor(_WEIGHTS)) + 16


class _LumaMetric(VideoMetric):
    """What PSNR and SSIM of luma have in common; see :class:`StudioLumaPSNR` for the arguments."""

    def __init__(self, round_y: bool, gray: Gray, crop_border: int | None) -> None:
        super().__init__()
        if gray not in ("convert", "plane"):
            raise ConfigError(f"gray must be 'convert' or 'plane', got {gray!r}")
        if crop_border is not None and crop_border < 0:
            raise ConfigError(f"crop_border must not be negative, got {crop_border}")
        self.round_y, self.gray, self.crop_border = round_y, gray, crop_border

    def _planes(self, pair: VideoPair, index: int) -> tuple[Tensor, Tensor]:
        """Luma ``(1, h, w)`` of a frame of the prediction and of the target, 0 to 255, without the border."""
        self.check(pair)
        border = pair.scale if self.crop_border is None else self.crop_border
        height, width = pair.target.shape[2:]
        if min(height, width) <= 2 * border:
            raise ValueError(
                f"{self.key} leaves out {border} pixels at each border; a frame of {height}x{width} has nothing else"
            )
        part = slice(index, index + 1)
        both = to_double(pair.prediction[part], pair.target[part], True)
        if border:
            both = both[0][..., border:-border, border:-border], both[1][..., border:-border, border:-border]
        planes = [studio_luma(frame) for frame in both]
        if self.gray == "plane" and _is_gray(pair, index):
            planes = [(plane - 16) * (255 / 219) for plane in planes]
        if self.round_y:
            # half up as MATLAB; a level that is whole but for the last digit must not change sides
            planes = [(plane + 0.5 + 1e-9).floor() for plane in planes]
        return planes[0], planes[1]


def _is_gray(pair: VideoPair, index: int) -> bool:
    """Whether the file of a frame had a single channel; where the data set does not say, whether all are the same."""
    if "gray" in pair.given:
        return bool(pair.given["gray"][index])
    return bool((pair.target[index, :1] == pair.target[index]).all())


class StudioLumaPSNR(_LumaMetric):
    """PSNR of luma of each frame against a peak of 255, in dB, averaged over frames: the Y-PSNR of super-resolution.

    The prediction is rounded to 8-bit RGB first. Not to be mixed with :class:`LumaPSNR`, whose Y has the full range
    and lies 1.3 dB lower.

    Args:
        round_y: round Y to whole levels, as where MATLAB converts 8-bit images (the tables of SelfExSR); by default it
            stays a fraction, as in BasicSR. The difference is about 0.02 dB.
        gray: what becomes of a frame whose ground truth is a gray file: ``"convert"`` treats it as any other RGB image,
            which scales its contrast by 219/255; ``"plane"`` compares its levels as they are, as MATLAB does that reads
            gray files as such: 1.3 dB less for such images. What counts is the file (``given["gray"]``, one per frame),
            not the picture: of the two gray pictures of Set14, one is stored as RGB.
        crop_border: pixels left out at each border; None: the scale.
        infinite, maximum: as for :class:`PSNR`.

    Raises:
        ConfigError: an option is out of range.
    """

    key = "psnr_y601"
    unit = "dB"
    higher_is_better = True
    decimals = 2

    def __init__(
        self,
        round_y: bool = False,
        gray: Gray = "convert",
        crop_border: int | None = None,
        infinite: Infinite = "clip",
        maximum: float = 100.0,
    ) -> None:
        super().__init__(round_y, gray, crop_border)
        check_infinite(infinite, maximum)
        self.infinite, self.maximum = infinite, maximum

    def values(self, pair: VideoPair) -> Tensor:
        """PSNR of luma of each frame ``(T,)`` in dB, ``+inf`` where nothing differs.

        Raises:
            ValueError: a frame is all border.
        """
        errors = []
        for index in range(len(pair)):
            prediction, target = self._planes(pair, index)
            errors.append((prediction - target).square().mean())
        return -10 * (torch.stack(errors) / 255**2).log10()

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the values that count, after the rule ``infinite``."""
        return super().summarise(settle_infinite(values, self.infinite, self.maximum))


class StudioLumaSSIM(_LumaMetric):
    """SSIM of luma of each frame, averaged over frames, as MATLAB's first ``ssim.m``.

    Gaussian window of 11x11 and deviation 1.5, windows inside the frame only, C1 = (0.01 * 255)^2,
    C2 = (0.03 * 255)^2, population covariance, float64. Arguments as for :class:`StudioLumaPSNR`.

    Raises:
        ConfigError: an option is out of range.
    """

    key = "ssim_y601"
    higher_is_better = True
    decimals = 4

    def __init__(self, round_y: bool = False, gray: Gray = "convert", crop_border: int | None = None) -> None:
        super().__init__(round_y, gray, crop_border)

    def values(self, pair: VideoPair) -> Tensor:
        """SSIM of luma of each frame ``(T,)``.

        Raises:
            ValueError: without its border, a frame is smaller than the window.
        """
        values = []
        for index in range(len(pair)):
            prediction, target = self._planes(pair, index)
            if min(target.shape[1:]) < 11:
                raise ValueError(
                    f"{self.key} needs 11x11 pixels inside the border, got {target.shape[1]}x{target.shape[2]}"
                )
            values.append(ssim_map(prediction / 255, target / 255).mean())
        return torch.stack(values)
