"""Values that are known at some pixels, spread smoothly over the others."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# of a pixel of a coarser level, the known part from which on its own value counts alone
_ENOUGH = 0.25
_SMALLEST = 1e-4


def pull_push(values: Tensor, known: Tensor, levels: int = 6) -> Tensor:
    """Fill unknown pixels with the mean of the known ones around them.

    The image is reduced level by level, each pixel being the mean of what is known below it; on the way back, where too
    little is known, the coarser level is taken (Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH
    1996, section 3.6). The time does not depend on how much is unknown.

    Args:
        values: ``(B, C, H, W)``; what unknown pixels hold does not matter, as long as it is finite.
        known: ``(B, 1, H, W)`` in [0, 1]: how well a pixel is known.
        levels: halvings. Colours reach about ``2**levels`` pixels far; beyond is 0.

    Returns:
        ``(B, C, H, W)``. Known pixels (1) keep their values.

    Raises:
        ValueError: shapes do not fit, or ``levels`` is negative.
    """
    if values.dim() != 4 or known.shape != (values.shape[0], 1, *values.shape[2:]):
        raise ValueError(
            f"expected values (B, C, H, W) and known (B, 1, H, W), got {tuple(values.shape)} and {tuple(known.shape)}"
        )
    if levels < 0:
        raise ValueError(f"levels must be at least 0, got {levels}")
    total, weight = values * known, known
    finer: list[tuple[Tensor, Tensor]] = []
    while len(finer) < levels and max(total.shape[2:]) > 1:
        finer.append((total, weight))
        total, weight = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (total, weight))
    filled = total / weight.clamp(min=_SMALLEST)
    for total, weight in reversed(finer):
        coarse = F.interpolate(filled, total.shape[2:], mode="bilinear", align_corners=False)
        share = (weight / _ENOUGH).clamp(max=1)
        filled = share * total / weight.clamp(min=_SMALLEST) + (1 - share) * coarse
    return filled
