"""What probe() says of files made here, and the optional third decoder."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import VideoError
from framewright.video import ColourTags, open_video, probe
from framewright.video.index import build_index

from .numbered import one_line, read_numbers

Make = Callable[..., Path]


def test_constant_rate_with_sound(make_video: Make) -> None:
    info = probe(make_video(fps=Fraction(30000, 1001), options={"bf": "2"}, sound=True))
    assert (info.codec, info.profile, info.pixel_format, info.bits) == ("h264", "High", "yuv420p", 8)
    assert "mp4" in info.container.split(",")
    assert (info.frames, info.size, info.rotation, info.sample_aspect) == (60, (48, 64), 0, 1)
    assert (info.regular, info.exact_fps) == (True, Fraction(30000, 1001))
    assert info.average_fps == pytest.approx(30000 / 1001)
    assert (info.start, info.duration) == (0.0, pytest.approx(60 * 1001 / 30000))
    assert info.colour == ColourTags()
    (sound,) = info.audio
    assert (sound.codec, sound.sample_rate, sound.channels, sound.layout) == ("aac", 48000, 1, "mono")
    assert info.subtitles == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.codec = "av1"  # type: ignore[misc]


def test_variable_rate_is_said_to_be(make_video: Make) -> None:
    stamps = [0, 40, 200, 210, 500, 900]
    info = probe(make_video(count=6, stamps_ms=stamps, options={"bf": "0"}))
    assert (info.regular, info.exact_fps) == (False, None)
    assert info.average_fps == pytest.approx(6 / info.duration)
    assert info.duration >= 0.9


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "bits"),
    [
        ("a.mp4", "libx265", "yuv420p10le", 10),
        ("a.mkv", "ffv1", "yuv444p", 8),
        ("a.mp4", "libsvtav1", "yuv420p10le", 10),
        ("a.mov", "prores_ks", "yuv422p10le", 10),
    ],
)
def test_formats(make_video: Make, name: str, codec: str, pixel_format: str, bits: int) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    info = probe(make_video(name, 5, (64, 96), codec, pixel_format, options))
    expected = {"libx265": "hevc", "ffv1": "ffv1", "libsvtav1": "av1", "prores_ks": "prores"}[codec]
    assert (info.codec, info.pixel_format, info.bits, info.frames) == (expected, pixel_format, bits, 5)


def test_colour_tags_have_names_and_numbers() -> None:
    tags = ColourTags.from_numbers(9, 16, 9, 2)
    assert tags == ColourTags("bt2020", "smpte2084", "bt2020nc", "pc")
    assert tags.numbers() == (9, 16, 9, 2)
    assert ColourTags.from_numbers(2, 2, 2, 0) == ColourTags()
    assert ColourTags().numbers() == (2, 2, 2, 0)
    assert ColourTags.from_numbers(99, 1, 1, 1).numbers() == (99, 1, 1, 1)


def test_folders_and_missing_files(frame_folder: Make, tmp_path: Path) -> None:
    info = probe(frame_folder())
    assert (info.container, info.codec, info.frames, info.size, info.exact_fps) == ("folder", "png", 12, (37, 64), 25)
    with pytest.raises(VideoError, match="there is no video"):
        probe(tmp_path / "nothing.mp4")


def test_real_clip(assets: Path) -> None:
    info = probe(assets / "clips" / "onepiece_demo.mp4")
    assert (info.codec, info.frames, info.size, info.exact_fps) == ("h264", 181, (480, 640), Fraction(1199, 50))
    assert [(track.codec, track.channels, track.language) for track in info.audio] == [("aac", 2, "eng")]


# --- torchcodec ---------------------------------------------------------------------------------------------


def test_torchcodec_that_is_not_installed(make_video: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    reader = open_video(make_video("clip.mp4"), "torchcodec")
    with pytest.raises(VideoError, match="not installed") as caught:
        reader.get([0])
    one_line(caught, "clip.mp4", "pip install torchcodec")


class FakeDecoder:
    """Stands for torchcodec's, and reads through PyAV."""

    def __init__(self, path: str, **options: Any) -> None:
        assert options["seek_mode"] == "exact"
        self.reader = open_video(path, "pyav")

    def __len__(self) -> int:
        return len(self.reader)

    def get_frames_at(self, indices: list[int]) -> Any:
        times = torch.from_numpy(self.reader.timestamps[indices])
        return types.SimpleNamespace(data=torch.from_numpy(self.reader.get(indices)), pts_seconds=times)


@pytest.fixture
def fake_torchcodec(monkeypatch: pytest.MonkeyPatch) -> type[FakeDecoder]:
    module = types.ModuleType("torchcodec.decoders")
    fake = type("VideoDecoder", (FakeDecoder,), {})
    module.VideoDecoder = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", module)
    return fake


def test_torchcodec_is_asked(make_video: Make, fake_torchcodec: type[FakeDecoder]) -> None:
    reader = open_video(make_video(), "torchcodec")
    assert read_numbers(reader.get([30, 2, 2])) == [30, 2, 2]
    assert open_video(reader.path).backend != "torchcodec", "never chosen by itself"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("what", "words"),
    [("libraries", "FFmpeg libraries were not found"), ("count", "counts 61 frames"), ("times", "another frame")],
)
def test_torchcodec_that_fails(
    make_video: Make, fake_torchcodec: type[FakeDecoder], monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    def fail(self: FakeDecoder, path: str, **options: Any) -> None:
        raise RuntimeError("Could not load libtorchcodec.\n" + "Likely causes: …\n" * 50)

    def shifted(self: FakeDecoder, indices: list[int]) -> Any:
        times = torch.from_numpy(self.reader.timestamps[indices]) + 0.04
        return types.SimpleNamespace(data=torch.from_numpy(self.reader.get(indices)), pts_seconds=times)

    if what == "libraries":
        monkeypatch.setattr(fake_torchcodec, "__init__", fail)
    elif what == "count":
        monkeypatch.setattr(fake_torchcodec, "__len__", lambda self: 61)
    else:
        monkeypatch.setattr(fake_torchcodec, "get_frames_at", shifted)
    with pytest.raises(VideoError, match=words) as caught:
        open_video(make_video("clip.mp4"), "torchcodec").get([3])
    one_line(caught, "clip.mp4")


def test_real_torchcodec(make_video: Make) -> None:
    pytest.importorskip("torchcodec")
    path = make_video(options={"bf": "3", "g": "12"})
    reader = open_video(path, "torchcodec")
    try:
        reader.get([0])
    except VideoError as error:
        pytest.skip(str(error))
    wanted = [59, 0, 13, 13, 40]
    assert read_numbers(reader.get(wanted)) == wanted
    difference = reader.get(wanted).astype(int) - open_video(path, "pyav").get(wanted)
    assert np.abs(difference).max() <= 2


# --- what the index says and what is damaged ----------------------------------------------------------------


def test_long_groups_of_pictures(make_video: Make) -> None:
    path = make_video("long.mp4", 250, options={"g": "250", "bf": "3", "keyint_min": "250", "sc_threshold": "0"})
    reader = open_video(path)
    assert len(build_index(path).keyframes) == 1
    for wanted in ([249, 0, 125], [124, 126], [200], [3]):
        assert read_numbers(reader.get(wanted)) == wanted


@pytest.mark.parametrize(
    ("codec", "pixel_format", "options"),
    [
        ("libx265", "yuv420p10le", {"x265-params": "log-level=none:keyint=20:bframes=3:open-gop=1"}),
        ("libsvtav1", "yuv420p", {"g": "20"}),
        ("libx264", "yuv420p", {"g": "20", "bf": "3", "x264-params": "open-gop=1"}),
    ],
)
def test_random_access_is_exact(make_video: Make, codec: str, pixel_format: str, options: dict[str, str]) -> None:
    reader = open_video(make_video("random.mp4", 60, (64, 96), codec, pixel_format, options))
    rng = np.random.default_rng(0)
    for _ in range(12):
        wanted = rng.integers(0, 60, 4).tolist()
        assert read_numbers(reader.get(wanted)) == wanted
    start = int(rng.integers(0, 40))
    assert read_numbers(reader.get(range(start, start + 16))) == list(range(start, start + 16))


@pytest.mark.parametrize(
    ("name", "codec", "muxer", "sound"),
    [
        ("none.mp4", "libx264", {}, False),
        ("none_fragmented.mp4", "libx264", {"movflags": "empty_moov+frag_keyframe"}, False),
        ("none.mkv", "libx264", {}, False),
        ("none_with_sound.mkv", "libx264", {}, True),
        ("none.avi", "mpeg4", {}, False),
    ],
)
def test_files_without_a_frame(tmp_path: Path, name: str, codec: str, muxer: dict[str, str], sound: bool) -> None:
    """A header and no picture, as a recorder leaves it that was stopped at once."""
    av = pytest.importorskip("av")
    path = tmp_path / name
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        container.start_encoding()
        if audio is not None:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 0
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    assert path.stat().st_size > 0
    with pytest.raises(VideoError, match="holds no frames") as caught:
        open_video(path)
    one_line(caught, name)
