"""Masks for video inpainting, drawn by formula from a seed: nothing to download, the same bits every time."""

from .base import MaskVideo
from .devil import MARGINAL_SPLITS, PRESETS, DevilMasks, devil_masks
from .files import read_mask, write_mask_folder
from .strokes import Stroke, StrokeSettings, move_stroke

__all__ = [
    "MARGINAL_SPLITS",
    "PRESETS",
    "DevilMasks",
    "MaskVideo",
    "Stroke",
    "StrokeSettings",
    "devil_masks",
    "move_stroke",
    "read_mask",
    "write_mask_folder",
]
