"""The optical flow data sets: which pairs, which truth, and what is said about wrong ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules import check as program
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.datamodules.position import PositionDataset
from framewright.datamodules.sources import SOURCES, create_source, parse_data
from framewright.ops import warp
from framewright.video import write_image

SETS = ("flying_chairs", "flying_things", "sintel", "kitti2012", "kitti2015", "hd1k", "middlebury_flow")
KEYS = {"image1", "image2", "flow", "valid"}


@pytest.fixture
def make(published, tmp_path):
    """Write a small data set by its name; returns its root."""

    def write(name: str) -> Path:
        root = tmp_path / f"{name} é"
        if name.startswith("kitti"):
            return published.kitti(root, int(name[-4:]))
        return getattr(published, name)(root)

    return write


def source(name: str, root: Path, **values):
    return create_source(
        parse_data({"name": name, "root": str(root), "crop": 32, "validation": None, **values}), "flow"
    )


def evaluation(name: str, root: Path, **values):
    return create_evaluation_set({"name": name, "root": str(root), **values}, "flow")


def ids(dataset) -> list[str]:
    return [pair.id for pair in dataset.pairs]


@pytest.mark.parametrize("name", SETS)
def test_every_set_gives_augmented_samples(make, name: str) -> None:
    dataset = source(name, make(name)).training()
    for index in range(len(dataset)):
        sample = dataset.sample(index, np.random.default_rng(index))
        again = dataset.sample(index, np.random.default_rng(index))
        assert set(sample) == KEYS
        assert sample["image1"].shape == sample["image2"].shape == (3, 32, 32)
        assert sample["flow"].shape == (2, 32, 32)
        assert sample["valid"].shape == (1, 32, 32)
        assert set(sample["valid"].unique().tolist()) <= {0.0, 1.0}
        assert all(torch.equal(sample[key], again[key]) for key in KEYS)
    described = dataset.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == json.loads(json.dumps(described))
    assert "é" not in json.dumps(described, ensure_ascii=False)


@pytest.mark.parametrize("name", SETS)
def test_every_set_gives_pairs_to_evaluate(make, name: str) -> None:
    pairs = evaluation(name, make(name))
    assert len({video.id for video in pairs}) == len(pairs) > 0
    for index, video in enumerate(pairs):
        assert video.frames.shape == (2, 3, 40, 56)
        assert video.truth["flow"].shape == (1, 2, 40, 56)
        assert video.truth["flow"].dtype == video.truth["valid"].dtype == torch.float32
        assert video.truth["valid"].shape == (1, 1, 40, 56)
        known = video.truth["valid"][0, 0] > 0
        u, v = video.truth["flow"][0]
        assert known.any()
        assert (u[known] == -v[known]).all()
        assert (video.truth["flow"][0][:, ~known] == 0).all()
        assert pairs.frame_count(index) == 2
    assert not pairs.complete or name == "flying_things"
    assert json.loads(json.dumps(pairs.describe(), allow_nan=False)) == pairs.describe()


@pytest.mark.parametrize("name", SETS)
def test_every_set_can_be_checked(make, name: str, capsys) -> None:
    root = make(name)
    assert program.check(name, root, partial=True) == 0
    manifest = json.loads((root / f"framewright-{name}.json").read_text(encoding="utf-8"))
    assert set(manifest["sequences"].values()) == {2}
    kinds = {entry["kind"] for entry in manifest["files"].values()}
    assert {"image", "flow"} <= kinds
    victim = next(path for path, entry in manifest["files"].items() if entry["kind"] == "flow")
    (root / victim).write_bytes((root / victim).read_bytes()[:-20])
    assert program.check(name, root, partial=True) == 1
    assert victim in capsys.readouterr().out


@pytest.mark.parametrize("name", SETS)
def test_a_wrong_folder_is_one_message(tmp_path: Path, name: str) -> None:
    (tmp_path / "something").mkdir()
    with pytest.raises(DataError, match=r"expected; data\.root must be .*'something/'"):
        source(name, tmp_path).training()
    with pytest.raises(DataError, match=r"set data\.root=<folder>"):
        evaluation(name, "")


@pytest.mark.parametrize("name", SETS)
def test_other_tasks_are_refused(make, name: str) -> None:
    with pytest.raises(ConfigError, match="interpolation"):
        create_source(parse_data({"name": name}), "interpolation")
    with pytest.raises(ConfigError, match="interpolation"):
        create_evaluation_set({"name": name, "root": str(make(name))}, "interpolation")


def test_chairs_follow_the_official_list(make) -> None:
    root = make("flying_chairs")
    assert ids(source("flying_chairs", root).training()) == ["00001", "00002", "00004", "00005"]
    assert ids(source("flying_chairs", root, split="all").training()) == [f"{n:05d}" for n in range(1, 7)]
    assert [video.id for video in evaluation("flying_chairs", root)] == ["00003", "00006"]
    # the parent is found too, and the run validates on the official split
    (root.parent / "parent").mkdir()
    moved = shutil.move(root, root.parent / "parent/FlyingChairs_release")
    section = parse_data({"name": "flying_chairs", "root": str(Path(moved).parent), "crop": 32})
    validation = create_source(section, "flow").validation()
    assert validation is not None
    assert validation.name == "flying_chairs_val"
    listing = Path(moved) / "FlyingChairs_train_val.txt"
    listing.write_text("1\n2\n")
    with pytest.raises(DataError, match="has 2 entries, expected one line"):
        create_source(section, "flow").training()
    listing.write_text("1\n2\n1\n1\n1\n3\n")
    with pytest.raises(DataError, match="holds '3'"):
        create_source(section, "flow").training()
    listing.unlink()
    with pytest.raises(DataError, match=r"FlyingChairs_train_val.*is missing"):
        create_source(section, "flow").training()


def test_things_leave_out_flow_to_frames_that_do_not_exist(make) -> None:
    root = make("flying_things")
    dataset = source("flying_things", root, pass_name="clean").training()
    left = "clean/TRAIN/A/0000/left"
    assert ids(dataset) == [f"{left}/into_future/{n:04d}" for n in (6, 7)] + [
        f"{left}/into_past/{n:04d}" for n in (7, 8)
    ]
    into_past = dataset.pairs[-1]
    assert into_past.image1.endswith("0008.png")
    assert into_past.image2.endswith("0007.png")
    sample = source("flying_things", root, augmentation="none").training().sample(3, np.random.default_rng(0))
    assert sample["flow"][:, 0, 0].tolist() == [-8, 8]
    every = source("flying_things", root, camera="both", split="all").training()
    assert len(every) == 2 * 2 * 2 * 4
    assert len(evaluation("flying_things", root, pass_name="final")) == 2


def test_things_can_leave_out_what_the_authors_did_not_use(make) -> None:
    root = make("flying_things")
    with pytest.raises(DataError, match=r"all_unused_files\.txt.*exclude_unused=false"):
        source("flying_things", root, exclude_unused=True).training()
    (root / "all_unused_files.txt").write_text("TRAIN/A/0000/left/0006.png\n")
    kept = ids(source("flying_things", root, exclude_unused=True, pass_name="final").training())
    assert [name.split("left/")[1] for name in kept] == ["into_future/0007", "into_past/0008"]


def test_things_subset_does_not_cross_clips(published, tmp_path) -> None:
    root = published.flying_things_subset(tmp_path / "FlyingThings3D_subset")
    dataset = source("flying_things", tmp_path, pass_name="clean", augmentation="none").training()
    assert [name.split("left/")[1] for name in ids(dataset)] == [
        *(f"into_future/{n:07d}" for n in (0, 1, 10)),
        *(f"into_past/{n:07d}" for n in (1, 2, 11)),
    ]
    assert dataset.pairs[-1].image2.endswith("0000010.png")
    assert program.check("flying_things", root) == 0


def test_files_with_values_that_are_no_number_are_rejected_or_masked(make, published) -> None:
    root = make("flying_things")
    path = root / "optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm"
    published.flow_file(path, 6, valid=published.half())
    rejecting = source("flying_things", root, augmentation="none", pass_name="clean")
    with pytest.raises(DataError, match=r"FlyingThings3D: .*0006_L\.pfm.* 1120 pixels that are not a number"):
        rejecting.training().sample(0, np.random.default_rng(0))
    # as a run meets it: another sample takes its place, and that is reported
    skipping = PositionDataset(rejecting.training(), 0, on_error="skip", report=root / "skipped.jsonl")
    assert (skipping[(0, 0)]["valid"] == 1).all()
    assert "0006_L.pfm" in (root / "skipped.jsonl").read_text(encoding="utf-8")
    masking = source("flying_things", root, augmentation="none", pass_name="clean", reject_unknown=False)
    sample = masking.training().sample(0, np.random.default_rng(0))
    assert sample["valid"].mean() == 0.5
    assert torch.isfinite(sample["flow"]).all()
    assert (sample["flow"][0] == 6 * sample["valid"][0]).all()


def test_sintel_passes_scenes_and_masks(make) -> None:
    root = make("sintel")
    assert len(source("sintel", root).training()) == 2 * 2 * 2
    assert ids(source("sintel", root, split="train", pass_name="final").training()) == [
        f"final/alley_2/frame_{n:04d}" for n in (1, 2)
    ]
    assert [video.id for video in evaluation("sintel", root, split="val")] == [
        f"clean/alley_1/frame_{n:04d}" for n in (1, 2)
    ]
    video = evaluation("sintel", root, pass_name="final", scenes=["alley_2"])[0]
    assert video.id == "final/alley_2/frame_0001"
    assert (video.frames[0] * 255).round().unique().tolist() == [51]
    assert (video.truth["valid"] == 1).all()
    assert video.truth["occlusion"].sum() == 4 * 40
    assert video.truth["invalid"].sum() == 2 * 40
    with pytest.raises(DataError, match="no scene 'ally_1'"):
        evaluation("sintel", root, scenes=["ally_1"])


def test_sets_without_public_truth_give_frames_only(make) -> None:
    sintel = evaluation("sintel", make("sintel"), split="test")
    assert sintel.name == "sintel_clean_test"
    assert [video.id for video in sintel] == ["clean/temple_9/frame_0001", "clean/temple_9/frame_0002"]
    kitti = evaluation("kitti2015", make("kitti2015"), split="test")
    assert [video.id for video in kitti] == [f"{n:06d}_10" for n in range(6)]
    for video in (sintel[0], kitti[0]):
        assert video.frames.shape == (2, 3, 40, 56)
        assert video.truth == {}


def test_sintel_without_masks(published, tmp_path) -> None:
    video = evaluation("sintel", published.sintel(tmp_path, masks=False))[0]
    assert set(video.truth) == {"flow", "valid"}


@pytest.mark.parametrize("year", [2012, 2015])
def test_kitti_is_sparse_and_tells_what_is_matched(make, year: int) -> None:
    root = make(f"kitti{year}")
    video = evaluation(f"kitti{year}", root)[2]
    assert video.id == "000002_10"
    assert video.truth["valid"].mean() == 0.5
    # in flow_occ and not in flow_noc
    assert video.truth["occlusion"].mean() == 0.25
    assert (video.truth["occlusion"] <= video.truth["valid"]).all()
    assert len(source(f"kitti{year}", root, split="train").training()) == 4
    assert [pair.id for pair in evaluation(f"kitti{year}", root, split="val")] == ["000000_10", "000005_10"]
    sample = source(f"kitti{year}", root).training().sample(1, np.random.default_rng(0))
    known = sample["valid"][0] > 0
    assert 0.1 < known.float().mean() < 0.9
    u, v = sample["flow"][:, known]
    # scaled by one factor, never mixed with unknown pixels
    assert u.unique().numel() == v.unique().numel() == 1


def test_hd1k_pairs_stay_within_a_sequence(make) -> None:
    root = make("hd1k")
    assert ids(source("hd1k", root).training()) == ["000000_0000", "000000_0001", "000001_0000", "000001_0001"]
    assert ids(source("hd1k", root, split="train").training()) == ["000001_0000", "000001_0001"]


def test_middlebury_in_both_layouts(published, tmp_path) -> None:
    for flat in (False, True):
        root = published.middlebury_flow(tmp_path / str(flat), flat=flat)
        pairs = evaluation("middlebury_flow", root)
        assert [video.id for video in pairs] == ["Dimetrodon", "Venus"]
        assert not pairs.complete
    eight = ("Dimetrodon", "Grove2", "Grove3", "Hydrangea", "RubberWhale", "Urban2", "Urban3", "Venus")
    root = published.middlebury_flow(tmp_path / "all", eight)
    assert evaluation("middlebury_flow", root).complete
    assert not evaluation("middlebury_flow", root, videos=7).complete


def test_real_middlebury_pairs(assets: Path) -> None:
    pairs = evaluation("middlebury_flow", assets / "flow/middlebury")
    assert [video.id for video in pairs] == ["Dimetrodon", "Grove2", "Hydrangea", "RubberWhale", "Urban2"]
    video = pairs[3]
    known = video.truth["valid"] > 0
    assert torch.linalg.vector_norm(video.truth["flow"], dim=1, keepdim=True)[known].mean() == pytest.approx(
        1.256, abs=1e-3
    )
    warped = warp(video.frames[1:], video.truth["flow"])
    still, moved = ((image - video.frames[:1]).abs().mean() for image in (video.frames[1:], warped))
    assert moved < 0.4 * still


def test_real_pairs_survive_augmentation(assets: Path, tmp_path: Path) -> None:
    real = assets / "flow"
    chairs = tmp_path / "chairs/data"
    shutil.copytree(real / "flyingchairs", chairs)
    kitti = tmp_path / "kitti/training"
    for target, name in (
        ("image_2/000000_10", "frame1"),
        ("image_2/000000_11", "frame2"),
        ("flow_occ/000000_10", "flow_gt"),
    ):
        (kitti / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real / "kitti15_000000" / f"{name}.png", kitti / f"{target}.png")
    for name, root, values in (
        ("flying_chairs", chairs.parent, {"split": "all", "crop": [256, 320], "augmentation": "pwcnet"}),
        (
            "flying_chairs",
            chairs.parent,
            {"split": "all", "crop": [256, 320], "settings": {"eraser": {"probability": 0}}},
        ),
    ):
        quiet = {"photometry": {"relative": 0, "noise": 0}} if values.get("augmentation") == "pwcnet" else {}
        quiet = quiet or {"photometry": {"asymmetric": 0}, **values["settings"]}
        dataset = source(name, root, **{**values, "settings": quiet}).training()
        for seed in range(4):
            sample = dataset.sample(0, np.random.default_rng(seed))
            counts = sample["valid"] > 0
            warped = warp(sample["image2"][None], sample["flow"][None])[0]
            still = ((sample["image2"] - sample["image1"]).abs() * counts).mean()
            moved = ((warped - sample["image1"]).abs() * counts).mean()
            assert moved < 0.75 * still
    sample = source("kitti2015", kitti.parent, crop=[288, 960]).training().sample(0, np.random.default_rng(0))
    assert 0.05 < sample["valid"].mean() < 0.3
    assert 20 < torch.linalg.vector_norm(sample["flow"], dim=0)[sample["valid"][0] > 0].mean() < 100


@pytest.mark.parametrize("part", ["img2.ppm", "flow.flo"])
def test_a_pair_of_different_sizes_names_both(make, published, part: str) -> None:
    root = make("flying_chairs")
    path = root / f"data/00003_{part}"
    if part == "flow.flo":
        published.flow_file(path, 1, (40, 55))
    else:
        write_image(path, np.zeros((40, 55, 3), np.uint8))
    with pytest.raises(DataError, match=rf"00003_{part}' is 55x40, but .*00003_img1.ppm' is 56x40"):
        evaluation("flying_chairs", root)[0]
    with pytest.raises(DataError, match="55x40"):
        source("flying_chairs", root, split="val").training().sample(0, np.random.default_rng(0))


def test_one_pixel_images(published, tmp_path) -> None:
    root = tmp_path / "Dot"
    for name in ("frame10.png", "frame11.png"):
        published.grey(root / name, 7, (1, 1))
    published.flow_file(root / "flow10.flo", 1, (1, 1))
    assert evaluation("middlebury_flow", tmp_path)[0].truth["flow"].flatten().tolist() == [1, -1]
    sample = (
        source("middlebury_flow", tmp_path, crop=None, augmentation="none")
        .training()
        .sample(0, np.random.default_rng(0))
    )
    assert sample["image1"].shape == (3, 1, 1)


def test_a_missing_file_is_found_before_the_evaluation(make) -> None:
    root = make("kitti2015")
    (root / "training/image_2/000003_11.png").unlink()
    with pytest.raises(DataError, match=r"000003_11\.png"):
        evaluation("kitti2015", root)


def mix(make, **values):
    parts = [
        {"name": "sintel", "root": str(make("sintel")), "repeats": 3},
        {"name": "kitti2015", "root": str(make("kitti2015")), "settings": {"geometry": {"horizontal_flip": 0.5}}},
        {"name": "hd1k", "root": str(make("hd1k")), "repeats": 2},
    ]
    return {"name": "flow_mix", "crop": [32, 40], "parts": parts, **values}


def test_a_mixture_repeats_its_parts(make) -> None:
    mixed = create_source(parse_data(mix(make)), "flow")
    dataset = mixed.training()
    assert len(dataset) == 3 * 8 + 6 + 2 * 4
    from_parts = [part for part, _ in dataset.parts]
    for index, (part, own) in {0: (0, 0), 7: (0, 7), 8: (0, 0), 23: (0, 7), 24: (1, 0), 29: (1, 5), 37: (2, 3)}.items():
        sample = dataset.sample(index, np.random.default_rng(4))
        expected = from_parts[part].sample(own, np.random.default_rng(4))
        assert all(torch.equal(sample[key], expected[key]) for key in KEYS)
        assert sample["image1"].shape == (3, 32, 40)
    assert from_parts[1].transform.geometry.horizontal_flip == 0.5
    assert [part["repeats"] for part in dataset.describe()["parts"]] == [3, 1, 2]
    assert mixed.validation() is None


def test_a_mixture_validates_on_a_set_with_the_root_of_its_part(make) -> None:
    values = mix(make, validation={"name": "sintel", "pass_name": "final", "split": "val"})
    validation = create_source(parse_data(values), "flow").validation()
    assert validation is not None
    assert validation.name == "sintel_final_val"
    values["validation"] = {"name": "scenes", "version": "scenes_val_v1", "videos": 1}
    validation = create_source(parse_data(values), "flow").validation()
    assert validation is not None
    assert set(validation[0].truth) == {"flow", "valid", "occlusion"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "parts"),
        ([{"name": "sintle"}], "did you mean 'sintel'"),
        ([{"name": "flow_mix"}], "unknown part of flow_mix"),
        ([{"name": "sintel", "repeats": 0}], r"data\.parts\[0\]\.repeats=0"),
        ([{"name": "hd1k"}, {"name": "sintel", "batch_size": 3}], r"data\.parts\[1\]\.batch_size.*data\.batch_size"),
        ([{"name": "sintel", "pas_name": "final"}], "pass_name"),
    ],
)
def test_wrong_mixtures_are_one_message(parts, message) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_data({"name": "flow_mix", "parts": parts})


def test_wrong_settings_are_found_before_any_file_is_read() -> None:
    with pytest.raises(ConfigError, match="did you mean 'max_scale'"):
        create_source(parse_data({"name": "sintel", "settings": {"geometry": {"max_scal": 1}}}), "flow")
    with pytest.raises(ConfigError, match="augmentation"):
        parse_data({"name": "sintel", "augmentation": "flownet"})
    assert set(SETS) | {"flow_mix"} <= set(SOURCES)
