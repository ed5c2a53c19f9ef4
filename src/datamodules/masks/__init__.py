"""Masks for video inpainting: drawn by formula from a seed, so that they are the same every time, or from files."""

from .base import MaskVideo
from .bezier import BezierMasks
from .devil import MARGINAL_SPLITS, PRESETS, DevilMasks, devil_masks
from .files import read_mask, write_mask_folder
from .free_form import FreeFormMasks
from .strokes import Stroke, StrokeSettings, move_stroke
from .training import TrainingMasks, draw_masks, mask_stack
from .wander import WanderingMasks

__all__ = [
    "MARGINAL_SPLITS",
    "PRESETS",
    "BezierMasks",
    "DevilMasks",
    "FreeFormMasks",
    "MaskVideo",
    "Stroke",
    "StrokeSettings",
    "TrainingMasks",
    "WanderingMasks",
    "devil_masks",
    "draw_masks",
    "mask_stack",
    "move_stroke",
    "read_mask",
    "write_mask_folder",
]
