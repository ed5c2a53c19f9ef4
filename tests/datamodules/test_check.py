from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from framewright.core.errors import DataError
from framewright.datamodules import check as program
from framewright.datamodules import manifest as manifests
from framewright.datamodules import verify
from framewright.datamodules.check import all_layouts, check, main
from framewright.datamodules.evaluation_sets import EVALUATION_SETS
from framewright.datamodules.layouts import Member
from framewright.datamodules.position import PositionDataset
from framewright.datamodules.sources import SOURCES
from framewright.datamodules.transforms import TripletTransform
from framewright.datamodules.vimeo90k import Vimeo90KTriplet
from framewright.video import VideoWriter, write_image


def truncate(path, keep=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def flip(path):
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content))


def noise(seed, size=(64, 96)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def vimeo(root, train=20, test=2, size=(256, 448)):
    names = [f"00001/{index:04d}" for index in range(1, train + test + 1)]
    root.mkdir(parents=True)
    (root / "tri_trainlist.txt").write_text("\n".join(names[:train]) + "\n")
    (root / "tri_testlist.txt").write_text("\n".join(names[train:]) + "\n")
    for number, name in enumerate(names):
        for frame in (1, 2, 3):
            write_image(root / "sequences" / name / f"im{frame}.png", np.full((*size, 3), number, np.uint8))
    return root


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


# drawn, brought by a package, or made of others
NOT_ON_DISK = {"scenes", "photographs", "folders", "flow_mix", "sr_mix", "style_folders"}


def test_every_data_set_on_disk_can_be_checked():
    assert set(all_layouts()) == (set(SOURCES) | set(EVALUATION_SETS)) - NOT_ON_DISK


def test_sound_set_gives_a_manifest_that_holds_against_itself(published, tmp_path, capsys):
    root = published.middlebury(tmp_path / "é, =")
    assert check("middlebury_other", root) == 0
    manifest = read(root / "framewright-middlebury_other.json")
    assert manifest["sequences"] == dict.fromkeys(published.MIDDLEBURY_SCENES, 3)
    assert len(manifest["files"]) == 36
    entry = manifest["files"]["other-data/Venus/frame10.png"]
    assert (entry["frames"], entry["height"], entry["width"]) == (1, 16, 24)
    assert len(entry["sha256"]) == 64
    assert str(tmp_path) not in json.dumps(manifest)
    assert check("middlebury_other", root, against=root / "framewright-middlebury_other.json") == 0
    assert "all 36 files are as recorded" in capsys.readouterr().out


def test_processes_do_not_change_the_manifest(published, tmp_path):
    root = published.middlebury(tmp_path / "data")
    truncate(root / "other-data" / "Venus" / "frame10.png")
    for workers in (1, 2):
        assert check("middlebury_other", root, manifest=tmp_path / f"{workers}.json", workers=workers) == 1
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_every_kind_of_damage_is_listed(published, tmp_path, capsys):
    root = published.ucf101(tmp_path / "data", tuple(str(index) for index in range(1, 8)))
    write_image(root / "1" / "frame_00.png", noise(0))
    flip(root / "1" / "frame_00.png")
    truncate(root / "2" / "frame_01_gt.png")
    (root / "3" / "frame_02.png").unlink()
    (root / "4" / "frame_02.png").write_bytes(b"")
    (root / "5" / "frame_02.png").write_text("<html>404</html>")
    published.grey(root / "6" / "frame_02.png", 0, (8, 8))
    assert check("ucf101", root, partial=True, manifest=tmp_path / "out" / "m.json") == 1
    out = capsys.readouterr().out
    for line in (
        "damaged (5):",
        "1/frame_00.png: the image",
        "2/frame_01_gt.png: the image",
        "3/frame_02.png: missing",
        "4/frame_02.png: the image",
        "5/frame_02.png: the image",
        "inconsistent (1):",
        "6: its frames differ in size: 6/frame_02.png is 8x8, the first is 24x16",
        "6 of 7 sequences (85.71%) cannot be used",
    ):
        assert line in out
    manifest = read(tmp_path / "out" / "m.json")
    assert manifest["damaged"] == [
        "1/frame_00.png",
        "2/frame_01_gt.png",
        "3/frame_02.png",
        "4/frame_02.png",
        "5/frame_02.png",
    ]
    assert manifest["sequences"] == {**dict.fromkeys("123456"), "7": 3}


def test_an_incomplete_set_fails_unless_that_is_wanted(published, tmp_path, capsys):
    root = published.ucf101(tmp_path)
    assert check("ucf101", root) == 1
    assert "3 sequences, the published set has 379" in capsys.readouterr().out
    assert check("ucf101", root, partial=True) == 0


def test_comparison_finds_changed_missing_and_new_files(published, tmp_path, capsys):
    root = published.ucf101(tmp_path / "data")
    record = tmp_path / "record.json"
    assert check("ucf101", root, partial=True, manifest=record) == 0
    published.grey(root / "1" / "frame_00.png", 99)
    (root / "2" / "frame_00.png").unlink()
    for file in ("frame_00", "frame_01_gt", "frame_02"):
        published.grey(root / "3" / f"{file}.png", 1)
    before = sorted(path.name for path in root.iterdir())
    assert check("ucf101", root, partial=True, against=record) == 1
    out = capsys.readouterr().out
    assert "different from" in out
    assert "1/frame_00.png: has changed" in out
    assert "2/frame_00.png: missing" in out
    assert "3/frame_02.png: is not in the manifest" in out
    assert sorted(path.name for path in root.iterdir()) == before, "a comparison writes nothing"


def test_recorded_files_are_not_decoded_again(published, tmp_path, monkeypatch):
    root = published.ucf101(tmp_path / "data")
    record = tmp_path / "record.json"
    check("ucf101", root, partial=True, manifest=record)

    def refuse(path, member):
        raise AssertionError("decoded")

    monkeypatch.setattr(verify, "_read", refuse)
    assert check("ucf101", root, partial=True, against=record) == 0


def test_manifests_of_other_things_are_refused(published, tmp_path):
    root = published.ucf101(tmp_path / "data")
    check("ucf101", root, partial=True, manifest=tmp_path / "m.json")
    with pytest.raises(DataError, match="is of the data set 'ucf101', not 'hd'"):
        manifests.read(tmp_path / "m.json", "hd")
    (tmp_path / "m.json").write_text("[1")
    with pytest.raises(DataError, match="not valid JSON"):
        manifests.read(tmp_path / "m.json", "hd")
    (tmp_path / "m.json").write_text("{}")
    with pytest.raises(DataError, match="is not a manifest of schema 1"):
        manifests.read(tmp_path / "m.json", "hd")


def test_videos_are_counted_by_decoding(tmp_path, capsys):
    root = tmp_path / "videos"
    root.mkdir()
    for name, frames in (("a", 7), ("b", 12)):
        with VideoWriter(root / f"{name}.mp4", 25, (64, 96)) as writer:
            writer.write(np.stack([noise(index) for index in range(frames)]))
    for index in range(4):
        write_image(root / "frames" / f"{index}.png", noise(index))
    assert check("folder", root, manifest=tmp_path / "m.json") == 0
    manifest = read(tmp_path / "m.json")
    assert manifest["sequences"] == {"a": 7, "b": 12, "frames": 4}
    assert manifest["files"]["b.mp4"]["frames"] == 12
    truncate(root / "b.mp4", 0.7)
    truncate(root / "frames" / "2.png")
    assert check("folder", root, manifest=tmp_path / "m.json") == 1
    assert read(tmp_path / "m.json")["damaged"] == ["b.mp4", "frames/2.png"]
    assert "b.mp4: the video" in capsys.readouterr().out


def test_raw_clips_and_wrong_sizes(published, tmp_path, capsys):
    root = published.hd_544(tmp_path / "hd", frames=3)
    truncate(root / "HD544p_GT" / "Sintel_Temple1_1280x544.yuv", 0.9)
    assert check("hd", root, manifest=tmp_path / "m.json") == 1
    manifest = read(tmp_path / "m.json")
    assert manifest["sequences"]["544p/Sintel_Temple2_1280x544"] == 3
    assert manifest["sequences"]["544p/Sintel_Temple1_1280x544"] is None
    assert manifest["files"]["HD720p_GT/parkrun_1280x720_50.yuv"]["error"] == "missing"
    assert check("x_test", published.x_test(tmp_path / "x", clips=1), partial=True) == 1
    assert "is 32x16, expected 4096x2160" in capsys.readouterr().out


def test_files_that_several_sequences_share_are_read_once(published, tmp_path):
    root = published.snu_film(tmp_path / "data")
    assert check("snu_film", root, partial=True, manifest=tmp_path / "m.json") == 0
    manifest = read(tmp_path / "m.json")
    assert len(manifest["sequences"]) == 8
    assert len([name for name in manifest["files"] if name.endswith(".png")]) == 2 * 9
    assert manifest["files"]["test-hard.txt"]["kind"] == "text"


def test_what_check_calls_damaged_is_what_on_error_skips(tmp_path, capsys):
    root = vimeo(tmp_path / "vimeo_triplet")
    truncate(root / "sequences/00001/0003/im2.png")
    flip(root / "sequences/00001/0009/im1.png")
    assert check("vimeo90k_triplet", root.parent, partial=True, manifest=tmp_path / "m.json") == 1
    unusable = {name for name, count in read(tmp_path / "m.json")["sequences"].items() if count is None}
    assert unusable == {"00001/0003", "00001/0009"}
    assert "data.on_error=skip, which tolerates 1 %" in capsys.readouterr().out
    training = Vimeo90KTriplet(root, TripletTransform.none(), train_fraction=1.0)
    dataset = PositionDataset(training, seed=1, on_error="skip")
    for position in range(len(training)):
        dataset[position, position]
    skipped = {training._sequences.names[failure["index"]] for failure in dataset.failures()}
    assert skipped == unusable


def test_a_manifest_that_cannot_be_written_is_told_before_the_work(published, tmp_path, monkeypatch, capsys):
    root = published.ucf101(tmp_path / "data")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(program, "_verify", lambda *arguments: pytest.fail("worked for nothing"))
    assert main(["ucf101", str(root), "--manifest", str(tmp_path / "file" / "m.json")]) == 2
    assert "Name another place with --manifest" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that is really read-only")
def test_read_only_root_asks_for_another_place(published, tmp_path, capsys):
    root = published.ucf101(tmp_path / "data")
    root.chmod(0o555)
    assert main(["ucf101", str(root), "--workers", "1"]) == 2
    assert "--manifest" in capsys.readouterr().err


def test_names_that_are_not_utf8_do_not_stop_it(tmp_path):
    folder = os.fsencode(tmp_path) + b"/videos/\xff\xfe"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    for index in range(3):
        write_image(tmp_path / "plain.png", noise(index))
        os.replace(tmp_path / "plain.png", folder + b"/%d.png" % index)
    assert check("folder", tmp_path / "videos", manifest=tmp_path / "m.json") == 0
    assert set(read(tmp_path / "m.json")["files"]) == {rf"\xff\xfe/{index}.png" for index in range(3)}


class Crashing(Member):
    """A file whose decoder takes the whole process with it."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_dying_process_costs_only_the_file_it_read(published, tmp_path):
    root = published.ucf101(tmp_path)
    members = [Member(f"{name}/frame_00.png") for name in ("1", "2", "11")]
    entries = dict(verify.verify_members(root, [*members, Crashing("1/frame_02.png", "video")], workers=2))
    assert entries.pop("1/frame_02.png")["error"] == "the decoder crashed on it"
    assert len(entries) == 3
    assert not any("error" in entry for entry in entries.values())


def run_program(*arguments):
    command = [sys.executable, "-m", "framewright.datamodules.check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_program(published, tmp_path):
    root = published.middlebury(tmp_path / "data")
    truncate(root / "other-gt-interp" / "Walking" / "frame10i11.png")
    done = run_program("middlebury_other", root, "--workers", "2")
    assert done.returncode == 1
    assert "other-gt-interp/Walking/frame10i11.png: the image" in done.stdout
    assert "Traceback" not in done.stderr


def test_messages_of_the_program(tmp_path, capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name}\n" in listed for name in all_layouts())
    assert main(["ucf", str(tmp_path)]) == 2
    assert "unknown data set 'ucf'; did you mean 'ucf101'" in capsys.readouterr().err
    assert main(["scenes", str(tmp_path)]) == 2
    assert "drawn on the fly" in capsys.readouterr().err
    assert main(["hd", str(tmp_path)]) == 2
    assert "is not laid out as expected; data.root must be the unpacked HD_dataset" in capsys.readouterr().err
    assert main(["hd", str(tmp_path), "--workers", "0"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["ucf101"])
