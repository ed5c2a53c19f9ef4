"""Somebody else's optical flow: files in a folder, named after the videos of the benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import DataError
from ..video.flow_files import FLOW_SUFFIXES, read_flow
from .method import Chunk, Context
from .stored_files import check_number, stored_files


def stored_flows(
    name: str, folder: Path, chunks: Iterable[Chunk], context: Context, chunk_frames: int
) -> Iterator[Chunk]:
    """Yield the flows of ``<folder>/<video id>.flo`` (``.pfm``, ``.png``) or of all such files in
    ``<folder>/<video id>/``, in the order of their names, one for each two consecutive frames.

    Args:
        name: of the method, for messages.
        folder: where the results lie.
        chunks: the source frames.
        context: names the video.
        chunk_frames: flows read at a time.

    Raises:
        DataError: there is nothing for the video, the number or size of the flows is wrong, or a file has pixels
            without flow; the message names the place, what was found and what was expected.
    """
    sources = [frame for chunk in chunks for frame in chunk.frames]
    expected = context.output_frames(len(sources))
    suffixes = ".flo (or .pfm, or a 16-bit .png as in KITTI)"
    paths = stored_files(name, folder, context.video_id, FLOW_SUFFIXES, "flow", suffixes)
    check_number(name, paths, expected, "flow", context.video_id)
    for start in range(0, expected, chunk_frames):
        first = torch.stack(sources[start : min(start + chunk_frames, expected)])
        flows = [_read(name, path, first) for path in paths[start : start + chunk_frames]]
        yield Chunk(start, first, {"flow": torch.stack(flows)})


def _read(name: str, path: Path, frames: Tensor) -> Tensor:
    flow, valid = read_flow(path)
    height, width = flow.shape[:2]
    if (height, width) != tuple(frames.shape[2:]):
        raise DataError(
            f"method {name!r}: the flow {path} is {width}x{height}, "
            f"expected {frames.shape[3]}x{frames.shape[2]} (width x height)"
        )
    if not valid.all():
        raise DataError(
            f"method {name!r}: the flow {path} leaves {int((~valid).sum())} pixels unknown; "
            "a result has to say something about every pixel"
        )
    return torch.from_numpy(flow).permute(2, 0, 1)
