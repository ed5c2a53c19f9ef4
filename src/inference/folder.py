"""Somebody else's results: frames or videos in a folder, named after the videos of the benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ConfigError, DataError
from ..core.files import sha256_tree
from ..models.card import PublishedResult
from ..video import open_video, read_image
from ..video.discover import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..video.montage import to_float
from .method import Chunk, Context
from .stored_flow import stored_flows
from .stored_labels import stored_labels

# results beside ground truth and masks, as DEVIL keeps them
RESULTS_OF_DEVIL = "*_pred.png"


class FolderMethod:
    """Reads the frames in ``<folder>/<video id>/``, the video ``<folder>/<video id>.mp4`` (or other formats),
    or, where a single frame is asked for, the image ``<folder>/<video id>.png``.

    The folder holds exactly the output frames in order (for interpolation: the new frames without the inputs), in
    the size of the targets. Anything else is an error, because scores of shifted or resized frames would be wrong
    without anybody noticing. Where some images are called ``*_pred.png``, only those are read.

    For optical flow the folder holds files of flow instead, see :func:`framewright.inference.stored_flow.stored_flows`,
    for segmentation label maps, see :func:`framewright.inference.stored_labels.stored_labels`.

    Args:
        name: the row's name in a table.
        folder: where the results lie.
        chunk_frames: frames read at a time.

    Raises:
        ConfigError: ``folder`` is not a directory.
    """

    weights_sha256: str | None = None
    parameters: int | None = None
    published: tuple[PublishedResult, ...] = ()

    def __init__(self, name: str, folder: str | Path, *, chunk_frames: int = 16) -> None:
        self.name = name
        self.folder = Path(folder)
        self.source = str(folder)
        self.chunk_frames = chunk_frames
        if not self.folder.is_dir():
            raise ConfigError(f"method {name!r}: the folder of results {str(folder)!r} does not exist")

    def fingerprint(self) -> Mapping[str, Any]:
        """Path, and name, size and modification time of every file below it."""
        return {"kind": "folder", "folder": str(self.folder.resolve()), "files": sha256_tree(self.folder)}

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        """Yield the stored frames of the video ``context.video_id``.

        Raises:
            DataError: nothing is found for the video, or the number or size of its frames is wrong; the
                message names the place, what was found and what was expected.
        """
        if context.task == "flow":
            yield from stored_flows(self.name, self.folder, chunks, context, self.chunk_frames)
            return
        if context.task == "segmentation":
            yield from stored_labels(self.name, self.folder, chunks, context)
            return
        sources, size = 0, (0, 0)
        for chunk in chunks:
            sources += len(chunk)
            scale = context.scale or 1
            size = (int(chunk.frames.shape[-2]) * scale, int(chunk.frames.shape[-1]) * scale)
        expected = context.output_frames(sources)
        path = self._find(context.video_id)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            image = read_image(path)[None]
            self._check(path, 1, expected, sources, context)
            yield self._chunk(path, 0, image, size)
            return
        only = RESULTS_OF_DEVIL if path.is_dir() and any(path.glob(RESULTS_OF_DEVIL)) else "*"
        with open_video(path, only=only, access="stream") as reader:
            self._check(path, len(reader), expected, sources, context)
            position = 0
            for frames in reader.iterate(self.chunk_frames):
                yield self._chunk(path, position, frames, size)
                position += len(frames)
        if position != expected:
            raise DataError(f"{path}: only {position} of its {expected} frames can be decoded")

    def _find(self, video_id: str) -> Path:
        relative = Path(video_id)
        if not video_id or relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"the video id {video_id!r} is not a path inside a folder of results")
        bases = [self.folder / relative]
        if relative.suffix.lower() in VIDEO_SUFFIXES:
            bases.append(self.folder / relative.with_suffix(""))
        candidates: list[Path] = []
        for base in bases:
            candidates.append(base)
            suffixes: list[str] = (
                [] if base.suffix.lower() in VIDEO_SUFFIXES else sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES)
            )
            candidates += [base.with_name(base.name + suffix) for suffix in suffixes]
        found = [path for path in candidates if path.exists()]
        if not found:
            raise DataError(
                f"method {self.name!r}: {self.folder} holds nothing for the video {video_id!r}; "
                f"expected a folder of frames {bases[-1]} or a video such as {bases[-1]}.mp4{self._present()}"
            )
        if len(found) > 1:
            both = " and ".join(str(path) for path in found)
            raise DataError(f"method {self.name!r}: {both} both match the video {video_id!r}; keep only one")
        return found[0]

    def _present(self) -> str:
        names = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        if not names:
            return " (the folder is empty)"
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f" (it holds {', '.join(names[:5])}{more})"

    def _check(self, path: Path, found: int, expected: int, sources: int, context: Context) -> None:
        if found == expected:
            return
        hint = ""
        if context.task == "interpolation" and found == expected + sources:
            hint = "; this looks like the whole video: leave out the input frames and keep only the new ones"
        raise DataError(
            f"method {self.name!r}: {path} has {found} frames, expected {expected} "
            f"for the video {context.video_id!r}{hint}"
        )

    def _chunk(self, path: Path, start: int, frames: np.ndarray[Any, Any], size: tuple[int, int]) -> Chunk:
        height, width = frames.shape[1:3]
        if (height, width) != size:
            raise DataError(
                f"method {self.name!r}: the frames of {path} are {width}x{height}, "
                f"expected {size[1]}x{size[0]} (width x height)"
            )
        return Chunk(start, to_float(frames), final=frames.dtype == np.uint8)
