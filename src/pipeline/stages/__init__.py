"""The stages of pipelines, by name."""

from __future__ import annotations

from ..stage import Stage
from .background import Fuse, ReplaceBackground
from .denoise import Denoise
from .inpaint import Inpaint
from .mask import Mask
from .motion import Motion, TransferMotion
from .restyle import Restyle
from .retime import Retime
from .stabilize import Stabilize
from .upscale import Upscale

STAGES: dict[str, type[Stage]] = {
    "denoise": Denoise,
    "stabilize": Stabilize,
    "motion": Motion,
    "transfer_motion": TransferMotion,
    "retime": Retime,
    "mask": Mask,
    "inpaint": Inpaint,
    "fuse": Fuse,
    "restyle": Restyle,
    "replace_background": ReplaceBackground,
    "upscale": Upscale,
}
