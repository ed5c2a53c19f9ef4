"""Tensor operations without parameters."""

from .colour_samples import SampledMatte, propagate, sampled_matte
from .composite import composite, linear_to_srgb, srgb_to_linear
from .cost_volume import cost_volume
from .distance import distance_to
from .flow_colour import flow_to_colour
from .foreground import estimate_foreground
from .guided_filter import GuidedFilter
from .label_colour import labels_to_colour
from .occlusion import inconsistent, motion_boundary, occluded
from .pad import Crop, pad_to_multiple
from .resize import imresize
from .trimap import random_trimap, temporal_median, trimap_from_alpha, trimap_from_probability
from .warp import warp

__all__ = [
    "Crop",
    "GuidedFilter",
    "SampledMatte",
    "composite",
    "cost_volume",
    "distance_to",
    "estimate_foreground",
    "flow_to_colour",
    "imresize",
    "inconsistent",
    "labels_to_colour",
    "linear_to_srgb",
    "motion_boundary",
    "occluded",
    "pad_to_multiple",
    "propagate",
    "random_trimap",
    "sampled_matte",
    "srgb_to_linear",
    "temporal_median",
    "trimap_from_alpha",
    "trimap_from_probability",
    "warp",
]
