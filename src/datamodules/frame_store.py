"""The images of one video, in a folder or, as the programs of STTN and its successors keep them, in one zip."""

from __future__ import annotations

import functools
import hashlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..video import decode_image, read_image
from ..video.discover import IMAGE_SUFFIXES, list_frames, natural_key
from .transforms import Image


class FrameStore:
    """The images of a folder or zip in natural order of their names.

    Args:
        path: the folder, or a file that ends in ``.zip``.

    Raises:
        DataError: when it is used: it cannot be read, or holds no image.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zipped = path.suffix.lower() == ".zip"

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the images: files of the folder, or members of the zip."""
        try:
            if self.zipped:
                with zipfile.ZipFile(self.path) as archive:
                    found = sorted(filter(_is_frame, archive.namelist()), key=natural_key)
            else:
                found = [path.name for path in list_frames(self.path)]
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"cannot read the frames in {str(self.path)!r}: {_reason(error)}") from error
        if not found:
            raise DataError(f"there are no images in {str(self.path)!r}; expected frames such as 00000.jpg")
        return found

    def __len__(self) -> int:
        return len(self.names)

    def read(self, indices: Sequence[int]) -> list[Image]:
        """Images by number, uint8 ``(H, W, 3)`` RGB; an index may come twice.

        Raises:
            DataError: an image cannot be read; the message names it.
            IndexError: there is no such number.
        """
        names = [self.names[index] for index in indices]
        if not self.zipped:
            return [read_image(self.path / name) for name in names]
        try:
            with zipfile.ZipFile(self.path) as archive:
                return [decode_image(archive.read(name), f"{self.path}:{name}") for name in names]
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"cannot read the frames in {str(self.path)!r}: {_reason(error)}") from error

    def read_array(self, indices: Sequence[int]) -> Image:
        """As :meth:`read`, stacked ``(T, H, W, 3)``; frames of different size are a ``DataError``."""
        images = self.read(indices)
        sizes = {image.shape[:2]: index for index, image in reversed(list(enumerate(images)))}
        if len(sizes) > 1:
            (first, _), (other, which) = sorted(sizes.items(), key=lambda item: item[1])[:2]
            raise DataError(
                f"the frames in {str(self.path)!r} differ in size: {self.names[indices[which]]} is "
                f"{other[1]}x{other[0]}, another one {first[1]}x{first[0]}"
            )
        return np.stack(images)

    def sha256(self) -> str:
        """Hash of the images' files in order, the same for a folder and a zip of it (folders inside do not count)."""
        digest = hashlib.sha256()
        if self.zipped:
            with zipfile.ZipFile(self.path) as archive:
                for name in self.names:
                    digest.update(os.path.basename(name).encode() + b"\0" + hashlib.sha256(archive.read(name)).digest())
        else:
            for name in self.names:
                data = (self.path / name).read_bytes()
                digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(data).digest())
        return digest.hexdigest()


def _is_frame(member: str) -> bool:
    folder, name = os.path.split(member)
    # archives made on a Mac hold a second, hidden tree
    return not name.startswith(".") and "__MACOSX" not in folder and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def resize_frames(images: Sequence[Image], size: tuple[int, int] | None, resample: str = "bicubic") -> list[Image]:
    """Frames at a size with Pillow's filter, which averages over the source pixels where it shrinks.

    Args:
        images: uint8 ``(H, W, 3)``.
        size: height and width; None: as they are.
        resample: ``bicubic`` (what the official inpainting programs use), ``bilinear``, ``lanczos`` or ``nearest``.
    """
    from PIL import Image as Pillow

    if size is None:
        return list(images)
    how = Pillow.Resampling[resample.upper()]
    return [
        image if image.shape[:2] == size else np.asarray(Pillow.fromarray(image).resize((size[1], size[0]), how))
        for image in images
    ]
