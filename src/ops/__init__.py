"""Tensor operations without parameters."""

from .pad import Crop, pad_to_multiple
from .warp import warp

__all__ = ["Crop", "pad_to_multiple", "warp"]
