"""The photographs inside scikit-image as a small data set for super-resolution: no downloads.

Training sees astronaut, brick, camera, chelsea, grass, hubble_deep_field, moon, page, retina and rocket; held out are
coffee, motorcycle_left and ihc, and in gray coins, gravel and text. It is the split of the procedural scenes, so that a
network trained on either may be measured on both. None of them is in Set5, Set14, BSD100, Urban100, Manga109 or DIV2K.
"""

from __future__ import annotations

from typing import Any

import torch

from ..core.errors import ConfigError
from .base import EvaluationDataset, EvaluationVideo
from .scenes.textures import load_texture, texture_file, texture_names
from .transforms import Image, images_to_tensor


def training_photographs() -> tuple[str, ...]:
    """Names of the photographs that training sees."""
    return tuple(sorted(texture_names("train")))


def held_out_photographs(gray: bool = False) -> tuple[str, ...]:
    """Names of the photographs that training never sees.

    Args:
        gray: the gray ones too.
    """
    return tuple(sorted(name for name in texture_names("eval") if gray or not texture_file(name).gray))


def read_photograph(name: str) -> Image:
    """A photograph, uint8 ``(H, W, 3)``, read-only.

    Raises:
        DataError: scikit-image is missing or holds another version of it.
    """
    return load_texture(name)[0]


class PhotographEvaluation(EvaluationDataset):
    """The held-out photographs, each a video of one frame; ``truth["gray"]`` as of files.

    Args:
        gray: the gray ones too.
        limit: use the first so many only.

    Raises:
        ConfigError: limit below 1.
    """

    def __init__(self, gray: bool = False, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"photographs: videos={limit} must be at least 1")
        names = held_out_photographs(gray)
        self.names = names[:limit]
        self.complete = len(self.names) == len(names)
        self.name = "photographs_gray" if gray else "photographs"

    def __len__(self) -> int:
        """Number of photographs."""
        return len(self.names)

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Photograph ``index``."""
        name = self.names[index]
        frames = images_to_tensor(read_photograph(name)[None])
        return EvaluationVideo(name, frames, {"gray": torch.tensor([float(texture_file(name).gray)])})

    def frame_count(self, index: int) -> int:
        """One."""
        return 1

    def describe(self) -> dict[str, Any]:
        """Names and hashes."""
        return {"dataset": self.name, "photographs": {name: texture_file(name).sha256 for name in self.names}}
