"""Tensor operations without parameters."""

from .cost_volume import cost_volume
from .flow_colour import flow_to_colour
from .occlusion import inconsistent, motion_boundary, occluded
from .pad import Crop, pad_to_multiple
from .resize import imresize
from .warp import warp

__all__ = [
    "Crop",
    "cost_volume",
    "flow_to_colour",
    "imresize",
    "inconsistent",
    "motion_boundary",
    "occluded",
    "pad_to_multiple",
    "warp",
]
