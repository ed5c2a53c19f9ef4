"""Super-resolution data sets to evaluate on: images as videos of one frame, and clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError
from ..video import is_gray_file, read_image
from .base import EvaluationVideo
from .interpolation_sets import LayoutEvaluation
from .layouts import FrameSequence, Layout
from .sr_layouts import ScaledFiles
from .transforms import Image, images_to_tensor


class SuperResolutionEvaluation(LayoutEvaluation):
    """Images and clips with, where the set has them, their low-resolution versions.

    An image is a video of one frame; sizes differ from video to video. ``frames`` are the high-resolution ones;
    ``truth``: ``lr`` ``(T, 3, h, w)`` where files were found for the scale, ``gray`` ``(T,)``, 1 = the file has a
    single channel (a measure of luma may ask). Alpha is dropped, palettes are resolved, 16 bits are rounded to 8.

    Args:
        layout: of the data set.
        name: in results.
        root: as the layout found it.
        files: images or clips.
        scale: of the low-resolution files.
        published: number of the whole published set; None: any number is whole.
        limit: use so many only, spread evenly.

    Raises:
        DataError: nothing is there, or a file is missing.
        ConfigError: limit below 1.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        root: Path,
        files: Sequence[ScaledFiles],
        scale: int,
        published: int | None = None,
        limit: int | None = None,
    ) -> None:
        self._files = {item.id: item for item in files}
        self.scale = scale
        super().__init__(layout, name, root, [item.sequence() for item in files], published, limit)

    def frame_count(self, index: int) -> int:
        """Number of high-resolution frames."""
        return len(self._files[self.sequences[index].id].hr)

    def __getitem__(self, index: int) -> EvaluationVideo:
        """Image or clip ``index``; raises ``DataError`` naming a file that cannot be read or differs in size."""
        sequence = self.sequences[index]
        files = self._files[sequence.id]
        gray = torch.tensor([float(is_gray_file(self.root / path)) for path in files.hr])
        truth = {"gray": gray} | ({"lr": self._read(files.lr)} if files.lr else {})
        return EvaluationVideo(sequence.id, self.load(sequence), truth)

    def load(self, sequence: FrameSequence) -> Tensor:
        """The high-resolution frames ``(T, 3, H, W)``."""
        return self._read(self._files[sequence.id].hr)

    def _read(self, paths: Sequence[str]) -> Tensor:
        images: list[Image] = [read_image(self.root / path) for path in paths]
        for path, image in zip(paths, images, strict=True):
            if image.shape != images[0].shape:
                raise DataError(
                    f"{self.layout.title}: {str(self.root / path)!r} is {image.shape[1]}x{image.shape[0]}, the first "
                    f"frame is {images[0].shape[1]}x{images[0].shape[0]} (width x height)"
                )
        return images_to_tensor(np.stack(images))
