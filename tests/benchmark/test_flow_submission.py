"""Files for the test servers of KITTI and Sintel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framewright.benchmark import flow_submission
from framewright.video import write_image
from framewright.video.flow_files import read_flow


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    """Three test pairs of different sizes, below the usual layout."""
    root = tmp_path / "kitti"
    rng = np.random.default_rng(0)
    for folder in ("training", "testing"):
        for index in range(3):
            image = rng.integers(0, 255, (40, 48 + 8 * index, 3), np.uint8)
            for frame, shown in ((10, image), (11, np.roll(image, 2, 1))):
                path = root / folder / "image_2" / f"{index:06d}_{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, shown)
    (root / "training" / "flow_occ").mkdir()
    (root / "training" / "flow_occ" / "000000_10.png").touch()
    return root


@pytest.fixture
def sintel(tmp_path: Path) -> Path:
    root = tmp_path / "sintel"
    image = np.zeros((32, 40, 3), np.uint8)
    for part in ("clean", "final"):
        for scene, frames in (("cave_3", 3), ("wall", 2)):
            for frame in range(1, frames + 1):
                path = root / "test" / part / scene / f"frame_{frame:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, image)
        (root / "training" / part / "alley_1").mkdir(parents=True)
    (root / "training" / "flow" / "alley_1").mkdir(parents=True)
    return root


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the small sets of this file for whole ones."""
    create = flow_submission.create_evaluation_set

    def whole(values: dict[str, object], task: str) -> object:
        dataset = create(values, task)
        dataset.complete = True
        return dataset

    monkeypatch.setattr(flow_submission, "create_evaluation_set", whole)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("any_size")
def test_kitti_wants_16_bit_images(kitti: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert flow_submission.main(["kitti2015", str(kitti), "network=dis", "options.preset=fast", f"out={out}"]) == 0
    assert files(out) == [f"flow/{index:06d}_10.png" for index in range(3)]
    flow, valid = read_flow(out / "flow" / "000002_10.png")
    assert flow.shape == (40, 64, 2)
    assert valid.all()
    assert "3 flows" in capsys.readouterr().out


@pytest.mark.usefixtures("any_size")
def test_sintel_wants_both_passes_by_scene(sintel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert flow_submission.main(["sintel", str(sintel), "network=zero_flow", f"out={out}"]) == 0
    scenes = ("cave_3/frame0001.flo", "cave_3/frame0002.flo", "wall/frame0001.flo")
    assert files(out) == [f"{part}/{scene}" for part in ("clean", "final") for scene in scenes]


def test_mistakes_are_explained(kitti: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(*words: str) -> str:
        assert flow_submission.main(list(words)) == 1
        return capsys.readouterr().err

    out = f"out={tmp_path / 'out'}"
    assert "is not whole (3 pairs)" in message("kitti2015", str(kitti), "network=zero_flow", out)
    assert "no submission for 'kitti2016'; did you mean 'kitti2015'?" in message(
        "kitti2016", str(kitti), "network=zero_flow", out
    )
    assert "network" in message("kitti2015", str(kitti), out)
    assert "needs weights" in message("kitti2015", str(kitti), "network=spynet", out)
    assert "expected a benchmark and the data root" in message("kitti2015", "network=zero_flow", out)
    assert "not an empty folder" in message("kitti2015", str(kitti), "network=zero_flow", f"out={kitti}")
    assert "KITTI 2015" in message("kitti2015", str(tmp_path / "none"), "network=zero_flow", out)
    assert not (tmp_path / "out").exists()
