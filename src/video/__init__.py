"""Reading and writing videos, frame folders and images: RGB outside, whatever the file holds inside."""

from .base import VideoReader
from .clips import load_video, save_video
from .discover import find_videos, is_frame_folder, is_video_file
from .flow_files import read_flow, write_flow
from .images import decode_image, is_gray_file, read_image, write_image
from .info import AudioTrack, SubtitleTrack, VideoInfo
from .label_maps import read_labels, write_labels
from .reader import open_video, probe
from .tags import ColourTags
from .writer import VideoWriter

__all__ = [
    "AudioTrack",
    "ColourTags",
    "SubtitleTrack",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "decode_image",
    "find_videos",
    "is_frame_folder",
    "is_gray_file",
    "is_video_file",
    "load_video",
    "open_video",
    "probe",
    "read_flow",
    "read_image",
    "read_labels",
    "save_video",
    "write_flow",
    "write_image",
    "write_labels",
]
