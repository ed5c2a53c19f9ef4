"""Masks for video inpainting, drawn by formula from a seed: nothing to download, the same bits every time."""

from .base import MaskVideo
from .devil import MARGINAL_SPLITS, PRESETS, DevilMasks, devil_masks
from .files import list_mask_folders, open_masks, read_mask, write_mask_folder
from .strokes import StrokeSettings, move_stroke

__all__ = [
    "MARGINAL_SPLITS",
    "PRESETS",
    "DevilMasks",
    "MaskVideo",
    "StrokeSettings",
    "devil_masks",
    "list_mask_folders",
    "move_stroke",
    "open_masks",
    "read_mask",
    "write_mask_folder",
]
