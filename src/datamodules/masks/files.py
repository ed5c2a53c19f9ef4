"""Masks as folders of images: written with a manifest that repeats them, read with their meaning checked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError
from ...core.files import make_directory, sha256_json, write_json
from .base import Mask, MaskVideo

MANIFEST = "masks.json"


def write_mask_folder(
    videos: Mapping[str, MaskVideo], folder: str | os.PathLike[str], report: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Write mask videos as ``<folder>/<name>/00000.png`` ... (1 bit, white = hole), and ``masks.json`` beside them.

    Args:
        videos: by name.
        folder: new or empty.
        report: called with each name when it is done.

    Returns:
        The manifest: per video what it was made of and the SHA-256 of its bits, and a hash of all that.

    Raises:
        DataError: the folder holds something already.
        FramewrightError: it cannot be written to.
    """
    import PIL

    root = make_directory(folder)
    if held := sorted(path.name for path in root.iterdir()):
        raise DataError(f"the folder {str(root)!r} is not empty (it holds {held[0]!r}); give another one for the masks")
    entries: dict[str, Any] = {}
    for name, video in videos.items():
        _write_frames(video, root / name)
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


def _write_frames(video: MaskVideo, target: Path) -> None:
    """The video's folder appears when it is complete."""
    from PIL import Image

    # one rename for a whole video: a temporary file and a flush for each of its frames would take longer than drawing
    temporary = Path(tempfile.mkdtemp(prefix=".masks.", dir=target.parent))
    try:
        temporary.chmod(0o755)
        for index, mask in enumerate(video):
            Image.fromarray(mask).save(temporary / f"{index:05d}.png")
        temporary.rename(target)
    except OSError as error:
        raise DataError(f"cannot write the masks {str(target)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_mask(image: npt.NDArray[np.uint8], name: str) -> Mask:
    """The mask ``(H, W)``, True = hole, that an image in black and white holds (white = hole).

    Args:
        image: uint8 ``(H, W, 3)``, as a video reader gives it.
        name: for the message.

    Raises:
        DataError: the image has other values than black and white.
    """
    # lossy files blur black and white a little; a class map or a photograph is far from that
    if ((image > 16) & (image < 239)).any():
        raise DataError(f"{name} is not a mask: expected black (known) and white (hole) alone")
    mask: Mask = image[..., 0] > 127
    return mask
