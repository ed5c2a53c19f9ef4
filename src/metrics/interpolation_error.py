"""Interpolation error."""

from __future__ import annotations

from torch import Tensor

from .base import FrameMetric, check_frames, round_to_8bit


class InterpolationError(FrameMetric):
    """IE as in the RIFE tables: mean absolute difference over RGB on the scale 0..255, prediction rounded.

    The Middlebury site prints a root mean square under the same name; numbers cannot be compared.

    Args:
        rounded: compare the prediction as 8-bit image, as the published table does.
    """

    simple = True
    key = "interpolation_error"
    higher_is_better = False
    decimals = 3

    def __init__(self, rounded: bool = True) -> None:
        super().__init__()
        self.rounded = rounded

    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference of each frame ``(N,)`` in grey levels."""
        check_frames(prediction, target)
        prediction, target = prediction.detach(), target.detach()
        if self.rounded:
            prediction = round_to_8bit(prediction)
        return 255 * (prediction.double() - target.double()).abs().mean((1, 2, 3))
