"""Flow files: round trips, unknown values, and what is said about damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from framewright.core.errors import DataError
from framewright.video import read_flow, write_flow, write_image


def smooth(height: int = 5, width: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    flow = (rng.integers(-2000, 2000, (height, width, 2)) / 64).astype(np.float32)
    return flow, rng.random((height, width)) > 0.3


@pytest.mark.parametrize("suffix", [".flo", ".pfm", ".png", ".FLO"])
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 9)])
def test_round_trip_with_unknown_pixels_and_any_name(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    flow, valid = smooth(*size)
    path = tmp_path / f"flöw 光, ={suffix}"
    write_flow(path, flow, valid)
    found, known = read_flow(path)
    assert (found.dtype, known.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(known, valid)
    np.testing.assert_array_equal(found, np.where(valid[..., None], flow, 0))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".flo", ".pfm", ".png"])
def test_not_a_number_is_unknown(tmp_path: Path, suffix: str) -> None:
    flow, _ = smooth()
    flow[2, 3, 1], flow[0, 0, 0] = np.nan, np.inf
    write_flow(tmp_path / f"x{suffix}", flow)
    found, known = read_flow(tmp_path / f"x{suffix}")
    assert np.isfinite(found).all()
    assert not known[2, 3]
    assert not known[0, 0]
    assert known.sum() == known.size - 2
    assert (found[2, 3] == 0).all()


def test_middlebury_marks_unknown_by_huge_values(tmp_path: Path) -> None:
    flow = np.ones((2, 3, 2), "<f4")
    flow[0, 1] = 1.66e9, 1.66e9
    flow[1, 2] = 5, -1.1e9
    flow[1, 0] = 9e8, 0
    (tmp_path / "x.flo").write_bytes(b"PIEH" + struct.pack("<ii", 3, 2) + flow.tobytes())
    found, known = read_flow(tmp_path / "x.flo")
    np.testing.assert_array_equal(known, [[True, False, True], [True, True, False]])
    assert found[0, 1].tolist() == found[1, 2].tolist() == [0, 0]


@pytest.mark.parametrize(("order", "scale"), [("<", "-1.0"), (">", "1.0")])
def test_pfm_has_rows_from_the_bottom_in_either_byte_order(tmp_path: Path, order: str, scale: str) -> None:
    rows = np.zeros((2, 3, 3))
    rows[0, :, 0], rows[1, :, 1] = 7, 9
    (tmp_path / "x.pfm").write_bytes(f"PF\n3 2\n{scale}\n".encode() + rows.astype(order + "f4").tobytes())
    flow, valid = read_flow(tmp_path / "x.pfm")
    assert flow[1, 0].tolist() == [7, 0]
    assert flow[0, 0].tolist() == [0, 9]
    assert valid.all()


def test_pfm_data_may_begin_with_a_byte_that_is_white_space(tmp_path: Path) -> None:
    value = np.frombuffer(b"\n \n\x41", "<f4")[0]
    rows = np.full((1, 1, 3), value, "<f4")
    (tmp_path / "x.pfm").write_bytes(b"PF\n1 1\n-1\n" + rows.tobytes())
    assert read_flow(tmp_path / "x.pfm")[0][0, 0].tolist() == [value, value]


def test_kitti_has_steps_of_a_64th_and_a_limited_range(tmp_path: Path) -> None:
    flow = np.array([[[0.004, -0.012], [900.0, -900.0]]], np.float32)
    write_flow(tmp_path / "x.png", flow)
    found, _ = read_flow(tmp_path / "x.png")
    np.testing.assert_array_equal(found, [[[0, -1 / 64], [511.984375, -512]]])
    raw = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    assert raw.dtype == np.uint16
    assert raw[0, 0].tolist() == [1, 32767, 32768]


def _bytes(suffix: str, folder: Path) -> bytes:
    write_flow(folder / f"whole{suffix}", smooth()[0])
    return (folder / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        (".flo", lambda data: b"", "empty"),
        (".flo", lambda data: data[:3], "truncated"),
        (".flo", lambda data: data[:11], "truncated: 11 bytes"),
        (".flo", lambda data: data[:-1], "truncated: 291 bytes, expected 292 for 7x5"),
        (".flo", lambda data: data + b"0", "too long"),
        (".flo", lambda data: b"JUNK" + data[4:], "b'JUNK', expected b'PIEH'"),
        (".flo", lambda data: data[:4] + struct.pack("<ii", -3, 5) + data[12:], "claims to be -3x5"),
        (".flo", lambda data: data[:4] + struct.pack("<ii", 2**30, 5) + data[12:], "claims to be"),
        (".pfm", lambda data: data[:-1], "truncated"),
        (".pfm", lambda data: data + b"0", "too long"),
        (".pfm", lambda data: b"Pf" + data[2:], "three channels"),
        (".pfm", lambda data: data.replace(b"-1.0", b"0.00"), "byte order"),
        (".pfm", lambda data: data[:5], "not a .pfm file"),
        (".png", lambda data: data[: len(data) // 2], "truncated"),
        (".png", lambda data: b"no image", "damaged or not a .png"),
    ],
)
def test_damaged_files_are_one_message_that_names_them(tmp_path: Path, suffix, change, message) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(change(_bytes(suffix, tmp_path)))
    with pytest.raises(DataError, match=message) as error:
        read_flow(path)
    assert path.name in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "eight.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="uint8 image of 3 channel"):
        read_flow(tmp_path / "eight.png")
    with pytest.raises(DataError, match=r"ends in \.flo, \.pfm, \.png"):
        read_flow(tmp_path / "x.npy")
    with pytest.raises(DataError, match="No such file"):
        read_flow(tmp_path / "none.flo")
    with pytest.raises(DataError, match="should end in"):
        write_flow(tmp_path / "x.npy", smooth()[0])
    with pytest.raises(ValueError, match=r"\(H, W, 2\)"):
        write_flow(tmp_path / "x.flo", np.zeros((2, 4, 4), np.float32))
    with pytest.raises(ValueError, match="valid is"):
        write_flow(tmp_path / "x.flo", smooth()[0], np.ones((2, 2), bool))


def test_real_files_have_the_known_mean_motion(assets: Path) -> None:
    figures = {
        "middlebury/RubberWhale/flow10.flo": 1.256,
        "middlebury/Dimetrodon/flow10.flo": 2.058,
        "middlebury/Hydrangea/flow10.flo": 3.731,
        "middlebury/Grove2/flow10.flo": 3.090,
        "middlebury/Urban2/flow10.flo": 8.393,
        "flyingchairs/00001_flow.flo": 4.31,
        "kitti15_000000/flow_gt.png": 51.0,
    }
    for name, expected in figures.items():
        flow, valid = read_flow(assets / "flow" / name)
        digits = len(str(expected).split(".")[1])
        assert round(float(np.linalg.norm(flow, axis=2)[valid].mean()), digits) == pytest.approx(expected), name


@pytest.mark.parametrize("name", ["middlebury/RubberWhale/flow10.flo", "kitti15_000000/flow_gt.png"])
def test_real_files_survive_a_round_trip(assets: Path, tmp_path: Path, name: str) -> None:
    flow, valid = read_flow(assets / "flow" / name)
    write_flow(tmp_path / Path(name).name, flow, valid)
    found, known = read_flow(tmp_path / Path(name).name)
    np.testing.assert_array_equal(found, flow)
    np.testing.assert_array_equal(known, valid)
