"""A filter over any method that treats frames one by one: results follow the motion of their source."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops.occlusion import inconsistent
from ..ops.warp import warp

# of Lai et al.: how fast trust falls where the source itself does not look the same along its flow
_AGREEMENT = 50.0


class CoherenceFilter:
    """Blends each result with the filtered result before it, brought onto it by the flow of the source.

    ``F_t = P_t + s c (W(F_t-1) - P_t)``: P the method's result, W the warp by the source's flow from t to t - 1, s the
    strength. The trust c is 0 where that flow and its reverse do not lead back (hidden before, Sundaram et al., ECCV
    2010), and else ``exp(-50 |x_t - W(x_t-1)|^2)`` of the source x (Lai et al., "Learning Blind Video Temporal
    Consistency", ECCV 2018, equation 3). It needs no look ahead and remembers one frame. Detail that is carried for
    long becomes soft, because each warp interpolates.

    Args:
        flow: flow network on ``device``, in eval mode.
        strength: in [0, 1]; 0 leaves results as they are.
        device: where it computes.
    """

    def __init__(self, flow: nn.Module, strength: float = 0.7, device: torch.device | None = None) -> None:
        self.flow, self.strength, self.device = flow, strength, device or torch.device("cpu")
        self.reset()

    def reset(self) -> None:
        """Forget the frame before: another scene begins."""
        self._before: tuple[Tensor, Tensor] | None = None

    def push(self, source: Tensor, made: Tensor) -> Tensor:
        """The filtered result of the next frame.

        Args:
            source: ``(3, H, W)`` in [0, 1].
            made: the method's result for it, the same shape.

        Returns:
            ``(3, H, W)`` float32 on the CPU.
        """
        now, made = (x[None].to(self.device, torch.float32) for x in (source, made))
        if self._before is not None:
            before, filtered = self._before
            with torch.no_grad():
                back = self.flow(now, before).float()
                hidden = inconsistent(back, self.flow(before, now).float())
                difference = (now - warp(before, back)).square().sum(1, keepdim=True)
                trust = torch.exp(-_AGREEMENT * difference).masked_fill(hidden, 0)
                made = made + self.strength * trust * (warp(filtered, back) - made)
        self._before = (now, made)
        return made[0].cpu()
