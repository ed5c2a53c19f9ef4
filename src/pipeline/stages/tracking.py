"""Following an object through a video from a box around it on the first frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...models.registry import create_model
from ...ops.trimap import trimap_from_alpha
from ...ops.warp import warp

# GrabCut may change what the flow predicts by at most this factor; more is a leak
_MOST_CHANGE = 1.5
# how far from the predicted edge the true one is looked for, as a part of the square root of the object's area
_BAND = 0.12


class BoxTracker:
    """The mask of an object, frame by frame.

    On the first frame GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004) separates the object from what surrounds the
    box. Each further mask is the one before, moved along the optical flow; GrabCut then looks for the edge in a band
    around it. A mask that suddenly grows or shrinks by half is not believed.

    Args:
        flow: a flow network or baseline.
        box: x, y, width and height in pixels on the first frame.
    """

    def __init__(self, flow: nn.Module, box: Sequence[int]) -> None:
        self.flow, self.box = flow, box
        self._within, self._around = create_model("grabcut"), create_model("grabcut", trust=True)
        self._before: tuple[Tensor, Tensor] | None = None

    def push(self, frame: Tensor) -> Tensor:
        """The mask ``(H, W)`` boolean of the next frame ``(3, H, W)`` in [0, 1]."""
        image = frame[None].float()
        if self._before is None:
            mask = self._first(image)
        else:
            before, known = self._before
            with torch.no_grad():
                predicted = warp(known.float()[None, None], self.flow(image, before))[0, 0] > 0.5
            mask = self._corrected(image, predicted)
        self._before = image, mask
        return mask

    def _first(self, image: Tensor) -> Tensor:
        x, y, width, height = self.box
        trimap = torch.zeros_like(image[:, :1])
        trimap[..., y : y + height, x : x + width] = 0.5
        found = self._within(image, trimap)[0, 0] > 0.5
        # nothing separable: the box itself
        return found if bool(found.any()) else trimap[0, 0] > 0

    def _corrected(self, image: Tensor, predicted: Tensor) -> Tensor:
        area = float(predicted.sum())
        if area == 0:
            return predicted
        band = max(3, round(_BAND * area**0.5)) | 1
        trimap = trimap_from_alpha(predicted.float()[None, None], band, band)
        found = (self._around(image, trimap)[0, 0] > 0.5) & (trimap[0, 0] > 0)
        change = float(found.sum()) / area
        return found if 1 / _MOST_CHANGE <= change <= _MOST_CHANGE else predicted
