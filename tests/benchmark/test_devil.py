from __future__ import annotations

import csv
import json
import math
import runpy
import sys

import cv2
import numpy as np
import pytest
import torch
from framewright.benchmark.devil import (
    ATTRIBUTES,
    BackgroundMotion,
    CutScore,
    ForegroundExtent,
    Slice,
    camera_motion,
    flow_function,
    flows,
    foreground_motion,
    make_slices,
    read_slices,
    sampled_indices,
    score_folder,
    slice_table,
    write_slices,
)
from framewright.benchmark.devil.__main__ import main
from framewright.benchmark.results import Results, write_results
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.scenes import Camera, Scene, SceneSettings, SmoothPath
from framewright.video import write_image

STILL = (0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def scene(camera=STILL, objects=0.0, frames=12, seed=1, size=(120, 200)):
    """Frames uint8 of a scene seen by a camera that moves by ``camera`` per frame (dx, dy, angle, log scale)."""
    settings = SceneSettings(
        height=size[0], width=size[1], frames=frames, objects=(2, 2), object_motion=objects, camera_motion=0.0,
        spin=0.0, zoom=0.0, max_motion=max(objects * 2, 1.0), hair=0.0,
    )  # fmt: skip
    made = Scene(settings, np.random.default_rng(seed))
    path = SmoothPath(np.zeros(4), np.array(camera), np.zeros(4), 0.0)
    made = made.with_camera(Camera(path, None))
    return [(made.image(float(time)) * 255).round().astype(np.uint8) for time in range(frames)]


def motion(frames, foreground=None, **options):
    measured = BackgroundMotion(options.pop("flow", None) or flow_function(), **options)
    for index, frame in enumerate(frames):
        measured.add(frame, None if foreground is None else foreground[index])
    return measured.score()


def sampled(frames):
    return [frames[index] for index in sampled_indices(len(frames))]


def folder(root, frames):
    for index, frame in enumerate(frames):
        write_image(root / f"{index:05d}.png", frame)
    return root


def box(top, left, height=20, width=30, size=(60, 100)):
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = True
    return mask


# camera and scene


def test_samples_are_evenly_spaced():
    assert sampled_indices(90) == list(range(0, 82, 9))
    assert sampled_indices(10) == list(range(10))
    with pytest.raises(ValueError, match="has 9 frames, 10"):
        sampled_indices(9)


def test_camera_motion_is_the_uncovered_share_of_the_frame():
    assert camera_motion(sampled(scene())) == 0
    speeds = [camera_motion(sampled(scene(camera=(-speed, 0.0, 0.0, 0.0)))) for speed in (1.0, 4.0)]
    # frames 8 apart are the fourth most distant of 100 pairs: 8 and 32 of 200 columns
    assert speeds == pytest.approx([0.04, 0.16], abs=0.006)
    turned = camera_motion(sampled(scene(camera=(0.0, 0.0, 0.02, 0.0))))
    assert 0.02 < turned < 0.4


def test_camera_motion_is_infinite_without_anything_to_align():
    blank = [np.full((60, 80, 3), 128, np.uint8)] * 10
    assert camera_motion(blank) == math.inf


def test_foreground_is_left_out_of_camera_motion():
    still, moved = scene(), scene(camera=(-4.0, 0.0, 0.0, 0.0))
    # the left part stands still, the masked, larger right part moves
    mask = np.zeros((120, 200), bool)
    mask[:, 60:] = True
    frames = [np.where(mask[..., None], one, other) for one, other in zip(moved, still, strict=True)]
    assert camera_motion(sampled(frames), [mask] * 10) < 0.05 < 0.1 < camera_motion(sampled(frames))


def test_background_motion_rises_with_the_motion_of_the_scene():
    still, slow, fast = (motion(scene(objects=objects, frames=14, seed=2)) for objects in (0.0, 4.0, 10.0))
    assert still == 0
    assert 0.05 < slow < fast


def test_camera_motion_hardly_counts_as_background_motion():
    camera = motion(scene(camera=(-2.0, 0.0, 0.0, 0.0), frames=12, seed=2), wrapped=False)
    assert camera < 0.25 < motion(scene(objects=10.0, frames=14, seed=2))


def test_background_motion_is_the_mean_length_of_the_flow_where_both_are_seen():
    def flow(first, second):
        assert first.shape == second.shape == (1, 3, 120, 200)
        return torch.full((1, 2, 120, 200), 0.0).index_fill_(1, torch.tensor([0]), 3.0)

    assert motion(scene(), flow=flow) == pytest.approx(3.0)
    calls = []
    mask = np.zeros((120, 200), bool)
    mask[:, :100] = True
    ramp = torch.zeros(1, 2, 120, 200)
    ramp[:, 1, :, :100] = 50.0
    assert motion(scene(), [mask] * 12, flow=lambda *images: calls.append(1) or ramp) == 0
    assert len(calls) == 11


def test_segments_need_twelve_frames_and_end_at_cuts():
    calls = []

    def flow(first, second):
        calls.append(1)
        return torch.ones(1, 2, 120, 200)

    one, other = scene(frames=1, seed=1), scene(frames=1, seed=5)
    assert math.isnan(motion(one * 11, flow=flow))
    assert math.isnan(motion(one * 11 + other * 11, flow=flow))
    assert not calls
    assert motion(one * 11 + other * 13, flow=flow) == pytest.approx(math.sqrt(2))
    assert len(calls) == 12


def test_alignment_is_judged_modulo_256_as_published():
    frames = scene(frames=1, seed=2) * 12
    lower = [*frames[:1], *(frame - np.minimum(frame, 1) for frame in frames[1:])]
    higher = [*frames[:1], *(frame + (frame < 255) for frame in frames[1:])]
    assert not math.isnan(motion(higher))
    assert math.isnan(motion(lower))
    assert not math.isnan(motion(lower, wrapped=False))


def test_cuts():
    def score(frames):
        measured = CutScore()
        for frame in frames:
            measured.add(frame)
        return measured.score()

    black, white = (np.full((8, 8, 3), value, np.uint8) for value in (0, 255))
    assert score([black] * 5) == 0
    assert score([black] * 3 + [white] * 3) == pytest.approx(255 / 256)
    # a steady change is no cut
    assert score([np.full((8, 8, 3), 10 * index, np.uint8) for index in range(9)]) == pytest.approx(10 / 256)


# foreground


def test_size_and_displacement_of_masks():
    extent = ForegroundExtent()
    for index in range(5):
        extent.add(box(10, 10 * index))
    assert extent.size() == pytest.approx(20 * 30 / 6000)
    assert extent.displacement() == pytest.approx(20 * 70 / 6000)


def test_foreground_motion_is_the_change_of_shape_that_its_texture_does_not_explain():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 1), dtype=np.uint8).repeat(3, -1)
    texture = cv2.resize(noise, (160, 100), interpolation=cv2.INTER_CUBIC)
    frames, rigid, growing = [], [], []
    for index in range(10):
        frame = np.zeros((140, 240, 3), np.uint8)
        frame[20:120, 4 * index : 4 * index + 160] = texture
        frames.append(frame)
        rigid.append(box(20, 4 * index, 100, 160, (140, 240)))
        growing.append(box(20, 4 * index, 100, 70 + 10 * index, (140, 240)))
    assert foreground_motion(frames, rigid) < 0.05
    # 140 and 80 columns, 1 - 80/140, is among the most different tenth
    assert 0.3 < foreground_motion(frames, growing) < 0.55
    empty = [np.zeros((140, 240), bool)] * 10
    assert foreground_motion(frames, empty) == 0


# flow


def test_dis_measures_a_shift():
    frames = scene(camera=(-3.0, 0.0, 0.0, 0.0), frames=2)
    first, second = (torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames)
    flow = flow_function("dis")(first, second)
    assert flow.shape == (1, 2, 120, 200)
    assert flow[0, 0].median() == pytest.approx(-3, abs=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dsi",), "unknown source of flow 'dsi'; did you mean 'dis'"),
        (("dis", "x.pth"), "dis has no weights"),
        (("raft_small",), "needs flow_weights="),
    ],
)
def test_unknown_flow(arguments, message):
    with pytest.raises(ConfigError, match=message):
        flow_function(*arguments)


def test_a_flow_network_is_used_as_its_contract_says(monkeypatch):
    class Shift(torch.nn.Module):
        def forward(self, first, second):
            return torch.zeros_like(first[:, :2]) + 2

    asked = []
    monkeypatch.setattr(flows, "list_models", lambda task, baselines=False: [] if baselines else ["shift"])
    monkeypatch.setattr(flows, "create_model", lambda name, weights: asked.append((name, weights)) or Shift())
    with pytest.raises(ConfigError, match="flow=shift needs flow_weights="):
        flow_function("shift")
    flow = flow_function("shift", "shift.pth", torch.device("cpu"))
    assert asked == [("shift", "shift.pth")]
    assert motion(scene(), flow=flow) == pytest.approx(math.sqrt(8))


# folders


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two videos of twelve frames and one that is too short, with masks."""
    root = tmp_path_factory.mktemp("devil")
    for name, frames in (
        ("still", scene(frames=1, size=(60, 100)) * 12),
        ("moving", scene(camera=(-3.0, 0.0, 0.0, 0.0), objects=4.0, size=(60, 100))),
        ("short", scene(frames=4, size=(60, 100))),
    ):
        folder(root / "videos" / "set é" / name, frames)
        masks = [box(20, 2 * index).astype(np.uint8) * 255 for index in range(14)]
        folder(root / "masks" / "set é" / name, masks)
    return root


def test_a_folder_is_scored_once_and_goes_on_where_it_was(videos, tmp_path):
    out = tmp_path / "scores.json"
    scores = score_folder(videos / "videos", out, flow=flow_function(), size=(60, 100))
    entries = scores["videos"]
    assert json.loads(out.read_text(encoding="utf-8")) == scores
    assert sorted(entries) == ["set é/moving", "set é/short", "set é/still"]
    still, moving, short = (entries[f"set é/{name}"] for name in ("still", "moving", "short"))
    assert (still["scores"]["cm"], still["scores"]["bsm"], still["frames"]) == (0, 0, 12)
    assert moving["scores"]["cm"] > 0.1
    assert short["scores"]["cm"] is None
    assert short["scores"]["bsm"] is None
    assert "4 frames" in short["reasons"]["cm"]
    assert "12 frames" in short["reasons"]["bsm"]
    done = []
    changed = {**scores, "videos": {name: entries[name] for name in entries if name != "set é/short"}}
    changed["videos"]["set é/still"] = {**still, "scores": {"cm": 0.5}}
    out.write_text(json.dumps(changed), encoding="utf-8")
    again = score_folder(
        videos / "videos", out, flow=flow_function(), size=(60, 100), report=lambda name, entry: done.append(name)
    )
    assert done == ["set é/short"]
    assert again["videos"]["set é/still"]["scores"] == {"cm": 0.5}
    with pytest.raises(ConfigError, match=r"other settings \(size, flow\)"):
        score_folder(videos / "videos", out, flow=flow_function(), flow_name="raft")


def test_masks_alone_and_masks_of_videos(videos, tmp_path):
    alone = score_folder(None, tmp_path / "masks.json", masks=videos / "masks")
    entry = alone["videos"]["set é/still"]
    assert entry["frames"] == 14
    assert entry["scores"] == pytest.approx({"fgs": 0.1, "fgd": 20 * 56 / 6000})
    both = score_folder(
        videos / "videos" / "set é",
        tmp_path / "b.json",
        masks=videos / "masks" / "set é",
        flow=flow_function(),
        size=(60, 100),
    )
    scores = both["videos"]["still"]["scores"]
    assert set(scores) == {*ATTRIBUTES, "cut"}
    assert scores["fgd"] == pytest.approx(20 * 52 / 6000)


def test_what_is_wrong_with_a_folder_is_said_in_one_message(videos, tmp_path):
    out = tmp_path / "scores.json"
    with pytest.raises(ConfigError, match="nothing to score"):
        score_folder(None, out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no video in"):
        score_folder(tmp_path / "empty", out, flow=flow_function())
    (tmp_path / "damaged" / "a").mkdir(parents=True)
    (tmp_path / "damaged" / "clip.mp4").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"clip\.mp4"):
        score_folder(tmp_path / "damaged", out, flow=flow_function())
    lone = folder(tmp_path / "lone" / "still", scene(frames=1, size=(60, 100)) * 3).parent
    with pytest.raises(DataError, match="has no masks for 2 of 3 videos, such as 'moving'"):
        score_folder(videos / "videos" / "set é", out, masks=lone, flow=flow_function())
    with pytest.raises(DataError, match="is not a mask"):
        score_folder(None, tmp_path / "m.json", masks=lone)
    masks = folder(tmp_path / "few" / "still", [box(0, 0).astype(np.uint8) * 255] * 3).parent
    single = folder(tmp_path / "single" / "still", scene(frames=1, size=(60, 100)) * 12).parent
    with pytest.raises(DataError, match="has 3 masks for a video of 12 frames"):
        score_folder(single, tmp_path / "f.json", masks=masks, flow=flow_function())
    for text in ("{", "[]", '{"schema": 2}'):
        out.write_text(text)
        with pytest.raises(DataError, match=r"scores\.json"):
            score_folder(videos / "videos", out, flow=flow_function())


# slices


def scored(values, attribute="cm"):
    return {
        "schema": 1,
        "settings": {},
        "videos": {name: {"frames": 90, "scores": {attribute: value}} for name, value in values.items()},
    }


def test_slices_are_the_ends_of_the_ranking():
    scores = scored({f"clip{index:02d}": index / 50 for index in range(50)})
    low, high = make_slices(scores)
    assert low == Slice("cm-l", "cm", "low", tuple(f"clip{index:02d}" for index in range(8)))
    assert high == Slice("cm-h", "cm", "high", tuple(f"clip{index:02d}" for index in range(49, 41, -1)))
    turned = {**scores, "videos": dict(reversed(list(scores["videos"].items())))}
    assert make_slices(turned) == [low, high]


def test_infinity_is_highest_and_nothing_is_left_out():
    values = {f"clip{index}": float(index) for index in range(10)}
    low, high = make_slices(scored({**values, "lost": "inf", "none": None}), fraction=0.2)
    assert high.videos == ("lost", "clip9")
    assert low.videos == ("clip0", "clip1")


def test_sources_take_turns():
    values = {f"a/{index}": index / 100 for index in range(6)} | {f"b/{index}": 0.5 + index / 100 for index in range(6)}
    low, _ = make_slices(scored(values | {f"c/{index}": 9.0 for index in range(12)}), fraction=0.5, largest=5)
    assert low.videos == ("a/0", "b/0", "a/1", "b/1", "a/2")
    named = scored({name.replace("/", "-"): value for name, value in values.items()})
    by_name, _ = make_slices(named, fraction=0.5, group=r"^(.*)-\d+$")
    assert by_name.videos == tuple(f"a-{index}" for index in range(6))
    alone, _ = make_slices(named, fraction=0.5, largest=3)
    assert alone.videos == ("a-0", "a-1", "a-2")


def test_slices_are_written_with_their_scores_and_read_back(tmp_path):
    scores = scored({f"clip{index}": index / 10 for index in range(10)}, "fgd")
    slices = make_slices(scores, fraction=0.2)
    write_slices(tmp_path / "slices.json", slices, scores, fraction=0.2)
    assert read_slices(tmp_path / "slices.json") == slices
    first = (tmp_path / "slices.json").read_bytes()
    assert json.loads(first)["slices"][1]["videos"] == {"clip9": 0.9, "clip8": 0.8}
    write_slices(tmp_path / "slices.json", make_slices(scores, fraction=0.2), scores, fraction=0.2)
    assert (tmp_path / "slices.json").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.6}, "0 < fraction <= 0.5"),
        ({"group": "("}, "is not a regular expression"),
        ({"group": "x"}, "needs a group in parentheses"),
        ({"group": "(x)"}, "does not match the video 'clip0'"),
        ({"fraction": 0.05}, "10 videos have a score for camera motion; a slice of 5% needs 20"),
    ],
)
def test_slices_that_cannot_be(options, message):
    scores = scored({f"clip{index}": float(index) for index in range(10)})
    with pytest.raises((ConfigError, DataError), match=message):
        make_slices(scores, **options)


def test_damaged_scores_are_named():
    with pytest.raises(DataError, match="camera motion are damaged"):
        make_slices(scored({"a": "many"}))
    with pytest.raises(DataError, match="no video has a score"):
        make_slices(scored({"a": None}))


# tables


def results(videos=20):
    columns = [
        {"key": "psnr", "label": "PSNR", "metric": "psnr", "options": {}, "unit": "dB", "higher_is_better": True,
         "decimals": 2},
        {"key": "fid", "label": "FID", "metric": "fid", "options": {}, "unit": "", "higher_is_better": False,
         "decimals": 2, "mean_over": "set"},
    ]  # fmt: skip
    methods = []
    for name, gain in (("a_b", 0.0), ("better", 1.0)):
        values = {f"clip{index:02d}": {"psnr": 30.0 + gain + index / 10, "fid": None} for index in range(videos)}
        frames = {f"clip{index:02d}": {"psnr": 10 + index} for index in range(videos)}
        whole = {"ci95": None, "n": videos, "n_frames": 100}
        metrics = {
            "psnr": {"mean": 31.0, "unit": "dB", "higher_is_better": True, **whole},
            "fid": {"mean": 5.0, "unit": "", "higher_is_better": False, **whole},
        }
        methods.append(
            {"name": name, "source": name, "weights_sha256": None, "metrics": metrics, "videos": values,
             "frames": frames, "cost": {"parameters": None, "seconds_per_frame": None}}
        )  # fmt: skip
    return Results.model_validate(
        {
            "schema": 1, "benchmark": "b", "dataset": "my videos", "data_manifest": "0", "command": "c",
            "environment": {}, "methods": methods,
            "protocol": {"name": "devil", "version": 1, "task": "inpainting", "mean_over": "videos",
                         "description": ["Composited frames."], "metrics": columns},
        }
    )  # fmt: skip


def test_the_table_has_one_row_for_each_slice_and_method():
    scores = scored({f"clip{index:02d}": float(index) for index in range(20)})
    table = slice_table(results(), make_slices(scores))
    lines = table.markdown().splitlines()
    assert lines[0] == "| slice | method | PSNR (dB) ↑ | FID ↓ | videos |"
    assert lines[2].startswith(r"| cm-l | a\_b | 30.10 [")
    assert lines[3].startswith("| cm-l | better | **31.10** [")
    assert lines[4].startswith(r"| cm-h | a\_b | 31.80 [")
    assert lines[5].startswith("| cm-h | better | **32.80** [")
    assert all(line.endswith("| - | 3 |") for line in lines[2:6])
    notes = "\n".join(lines[6:])
    assert "FID: a distance between two sets of videos has no value per video" in notes
    assert "cm: camera motion" in notes
    assert "Composited frames." in notes
    rows = list(csv.DictReader(table.csv().splitlines()))
    assert [(row["slice"], row["method"]) for row in rows] == [
        (name, method) for name in ("cm-l", "cm-h") for method in ("a_b", "better")
    ]
    assert float(rows[0]["psnr"]) == pytest.approx(30.1)
    assert (rows[0]["psnr_videos"], rows[0]["fid"]) == ("3", "")
    assert r"cm-h & better & \textbf{32.80} & -- \\" in table.latex()


def test_the_mean_is_that_of_the_protocol():
    evaluated = results()
    evaluated.protocol.mean_over = "frames"
    piece = Slice("cm-l", "cm", "low", ("clip00", "clip10"))
    mean = slice_table(evaluated, [piece]).slices[0][1].methods[0].metrics["psnr"].mean
    assert mean == pytest.approx((10 * 30.0 + 20 * 31.0) / 30)


def test_videos_that_were_not_evaluated_are_told():
    table = slice_table(results(5), [Slice("cm-l", "cm", "low", ("clip00", "clip09"))])
    assert "cm-l: 1 of its 2 videos are in the results." in table.notes()
    with pytest.raises(DataError, match=r"none of the 1 videos of slice 'cm-l' .*'other'.* named like 'clip00'"):
        slice_table(results(5), [Slice("cm-l", "cm", "low", ("other",))])


# the program


def test_masks_slices_and_table_from_the_command_line(tmp_path, capsys):
    masks = tmp_path / "ma=sks é"
    command = ["masks", "preset=fgs-l_fgm-h_fgd-l", "videos=8", f"out={masks}", "size=80x48", "frames=3"]
    assert main(command) == 0
    assert "8 mask videos of fgs-l_fgm-h_fgd-l" in capsys.readouterr().out
    assert main(["scores", f"masks={masks}", f"out={tmp_path / 'scores.json'}"]) == 0
    assert "00007: fgs 0.0" in capsys.readouterr().out
    assert main(["slices", str(tmp_path / "scores.json"), f"out={tmp_path / 'slices.json'}"]) == 0
    assert "fgd-h: 1 video\n" in capsys.readouterr().out
    evaluated = results(8).to_json()
    for method in evaluated["methods"]:
        for part in ("videos", "frames"):
            method[part] = {name.replace("clip", "000"): value for name, value in method[part].items()}
    write_results(Results.model_validate(evaluated), tmp_path / "results.json")
    files = [str(tmp_path / "results.json"), str(tmp_path / "slices.json")]
    assert main(["table", *files, f"out={tmp_path / 'table'}"]) == 0
    assert "| fgs-l |" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "table").iterdir()) == ["slices.csv", "slices.md", "slices.tex"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["masks", "out=x"], "masks needs preset="),
        (["masks", "preset=fgs-x", "out=x"], "unknown mask split 'fgs-x'"),
        (["masks", "preset=all", "out=x", "size=4"], "size=4 should be width x height"),
        (["masks", "preset=all", "out=x", "videos=many"], "videos=many should be a whole number"),
        (["masks", "preset=all", "output=x"], "masks has no setting 'output'; did you mean 'out'"),
        (["scores", "out=x"], "nothing to score"),
        (["scores", "nowhere", "out=x"], "nowhere"),
        (["slices", "nowhere.json", "out=x"], "cannot read the scores 'nowhere.json'"),
        (["slices", "out=x"], "slices takes the file of scores"),
        (["table", "a.json", "out=x"], "table takes results.json and slices.json"),
    ],
)
def test_wrong_arguments_end_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.filterwarnings("ignore:'framewright.benchmark.devil.__main__' found:RuntimeWarning")
def test_it_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["devil", "scores", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("framewright.benchmark.devil", run_name="__main__")
    assert ended.value.code == 0
    assert "out=scores.json" in capsys.readouterr().out
