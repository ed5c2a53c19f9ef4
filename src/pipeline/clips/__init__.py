"""Finding one's way in videos: shots, key frames, clips worth taking, two recordings in step, constant rates."""

from .keyframes import KeyFrame, contact_sheet, find_key_frames
from .measures import FrameMeasures, measure
from .resample import resample, resampling
from .select import Clip, select_clips
from .shots import Shot, ShotSettings, find_shots
from .sync import Alignment, align_audio, align_frames, align_timestamps

__all__ = [
    "Alignment",
    "Clip",
    "FrameMeasures",
    "KeyFrame",
    "Shot",
    "ShotSettings",
    "align_audio",
    "align_frames",
    "align_timestamps",
    "contact_sheet",
    "find_key_frames",
    "find_shots",
    "measure",
    "resample",
    "resampling",
    "select_clips",
]
