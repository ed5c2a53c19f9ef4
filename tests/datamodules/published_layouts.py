"""Small evaluation sets in the published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from framewright.video import write_image

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
