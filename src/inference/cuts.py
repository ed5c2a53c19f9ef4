"""Scene cuts in a stream of frames: where a state that is carried from frame to frame has to begin anew.

The rule looks at two neighbouring frames and nothing else, so that a segment of a video finds the same cuts as the
whole. The detectors of :mod:`framewright.ops.shots` know the frames around and a shortest shot; what they found reaches
engines as marks (:func:`framewright.inference.mark_shots`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.registry import create_model
from ..models.stabilization import MotionEstimator
from ..ops.global_motion import luma_change

#: longer side in pixels at which frames are compared
SIZE = 160
#: mean change of luma that a cut has at least
CHANGE = 0.06


class MotionCutDetector:
    """Finds cuts as stabilization does: the picture changed, and no motion of the camera explains it.

    Only where the luma changed enough is motion looked for, so that most frames cost a subtraction. A white flash of
    one frame counts as two cuts; slow dissolves are none.

    Args:
        change: mean change of luma in [0, 1] that a cut has at least.
        size: longer side in pixels at which frames are compared.
    """

    def __init__(self, change: float = CHANGE, size: int = SIZE) -> None:
        self.change, self.size = change, size
        self._before: tuple[Tensor, npt.NDArray[np.uint8]] | None = None

    def push(self, frame: Tensor) -> bool:
        """Whether another scene begins with this frame ``(3, H, W)`` in [0, 1]; the first one begins none."""
        height, width = frame.shape[-2:]
        factor = min(1.0, self.size / max(height, width))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        small = F.interpolate(frame.detach()[None].float().cpu(), size, mode="area")[0]
        grey = (small.mean(0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        before, self._before = self._before, (small, grey)
        if before is None or before[1].shape != grey.shape or luma_change(before[1], grey) <= self.change:
            return False
        estimator = MotionEstimator(create_model("farneback"), self.size, check=False, cut_change=self.change)
        estimator.push(before[0])
        return estimator.push(small).cut
