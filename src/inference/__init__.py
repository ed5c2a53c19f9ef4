"""Running a method over a whole video; the only place where frames are looped over."""

from .files import FileRun, process_file
from .flow import flow_chunks
from .folder import FolderMethod
from .inpainting import InpaintingOptions, inpaint_chunks
from .interpolation import interpolate_chunks, split_frames
from .matting import MattingOptions, matte_chunks
from .method import Chunk, Context, Method, chunked
from .network import NetworkMethod, engine_options
from .segmentation import SegmentationOptions, segment_chunks
from .shots import SHOT_START, mark_shots, starts_of
from .stabilization import StabilizationOptions, stabilize_chunks, stabilize_file
from .style import StyleOptions, style_chunks
from .super_resolution import SuperResolutionOptions, split_scales, super_resolution_chunks

__all__ = [
    "SHOT_START",
    "Chunk",
    "Context",
    "FileRun",
    "FolderMethod",
    "InpaintingOptions",
    "MattingOptions",
    "Method",
    "NetworkMethod",
    "SegmentationOptions",
    "StabilizationOptions",
    "StyleOptions",
    "SuperResolutionOptions",
    "chunked",
    "engine_options",
    "flow_chunks",
    "inpaint_chunks",
    "interpolate_chunks",
    "mark_shots",
    "matte_chunks",
    "process_file",
    "segment_chunks",
    "split_frames",
    "split_scales",
    "stabilize_chunks",
    "stabilize_file",
    "starts_of",
    "style_chunks",
    "super_resolution_chunks",
]
