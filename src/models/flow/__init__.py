"""Networks and baselines that estimate optical flow."""

from .contract import check_images
from .sequence import video_flow

__all__ = ["check_images", "video_flow"]
