"""Running a method over a whole video; the only place where frames are looped over."""

from .flow import flow_chunks
from .folder import FolderMethod
from .inpainting import InpaintingOptions, inpaint_chunks
from .interpolation import interpolate_chunks, split_frames
from .method import Chunk, Context, Method, chunked
from .network import NetworkMethod, engine_options
from .stabilization import StabilizationOptions, stabilize_chunks, stabilize_file

__all__ = [
    "Chunk",
    "Context",
    "FolderMethod",
    "InpaintingOptions",
    "Method",
    "NetworkMethod",
    "StabilizationOptions",
    "chunked",
    "engine_options",
    "flow_chunks",
    "inpaint_chunks",
    "interpolate_chunks",
    "split_frames",
    "stabilize_chunks",
    "stabilize_file",
]
