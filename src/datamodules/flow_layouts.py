"""How the optical flow data sets lie on disk, as published.

Layouts follow the training programs of RAFT (github.com/princeton-vl/RAFT at 2888e15), mmflow's notes on the
FlyingThings3D subset and the readmes of the sets' authors. Only single pairs of Middlebury, FlyingChairs, KITTI 2015
and Sintel were seen.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError
from .layout import first_entries, require_root
from .layouts import FrameSequence, Layout, Member, read_lines

_CHAIRS_LIST = "FlyingChairs_train_val.txt"
_UNUSED = ("all_unused_files.txt", "frames_cleanpass/all_unused_files.txt")

SINTEL_PASSES = ("clean", "final")
# no official split exists; scenes of every kind of motion, 242 of the 1,041 pairs in the published set
SINTEL_VALIDATION = ("alley_1", "ambush_6", "bamboo_2", "cave_4", "market_5", "shaman_3")
# of KITTI's pairs and HD1K's sequences every fifth validates, the first included
_EVERY = 5


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair, below the root.

    Attributes:
        id: unique within the set, usable as a relative path of a results folder.
        image1, image2: images.
        flow: from the first to the second; None where the truth is withheld.
        matched: sparse flow of the pixels that are visible in both images (KITTI's ``noc``).
        occlusion: mask, white = no counterpart in the second image.
        invalid: mask, white = the flow is not defined.
    """

    id: str
    image1: str
    image2: str
    flow: str | None = None
    matched: str | None = None
    occlusion: str | None = None
    invalid: str | None = None

    def sequence(self) -> FrameSequence:
        """The files for the data check."""
        members = [Member(self.image1), Member(self.image2)]
        members += [Member(path, "flow") for path in (self.flow, self.matched) if path is not None]
        members += [Member(path, "mask") for path in (self.occlusion, self.invalid) if path is not None]
        return FrameSequence(self.id, tuple(members))


def _names(folder: Path, suffix: str) -> list[str]:
    """Names in a folder that end so, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as scan:
            return sorted(entry.name for entry in scan if entry.name.endswith(suffix) and entry.name[0] != ".")
    except OSError:
        return []


def _sequences(pairs: Iterable[PairFiles]) -> list[FrameSequence]:
    return [pair.sequence() for pair in pairs]


def _unknown_split(split: str, known: tuple[str, ...]) -> None:
    if split not in known:
        raise ValueError(f"split {split!r}, expected one of {', '.join(known)}")


# ---------------------------------------------------------------------------------------------- FlyingChairs


def chairs_pairs(root: Path, split: str = "all") -> list[PairFiles]:
    """FlyingChairs: ``train`` (22,232), ``val`` (640) by the official list, or ``all``.

    Raises:
        DataError: the list is missing, has entries other than 1 and 2, or another length than there are pairs.
    """
    _unknown_split(split, ("train", "val", "all"))
    names = [name.removesuffix("_flow.flo") for name in _names(root / "data", "_flow.flo")]
    if split != "all":
        marks = read_lines(root, _CHAIRS_LIST, FLYING_CHAIRS.title)
        wrong = [mark for mark in marks if mark not in ("1", "2")]
        if wrong or len(marks) != len(names):
            problem = f"holds {wrong[0][:40]!r}" if wrong else f"has {len(marks)} entries"
            raise DataError(
                f"{FLYING_CHAIRS.title}: {str(root / _CHAIRS_LIST)!r} {problem}, expected one line, 1 (training) or 2 "
                f"(validation), for each of the {len(names)} pairs in {str(root / 'data')!r}"
            )
        wanted = "1" if split == "train" else "2"
        names = [name for name, mark in zip(names, marks, strict=True) if mark == wanted]
    return [
        PairFiles(name, f"data/{name}_img1.ppm", f"data/{name}_img2.ppm", f"data/{name}_flow.flo") for name in names
    ]


FLYING_CHAIRS = Layout(
    name="flying_chairs",
    title="FlyingChairs",
    expected=f"the FlyingChairs_release folder, which holds data/00001_img1.ppm, 00001_img2.ppm, 00001_flow.flo, ... "
    f"and {_CHAIRS_LIST} (a download of its own)",
    needed=("data/*_flow.flo",),
    within=("FlyingChairs_release", "FlyingChairs/FlyingChairs_release"),
    lists=(_CHAIRS_LIST,),
    sequences=lambda root: _sequences(chairs_pairs(root)),
    published=22_872,
    homepage="https://lmb.informatik.uni-freiburg.de/resources/datasets/FlyingChairs.en.html",
    evidence="training program of RAFT",
)


# ---------------------------------------------------------------------------------------------- FlyingThings3D


def things_pairs(
    root: Path,
    split: str = "all",
    passes: tuple[str, ...] = SINTEL_PASSES,
    cameras: tuple[str, ...] = ("left", "right"),
    directions: tuple[str, ...] = ("future", "past"),
    exclude_unused: bool = False,
) -> list[PairFiles]:
    """FlyingThings3D, the whole set or its subset, whichever lies in the root.

    The whole set has a flow for every frame, also where the second frame lies outside the clip: those are left out.

    Args:
        root: as found by the layout.
        split: ``train``, ``test`` (in the subset ``val``) or ``all``.
        passes, cameras, directions: which of them.
        exclude_unused: leave out pairs with a frame in the authors' ``all_unused_files.txt`` (the rule behind the
            subset: too fast or too close).

    Raises:
        DataError: the list of unused files is wanted and missing.
    """
    _unknown_split(split, ("train", "test", "all"))
    unused = _unused_files(root) if exclude_unused else frozenset()
    splits = ("train", "test") if split == "all" else (split,)
    find = _things_subset if (root / "train").is_dir() or (root / "val").is_dir() else _things_clips
    pairs: list[PairFiles] = []
    for name in splits:
        for rendering in passes:
            for camera in cameras:
                for direction in directions:
                    pairs += find(root, name, rendering, camera, direction, unused)
    return pairs


def _things_clips(
    root: Path, split: str, rendering: str, camera: str, direction: str, unused: frozenset[str]
) -> Iterator[PairFiles]:
    folder, step = split.upper(), 1 if direction == "future" else -1
    word, side = direction.capitalize(), camera[0].upper()
    for letter in _names(root / "optical_flow" / folder, ""):
        for clip in _names(root / "optical_flow" / folder / letter, ""):
            path = f"{folder}/{letter}/{clip}"
            images = f"frames_{rendering}pass/{path}/{camera}"
            known = set(_names(root / images, ".png"))
            flows = f"optical_flow/{path}/into_{direction}/{camera}"
            for name in _names(root / flows, ".pfm"):
                number = int(name.rsplit("_", 2)[1])
                first, second = f"{number:04d}.png", f"{number + step:04d}.png"
                if second not in known or not unused.isdisjoint(
                    (f"{path}/{camera}/{first}", f"{path}/{camera}/{second}")
                ):
                    continue
                truth = f"{flows}/OpticalFlowInto{word}_{number:04d}_{side}.pfm"
                identity = f"{rendering}/{path}/{camera}/into_{direction}/{number:04d}"
                yield PairFiles(identity, f"{images}/{first}", f"{images}/{second}", truth)


def _things_subset(
    root: Path, split: str, rendering: str, camera: str, direction: str, unused: frozenset[str]
) -> Iterator[PairFiles]:
    folder, step = "train" if split == "train" else "val", 1 if direction == "future" else -1
    images = f"{folder}/image_{rendering}/{camera}"
    known = set(_names(root / images, ".png"))
    flows = f"{folder}/flow/{camera}/into_{direction}"
    for name in _names(root / flows, ".flo"):
        number = int(name.removesuffix(".flo"))
        second = f"{number + step:07d}.png"
        if second in known:
            identity = f"{rendering}/{folder}/{camera}/into_{direction}/{number:07d}"
            yield PairFiles(identity, f"{images}/{number:07d}.png", f"{images}/{second}", f"{flows}/{name}")


def _unused_files(root: Path) -> frozenset[str]:
    for name in _UNUSED:
        if (root / name).is_file():
            return frozenset(read_lines(root, name, FLYING_THINGS.title))
    raise DataError(
        f"{FLYING_THINGS.title}: {str(root / _UNUSED[0])!r} is missing, the authors' list of frames that they did not "
        f"use; get it from {FLYING_THINGS.homepage} or set exclude_unused=false"
    )


def _locate_things(root: str | os.PathLike[str] | None) -> Path:
    path = require_root(root, FLYING_THINGS.title, FLYING_THINGS.expected)
    for candidate in (path, *(path / folder for folder in FLYING_THINGS.within)):
        whole = (candidate / "optical_flow").is_dir() and any(candidate.glob("frames_*pass"))
        subset = any(candidate.glob("*/flow/*/into_*")) and any(candidate.glob("*/image_*"))
        if whole or subset:
            return candidate
    found = first_entries(path) if path.is_dir() else "(a file)"
    raise DataError(
        f"{FLYING_THINGS.title}: {str(path)!r} is not laid out as expected; data.root must be "
        f"{FLYING_THINGS.expected}. Found: {found}"
    )


FLYING_THINGS = Layout(
    name="flying_things",
    title="FlyingThings3D",
    expected="the folder that holds frames_cleanpass/TRAIN/A/0000/left/0006.png, ... and "
    "optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm, ...; or the unpacked subset, which "
    "holds train/image_clean/left/0000000.png, ... and train/flow/left/into_future/0000000.flo, ...",
    within=("FlyingThings3D", "FlyingThings3D_subset"),
    sequences=lambda root: _sequences(things_pairs(root)),
    homepage="https://lmb.informatik.uni-freiburg.de/resources/datasets/SceneFlowDatasets.en.html",
    evidence="training program of RAFT; mmflow's notes for the subset",
    locate=_locate_things,
)


# ---------------------------------------------------------------------------------------------- Sintel


def sintel_pairs(
    root: Path,
    split: str = "all",
    passes: tuple[str, ...] = SINTEL_PASSES,
    scenes: Iterable[str] | None = None,
) -> list[PairFiles]:
    """MPI Sintel: ``all`` training scenes, ``val`` (:data:`SINTEL_VALIDATION`), ``train`` (the others), or ``test``
    (without truth).

    Ids are ``clean/alley_1/frame_0001``, as in a submission to the authors' server.

    Raises:
        DataError: one of ``scenes`` does not exist.
    """
    _unknown_split(split, ("all", "train", "val", "test"))
    base = "test" if split == "test" else "training"
    wanted = None if scenes is None else set(scenes)
    pairs = []
    for rendering in passes:
        found = _names(root / base / rendering, "")
        missing = sorted((wanted or set()) - set(found))
        if missing:
            raise DataError(
                f"{SINTEL.title}: {str(root / base / rendering)!r} has no scene {missing[0]!r}; it holds: "
                f"{first_entries(root / base / rendering, 40)}"
            )
        for scene in found:
            validates = scene in SINTEL_VALIDATION
            if (wanted is not None and scene not in wanted) or validates == _SINTEL_LEFT_OUT.get(split):
                continue
            frames = [name.removesuffix(".png") for name in _names(root / base / rendering / scene, ".png")]
            pairs += [
                _sintel_pair(root, base, rendering, scene, first, second)
                for first, second in itertools.pairwise(frames)
            ]
    return pairs


def _sintel_pair(root: Path, base: str, rendering: str, scene: str, first: str, second: str) -> PairFiles:
    images, name = f"{base}/{rendering}/{scene}", f"{rendering}/{scene}/{first}"
    if base == "test":
        return PairFiles(name, f"{images}/{first}.png", f"{images}/{second}.png")
    masks = {kind: f"{base}/{folder}/{scene}/{first}.png" for kind, folder in _SINTEL_MASKS.items()}
    present = {kind: path for kind, path in masks.items() if (root / path).is_file()}
    flow = f"{base}/flow/{scene}/{first}.flo"
    return PairFiles(name, f"{images}/{first}.png", f"{images}/{second}.png", flow, **present)


# which scenes a split leaves out: those that validate, or those that do not
_SINTEL_LEFT_OUT = {"train": True, "val": False}
_SINTEL_MASKS = {"occlusion": "occlusions", "invalid": "invalid"}

SINTEL = Layout(
    name="sintel",
    title="MPI Sintel",
    expected="the folder that holds training/clean/alley_1/frame_0001.png, ..., training/final, "
    "training/flow/alley_1/frame_0001.flo, ..., and where given training/occlusions and training/invalid",
    needed=("training/flow", "training/clean"),
    within=("MPI-Sintel-complete", "MPI-Sintel", "MPI_Sintel", "Sintel"),
    sequences=lambda root: _sequences(sintel_pairs(root)),
    published=2 * 1_041,
    homepage="http://sintel.is.tue.mpg.de/downloads",
    evidence="training program of RAFT; the set's readme",
)


# ---------------------------------------------------------------------------------------------- KITTI, HD1K


def kitti_pairs(root: Path, year: int, split: str = "all") -> list[PairFiles]:
    """KITTI 2012 or 2015: ``all`` training pairs, ``train``, ``val`` (every fifth), or ``test`` (without truth)."""
    _unknown_split(split, ("all", "train", "val", "test"))
    base = "testing" if split == "test" else "training"
    folder = "image_2" if year == 2015 else "colored_0"
    if not (root / base / folder).is_dir() and year == 2012:
        folder = "image_0"
    names = [name.removesuffix("_10.png") for name in _names(root / base / folder, "_10.png")]
    if split in ("train", "val"):
        names = [name for index, name in enumerate(names) if (index % _EVERY == 0) == (split == "val")]
    pairs = []
    for name in names:
        flow, matched = (f"training/flow_{kind}/{name}_10.png" for kind in ("occ", "noc"))
        pairs.append(
            PairFiles(
                f"{name}_10",
                f"{base}/{folder}/{name}_10.png",
                f"{base}/{folder}/{name}_11.png",
                None if split == "test" else flow,
                matched if split != "test" and (root / matched).is_file() else None,
            )
        )
    return pairs


def _kitti(year: int, folder: str, pairs: int, within: tuple[str, ...]) -> Layout:
    return Layout(
        name=f"kitti{year}",
        title=f"KITTI {year}",
        expected=f"the folder that holds training/{folder}/000000_10.png, 000000_11.png, ... and "
        "training/flow_occ/000000_10.png, ... (flow_noc beside it for matched pixels)",
        needed=("training/flow_occ/*_10.png", f"training/{'image_2' if year == 2015 else '*_0'}/*_10.png"),
        within=within,
        sequences=lambda root: _sequences(kitti_pairs(root, year)),
        published=pairs,
        homepage=f"https://www.cvlibs.net/datasets/kitti/eval_{'scene_flow' if year == 2015 else 'stereo_flow'}.php",
        evidence="training program of RAFT; the development kit's readme",
    )


KITTI = {
    2012: _kitti(2012, "colored_0", 194, ("data_stereo_flow", "KITTI2012", "kitti2012")),
    2015: _kitti(2015, "image_2", 200, ("data_scene_flow", "KITTI2015", "kitti2015", "KITTI")),
}


def hd1k_pairs(root: Path, split: str = "all") -> list[PairFiles]:
    """HD1K: ``all`` pairs of consecutive frames with truth, ``train``, or ``val`` (every fifth sequence)."""
    _unknown_split(split, ("all", "train", "val"))
    images, flows = "hd1k_input/image_2", "hd1k_flow_gt/flow_occ"
    frames = _names(root / images, ".png")
    known, sequences = set(frames), sorted({name.split("_")[0] for name in frames})
    pairs = []
    for name in _names(root / flows, ".png"):
        sequence, _, number = name.removesuffix(".png").partition("_")
        if not number.isdigit():
            raise DataError(f"{HD1K.title}: {str(root / flows / name)!r}: names such as '000000_0010.png' are expected")
        second = f"{sequence}_{int(number) + 1:0{len(number)}d}.png"
        if second not in known:
            continue
        validates = sequences.index(sequence) % _EVERY == 0
        if split == "all" or validates == (split == "val"):
            pairs.append(PairFiles(f"{sequence}_{number}", f"{images}/{name}", f"{images}/{second}", f"{flows}/{name}"))
    return pairs


HD1K = Layout(
    name="hd1k",
    title="HD1K",
    expected="the folder that holds hd1k_input/image_2/000000_0000.png, ... and "
    "hd1k_flow_gt/flow_occ/000000_0000.png, ...",
    needed=("hd1k_input/image_2/*.png", "hd1k_flow_gt/flow_occ/*.png"),
    within=("HD1K", "HD1k", "hd1k", "hd1k_full_package"),
    sequences=lambda root: _sequences(hd1k_pairs(root)),
    published=1_047,
    homepage="http://hci-benchmark.iwr.uni-heidelberg.de/",
    evidence="training program of RAFT; the number of pairs from the same (1,083 frames in 36 sequences)",
)


# ---------------------------------------------------------------------------------------------- Middlebury


def middlebury_pairs(root: Path) -> list[PairFiles]:
    """The pairs of Middlebury with public flow: the published folders, or one folder per scene with all its files."""
    if (root / "other-gt-flow").is_dir():
        images, flows = "other-data/", "other-gt-flow/"
    else:
        images = flows = ""
    scenes = [name for name in _names(root / flows, "") if (root / f"{flows}{name}/flow10.flo").is_file()]
    return [
        PairFiles(scene, f"{images}{scene}/frame10.png", f"{images}{scene}/frame11.png", f"{flows}{scene}/flow10.flo")
        for scene in scenes
    ]


def _locate_middlebury(root: str | os.PathLike[str] | None) -> Path:
    path = require_root(root, MIDDLEBURY_FLOW.title, MIDDLEBURY_FLOW.expected)
    for candidate in (path, *(path / folder for folder in MIDDLEBURY_FLOW.within)):
        if candidate.is_dir() and middlebury_pairs(candidate):
            return candidate
    found = first_entries(path) if path.is_dir() else "(a file)"
    raise DataError(
        f"{MIDDLEBURY_FLOW.title}: {str(path)!r} is not laid out as expected; data.root must be "
        f"{MIDDLEBURY_FLOW.expected}. Found: {found}"
    )


MIDDLEBURY_FLOW = Layout(
    name="middlebury_flow",
    title="Middlebury (flow)",
    expected="the folder that holds other-data/RubberWhale/frame10.png, frame11.png, ... and "
    "other-gt-flow/RubberWhale/flow10.flo, ...; or one that holds RubberWhale/frame10.png, frame11.png, flow10.flo, "
    "...",
    within=("middlebury", "Middlebury"),
    sequences=lambda root: _sequences(middlebury_pairs(root)),
    published=8,
    homepage="https://vision.middlebury.edu/flow/data/ (other-color-twoframes.zip and other-gt-flow.zip)",
    evidence="five of its pairs were read; folder names from the evaluation programs of RIFE and EMA-VFI",
    locate=_locate_middlebury,
)

FLOW_LAYOUTS = (FLYING_CHAIRS, FLYING_THINGS, SINTEL, KITTI[2012], KITTI[2015], HD1K, MIDDLEBURY_FLOW)
