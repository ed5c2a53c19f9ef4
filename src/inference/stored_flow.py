"""Somebody else's optical flow: files in a folder, named after the videos of the benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import DataError
from ..video.discover import natural_key
from ..video.flow_files import FLOW_SUFFIXES, read_flow
from .method import Chunk, Context


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
    paths = _files(name, folder, context.video_id)
    if len(paths) != expected:
        place = paths[0].parent if len(paths) > 1 else paths[0]
        raise DataError(
            f"method {name!r}: {place} has {len(paths)} flow{'' if len(paths) == 1 else 's'}, expected {expected} for "
            f"the video {context.video_id!r}"
        )
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


def _files(name: str, folder: Path, video_id: str) -> list[Path]:
    relative = Path(video_id)
    if not video_id or relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"the video id {video_id!r} is not a path inside a folder of results")
    base = folder / relative
    found = [path for suffix in FLOW_SUFFIXES if (path := base.with_name(base.name + suffix)).is_file()]
    inside = [path for path in base.iterdir() if path.suffix.lower() in FLOW_SUFFIXES] if base.is_dir() else []
    if not found and not inside:
        raise DataError(
            f"method {name!r}: {folder} holds no flow of the video {video_id!r}; expected {base}.flo (or .pfm, or a "
            f"16-bit .png as in KITTI), or such files in {base}"
        )
    kinds = sorted({path.suffix.lower() for path in inside})
    if len(found) + len(kinds) > 1:
        both = " and ".join([*(str(path) for path in found), *(f"{base / '*'}{kind}" for kind in kinds)])
        raise DataError(f"method {name!r}: {both} all belong to the video {video_id!r}; keep only one kind")
    return found or sorted(inside, key=lambda path: natural_key(path.name))
