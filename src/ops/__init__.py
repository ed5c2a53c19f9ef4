"""Tensor operations without parameters."""

from .composite import composite, linear_to_srgb, srgb_to_linear
from .cost_volume import cost_volume
from .flow_colour import flow_to_colour
from .foreground import estimate_foreground
from .label_colour import labels_to_colour
from .occlusion import inconsistent, motion_boundary, occluded
from .pad import Crop, pad_to_multiple
from .pull_push import pull_push
from .resize import imresize
from .trimap import random_trimap, temporal_median, trimap_from_alpha, trimap_from_probability
from .warp import warp

__all__ = [
    "Crop",
    "composite",
    "cost_volume",
    "estimate_foreground",
    "flow_to_colour",
    "imresize",
    "inconsistent",
    "labels_to_colour",
    "linear_to_srgb",
    "motion_boundary",
    "occluded",
    "pad_to_multiple",
    "pull_push",
    "random_trimap",
    "srgb_to_linear",
    "temporal_median",
    "trimap_from_alpha",
    "trimap_from_probability",
    "warp",
]
