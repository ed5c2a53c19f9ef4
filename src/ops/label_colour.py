"""Label maps in colour."""

from __future__ import annotations

import torch
from torch import Tensor


def labels_to_colour(labels: Tensor) -> Tensor:
    """Each label in the colour that PASCAL VOC's palette gives it, in which neighbouring numbers look different.

    The bits of a label, from the lowest, go in turn to red, green and blue, highest bit first.

    Args:
        labels: ``(..., H, W)`` of whole numbers; 255 (no label) is the palette's cream.

    Returns:
        ``(..., 3, H, W)`` float32 in [0, 1].
    """
    rest = labels.long()
    channels = [torch.zeros_like(rest) for _ in range(3)]
    for place in range(8):
        for index in range(3):
            channels[index] = channels[index] | ((rest >> (3 * place + index) & 1) << (7 - place))
    return torch.stack(channels, -3).float() / 255
