"""The DEVIL benchmark on one's own videos: scores of attributes, slices by score, masks, and tables by slice.

Szeto and Corso, "The DEVIL Is in the Details: A Diagnostic Evaluation Benchmark for Video Inpainting", CVPR 2022.
As a program: ``python -m framewright.benchmark.devil``.
"""

from .attributes import (
    BackgroundMotion,
    CutScore,
    ForegroundExtent,
    camera_motion,
    foreground_motion,
    sampled_indices,
)
from .flows import FlowFunction, flow_function
from .scoring import ATTRIBUTES, read_scores, score_folder
from .slices import Slice, make_slices, read_slices, write_slices
from .table import SliceTable, slice_table, write_slice_table

__all__ = [
    "ATTRIBUTES",
    "BackgroundMotion",
    "CutScore",
    "FlowFunction",
    "ForegroundExtent",
    "Slice",
    "SliceTable",
    "camera_motion",
    "flow_function",
    "foreground_motion",
    "make_slices",
    "read_scores",
    "read_slices",
    "sampled_indices",
    "score_folder",
    "slice_table",
    "write_slice_table",
    "write_slices",
]
