"""How images with labels, mattes and shaky videos lie on disk, for the program that checks data sets.

What belongs together is found by the readers that training and evaluation use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ..core.errors import DataError
from ..video.discover import find_videos, is_video_file, list_frames
from .label_set import LabelSet
from .layout import first_entries, require_root
from .layouts import FrameSequence, Layout, Member
from .matting_sets import CompositedForegrounds, MattingEvaluation
from .segmentation_sets import IMAGES, cityscapes, coco_voc, voc, voc_root
from .shaky_videos import NUS_CATEGORIES
from .video_mattes import find_layers


def _labelled(sets: Iterable[LabelSet]) -> list[FrameSequence]:
    """An image of several lists once, with the label maps of all of them."""
    members: dict[str, dict[str, Member]] = {}
    for images in sets:
        for item in images.items:
            found = members.setdefault(item.id, {item.image: Member(item.image)})
            if item.labels.endswith(".png"):
                found[item.labels] = Member(item.labels, "labels")
    return [FrameSequence(name, tuple(found.values())) for name, found in members.items()]


def _voc(root: Path) -> list[FrameSequence]:
    splits = ("train", "val", "trainval", "train_aug")
    listed = [split for split in splits if (root / f"ImageSets/Segmentation/{split}.txt").is_file()]
    # without any list the reader says which one is missing
    return _labelled(voc(root, split) for split in listed or splits[:1])


def _cityscapes(root: Path) -> list[FrameSequence]:
    splits = [split for split in ("train", "val") if (root / "leftImg8bit" / split).is_dir()]
    return _labelled(cityscapes(root, split) for split in splits or ["train"])


def _coco(root: Path) -> list[FrameSequence]:
    splits = [split for split in ("train", "val") if (root / f"annotations/instances_{split}2017.json").is_file()]
    return _labelled(coco_voc(root, split) for split in splits or ["train"])


def _label_folder(root: Path) -> list[FrameSequence]:
    places = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    found = []
    for place in (place for place in places if (place / "images").is_dir()):
        inside = place.relative_to(root)
        for image in sorted(path for path in (place / "images").iterdir() if path.suffix.lower() in IMAGES):
            labels = Member((inside / "labels" / f"{image.stem}.png").as_posix(), "labels")
            name = (inside / image.stem).as_posix()
            found.append(FrameSequence(name, (Member((inside / "images" / image.name).as_posix()), labels)))
    if not found:
        raise DataError(f"label_folder: no images below {str(root)!r}, which holds: {first_entries(root)}")
    return found


def _mattes(name: str) -> Callable[[Path], list[FrameSequence]]:
    def find(root: Path) -> list[FrameSequence]:
        sequences = []
        for clip in MattingEvaluation(root, title=name).clips:
            images = [Member(_below(root, image)) for image, _, _ in clip.frames]
            others = [_below(root, path) for _, alpha, trimap in clip.frames for path in (alpha, trimap) if path]
            masks = [Member(path, "mask") for path in dict.fromkeys(others)]
            sequences.append(FrameSequence(clip.id, (*images, *masks)))
        return sequences

    return find


def _composites(root: Path) -> list[FrameSequence]:
    backgrounds = None if any((root / name).is_dir() for name in ("bg", "background", "backgrounds")) else root
    found = CompositedForegrounds(root, backgrounds)
    sequences = [
        FrameSequence(_below(root, front), (Member(_below(root, front)), Member(_below(root, alpha), "mask")))
        for front, alpha in found.pairs
    ]
    others = found.backgrounds if backgrounds is None else []
    return sequences + [FrameSequence(_below(root, path), (Member(_below(root, path)),)) for path in others]


def _video_mattes(root: Path) -> list[FrameSequence]:
    layers = find_layers(root)
    if not layers:
        raise DataError(f"video_mattes: no fgr and pha in {str(root)!r}, which holds: {first_entries(root)}")
    sequences = []
    for layer in layers:
        frames = [Member(_below(root, path)) for path in layer.frames]
        mattes = [Member(_below(root, path), "mask") for path in layer.alpha]
        name = layer.frames[0] if len(layer.frames) == 1 else layer.frames[0].parent
        sequences.append(FrameSequence(_below(root, name), (*frames, *mattes)))
    return sequences


def _shaky(root: Path) -> list[FrameSequence]:
    return [_video(root, path) for path in find_videos(root)]


def _nus(root: Path) -> list[FrameSequence]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower() in _NUS)
    if not folders:
        raise DataError(f"NUS: {str(root)!r} has none of {', '.join(NUS_CATEGORIES)}; it holds {first_entries(root)}")
    return [_video(root, path) for folder in folders for path in find_videos(folder)]


_NUS = {name.lower() for name in NUS_CATEGORIES}


def _video(root: Path, path: Path) -> FrameSequence:
    name = _below(root, path)
    if is_video_file(path):
        return FrameSequence(name, (Member(name, "video"),))
    return FrameSequence(name, tuple(Member(_below(root, frame)) for frame in list_frames(path)))


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _layout(
    name: str, title: str, expected: str, sequences: Callable[[Path], list[FrameSequence]], homepage: str = ""
) -> Layout:
    def locate(root: str | os.PathLike[str] | None) -> Path:
        return require_root(root, title, expected)

    return Layout(name, title, expected, sequences, homepage=homepage, locate=voc_root if name == "voc" else locate)


_CUT_OUT = "a folder with images, alphas and perhaps trimaps, or of clips that each have such folders"
LABEL_LAYOUTS = (
    _layout(
        "voc",
        "PASCAL VOC 2012",
        "the folder VOC2012 with JPEGImages, SegmentationClass and ImageSets/Segmentation (or one above it)",
        _voc,
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012",
    ),
    _layout(
        "cityscapes",
        "Cityscapes",
        "the folder that holds leftImg8bit and gtFine",
        _cityscapes,
        "https://www.cityscapes-dataset.com",
    ),
    _layout(
        "coco_voc",
        "COCO 2017 with the classes of VOC",
        "the folder with train2017, val2017 and annotations",
        _coco,
        "https://cocodataset.org",
    ),
    _layout(
        "label_folder", "labelled images", "a folder with train/images, train/labels (or without train)", _label_folder
    ),
    _layout(
        "matting_composites",
        "foregrounds with alpha",
        "a folder with foregrounds in fg, their mattes in alpha and perhaps backgrounds in bg",
        _composites,
    ),
    _layout("video_mattes", "clips with alpha", "a folder with fgr/<clip> and pha/<clip>", _video_mattes),
    _layout("composition1k", "Composition-1k", "the folder with merged, alpha and trimaps", _mattes("composition1k")),
    _layout("matting_folder", "images or clips with alpha", _CUT_OUT, _mattes("matting_folder")),
    _layout("videomatte", "clips of VideoMatte", _CUT_OUT, _mattes("videomatte")),
    _layout("nus", "NUS shaky videos", f"the folder with {', '.join(NUS_CATEGORIES)}", _nus),
    _layout("shaky_videos", "shaky videos", "a folder of videos or frame folders", _shaky),
)
