from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from framewright.benchmark import Protocol
from framewright.benchmark.problems import make_problem
from framewright.core.errors import ConfigError, DataError
from framewright.datamodules.evaluation_sets import create_evaluation_set
from framewright.datamodules.interpolation_sets import (
    HDEvaluation,
    MiddleburyOtherEvaluation,
    SNUFilmEvaluation,
    UCF101Evaluation,
    XTestEvaluation,
)
from framewright.datamodules.yuv import count_frames, read_frames


def values(frames):
    assert all(torch.all(frame == frame.flatten()[0]) for frame in frames)
    return [round(float(frame.flatten()[0]) * 255) for frame in frames]


def test_ucf101_is_read_in_natural_order_from_root_or_parent(published, tmp_path):
    published.ucf101(tmp_path / "my data" / "ucf101_interp_ours")
    videos = UCF101Evaluation(tmp_path / "my data")
    assert [video.id for video in videos] == ["1", "2", "11"]
    assert values(videos[1].frames) == [60, 70, 80]
    assert not videos.complete
    inner = UCF101Evaluation(tmp_path / "my data" / "ucf101_interp_ours")
    assert inner.describe() == videos.describe()
    assert str(tmp_path) not in json.dumps(videos.describe())
    assert [video.id for video in UCF101Evaluation(tmp_path / "my data", limit=1)] == ["1"]


def test_the_manifest_follows_the_files(published, tmp_path):
    published.ucf101(tmp_path)
    before = UCF101Evaluation(tmp_path).describe()
    published.grey(tmp_path / "2" / "frame_00.png", 1, (40, 40))
    assert UCF101Evaluation(tmp_path).describe() != before
    with pytest.raises(DataError, match=r"frame_01_gt\.png' is 24x16, expected 40x40"):
        UCF101Evaluation(tmp_path)[1]


def test_missing_files_are_named_before_anything_is_run(published, tmp_path):
    published.ucf101(tmp_path)
    (tmp_path / "2" / "frame_02.png").unlink()
    (tmp_path / "11" / "frame_02.png").unlink()
    with pytest.raises(DataError, match=r"2/frame_02\.png' and 1 other files cannot be found"):
        UCF101Evaluation(tmp_path)


def test_wrong_folders_are_told(published, tmp_path):
    with pytest.raises(DataError, match=r"needs a folder: set data\.root=<folder> to the unpacked ucf101_interp_ours"):
        UCF101Evaluation(None)
    (tmp_path / "other-data").mkdir()
    with pytest.raises(DataError, match=r"Missing: other-gt-interp\. Found: 'other-data/'"):
        MiddleburyOtherEvaluation(tmp_path)


def test_middlebury_puts_the_truth_in_the_middle(published, tmp_path):
    videos = MiddleburyOtherEvaluation(published.middlebury(tmp_path))
    assert len(videos) == 12
    assert videos.complete
    assert videos[1].id == "Dimetrodon"
    assert values(videos[1].frames) == [10, 23, 30]
    assert not MiddleburyOtherEvaluation(tmp_path, limit=3).complete


@pytest.mark.parametrize(
    ("inner", "prefix"), [("test/", "data/SNU-FILM/test/"), ("", "data/SNU-FILM/test/"), ("test/", "test/")]
)
def test_snu_film_follows_the_official_lists_wherever_they_point(published, tmp_path, inner, prefix):
    published.snu_film(tmp_path, inner=inner, prefix=prefix)
    easy = SNUFilmEvaluation(tmp_path, "easy")
    assert [video.id for video in easy] == ["GOPRO_test/GOPR0384_11_00/000009", "YouTube_test/0000/000009"]
    assert values(easy[0].frames) == [8, 9, 10]
    extreme = SNUFilmEvaluation(tmp_path, "extreme")
    assert values(extreme[1].frames) == [101, 109, 117]
    assert extreme.name == "snu_film_extreme"


def test_snu_film_refuses_what_it_does_not_understand(published, tmp_path):
    published.snu_film(tmp_path)
    with pytest.raises(ConfigError, match="split='insane', expected one of easy"):
        SNUFilmEvaluation(tmp_path, "insane")
    (tmp_path / "test-hard.txt").write_text("a.png b.png\n")
    with pytest.raises(DataError, match=r"line 1 of .*test-hard\.txt' is 'a\.png b\.png', expected three images"):
        SNUFilmEvaluation(tmp_path, "hard")
    (tmp_path / "test-hard.txt").write_text("a/../../x.png b/c/d.png b/c/e.png\n")
    with pytest.raises(DataError, match="expected three images"):
        SNUFilmEvaluation(tmp_path, "hard")


def test_hd_reads_raw_clips(published, tmp_path):
    published.hd_544(tmp_path / "HD_dataset", frames=6)
    clips = HDEvaluation(tmp_path, "544p", frames=5)
    assert [sequence.id for sequence in clips.sequences][:2] == [
        "544p/Sintel_Alley2_1280x544",
        "544p/Sintel_Market5_1280x544",
    ]
    frames = clips[0].frames
    assert frames.shape == (5, 3, 544, 1280)
    # neutral chroma is 128/255 - 0.5, a trace of colour; luma itself is exact up to the cut
    luma = (frames * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).mean((1, 2)) * 255
    assert torch.allclose(luma, torch.tensor([60.0, 70.0, 80.0, 90.0, 100.0]), atol=1.1)
    with pytest.raises(DataError, match=r"parkrun_1280x720_50\.yuv' and 6 other files cannot be found"):
        HDEvaluation(tmp_path)


def test_raw_video_conversion_matches_the_definition(published, tmp_path):
    rng = np.random.default_rng(0)
    size = (8, 12)
    content = rng.integers(0, 256, 2 * 8 * 12 * 3 // 2, dtype=np.uint8)
    (tmp_path / "clip.yuv").write_bytes(content.tobytes())
    assert count_frames(tmp_path / "clip.yuv", size) == 2
    (image,) = read_frames(tmp_path / "clip.yuv", size, [1])
    planes = content[144:]
    y = planes[:96].reshape(size) / 255
    from PIL import Image

    u, v = (np.asarray(Image.fromarray(p).resize((12, 8), 3)) / 255 - 0.5 for p in planes[96:].reshape(2, 4, 6))
    red = y + 1.13988303 * v
    green = y - 0.394642334 * u - 0.58062185 * v
    blue = y + 2.03206185 * u
    expected = np.clip(np.stack((red, green, blue), -1), 0, 1) * 255
    assert np.abs(image - np.floor(expected)).max() <= 1
    assert (image == np.floor(expected)).mean() > 0.98


def test_raw_video_of_a_wrong_length_is_told(published, tmp_path):
    (tmp_path / "clip.yuv").write_bytes(bytes(100))
    with pytest.raises(DataError, match="100 bytes are not a whole number of 12x8 frames of 144 bytes"):
        count_frames(tmp_path / "clip.yuv", (8, 12))
    (tmp_path / "clip.yuv").write_bytes(bytes(144))
    with pytest.raises(DataError, match="ends before frame 1"):
        read_frames(tmp_path / "clip.yuv", (8, 12), [1])


def test_x_test_loads_only_the_frames_that_are_used(published, tmp_path):
    clips = XTestEvaluation(published.x_test(tmp_path), check_size=False)
    assert [clip.id for clip in clips] == ["Type1/TEST01_003_f0433", "Type2/TEST02_003_f0433"]
    assert values(clips[0].frames) == [1 + 8 * step for step in range(9)]
    half = XTestEvaluation(tmp_path, size="2k", check_size=False)
    assert half[1].frames.shape == (9, 3, 8, 16)
    assert half.describe() != clips.describe()
    assert len(XTestEvaluation(tmp_path, multiple=2, check_size=False)[0].frames) == 3
    with pytest.raises(DataError, match=r"0000\.png' is 32x16, expected 4096x2160"):
        XTestEvaluation(tmp_path)[0]
    with pytest.raises(ConfigError, match="multiple=3, expected 2, 4, 8"):
        XTestEvaluation(tmp_path, multiple=3)


def test_half_size_is_the_mean_of_four_pixels_and_not_rounded(published, tmp_path):
    published.x_test(tmp_path, clips=1, size=(4, 4))
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = 1
    published.write_image(tmp_path / "test/Type1/TEST01_003_f0433/0000.png", image)
    frame = XTestEvaluation(tmp_path, size="2k", check_size=False)[0].frames[0]
    assert frame[0, 0, 0].item() == pytest.approx(0.25 / 255)


def test_sections_build_every_set(published, tmp_path):
    published.ucf101(tmp_path / "u")
    published.middlebury(tmp_path / "m")
    published.snu_film(tmp_path / "s")
    published.hd_544(tmp_path / "h")
    published.x_test(tmp_path / "x")
    for values_ in (
        {"name": "ucf101", "root": str(tmp_path / "u"), "videos": 2},
        {"name": "middlebury_other", "root": str(tmp_path / "m"), "videos": 2},
        {"name": "snu_film", "root": str(tmp_path / "s"), "split": "hard"},
        {"name": "hd", "root": str(tmp_path / "h"), "resolution": "544p", "videos": 2},
        {"name": "x_test", "root": str(tmp_path / "x"), "check_size": False, "size": "2k"},
    ):
        assert len(create_evaluation_set(values_, "interpolation")) == 2


def test_eight_times_protocol_fits_x_test(published, tmp_path):
    video = XTestEvaluation(published.x_test(tmp_path), check_size=False)[0]
    protocol = Protocol.from_mapping(
        {"name": "p", "version": 1, "task": "interpolation", "stride": 8, "metrics": [{"key": "psnr"}]}
    )
    problem = make_problem(video, protocol, torch.device("cpu"))
    assert problem.context.timesteps == tuple(step / 8 for step in range(1, 8))
    assert values(problem.sources) == [1, 65]
    assert values(problem.targets) == [1 + 8 * step for step in range(1, 8)]
