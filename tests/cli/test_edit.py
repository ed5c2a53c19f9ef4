"""The command line of edit.py: presets, overrides, and one readable message for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.cli.edit import choose_preset, edit
from framewright.cli.entry import compose
from framewright.core.errors import ConfigError, FramewrightError
from framewright.models.registry import create_model, save_model
from framewright.video import open_video, probe, save_video, write_image

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
PRESETS = sorted(path.stem for path in (CONFIGS / "pipeline").glob("*.yaml"))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    y, x = np.mgrid[:24, :32]
    frames = []
    for number in range(8):
        frame = np.stack([60 + 5 * ((x // 3 + y // 3) % 8), 70 + 3 * y, 90 + 2 * x], -1).astype(np.uint8)
        frame[6:14, 4 + number : 12 + number] = (220, 180, 40)
        frames.append(frame)
    path = tmp_path / "a video, of = mine.mp4"
    save_video(np.stack(frames), path, fps=25)
    return path


def run(*arguments: str) -> list[Path]:
    return edit(compose(CONFIGS, "edit", choose_preset(arguments, CONFIGS)))


def test_every_preset_composes_and_prints_its_plan(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for preset in PRESETS:
        more = {
            "remove_object": ["box=[4,6,8,8]"],
            "replace_background": ["background=[0,255,0]"],
            "restyle": [f"reference={video}"],
            "fusion": [f"other={video}", f"reference={video}", "background=[0,255,0]"],
        }
        run(f"preset={preset}", f"input={video}", "dry_run=true", *more.get(preset, []))
        printed = capsys.readouterr().out
        assert "baseline, no weights" in printed
        assert f"{preset} on " in printed
    assert [path.name for path in video.parent.iterdir()] == [video.name]


def test_a_network_with_weights_takes_the_place_of_the_baseline(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_model(create_model("srvgg", num_feat=4, num_conv=1, upscale=2), weights)
    chosen = ["stages.upscale.network=srvgg", f"stages.upscale.weights={weights}"]
    written = run("preset=upscale", f"input={video}", f"output={tmp_path / 'out.mp4'}", *chosen)
    assert written == [tmp_path / "out.mp4"]
    assert probe(written[0]).size == (48, 64)
    assert f"srvgg, weights {weights}, licence" in capsys.readouterr().out
    run("preset=upscale", f"input={video}", "dry_run=true", f"stages.upscale.run={tmp_path}")
    assert "of its own training" in capsys.readouterr().out


@pytest.mark.parametrize(("preview", "width"), [("side_by_side", 64), ("wipe", 32)])
def test_report_and_preview(video: Path, tmp_path: Path, preview: str, width: int) -> None:
    run("preset=retime", f"input={video}", f"output={tmp_path / 'out.mp4'}", "report=true", f"preview={preview}")
    page = (tmp_path / "out_report.html").read_text()
    assert page.count("data:image/jpeg") == 6
    assert "dis_warp (baseline, no weights)" in page
    figures = json.loads((tmp_path / "out_report.json").read_text())
    assert figures["frames"] == 15
    assert {"decode", "retime", "encode"} <= figures["timeline"]["spans"].keys()
    made = probe(tmp_path / "out_preview.mp4")
    assert (made.frames, made.size) == (15, (24, width))


def test_several_inputs(video: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    with open_video(video) as reader:
        for number, frame in enumerate(reader.get(range(3))):
            write_image(second / f"{number}.png", frame)
    paths = str([str(video), str(second)])
    written = run("preset=upscale", f"input={paths}", f"output={tmp_path / 'out'}")
    assert [path.name for path in written] == ["a video, of = mine_upscale.mp4", "second_upscale.mp4"]
    assert [probe(path).frames for path in written] == [8, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preset=upscal"], "unknown preset 'upscal'; did you mean 'upscale'"),
        ([], "give a preset"),
        (["preset=upscale", "input=null"], "nothing to edit"),
        (["preset=upscale", "stages.upscal.scale=2"], "unknown stage 'upscal'; did you mean 'upscale'"),
        (["preset=upscale", "stages.upscale.scael=2"], "unknown key 'stages.upscale.scael'; did you mean 'scale'"),
        (["preset=upscale", "stages.upscale=false"], "no stage that is switched on"),
        (["preset=upscale", "stages.upscale.network=rife"], "'rife' is a network for interpolation"),
        (["preset=upscale", "stages.upscale.run=/absent"], "there is no '/absent'"),
        (["preset=upscale", "encoding.codec=h265"], "unknown codec 'h265'"),
        (["preset=upscale", "encoding.quality=60"], r"0 \(best\) to 51"),
        (["preset=upscale", "input=/absent.mp4"], "there is no video"),
    ],
)
def test_mistakes(video: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError if "absent.mp4" not in str(arguments) else FramewrightError, match=message):
        run(f"input={video}", f"output={tmp_path / 'out.mp4'}", *arguments)
    assert not (tmp_path / "out.mp4").exists()


def test_the_program(video: Path, tmp_path: Path) -> None:
    def call(*arguments: str) -> Any:
        command = [sys.executable, str(ROOT / "edit.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    done = call("preset=retime", f"input={video}")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "a video, of = mine_retime.mp4"
    assert probe(made).frames == 15
    failed = call("preset=retime", f"input={video}", f"output={video}")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: the result would overwrite the video")
    assert len(failed.stderr.splitlines()) == 1
