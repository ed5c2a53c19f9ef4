"""Masks as folders of images: written with a manifest that repeats them, read with their meaning checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.files import make_directory, sha256_json, write_json
from ...video import open_video, read_image, write_image
from ...video.base import VideoReader
from ...video.discover import find_videos
from .base import Mask, MaskVideo

MANIFEST = "masks.json"


def write_mask_folder(
    videos: Mapping[str, MaskVideo], folder: str | os.PathLike[str], report: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Write mask videos as ``<folder>/<name>/00000.png`` ... (white = hole) with ``masks.json`` beside them.

    Args:
        videos: by name.
        folder: created; what it already holds under the same names is replaced.
        report: called with each name when it is done.

    Returns:
        The manifest: per video what it was made of and the SHA-256 of its bits, and a hash of all that.

    Raises:
        FramewrightError: the folder cannot be written to.
        DataError: a video's folder holds frames beyond the new video's end.
    """
    import PIL

    root = make_directory(folder)
    entries: dict[str, Any] = {}
    for name, video in videos.items():
        target = make_directory(root / name)
        wanted = {f"{index:05d}.png" for index in range(len(video))}
        if foreign := sorted({path.name for path in target.glob("*.png")} - wanted):
            raise DataError(f"{str(target)!r} holds other images, such as {foreign[0]!r}; give an empty folder")
        for index, mask in enumerate(video):
            write_image(target / f"{index:05d}.png", mask.astype(np.uint8) * 255)
        entries[name] = {**video.describe(), "sha256": video.sha256()}
        if report is not None:
            report(name)
    manifest = {
        "schema": 1,
        "hole": "white",
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "videos": entries,
        "sha256": sha256_json(entries),
    }
    write_json(root / MANIFEST, manifest)
    return manifest


def list_mask_folders(root: str | os.PathLike[str]) -> dict[str, Path]:
    """The mask videos below a folder by name (relative path with ``/``, without a file's suffix).

    Raises:
        DataError: not a folder, or without any.
    """
    root = Path(root)
    found = {}
    for path in find_videos(root):
        relative = path.relative_to(root)
        found[(relative if path.is_dir() else relative.with_suffix("")).as_posix()] = path
    if not found:
        raise DataError(f"{str(root)!r} holds no masks; expected folders of images, one folder for each video")
    return found


def open_masks(path: str | os.PathLike[str]) -> VideoReader:
    """Open the masks of one video; give its frames to :func:`read_mask`."""
    return open_video(path)


def read_mask(image: Any, name: str) -> Mask:
    """The mask ``(H, W)``, True = hole, of an image in black and white (white = hole).

    Args:
        image: uint8 ``(H, W, 3)``, or the path of an image.
        name: for the message.

    Raises:
        DataError: the image has other values than black and white.
    """
    pixels = image if isinstance(image, np.ndarray) else read_image(image)
    grey = pixels[..., 0]
    # video files blur black and white a little
    if ((grey > 16) & (grey < 239)).any() or (pixels != grey[..., None]).any():
        raise DataError(f"{name} is not a mask: it has other values than black (known) and white (hole)")
    mask: Mask = grey > 127
    return mask
