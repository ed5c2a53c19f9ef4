"""What every metric of single frames shares."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class FrameMetric(Metric):
    """A full-reference metric with one value per frame, averaged over frames.

    Subclasses give ``key``, ``unit``, ``higher_is_better``, ``decimals`` and :meth:`frame_values`. The
    running sum is float64 and the count int64; they stay so whatever precision a model that holds the
    metric is converted to. Both are summed over processes.

    Attributes:
        key: name in tables and result files, for example ``"psnr"``.
        unit: ``"dB"`` or empty.
        decimals: digits after the point in tables.
    """

    is_differentiable = False
    higher_is_better: bool = True
    full_state_update = False
    key: str = ""
    unit: str = ""
    decimals: int = 4

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def frame_values(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The value of each frame, without changing the state.

        Args:
            prediction, target: ``(N, 3, H, W)`` RGB in [0, 1].

        Returns:
            ``(N,)`` float64. May hold infinities; :meth:`summarise` says what becomes of them.

        Raises:
            ValueError: shapes do not fit.
        """

    def summarise(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum (float64) and number (int64) of the values that enter the mean."""
        return values.sum(dtype=torch.float64), torch.tensor(values.numel(), device=values.device)

    def mean_of(self, values: Tensor) -> Tensor:
        """What :meth:`compute` would give for these frame values: float64, NaN where none counts."""
        total, count = self.summarise(values)
        return total / count

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add frames; arguments as for :meth:`frame_values`."""
        total, count = self.summarise(self.frame_values(prediction, target))
        self.total = self.total + total.to(self.total.device)
        self.count = self.count + count.to(self.count.device)

    def compute(self) -> Tensor:
        """The mean over all frames so far as a float64 scalar; NaN before the first."""
        return self.total / self.count

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> FrameMetric:
        # .half(), .to(dtype) and set_dtype() of a surrounding model end here; only the device may change
        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        super()._apply(move, exclude_state)
        return self


def check_frames(prediction: Tensor, target: Tensor) -> None:
    """Raise ``ValueError`` unless both are floating ``(N, 3, H, W)`` of one shape."""
    if prediction.shape != target.shape or prediction.dim() != 4 or prediction.shape[1] != 3:
        raise ValueError(
            f"a frame metric expects two (N, 3, H, W) of one shape, got {tuple(prediction.shape)} and "
            f"{tuple(target.shape)}"
        )
    if not (prediction.is_floating_point() and target.is_floating_point()):
        raise ValueError(
            f"a frame metric expects floating-point frames in [0, 1], got {prediction.dtype} and {target.dtype}"
        )


def round_to_8bit(image: Tensor) -> Tensor:
    """The image as read back from an 8-bit file: clipped to [0, 1] and rounded to n/255, ties to even.

    Float32 images are rounded in float32, as reference evaluations do: in float64 a tie such as 100.5/255 would
    fall to either side by its float32 representation.
    """
    image = image.to(torch.promote_types(image.dtype, torch.float32))
    return (image.clamp(0, 1) * 255).round() / 255
