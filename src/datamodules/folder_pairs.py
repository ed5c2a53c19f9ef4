"""Folders of ground truth and of masks, against which anybody's results are measured."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.files import sha256_tree
from ..video import find_videos, open_video, read_image
from ..video.discover import IMAGE_SUFFIXES, VIDEO_SUFFIXES, list_frames, natural_key
from ..video.flow_files import read_flow
from ..video.montage import to_float
from .base import EvaluationDataset, EvaluationVideo
from .layout import require_root

Hole = Literal["auto", "white", "black"]

DEVIL_TRUTH, DEVIL_MASK = "*_gt.png", "*_mask.png"
_LAYOUT = "a folder with one folder of frames or one video file per video"


@dataclass(frozen=True)
class _Source:
    """Where the frames and the masks of one video lie."""

    id: str
    frames: Path
    only: str
    masks: Path | None
    only_masks: str


class FolderPairs(EvaluationDataset):
    """Videos of ground truth with masks of holes; results are compared with them by name.

    Two layouts are recognised. In DEVIL's, every video is a folder with ``frame_0000_gt.png`` and, with black holes,
    ``frame_0000_mask.png``. Otherwise a video is a folder of images or a video file, and its masks lie under the same
    name below ``masks``, with white holes: a folder with one image per frame, a single image (in a folder or
    as ``<name>.png``) for masks that do not move, or a video file. Images count as hole wherever they are not black,
    as the official programs take them; JPEGs and videos from the middle grey up, because compression blurs them.

    Args:
        gt: folder of ground truth.
        masks: folder of masks; None: those of DEVIL's layout, or none.
        flows: folder of flow between consecutive frames of the ground truth, as DEVIL keeps it: ``fw_flow/<video>/``
            with one ``.flo`` per pair, and ``fw_occlusion/<video>/`` with one image per pair (white = hidden) or
            ``bw_flow/<video>/``; for metrics with precomputed flow. None: there is none.
        hole: what stands for a hole in the masks; ``auto``: as the layout has it.
        max_frames: of each video, from the first; None: all.
        videos: at most so many, from the first; None: all.

    Raises:
        DataError: a folder is missing or holds no videos, or a video has no masks though there are some.
    """

    def __init__(
        self,
        gt: str | os.PathLike[str] | None,
        masks: str | os.PathLike[str] | None = None,
        flows: str | os.PathLike[str] | None = None,
        hole: Hole = "auto",
        max_frames: int | None = None,
        videos: int | None = None,
    ) -> None:
        self.name = "folders"
        self.hole = hole
        self.max_frames = max_frames
        self.root = require_root(gt, "folders", f"{_LAYOUT} of ground truth", "gt")
        self.mask_root = None if masks is None else require_root(masks, "folders", f"{_LAYOUT} of masks", "masks")
        self.flow_root = None if flows is None else require_root(flows, "folders", "a folder fw_flow", "flows")
        found = _find(self.root)
        if self.mask_root is not None:
            # masks may lie below the ground truth; they are no videos
            inside = self.mask_root.resolve()
            found = [path for path in found if not path.resolve().is_relative_to(inside)]
        if not found:
            raise DataError(f"{str(self.root)!r} holds no videos; expected {_LAYOUT}")
        self._sources = [self._source(path, found) for path in found[:videos]]

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> EvaluationVideo:
        if not 0 <= index < len(self):
            raise IndexError(index)
        source = self._sources[index]
        with open_video(source.frames, only=source.only, access="stream") as reader:
            count = len(reader) if self.max_frames is None else min(len(reader), self.max_frames)
            frames = to_float(reader.get(range(count)))
            total = len(reader)
        truth: dict[str, Tensor] = {}
        if source.masks is not None:
            truth["mask"] = self._masks(source, frames, total)
        if self.flow_root is not None:
            truth |= self._flows(self.flow_root, source.id, frames, total)
        return EvaluationVideo(source.id, frames, truth)

    def frame_count(self, index: int) -> int:
        """Number of frames of video ``index``."""
        source = self._sources[index]
        with open_video(source.frames, only=source.only) as reader:
            return len(reader) if self.max_frames is None else min(len(reader), self.max_frames)

    def _flows(self, root: Path, name: str, frames: Tensor, total: int) -> dict[str, Tensor]:
        """``flow`` and ``occlusion`` or ``flow_backward``, each for the pairs of ``frames``."""
        pairs = len(frames) - 1
        size = tuple(frames.shape[2:])
        found = {"flow": _read_flows(root / "fw_flow" / name, pairs, total - 1, size)}
        hidden = root / "fw_occlusion" / name
        if not hidden.is_dir():
            return {**found, "flow_backward": _read_flows(root / "bw_flow" / name, pairs, total - 1, size)}
        images = list_frames(hidden)
        if len(images) != total - 1:
            raise DataError(f"{hidden} holds {len(images)} images, expected {total - 1}, one per pair of frames")
        masks = np.stack([read_image(path) for path in images[:pairs]]) if pairs else np.zeros((0, *size, 3))
        if masks.shape[1:3] != size:
            raise DataError(
                f"the images of {hidden} are {masks.shape[2]}x{masks.shape[1]}, expected {size[1]}x{size[0]}"
            )
        return {**found, "occlusion": torch.from_numpy((masks.max(axis=-1) > 127).astype(np.float32))[:, None]}

    def describe(self) -> dict[str, Any]:
        """Ids with the SHA-256 of their frames' and masks' files."""
        videos = {
            source.id: {
                "frames": _digest(source.frames, source.only),
                "masks": None if source.masks is None else _digest(source.masks, source.only_masks),
            }
            for source in self._sources
        }
        described = {"name": self.name, "hole": self.hole, "max_frames": self.max_frames, "videos": videos}
        if self.flow_root is not None:
            described["flows"] = sha256_tree(self.flow_root)
        return described

    def _source(self, path: Path, found: list[Path]) -> _Source:
        relative = path.relative_to(self.root)
        # a suffix is kept only where two files would share a name
        bare = relative.with_suffix("") if path.is_file() else relative
        siblings = sum(other.parent == path.parent and other.stem == path.stem for other in found)
        name = (bare if siblings == 1 else relative).as_posix()
        devil = path.is_dir() and any(file.match(DEVIL_TRUTH) for file in list_frames(path))
        only = DEVIL_TRUTH if devil else "*"
        if self.mask_root is not None:
            return _Source(name, path, only, self._mask_path(bare.as_posix()), "*")
        if devil and any(file.match(DEVIL_MASK) for file in list_frames(path)):
            return _Source(name, path, only, path, DEVIL_MASK)
        return _Source(name, path, only, None, "*")

    def _mask_path(self, name: str) -> Path:
        assert self.mask_root is not None
        base = self.mask_root / name
        candidates = [base, *(base.with_name(base.name + s) for s in sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))]
        for path in candidates:
            if path.exists():
                return path
        raise DataError(
            f"there are no masks for the video {name!r}: expected a folder {base}, an image {base}.png or a video "
            f"{base}.mp4"
        )

    def _masks(self, source: _Source, frames: Tensor, total: int) -> Tensor:
        """``(T, 1, H, W)``, 1 = hole."""
        assert source.masks is not None
        if source.masks.is_file() and source.masks.suffix.lower() in IMAGE_SUFFIXES:
            images, lossy = read_image(source.masks)[None], _is_lossy(source.masks)
        else:
            with open_video(source.masks, only=source.only_masks, access="stream") as reader:
                if len(reader) not in (1, total):
                    raise DataError(
                        f"the video {source.id!r} has {total} frames but {len(reader)} masks in {source.masks}; "
                        "expected as many, or one for all"
                    )
                images = reader.get(range(min(len(reader), len(frames))))
            lossy = source.masks.is_file() or _is_lossy(list_frames(source.masks)[0])
        if images.shape[1:3] != tuple(frames.shape[2:]):
            (h, w), (height, width) = images.shape[1:3], frames.shape[2:]
            raise DataError(
                f"the masks of the video {source.id!r} are {w}x{h}, its frames {width}x{height} (width x height)"
            )
        marked = torch.from_numpy((images.max(axis=-1) > (127 if lossy else 0)).astype(np.float32))[:, None]
        black = self.hole == "black" or (self.hole == "auto" and source.only_masks == DEVIL_MASK)
        mask = 1 - marked if black else marked
        return mask.expand(len(frames), -1, -1, -1).contiguous()


def _find(root: Path) -> list[Path]:
    """The videos below ``root``; DEVIL's folders and such with a single frame count too."""
    found = set(find_videos(root))
    for folder in sorted(path for path in root.rglob("*") if path.is_dir() and not path.name.startswith(".")):
        if folder not in found and list_frames(folder):
            found.add(folder)
    return sorted(found)


def _read_flows(folder: Path, wanted: int, expected: int, size: tuple[int, ...]) -> Tensor:
    """``(wanted, 2, H, W)`` in pixels."""
    files = sorted(folder.glob("*.flo"), key=lambda path: natural_key(path.name)) if folder.is_dir() else []
    if len(files) != expected:
        raise DataError(f"{folder} holds {len(files)} .flo files, expected {expected}, one per pair of frames")
    flows = torch.zeros(wanted, 2, *size)
    for place, path in enumerate(files[:wanted]):
        flow, _ = read_flow(path)
        if flow.shape[:2] != size:
            raise DataError(f"{path} is {flow.shape[1]}x{flow.shape[0]}, expected {size[1]}x{size[0]} (width x height)")
        flows[place] = torch.from_numpy(flow).permute(2, 0, 1)
    return flows


def _is_lossy(path: Path) -> bool:
    return path.suffix.lower() in (".jpg", ".jpeg", ".webp")


def _digest(path: Path, only: str) -> str:
    digest = hashlib.sha256()
    files = [path] if path.is_file() else [file for file in list_frames(path) if file.match(only)]
    for file in files:
        with open(file, "rb") as handle:
            digest.update(file.name.encode("utf-8", "surrogateescape") + b"\0")
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()
