"""Small data sets in the published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from framewright.video import write_flow, write_image

MIDDLEBURY_SCENES = (
    *("Beanbags", "Dimetrodon", "DogDance", "Grove2", "Grove3", "Hydrangea"),
    *("MiniCooper", "RubberWhale", "Urban2", "Urban3", "Venus", "Walking"),
)


def grey(path: Path, value: int, size: tuple[int, int] = (16, 24)) -> None:
    write_image(path, np.full((*size, 3), value, np.uint8))


def ucf101(root: Path, names: tuple[str, ...] = ("1", "11", "2")) -> Path:
    for number, name in enumerate(names):
        for shift, file in enumerate(("frame_00", "frame_01_gt", "frame_02")):
            grey(root / name / f"{file}.png", 30 * number + 10 * shift)
        grey(root / name / "frame_01_ours.png", 255)
    return root


def middlebury(root: Path, size: tuple[int, int] = (16, 24)) -> Path:
    for number, name in enumerate(MIDDLEBURY_SCENES):
        grey(root / "other-data" / name / "frame10.png", 10 * number, size)
        grey(root / "other-data" / name / "frame11.png", 10 * number + 20, size)
        grey(root / "other-gt-interp" / name / "frame10i11.png", 10 * number + 13, size)
    return root


def snu_film(root: Path, *, inner: str = "test/", prefix: str = "data/SNU-FILM/test/") -> Path:
    for frame in range(1, 18):
        grey(root / inner / "GOPRO_test/GOPR0384_11_00" / f"{frame:06d}.png", frame)
        grey(root / inner / "YouTube_test/0000" / f"{frame:06d}.png", 100 + frame)
    for split, gap in (("easy", 1), ("medium", 2), ("hard", 4), ("extreme", 8)):
        lines = []
        for clip in ("GOPRO_test/GOPR0384_11_00", "YouTube_test/0000"):
            lines += [" ".join(f"{prefix}{clip}/{9 + step:06d}.png" for step in (-gap, 0, gap))]
        (root / f"test-{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def hd_544(root: Path, frames: int = 5) -> Path:
    """The four clips of 544p: luma rises by 10 from frame to frame, chroma neutral."""
    folder = root / "HD544p_GT"
    folder.mkdir(parents=True)
    for clip in ("Alley2", "Market5", "Temple1", "Temple2"):
        with open(folder / f"Sintel_{clip}_1280x544.yuv", "wb") as handle:
            for frame in range(frames):
                handle.write(np.full(544 * 1280, 60 + 10 * frame, np.uint8).tobytes())
                handle.write(np.full(544 * 1280 // 2, 128, np.uint8).tobytes())
    return root


def x_test(root: Path, clips: int = 2, size: tuple[int, int] = (16, 32)) -> Path:
    for clip in range(1, clips + 1):
        for frame in range(33):
            grey(root / "test" / f"Type{clip}" / f"TEST0{clip}_003_f0433" / f"{frame:04d}.png", 2 * frame + clip, size)
    return root


FLOW_SIZE = (40, 56)


def flow_file(path: Path, value: float, size: tuple[int, int] = FLOW_SIZE, valid: np.ndarray | None = None) -> None:
    """Every pixel moves by (value, -value)."""
    write_flow(path, np.full((*size, 2), (value, -value), np.float32), valid)


def half(size: tuple[int, int] = FLOW_SIZE, step: int = 2) -> np.ndarray:
    """Known in every ``step``-th column."""
    valid = np.zeros(size, bool)
    valid[:, ::step] = True
    return valid


def flying_chairs(root: Path, pairs: int = 6) -> Path:
    for number in range(1, pairs + 1):
        grey(root / "data" / f"{number:05d}_img1.ppm", number, FLOW_SIZE)
        grey(root / "data" / f"{number:05d}_img2.ppm", 100 + number, FLOW_SIZE)
        flow_file(root / "data" / f"{number:05d}_flow.flo", number)
    marks = ["2" if number % 3 == 0 else "1" for number in range(1, pairs + 1)]
    (root / "FlyingChairs_train_val.txt").write_text("\n".join(marks) + "\n", encoding="utf-8")
    return root


def flying_things(root: Path, frames: tuple[int, ...] = (6, 7, 8)) -> Path:
    """The whole set: one clip for training, one for testing; a flow for every frame, both ways."""
    for split in ("TRAIN", "TEST"):
        clip = f"{split}/A/0000"
        for side in ("left", "right"):
            for frame in frames:
                for rendering in ("clean", "final"):
                    grey(root / f"frames_{rendering}pass" / clip / side / f"{frame:04d}.png", frame, FLOW_SIZE)
                for word, value in (("Future", frame), ("Past", -frame)):
                    name = f"OpticalFlowInto{word}_{frame:04d}_{side[0].upper()}.pfm"
                    flow_file(root / "optical_flow" / clip / f"into_{word.lower()}" / side / name, value)
    return root


def flying_things_subset(root: Path, frames: tuple[int, ...] = (0, 1, 2, 10, 11)) -> Path:
    """The subset: frames 0 to 2 are one clip, 10 and 11 another."""
    for frame in frames:
        grey(root / "train/image_clean/left" / f"{frame:07d}.png", frame, FLOW_SIZE)
        for direction, step in (("future", 1), ("past", -1)):
            if frame + step in frames:
                flow_file(root / "train/flow/left" / f"into_{direction}" / f"{frame:07d}.flo", step * frame)
    return root


def sintel(root: Path, scenes: tuple[str, ...] = ("alley_1", "alley_2"), frames: int = 3, masks: bool = True) -> Path:
    for scene in scenes:
        for frame in range(1, frames + 1):
            for rendering, extra in (("clean", 0), ("final", 50)):
                grey(root / "training" / rendering / scene / f"frame_{frame:04d}.png", frame + extra, FLOW_SIZE)
                grey(root / "test" / rendering / "temple_9" / f"frame_{frame:04d}.png", frame + extra, FLOW_SIZE)
            if frame < frames:
                flow_file(root / "training/flow" / scene / f"frame_{frame:04d}.flo", frame)
                if masks:
                    for name, columns in (("occlusions", slice(0, 4)), ("invalid", slice(0, 2))):
                        mask = np.zeros(FLOW_SIZE, np.uint8)
                        mask[:, columns] = 255
                        write_image(root / "training" / name / scene / f"frame_{frame:04d}.png", mask)
    return root


def kitti(root: Path, year: int = 2015, pairs: int = 6) -> Path:
    folder = "image_2" if year == 2015 else "colored_0"
    for base in ("training", "testing"):
        for number in range(pairs):
            for frame in (10, 11):
                grey(root / base / folder / f"{number:06d}_{frame}.png", number + frame, FLOW_SIZE)
    for number in range(pairs):
        name = f"{number:06d}_10.png"
        flow_file(root / "training/flow_occ" / name, number + 1, valid=half())
        flow_file(root / "training/flow_noc" / name, number + 1, valid=half(step=4))
    return root


def hd1k(root: Path, sequences: int = 2, frames: int = 3) -> Path:
    for sequence in range(sequences):
        for frame in range(frames):
            name = f"{sequence:06d}_{frame:04d}.png"
            grey(root / "hd1k_input/image_2" / name, 10 * sequence + frame, FLOW_SIZE)
            flow_file(root / "hd1k_flow_gt/flow_occ" / name, frame + 1, valid=half())
    return root


def middlebury_flow(root: Path, scenes: tuple[str, ...] = ("Dimetrodon", "Venus"), flat: bool = False) -> Path:
    for number, scene in enumerate(scenes):
        images, flows = (
            (root / scene, root / scene) if flat else (root / "other-data" / scene, root / "other-gt-flow" / scene)
        )
        grey(images / "frame10.png", number, FLOW_SIZE)
        grey(images / "frame11.png", number + 50, FLOW_SIZE)
        flow_file(flows / "flow10.flo", number + 1)
    return root
