"""Several clips side by side with a label above each, as people compare results.

``python -m framewright.video.montage <video> ... --out <picture>`` puts frames of videos into one picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.command import Parser, run_command
from ..core.errors import ConfigError
from .images import write_image
from .reader import open_video

_STRIP = 18
_GAP = 4


def to_uint8(frames: Tensor) -> NDArray[np.uint8]:
    """``(T, 3, H, W)`` in [0, 1] as rounded 8-bit ``(T, H, W, 3)``."""
    array = frames.detach().float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1)
    return np.ascontiguousarray(array.cpu().numpy())


def to_float(frames: NDArray[np.uint8]) -> Tensor:
    """8-bit ``(T, H, W, 3)`` as float32 ``(T, 3, H, W)`` in [0, 1]."""
    count, height, width, channels = frames.shape
    video = torch.empty(count, channels, height, width)
    return video.copy_(torch.from_numpy(frames).permute(0, 3, 1, 2)).div_(255)


def side_by_side(clips: Mapping[str, Tensor]) -> NDArray[np.uint8]:
    """Clips of equal shape ``(T, 3, H, W)`` in [0, 1] next to each other, each under its label.

    Returns:
        uint8 ``(T, strip + H, n * W, 3)``.
    """
    shapes = {tuple(clip.shape) for clip in clips.values()}
    if len(shapes) != 1:
        raise ValueError(f"clips shown side by side must have one shape, got {sorted(shapes)}")
    columns = []
    for label, clip in clips.items():
        frames = to_uint8(clip)
        strip = np.broadcast_to(_label(label, frames.shape[2]), (len(frames), _STRIP, frames.shape[2], 3))
        columns.append(np.concatenate([strip, frames], axis=1))
    return np.concatenate(columns, axis=2)


def _label(text: str, width: int) -> NDArray[np.uint8]:
    import cv2

    strip = np.zeros((_STRIP, width, 3), np.uint8)
    # the drawing function knows ASCII only
    shown = text.encode("ascii", "replace").decode()
    while len(shown) > 3 and cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] > width - 6:
        shown = shown[:-1]
    cv2.putText(strip, shown, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def tiled(rows: Sequence[Sequence[NDArray[np.uint8]]], labels: Sequence[Sequence[str]]) -> NDArray[np.uint8]:
    """Pictures in rows, each under its label; a row whose labels are all empty has no strip for them.

    Args:
        rows: as many pictures in each, uint8 ``(H, W, 3)`` of one shape.
        labels: one for each picture.

    Returns:
        uint8 ``(H', W', 3)``, a white gap between the pictures.

    Raises:
        ValueError: other numbers or shapes.
    """
    shapes = {tile.shape for row in rows for tile in row}
    counts = [len(row) for row in rows]
    if len(shapes) != 1 or len({*counts}) != 1 or counts != [len(row) for row in labels]:
        raise ValueError(f"expected rows of equally many pictures of one shape, got {counts} of {sorted(shapes)}")
    lines: list[NDArray[np.uint8]] = []
    for row, names in zip(rows, labels, strict=True):
        tiles = list(row)
        if any(names):
            tiles = [np.vstack([_label(name, tile.shape[1]), tile]) for name, tile in zip(names, row, strict=True)]
        if lines:
            lines.append(np.full((_GAP, lines[0].shape[1], 3), 255, np.uint8))
        gap = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
        lines.append(np.hstack([part for tile in tiles for part in (gap, tile)][1:]))
    return np.vstack(lines)


def program(arguments: Sequence[str]) -> str:
    """Make the picture that the arguments ask for; returns what was written.

    Raises:
        FramewrightError: a value that is wrong, or a file that cannot be read or written.
    """
    parser = Parser(
        prog="python -m framewright.video.montage",
        description="Frames of videos in one picture: a row for each video, or all in one row where there is only one "
        "frame of each.",
    )
    parser.add_argument("videos", nargs="+", help="video files, folders of frames; smaller ones are enlarged")
    parser.add_argument("--out", required=True, help="picture to write (jpg, png)")
    parser.add_argument("--frames", type=int, nargs="+", default=[0], help="numbers of frames, from 0 (default: 0)")
    parser.add_argument("--labels", nargs="+", help="one for each video; of a single video one for each frame")
    parser.add_argument("--crop", type=int, nargs=4, metavar=("X", "Y", "W", "H"), help="of the largest video")
    parser.add_argument("--column", type=int, metavar="X", help="this column of pixels of all frames")
    parser.add_argument("--zoom", type=int, default=1, help="every pixel so many times, a whole number")
    parser.add_argument("--width", type=int, help="of the picture: a wider one is made smaller")
    parser.add_argument("--quality", type=int, default=90, help="of JPEG, 1 to 100 (default: 90)")
    given = parser.parse_args(arguments)
    if given.zoom < 1 or not 1 <= given.quality <= 100 or (given.width is not None and given.width < 16):
        raise ConfigError("--zoom should be at least 1, --quality from 1 to 100, and --width at least 16")
    rows = _same_size([_frames(path, None if given.column is not None else given.frames) for path in given.videos])
    rows = [_cropped(row, given.crop) for row in rows]
    if given.column is not None:
        rows = [_column(row, given.column) for row in rows]
    rows = [row.repeat(given.zoom, axis=1).repeat(given.zoom, axis=2) for row in rows]
    across = len(rows) if len(rows[0]) == 1 else len(rows[0])
    if given.width is not None:
        rows = [_narrowed(row, (given.width - _GAP * (across - 1)) // across) for row in rows]
    labels = _labels(given.labels, len(rows), len(rows[0]))
    tiles = [list(row) for row in rows]
    if len(rows[0]) == 1:
        tiles, labels = [[row[0] for row in tiles]], [[row[0] for row in labels]]
    picture = tiled(tiles, labels)
    write_image(given.out, picture, quality=given.quality)
    return f"{given.out}: {picture.shape[1]}x{picture.shape[0]}, {-(-Path(given.out).stat().st_size // 1024)} KB"


def _frames(path: str, numbers: Sequence[int] | None) -> NDArray[np.uint8]:
    """Frames ``(N, H, W, 3)`` of a video by their numbers; None: all."""
    with open_video(path) as reader:
        wanted = range(len(reader)) if numbers is None else numbers
        for number in wanted:
            if not 0 <= number < len(reader):
                raise ConfigError(f"{path!r} has frames 0 to {len(reader) - 1}, there is no frame {number}")
        return reader.get(wanted)


def _same_size(rows: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """All as large as the largest: pixels are repeated, so that what a smaller video does not have is seen."""
    import cv2

    height, width = max((row.shape[1:3] for row in rows), key=lambda size: size[0] * size[1])
    scaled = []
    for row in rows:
        if row.shape[1] * width != row.shape[2] * height:
            small = f"{row.shape[2]}x{row.shape[1]}"
            raise ConfigError(f"videos of {small} and {width}x{height} have different shapes, and none is distorted")
        if row.shape[1:3] != (height, width):
            enlarged = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST) for frame in row]
            row = np.stack(enlarged).astype(np.uint8)
        scaled.append(row)
    return scaled


def _cropped(row: NDArray[np.uint8], crop: Sequence[int] | None) -> NDArray[np.uint8]:
    if crop is None:
        return row
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1 or x + width > row.shape[2] or y + height > row.shape[1]:
        size = f"{row.shape[2]}x{row.shape[1]}"
        raise ConfigError(f"--crop {x} {y} {width} {height} (x, y, width, height) does not lie inside {size}")
    return row[:, y : y + height, x : x + width]


def _column(row: NDArray[np.uint8], x: int) -> NDArray[np.uint8]:
    """Column ``x`` of each of the frames next to each other: one picture ``(1, H, N, 3)``, time from left to right."""
    if not 0 <= x < row.shape[2]:
        raise ConfigError(f"there is no column {x}: the pictures have columns 0 to {row.shape[2] - 1}")
    return row[:, :, x].swapaxes(0, 1)[None]


def _narrowed(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Frames that are at most ``width`` pixels wide. Labels are written afterwards, so that they stay legible."""
    import cv2

    if row.shape[2] <= width:
        return row
    size = (max(1, width), max(1, round(row.shape[1] * width / row.shape[2])))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in row]).astype(np.uint8)


def _labels(given: Sequence[str] | None, videos: int, frames: int) -> list[list[str]]:
    """A label for every picture; those of several frames of a video are told apart by the row."""
    if given is None:
        return [[""] * frames for _ in range(videos)]
    expected = videos if videos > 1 else frames
    if len(given) != expected:
        raise ConfigError(f"--labels: expected {expected}, got {len(given)}: {', '.join(given)}")
    if videos == 1:
        return [list(given)]
    return [[label] * frames for label in given]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status: 0, or 2 after one message about what is wrong."""
    return run_command(program, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
