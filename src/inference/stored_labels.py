"""Somebody else's segmentation: label maps in a folder, named after the videos of the benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import DataError
from ..video.label_maps import read_labels
from .method import Chunk, Context
from .stored_files import check_number, stored_files


def stored_labels(name: str, folder: Path, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
    """Yield the source frames with the labels of ``<folder>/<video id>.png`` (a single frame) or of all PNG files in
    ``<folder>/<video id>/``, one for each frame; palette or grey images whose values are the trained classes.

    Args:
        name: of the method, for messages.
        folder: where the results lie.
        chunks: the source frames.
        context: names the video.

    Raises:
        DataError: there is nothing for the video, the number or size of the maps is wrong, or a file holds no labels;
            the message names the place, what was found and what was expected.
    """
    paths = stored_files(name, folder, context.video_id, (".png",), "label map", ".png")
    position = 0
    for chunk in chunks:
        # a video that is longer than its results is found out when its last frames are asked for
        part = paths[position : position + len(chunk)]
        if len(part) == len(chunk):
            labels = torch.stack([_read(name, path, chunk.frames) for path in part])
            yield Chunk(position, chunk.frames, {"labels": labels})
        position += len(chunk)
    check_number(name, paths, position, "label map", context.video_id)


def _read(name: str, path: Path, frames: Tensor) -> Tensor:
    labels = read_labels(path)
    if labels.shape != tuple(frames.shape[2:]):
        raise DataError(
            f"method {name!r}: the label map {path} is {labels.shape[1]}x{labels.shape[0]}, expected "
            f"{frames.shape[3]}x{frames.shape[2]} (width x height)"
        )
    return torch.from_numpy(labels).long()
