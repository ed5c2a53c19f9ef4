"""Running a method over a whole video; the only place where frames are looped over."""

from .flow import flow_chunks
from .folder import FolderMethod
from .interpolation import interpolate_chunks, split_frames
from .method import Chunk, Context, Method, chunked
from .network import NetworkMethod
from .super_resolution import split_scales, super_resolution_chunks

__all__ = [
    "Chunk",
    "Context",
    "FolderMethod",
    "Method",
    "NetworkMethod",
    "chunked",
    "flow_chunks",
    "interpolate_chunks",
    "split_frames",
    "split_scales",
    "super_resolution_chunks",
]
