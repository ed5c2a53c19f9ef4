"""Multi-scale structural similarity (Wang, Simoncelli and Bovik, Asilomar 2003)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import FrameMetric, check_frames, to_double
from .ssim import gaussian_blur

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_MINIMUM = 10 * 2 ** (len(_WEIGHTS) - 1) + 1
_C1, _C2 = 0.01**2, 0.03**2


class MultiScaleSSIM(FrameMetric):
    """MS-SSIM with the five weights of the paper and an 11x11 Gaussian window of deviation 1.5.

    The convention of the authors' program and of piq: windows inside the frame only, a score per colour channel,
    then their mean. torchmetrics pads the frame and takes means over channels before multiplying scales; its values
    differ in the fourth or fifth digit. Between scales frames are averaged over 2x2 pixels; if a side is odd, the
    first row and column are repeated before that, as piq does. Negative means of a scale count as 0.

    Args:
        rounded: compare the prediction as 8-bit image.
    """

    simple = True
    key = "ms_ssim"
    higher_is_better = True
    decimals = 4

    def __init__(self, rounded: bool = True) -> None:
        super().__init__()
        self.rounded = rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """MS-SSIM of each frame ``(N,)``."""
        check_frames(prediction, target)
        height, width = prediction.shape[2:]
        if min(height, width) < _MINIMUM:
            raise ValueError(
                f"MS-SSIM over five scales needs frames of at least {_MINIMUM}x{_MINIMUM} pixels, got {height}x{width}"
            )
        values = torch.zeros(len(prediction), dtype=torch.float64, device=prediction.device)
        for index, (frame, truth) in enumerate(zip(prediction, target, strict=True)):
            values[index] = _multi_scale(*to_double(frame, truth, self.rounded))
        return values


def _multi_scale(a: Tensor, b: Tensor) -> Tensor:
    """MS-SSIM of two frames ``(3, H, W)`` as a scalar."""
    score: Tensor | None = None
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            a, b = _halve(a), _halve(b)
        structure, whole = _means(a, b)
        term = (whole if scale == len(_WEIGHTS) - 1 else structure).relu() ** weight
        score = term if score is None else score * term
    assert score is not None
    return score.mean()


def _means(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of contrast times structure, and of SSIM, of each channel ``(3,)``."""
    moments = gaussian_blur(torch.stack((a, b, a * a + b * b, a * b)))
    mean_a, mean_b, squares, product = moments.unbind(0)
    mean_product, mean_squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    structure = (2 * (product - mean_product) + _C2) / (squares - mean_squares + _C2)
    luminance = (2 * mean_product + _C1) / (mean_squares + _C1)
    return structure.mean((1, 2)), (luminance * structure).mean((1, 2))


def _halve(x: Tensor) -> Tensor:
    odd = max(x.shape[1] % 2, x.shape[2] % 2)
    return F.avg_pool2d(F.pad(x, (odd, 0, odd, 0), mode="replicate"), 2)
