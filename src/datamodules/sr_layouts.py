"""How the data sets of super-resolution lie on disk, in the layouts in which they are published and passed on.

Every list pairs the high-resolution files with low-resolution ones where there are any for the scale; where there are
none, they are made. The archives themselves were not seen unless ``evidence`` says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import ConfigError, DataError
from ..video.discover import IMAGE_SUFFIXES, natural_key
from .layout import first_entries, require_root
from .layouts import FrameSequence, Layout, Member

Split = Literal["train", "val", "all"]
_SCALES = (2, 3, 4, 8)


@dataclass(frozen=True)
class ScaledFiles:
    """An image, or the frames of a clip, in both resolutions.

    Attributes:
        id: unique within the set, usable as a relative path of a results folder.
        hr: files below the root, in order.
        lr: the same in low resolution; empty where there are none.
    """

    id: str
    hr: tuple[str, ...]
    lr: tuple[str, ...] = ()

    def sequence(self) -> FrameSequence:
        """All files, for hashes."""
        return FrameSequence(self.id, tuple(Member(path) for path in (*self.hr, *self.lr)))


def _images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, in natural order."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    return sorted(found, key=lambda path: natural_key(path.name))


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def pair_images(root: Path, hr: str, lr: Sequence[str], scale: int, prefix: str = "") -> list[ScaledFiles]:
    """The images of a folder with their counterparts in the first of some folders that exists.

    A counterpart has the same name, or the name with ``x<scale>`` after it.

    Args:
        root: of the data set.
        hr: folder below it.
        lr: folders below it in which the counterparts may be.
        scale: factor.
        prefix: of the ids.

    Raises:
        DataError: a low-resolution folder holds images, but not one for each.
    """
    images = _images_in(root / hr)
    small: dict[str, Path] = {}
    for name in lr:
        small = {path.stem: path for path in _images_in(root / name)}
        if small:
            break
    pairs, missing = [], []
    for image in images:
        stem = image.stem
        counterpart = small.get(f"{stem}x{scale}") or small.get(stem)
        if small and counterpart is None:
            missing.append(stem)
        low = () if counterpart is None else (_relative(root, counterpart),)
        pairs.append(ScaledFiles(prefix + stem, (_relative(root, image),), low))
    if missing:
        folder = next(iter(small.values())).parent
        raise DataError(
            f"{str(folder)!r} has no low-resolution image for {missing[0]!r}"
            + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
            + f" of {str(root / hr)!r}; expected {missing[0]}x{scale}.png or {missing[0]}.png"
        )
    return pairs


# the folder names under which the sets are passed on, in lower case
_BENCHMARKS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "set5": ("Set5", 5, ("set5",)),
    "set14": ("Set14", 14, ("set14",)),
    "bsd100": ("BSD100", 100, ("bsd100", "b100", "bsds100")),
    "urban100": ("Urban100", 100, ("urban100",)),
    "manga109": ("Manga109", 109, ("manga109",)),
}
_ABOVE = ("", "super_resolution", "benchmark", "testsets")
_HR_FOLDERS = ("HR", "GTmod12", "original", "GT")


def benchmark_images(root: Path, scale: int) -> list[ScaledFiles]:
    """The images of one benchmark set in any of its usual layouts, sorted by name.

    ``HR`` with ``LR_bicubic/X4`` or ``LR_bicubic_X4``, ``GTmod12`` with ``LRbicx4``, ``original``, ``image_SRF_4`` (or
    the folder itself) with ``img_001_SRF_4_HR.png`` and ``_LR.png``.
    """
    for folder in (f"image_SRF_{scale}", ""):
        base = root / folder
        marked = [path for path in _images_in(base) if path.stem.endswith(f"_SRF_{scale}_HR")]
        if marked:
            return [_marked_pair(root, path) for path in marked]
    for folder in _HR_FOLDERS:
        if _images_in(root / folder):
            low = (f"LR_bicubic/X{scale}", f"LR_bicubic_X{scale}", f"LRbicx{scale}")
            return pair_images(root, folder, low, scale)
    return []


def _marked_pair(root: Path, hr: Path) -> ScaledFiles:
    stem = hr.stem.removesuffix("_HR")
    lr = hr.with_name(f"{stem}_LR{hr.suffix}")
    low = (_relative(root, lr),) if lr.is_file() else ()
    return ScaledFiles(stem.rsplit("_SRF_", 1)[0], (_relative(root, hr),), low)


def _find_benchmark(name: str) -> Callable[[str | os.PathLike[str] | None], Path]:
    title, _, names = _BENCHMARKS[name]
    expected = (
        f"the folder of {title} or one that holds it, with HR/*.png and LR_bicubic/X4/*x4.png, or GTmod12/*.png and "
        f"LRbicx4/*.png, or image_SRF_4/img_001_SRF_4_HR.png and img_001_SRF_4_LR.png"
    )

    def find(root: str | os.PathLike[str] | None) -> Path:
        path = require_root(root, title, expected)
        for candidate in _candidates(path, names):
            if any(benchmark_images(candidate, scale) for scale in (4, *_SCALES)):
                return candidate
        raise DataError(
            f"{title}: {str(path)!r} is not laid out as expected; data.root must be {expected}. "
            f"Found: {first_entries(path) if path.is_dir() else '(a file)'}"
        )

    return find


def _candidates(path: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """The set's own folder below a root, then the root itself: a set may lie beside others."""
    for above in _ABOVE:
        folder = path / above
        if folder.is_dir():
            inside = sorted(entry for entry in folder.iterdir() if entry.is_dir())
            yield from (entry for entry in inside if entry.name.lower().removesuffix("_x4") in names)
    yield path


def _all_scales(lister: Callable[[Path, int], list[ScaledFiles]]) -> Callable[[Path], list[FrameSequence]]:
    """Every image once, with its low-resolution versions of all scales."""

    def sequences(root: Path) -> list[FrameSequence]:
        members: dict[str, dict[str, Member]] = {}
        for scale in _SCALES:
            for files in lister(root, scale):
                found = members.setdefault(files.id, {})
                found |= {path: Member(path) for path in files.hr}
                found |= {path: Member(path, "small") for path in files.lr}
        return [FrameSequence(name, tuple(found.values())) for name, found in members.items()]

    return sequences


BENCHMARK_LAYOUTS: dict[str, Layout] = {
    name: Layout(
        name=name,
        title=title,
        expected=f"the folder of {title}, with HR/*.png (and LR_bicubic/X4/*x4.png) or one of its other usual layouts",
        sequences=_all_scales(benchmark_images),
        published=count,
        evidence="Set5 and Set14 as passed on with SwinIR and SelfExSR; layouts of EDSR and BasicSR by their code",
        locate=_find_benchmark(name),
    )
    for name, (title, count, _) in _BENCHMARKS.items()
}


def div2k_images(root: Path, split: Split, scale: int, sub: bool = False) -> list[ScaledFiles]:
    """DIV2K: 800 training and 100 validation images; ``sub``: the 480x480 parts that BasicSR's script cuts."""
    found: list[ScaledFiles] = []
    for part, name in (("train", "DIV2K_train"), ("val", "DIV2K_valid")):
        if split in (part, "all"):
            low = f"{name}_LR_bicubic"
            ending = "_sub" if sub and part == "train" else ""
            found += pair_images(root, f"{name}_HR{ending}", (f"{low}/X{scale}{ending}", f"{low}_X{scale}"), scale)
    return found


def flickr2k_images(root: Path, scale: int, sub: bool = False) -> list[ScaledFiles]:
    """Flickr2K: 2650 images, or the parts that BasicSR's script cuts."""
    ending = "_sub" if sub else ""
    return pair_images(root, f"Flickr2K_HR{ending}", (f"Flickr2K_LR_bicubic/X{scale}{ending}",), scale)


def ost_images(root: Path) -> list[ScaledFiles]:
    """OutdoorSceneTraining: 7 classes, high resolution only."""
    found = []
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name.lower() in _OST_CLASSES):
        found += pair_images(root, folder.name, (), 1, prefix=f"{folder.name}/")
    return found


_OST_CLASSES = ("animal", "building", "grass", "mountain", "plant", "sky", "water")
REDS4 = ("000", "011", "015", "020")


def clip_frames(root: Path, hr: str, lr: Sequence[str]) -> list[ScaledFiles]:
    """Clips as folders of frames, in both resolutions where the low one is there.

    Raises:
        DataError: a clip has another number of low-resolution frames.
    """
    base = root / hr
    low = next((root / folder for folder in lr if (root / folder).is_dir()), None)
    clips = []
    for folder in sorted(entry for entry in base.iterdir() if entry.is_dir()) if base.is_dir() else []:
        frames = _images_in(folder)
        small = [] if low is None else _images_in(low / folder.name)
        if small and len(small) != len(frames):
            raise DataError(
                f"the clip {folder.name!r} has {len(frames)} frames in {str(base)!r} and {len(small)} in {str(low)!r}"
            )
        if frames:
            paths = [tuple(_relative(root, path) for path in part) for part in (frames, small)]
            clips.append(ScaledFiles(folder.name, *paths))
    return clips


def reds_clips(root: Path, split: Literal["train", "val", "reds4", "all"], scale: int) -> list[ScaledFiles]:
    """REDS as the field splits it: ``reds4`` are four clips of the training set, which ``train`` leaves out."""
    found = []
    for part in ("train", "val"):
        if split == part or split == "all" or (split == "reds4" and part == "train"):
            low = (f"{part}_sharp_bicubic/X{scale}", f"{part}/{part}_sharp_bicubic/X{scale}")
            clips = clip_frames(root, f"{part}_sharp", low) or clip_frames(root, f"{part}/{part}_sharp", low)
            if part == "train" and split != "all":
                clips = [clip for clip in clips if (clip.id in REDS4) == (split == "reds4")]
            found += [ScaledFiles(f"{part}/{c.id}", c.hr, c.lr) for c in clips] if split == "all" else clips
    return found


def vid4_clips(root: Path, scale: int, degradation: Literal["BI", "BD"] = "BI") -> list[ScaledFiles]:
    """Vid4: calendar, city, foliage, walk; ``BD`` are the blurred and decimated frames, which must be given."""
    clips = clip_frames(root, "GT", (f"{degradation}x{scale}",))
    if degradation == "BD" and not all(clip.lr for clip in clips):
        raise ConfigError(f"Vid4: {str(root)!r} holds no BDx{scale}; only the bicubic ones (BI) can be made")
    return clips


DIV2K = Layout(
    name="div2k",
    title="DIV2K",
    expected="the folder that holds DIV2K_train_HR/0001.png, ..., DIV2K_valid_HR/0801.png, ... and, where they are "
    "used, DIV2K_train_LR_bicubic/X4/0001x4.png, ... (parts: DIV2K_train_HR_sub, DIV2K_train_LR_bicubic/X4_sub)",
    needed=("DIV2K_*_HR*",),
    within=("DIV2K",),
    sequences=_all_scales(lambda root, scale: div2k_images(root, "all", scale)),
    published=900,
    homepage="https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    evidence="data preparation of BasicSR and EDSR",
)

FLICKR2K = Layout(
    name="flickr2k",
    title="Flickr2K",
    expected="the folder that holds Flickr2K_HR/000001.png, ... and, where they are used, "
    "Flickr2K_LR_bicubic/X4/000001x4.png, ...",
    needed=("Flickr2K_HR*",),
    within=("Flickr2K",),
    sequences=_all_scales(flickr2k_images),
    published=2650,
    homepage="https://github.com/limbee/NTIRE2017",
    evidence="data preparation of BasicSR and EDSR",
)

OST = Layout(
    name="ost",
    title="OutdoorSceneTraining",
    expected="the folder that holds animal/*.png, building/*.png, grass, mountain, plant, sky and water",
    needed=("[Bb]uilding", "[Ss]ky"),
    within=("OutdoorSceneTrain_v2", "OutdoorSceneTraining", "OST"),
    sequences=_all_scales(lambda root, scale: ost_images(root)),
    homepage="https://github.com/xinntao/SFTGAN",
    evidence="README of SFTGAN",
)

REDS = Layout(
    name="reds",
    title="REDS",
    expected="the folder that holds train_sharp/000/00000000.png, ... (or train/train_sharp/...), val_sharp and, where "
    "they are used, train_sharp_bicubic/X4/000/00000000.png, ...",
    needed=("*/0*",),
    within=("REDS",),
    sequences=_all_scales(lambda root, scale: reds_clips(root, "all", scale)),
    published=270,
    homepage="https://seungjunnah.github.io/Datasets/reds.html",
    evidence="data preparation of BasicSR",
)

VID4 = Layout(
    name="vid4",
    title="Vid4",
    expected="the folder that holds GT/calendar/00000000.png, ..., GT/city, GT/foliage, GT/walk and, where they are "
    "used, BIx4/calendar/..., BDx4/calendar/...",
    needed=("GT",),
    within=("Vid4",),
    sequences=_all_scales(vid4_clips),
    published=4,
    homepage="https://github.com/XPixelGroup/BasicSR",
    evidence="data preparation of BasicSR",
)


def _folder_images(root: Path, scale: int = 1) -> list[ScaledFiles]:
    """All images at any depth; ids are paths without the suffix."""
    found = []
    for path in sorted(root.rglob("*"), key=lambda path: natural_key(str(path))):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not hidden:
            relative = _relative(root, path)
            found.append(ScaledFiles(os.path.splitext(relative)[0], (relative,)))
    return found


IMAGES = Layout(
    name="images",
    title="Folder of images",
    expected="a folder with images at any depth",
    sequences=_all_scales(_folder_images),
)

SR_LAYOUTS = (*BENCHMARK_LAYOUTS.values(), DIV2K, FLICKR2K, OST, REDS, VID4, IMAGES)


def folder_images(root: Path, lr_root: Path | None = None, scale: int = 4) -> list[ScaledFiles]:
    """The images of a folder, with those of the same names (or ``<name>x4``) in another folder.

    Raises:
        DataError: two images differ in their suffix only, or one has no counterpart in ``lr_root``.
    """
    images = _folder_images(root)
    seen: dict[str, str] = {}
    for image in images:
        if image.id in seen:
            raise DataError(f"{str(root)!r}: {seen[image.id]!r} and {image.hr[0]!r} have the same name; keep only one")
        seen[image.id] = image.hr[0]
    if lr_root is None:
        return images
    small = {image.id: image.hr[0] for image in _folder_images(lr_root)}
    paired = []
    for image in images:
        low = small.get(f"{image.id}x{scale}") or small.get(image.id)
        if low is None:
            raise DataError(f"{str(lr_root)!r} has no low-resolution image for {image.hr[0]!r} of {str(root)!r}")
        place = Path(os.path.relpath(lr_root / low, root)).as_posix()
        paired.append(ScaledFiles(image.id, image.hr, (place,)))
    return paired
