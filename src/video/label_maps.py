"""Label maps: images whose values are class numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError, FramewrightError
from ..core.files import atomic_path


def read_labels(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """The label map ``(H, W)`` of a palette or grey 8-bit PNG.

    Raises:
        DataError: the file cannot be read, or has colours instead of labels.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                raise DataError(
                    f"the label map {str(path)!r} has the mode {image.mode}; expected a palette or grey PNG whose "
                    "values are labels (colour-coded maps have to be converted first)"
                )
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError) as error:  # Pillow tells broken PNG chunks by SyntaxError
        raise DataError(f"cannot read the label map {str(path)!r}: {error}") from error


def write_labels(path: str | os.PathLike[str], labels: npt.NDArray[np.uint8]) -> None:
    """Write labels ``(H, W)`` as a grey PNG, atomically; 255 = none.

    Raises:
        DataError: the file cannot be written.
        ValueError: another shape or type, or another suffix than ``.png``.
    """
    from PIL import Image

    path = Path(path)
    if labels.ndim != 2 or labels.dtype != np.uint8 or path.suffix.lower() != ".png":
        raise ValueError(f"expected labels (H, W) uint8 and a .png, got {labels.shape} {labels.dtype}, {path.name!r}")
    try:
        with atomic_path(path) as temporary:
            Image.fromarray(labels).save(temporary, format="PNG")
    except (OSError, FramewrightError) as error:
        raise DataError(f"cannot write the label map {str(path)!r}: {error}") from error
