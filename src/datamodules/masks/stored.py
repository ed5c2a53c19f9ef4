"""Masks from files: those of a published test set, those that lie beside a video, and annotated objects."""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.files import sha256_file
from ...video import open_video, read_image
from ...video.discover import IMAGE_SUFFIXES, is_video_file
from ..frame_store import FrameStore
from ..transforms import Image
from .base import Mask, MaskVideo

# compression blurs black and white: only from the middle grey up is a hole
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
_ASPECT_TOLERANCE = 0.02


def is_hole(image: Image, lossy: bool) -> Mask:
    """Where an image ``(H, W, 3)`` is not black; of a lossy format: from the middle grey up."""
    hole: Mask = image.max(axis=-1) > (127 if lossy else 0)
    return hole


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at another size, nearest pixel as Pillow takes it."""
    from PIL import Image as Pillow

    if mask.shape == size:
        return mask
    return np.array(Pillow.fromarray(mask).resize((size[1], size[0]), Pillow.Resampling.NEAREST))


def dilate(mask: Mask, iterations: int) -> Mask:
    """Grow the hole by so many steps of a cross of 3x3 pixels; the border of the frame does not matter."""
    import cv2

    if iterations == 0:
        return mask
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), cross, iterations=iterations), np.bool_)


class DilatedMasks(MaskVideo):
    """Other masks, grown as the official evaluation and inference programs grow them.

    Args:
        masks: the masks.
        iterations: steps of a 3x3 cross; the official programs: 4.
    """

    def __init__(self, masks: MaskVideo, iterations: int = 4) -> None:
        self.masks = masks
        self.iterations = iterations
        self.frames, self.size = masks.frames, masks.size

    def frame(self, index: int) -> Mask:
        return dilate(self.masks.frame(index), self.iterations)

    def describe(self) -> dict[str, Any]:
        return {**self.masks.describe(), "dilation": self.iterations}


class MaskFiles(MaskVideo):
    """Masks of one video from a folder or zip of images, one image for all frames, or a video file.

    Pixels that are not black are a hole (0/128 and palette images too); in JPEGs and videos those from the middle grey
    up.

    Args:
        path: of the masks.
        video: name of the video, for messages.
        total: frames of the whole video; there must be as many masks, or one.
        size: height and width to which masks are resized (nearest pixel).
        numbers: of the frames wanted; None: all.
        any_aspect: whether masks may have another aspect ratio than ``size``, as where frames are stretched to it.

    Raises:
        DataError: the number or size of the masks does not fit, or they cannot be read.
    """

    def __init__(
        self,
        path: Path,
        video: str,
        total: int,
        size: tuple[int, int],
        numbers: Sequence[int] | None = None,
        any_aspect: bool = False,
    ) -> None:
        self.path, self.video, self.size = path, video, size
        self.any_aspect = any_aspect
        self.numbers = list(range(total) if numbers is None else numbers)
        self.frames = len(self.numbers)
        self._single = path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
        self._movie = is_video_file(path)
        self._store = None if self._single or self._movie else FrameStore(path)
        self.count = self._count()
        if self.count not in (1, total):
            raise DataError(
                f"the video {video!r} has {total} frames but {self.count} masks in {str(path)!r}; expected as many, or "
                "one for all"
            )

    def _count(self) -> int:
        if self._single:
            return 1
        if self._store is not None:
            return len(self._store)
        with open_video(self.path) as reader:
            return len(reader)

    def frame(self, index: int) -> Mask:
        self._check_index(index)
        # one mask for all frames is read once
        return self._only if self.count == 1 else self._load(self.numbers[index])

    @functools.cached_property
    def _only(self) -> Mask:
        return self._load(0)

    def _load(self, number: int) -> Mask:
        if self._store is not None:
            (image,) = self._store.read([number])
            lossy = Path(self._store.names[number]).suffix.lower() in _LOSSY
        elif self._single:
            image, lossy = read_image(self.path), self.path.suffix.lower() in _LOSSY
        else:
            with open_video(self.path) as reader:
                image, lossy = reader.get([number])[0], True
        (rows, columns), (height, width) = image.shape[:2], self.size
        if not self.any_aspect and abs(rows * width / (columns * height) - 1) > _ASPECT_TOLERANCE:
            raise DataError(
                f"the masks of the video {self.video!r} in {str(self.path)!r} are {columns}x{rows}, its frames "
                f"{width}x{height} (width x height); they may be of another size, but of the same aspect ratio"
            )
        return resize_mask(is_hole(image, lossy), self.size)

    def describe(self) -> dict[str, Any]:
        digest = sha256_file(self.path) if self._store is None else self._store.sha256()
        return {"generator": "files", "files_sha256": digest, "frames": self.frames, "size": list(self.size)}


class ObjectMasks(MaskVideo):
    """The silhouette of all annotated objects of a video, laid over the same place of another one.

    Annotations may be sparse: those of YouTube-VOS are of every fifth frame and hold until the next. A video that is
    longer than the annotations sees them forwards and backwards in turn.

    Args:
        annotations: images in which the background is black, with numbers as names (``00000.png``, ``00005.png``).
        frames: length.
        size: height and width to which they are resized (nearest pixel).
        grow: pixels by which the silhouette grows (steps of a 3x3 cross).
        start: frame of the annotated video at which the masks begin.
    """

    def __init__(
        self, annotations: FrameStore, frames: int, size: tuple[int, int], grow: int = 4, start: int = 0
    ) -> None:
        self.annotations, self.frames, self.size = annotations, frames, size
        self.grow, self.start = grow, start
        stems = [Path(name).stem for name in annotations.names]
        numeric = all(stem.isdecimal() for stem in stems)
        self._times = [int(stem) for stem in stems] if numeric else list(range(len(stems)))
        self._cached: tuple[int, Mask] | None = None

    @property
    def length(self) -> int:
        """Frames of the annotated video, as far as the names tell."""
        return self._times[-1] + 1

    def frame(self, index: int) -> Mask:
        self._check_index(index)
        period = max(1, 2 * self.length - 2)
        place = (self.start + index) % period
        time = min(place, period - place) if self.length > 1 else 0
        which = max(0, bisect_right(self._times, time) - 1)
        if self._cached is None or self._cached[0] != which:
            (image,) = self.annotations.read([which])
            self._cached = which, dilate(resize_mask(is_hole(image, lossy=False), self.size), self.grow)
        return self._cached[1]

    def describe(self) -> dict[str, Any]:
        return {
            "generator": "object",
            "annotations": self.annotations.path.stem,
            "annotations_sha256": self.annotations.sha256(),
            "start": self.start,
            "grow": self.grow,
            "frames": self.frames,
            "size": list(self.size),
        }
