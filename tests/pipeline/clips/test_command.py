"""The command, as people use it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from framewright.pipeline.clips.command import main
from framewright.pipeline.clips.tools import TOOLS
from framewright.video import open_video, probe, read_image

from .conftest import Make, clicks, scene, wandering


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_shots_are_listed_and_cut_with_their_sound(write: Make, capsys: pytest.CaptureFixture[str]) -> None:
    frames = np.concatenate([scene(1, 30), scene(2, 45)])
    source = write(frames, "my film, part=1.mp4", sound=clicks(3))
    out = source.parent / "shots"
    assert main(["shots", f"input={source}", f"out={out}", "cut=true", "crf=8"]) == 0
    assert "2 shots of 75 frames" in capsys.readouterr().out
    found = json.loads((out / "shots.json").read_text())
    assert [(shot["first"], shot["stop"]) for shot in found["shots"]] == [(0, 30), (30, 75)]
    assert [row["first"] for row in rows(out / "shots.csv")] == ["0", "30"]
    assert len(rows(out / "scores.csv")) == 75
    second = probe(out / "shot_001.mp4")
    assert second.frames == 45
    assert second.start == 0
    assert second.duration == pytest.approx(1.8, abs=1e-3)
    with open_video(out / "shot_001.mp4") as reader:
        assert np.abs(reader.get([0, 44]).astype(int) - frames[[30, 74]]).mean() < 4
    from framewright.video.sound import read_sound

    heard = read_sound(out / "shot_001.mp4")
    loud = np.flatnonzero(np.abs(heard.samples) > 0.2) / heard.rate + heard.start
    # the clicks at 1.64 and 2.33 s, from the cut at 1.2 s on
    assert np.abs(loud - 0.441).min() < 3e-3
    assert np.abs(loud - 1.131).min() < 3e-3
    assert len(heard.samples) / heard.rate == pytest.approx(1.8, abs=0.06)


def test_key_frames_and_clips(write: Make) -> None:
    source = write(np.concatenate([scene(1, 30), scene(2, 30)]))
    out = source.parent / "out"
    assert main(["keyframes", f"input={source}", f"out={out}", "count=2", "choice=sharpest"]) == 0
    listed = rows(out / "keyframes.csv")
    assert [row["shot"] for row in listed] == ["0", "0", "1", "1"]
    assert all(read_image(out / row["file"]).shape == (48, 64, 3) for row in listed)
    assert read_image(out / "sheet.png").shape[2] == 3
    assert main(["select", f"input={source}", f"out={out}", "seconds=0.6", "clips=2", "cut=true"]) == 0
    chosen = json.loads((out / "clips.json").read_text())["clips"]
    assert len(chosen) == 2
    assert probe(out / "clip_001.mp4").frames == chosen[1]["stop"] - chosen[1]["first"] == 15


def test_two_videos_in_step(write: Make, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = write(wandering(80), "a.mp4"), write(wandering(60, 20), "b.mp4")
    out = first.parent / "sync"
    assert main(["sync", f"input={first}", f"second={second}", f"out={out}", "by=frames", "write=true"]) == 0
    found = json.loads((out / "sync.json").read_text())
    assert found["offset"] == pytest.approx(-0.8)
    assert found["matched"] == 60
    pairs = rows(out / "pairs.csv")
    assert (pairs[19]["second"], pairs[20]["second"], pairs[79]["second"]) == ("", "0", "59")
    with open_video(out / "second.mp4") as reader, open_video(second) as other:
        assert len(reader) == 80
        assert np.abs(reader.get([50]).astype(int) - other.get([30])).mean() < 4
        assert np.abs(reader.get([3]).astype(int) - other.get([0])).mean() < 4
    capsys.readouterr()
    unlike = write(scene(9, 60, 0.7), "c.mp4")
    assert main(["sync", f"input={first}", f"second={unlike}", f"out={out}", "by=frames", "min_confidence=0.9"]) == 2
    assert "do not go together by frames" in capsys.readouterr().err


def test_resample(write: Make) -> None:
    source = write(scene(1, 20))
    target = source.with_name("ntsc.mkv")
    assert main(["resample", f"input={source}", f"out={target}", "fps=24000/1001", "between=blend"]) == 0
    assert probe(target).frames == round(0.8 * 24000 / 1001)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shot", "input=a", "out=b"], "did you mean 'shots'"),
        (["shots", "out=b"], "input is required"),
        (["shots", "input=missing.mp4", "out=b"], "there is no video 'missing.mp4'"),
        (["shots", "input=a", "out=b", "treshold=3"], "did you mean 'threshold'"),
        (["shots", "input=a", "out=b", "threshold=high"], "threshold: "),
        (["shots", "input=a", "out=b", "cut"], "expected key=value, got 'cut'"),
        (["resample", "input=a", "out=b.mp4", "fps=fast"], "a fraction such as 30000/1001"),
        (["resample", "input=a", "out=b.mp4", "fps=-3"], "greater than 0"),
    ],
)
def test_mistakes_are_one_message(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert said in output.err
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    overview = capsys.readouterr().out
    for name, tool in TOOLS.items():
        assert name in overview
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        for key in tool.model_fields:
            # once in the list with its default, once explained
            assert shown.count(key) >= 2, key
