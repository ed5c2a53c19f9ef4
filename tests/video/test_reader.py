"""Reading videos: every frame, in order, from every kind of file, or an error that names file and frame."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import VideoError
from framewright.video import VideoReader, decoders, load_video, open_video, read_image, write_image
from framewright.video import reader as video_reader
from framewright.video.reader import FileReader
from numpy.typing import NDArray

from .numbered import numbered_frame, one_line, read_numbers

Make = Callable[..., Path]
needs_decord = pytest.mark.skipif(not decoders.decord_available(), reason="decord is not installed here")
B_FRAMES = {"bf": "3", "g": "12"}
OPEN_GOPS = {**B_FRAMES, "x264-params": "open-gop=1"}


def backend_of(reader: VideoReader) -> str:
    assert isinstance(reader, FileReader)
    return reader.backend


@pytest.mark.parametrize("backend", [pytest.param("decord", marks=needs_decord), "pyav", "auto"])
def test_constant_rate_with_b_frames(make_video: Make, backend: str) -> None:
    path = make_video(options=B_FRAMES, fps=Fraction(30000, 1001), sound=True)
    with open_video(path, backend) as reader:  # type: ignore[arg-type]
        assert (len(reader), reader.fps, reader.size) == (60, Fraction(30000, 1001), (48, 64))
        assert reader.timestamps.dtype == np.float64
        assert np.abs(np.diff(reader.timestamps) - 1001 / 30000).max() < 1e-3
        chunks = list(reader.iterate(chunk=16))
        assert [len(chunk) for chunk in chunks] == [16, 16, 16, 12]
        assert chunks[0].dtype == np.uint8
        assert read_numbers(np.concatenate(chunks)) == list(range(60))
        order = [59, 0, 13, 13, 12, 40, 11, 1]
        assert read_numbers(reader.get(order)) == order
        assert reader.get([]).shape == (0, 48, 64, 3)


def test_both_libraries_give_the_same_colours(make_video: Make) -> None:
    pytest.importorskip("decord")
    path = make_video()
    one, two = open_video(path, "decord").get([3, 30]), open_video(path, "pyav").get([3, 30])
    assert np.abs(one.astype(int) - two).max() <= 1
    assert np.abs(one[0].astype(int) - numbered_frame(3, 48, 64))[:10].mean() < 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_rate(make_video: Make, suffix: str) -> None:
    steps = np.random.default_rng(0).integers(10, 90, 60)
    stamps = np.cumsum(steps) - steps[0]
    path = make_video(f"variable{suffix}", options=B_FRAMES, stamps_ms=stamps.tolist())
    reader = open_video(path)
    assert backend_of(reader) == "pyav"
    times = reader.timestamps - reader.timestamps[0]
    assert np.abs(times * 1000 - stamps).max() <= 1
    assert float(reader.fps) == pytest.approx(59 / (stamps[-1] / 1000), rel=1e-3)
    assert read_numbers(reader.get(range(60))) == list(range(60))
    assert read_numbers(reader.get([50, 3, 27])) == [50, 3, 27]


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("av1.mp4", "libsvtav1", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("vp8.webm", "libvpx", "yuv420p"),
        ("hevc10.mp4", "libx265", "yuv420p10le"),
        ("h264_10.mkv", "libx264", "yuv420p10le"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
        ("lossless.mkv", "ffv1", "yuv444p"),
        ("motion.mov", "mjpeg", "yuvj420p"),
    ],
)
def test_formats(make_video: Make, name: str, codec: str, pixel_format: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    if codec == "libvpx":
        options = {"auto-alt-ref": "1", "lag-in-frames": "16"}  # frames that are decoded and never shown
    path = make_video(name, 30, (64, 96), codec, pixel_format, options)
    with open_video(path) as reader:
        assert backend_of(reader) == "pyav"
        assert (len(reader), reader.size, reader.fps) == (30, (64, 96), 25)
        assert read_numbers(reader.get(range(30))) == list(range(30))
        assert read_numbers(reader.get([29, 7, 15])) == [29, 7, 15]


@pytest.mark.parametrize("backend", [pytest.param("decord", marks=needs_decord), "pyav"])
def test_odd_size(make_video: Make, backend: str) -> None:
    path = make_video("odd.mp4", 5, (37, 51), pixel_format="yuv444p")
    reader = open_video(path, backend)  # type: ignore[arg-type]
    assert reader.size == (37, 51)
    assert read_numbers(reader.get(range(5))) == list(range(5))


def test_rotation_is_applied(make_video: Make) -> None:
    path = make_video("phone.mp4", 3)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    quarter_turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack(">9i", *quarter_turn)
    path.write_bytes(content)
    reader = open_video(path)
    assert reader.size == (64, 48)
    turned = reader.get([2])[0]
    assert read_numbers(np.rot90(turned)[None]) == [2], "clockwise by 90 degrees, as players show it"


def test_names(make_video: Make) -> None:
    path = make_video("ordner mit leerzeichen/ünïcode = 'clip', 日本.mp4", 6)
    assert read_numbers(open_video(path).get(range(6))) == list(range(6))
    assert load_video(str(path)).shape == (6, 3, 48, 64)


def test_load_video(make_video: Make) -> None:
    video = load_video(make_video(count=20))
    assert video.shape == (20, 3, 48, 64)
    assert video.dtype == torch.float32
    assert 0 <= video.min() < video.max() <= 1
    frames = (video * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert read_numbers(frames) == list(range(20))


def test_wrong_indices(make_video: Make) -> None:
    reader = open_video(make_video(count=5))
    for index in (-1, 5):
        with pytest.raises(IndexError, match=f"frames 0 to 4, not {index}"):
            reader.get([0, index])
    with pytest.raises(ValueError, match="chunk"):
        next(reader.iterate(0))
    with pytest.raises(ValueError, match="backend"):
        open_video("x", "opencv")  # type: ignore[arg-type]


def read_in_child(reader: VideoReader, queue: multiprocessing.Queue[list[int]]) -> None:
    queue.put(read_numbers(reader.get([30, 2])))


@pytest.mark.parametrize("backend", [pytest.param("decord", marks=needs_decord), "pyav"])
@pytest.mark.parametrize("method", ["pickle", "fork"])
def test_readers_travel_to_workers(make_video: Make, backend: str, method: str) -> None:
    reader = open_video(make_video(), backend)  # type: ignore[arg-type]
    if method == "pickle":
        reader.get([5])
        assert read_numbers(pickle.loads(pickle.dumps(reader)).get([30, 2])) == [30, 2]
        return
    if sys.platform == "win32":
        pytest.skip("no fork on Windows")
    reader.get([5])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(reader, queue))
    child.start()
    assert queue.get(timeout=60) == [30, 2]
    child.join()
    assert read_numbers(reader.get([7])) == [7]


def test_closed_readers_open_again(make_video: Make) -> None:
    with open_video(make_video()) as reader:
        reader.get([0])
    assert read_numbers(reader.get([9])) == [9]
    assert "60 frames, 64x48" in repr(reader)


# --- damage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "front.mp4"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_truncated(make_video: Make, name: str, kept: float) -> None:
    codec = "mpeg4" if name == "a.avi" else "libx264"
    muxer = {"movflags": "faststart"} if name == "front.mp4" else {}
    path = make_video(name, codec=codec, muxer=muxer, sound=name != "a.avi")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(VideoError, match="truncated") as caught:
        open_video(path)
    one_line(caught, name)


def test_header_that_promises_too_much(make_video: Make) -> None:
    """Index in front, half of the frames cut off, and the length of the box corrected: only counting helps."""
    path = make_video("short.mp4", muxer={"movflags": "faststart"})
    content = path.read_bytes()
    box = content.index(b"mdat") - 4
    kept = box + (len(content) - box) // 2
    path.write_bytes(content[:box] + struct.pack(">I", kept - box) + content[box + 4 : kept])
    with pytest.raises(VideoError, match="truncated") as caught:
        open_video(path)
    one_line(caught, "short.mp4")


@pytest.mark.parametrize("backend", [pytest.param("decord", marks=needs_decord), "pyav", "auto"])
def test_damage_in_the_middle_names_the_frame(make_video: Make, backend: str) -> None:
    av = pytest.importorskip("av")
    path = make_video("flipped.mp4", options={"g": "12", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    position, size = packets[36]
    content[position + 5 : position + size] = bytes(255 - byte for byte in content[position + 5 : position + size])
    path.write_bytes(content)
    with open_video(path, backend) as reader:  # type: ignore[arg-type]
        with pytest.raises(VideoError) as caught:
            list(reader.iterate())
        one_line(caught, "flipped.mp4", "frame")
        if backend == "pyav":
            assert read_numbers(reader.get(range(12))) == list(range(12)), "what is whole can still be read"


def test_empty_and_other_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("this is not a video\n" * 100)
    for path, words in (
        (empty, "is empty (0 bytes)"),
        (text, "cannot be read as a video"),
        (tmp_path / "missing.mp4", "there is no video"),
    ):
        with pytest.raises(VideoError) as caught:
            open_video(path)
        one_line(caught, path.name, words)


def test_sound_without_picture(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="no video stream"):
        open_video(path)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", OPEN_GOPS),
        ("libx265", {"x265-params": "log-level=none:keyint=12"}),
        ("mpeg4", {"g": "12", "bf": "2"}),
    ],
)
def test_open_groups_of_pictures(make_video: Make, codec: str, options: dict[str, str]) -> None:
    """Decord 0.6 gives a neighbouring frame for many indices of such files."""
    reader = open_video(make_video(codec=codec, options=options))
    assert backend_of(reader) == "pyav"
    for start in range(0, 60, 7):
        wanted = [59 - start, start, (start * 13) % 60]
        assert read_numbers(reader.get(wanted)) == wanted
    if decoders.decord_available():
        with pytest.raises(VideoError, match="wrong frames"):
            open_video(reader.path, "decord").get([0])


@needs_decord
def test_random_access_with_decord(make_video: Make) -> None:
    reader = open_video(make_video(options=B_FRAMES))
    assert backend_of(reader) == "decord"
    rng = np.random.default_rng(0)
    for _ in range(30):
        wanted = rng.integers(0, 60, 6).tolist()
        assert read_numbers(reader.get(wanted)) == wanted


@needs_decord
def test_reading_in_order_does_not_go_through_decord(make_video: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(options=B_FRAMES)

    def refuse(*args: object) -> None:
        raise AssertionError("decord keeps every frame that it decodes ahead")

    monkeypatch.setattr(decoders.DecordDecoder, "read", refuse)
    reader = open_video(path, access="stream")
    assert backend_of(reader) == "pyav"
    assert read_numbers(reader.get([8, 9, 3])) == [8, 9, 3]
    at_random = open_video(path)
    assert read_numbers(np.concatenate(list(at_random.iterate(7)))) == list(range(60))
    assert backend_of(at_random) == "decord"
    with pytest.raises(ValueError, match="access is 'random' or 'stream', not 'fast'"):
        open_video(path, access="fast")  # type: ignore[arg-type]


@needs_decord
def test_decord_does_not_decode_on_behind_a_read(make_video: Make) -> None:
    """What it decodes ahead is thrown away: the next frame comes from a decoder that starts anew."""
    reader = open_video(make_video(options=B_FRAMES))
    reader.get([40, 41])
    assert isinstance(reader, FileReader)
    assert isinstance(reader._decoder, decoders.DecordDecoder)
    assert read_numbers(reader._decoder._reader.next().asnumpy()[None]) == [0]


@needs_decord
def test_decord_that_fails_is_replaced(make_video: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = open_video(make_video())
    assert backend_of(reader) == "decord"

    def fail(*args: object) -> None:
        raise VideoError("decord gave up")

    monkeypatch.setattr(decoders.DecordDecoder, "read", fail)
    assert read_numbers(reader.get([4, 44])) == [4, 44]
    assert backend_of(reader) == "pyav"


@needs_decord
def test_decord_that_counts_otherwise_is_refused(make_video: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import decord

    monkeypatch.setattr(decord.VideoReader, "__len__", lambda self: 61)
    monkeypatch.setattr(decord.VideoReader, "get_frame_timestamp", lambda self, i: np.zeros((61, 2)))
    path = make_video()
    with pytest.raises(VideoError, match="decord counts 61 frames"):
        open_video(path, "decord").get([0])
    assert read_numbers(open_video(path).get([59])) == [59]


def test_a_file_that_changes_is_indexed_again(make_video: Make) -> None:
    assert len(open_video(make_video("same.mp4", 10))) == 10
    assert len(open_video(make_video("same.mp4", 20))) == 20


# --- folders of frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".ppm", ".webp"])
def test_folder_in_natural_order(frame_folder: Make, suffix: str) -> None:
    folder = frame_folder("ordner mit ünïcode", suffix=suffix)
    (folder / "notes.txt").write_text("no frame")
    (folder / "._frame3.png").write_bytes(b"left behind by another system")
    with open_video(folder) as reader:
        assert (len(reader), reader.size) == (12, (37, 64))
        assert read_numbers(reader.get(range(12))) == list(range(12))
        assert read_numbers(reader.get([11, 2])) == [11, 2]
        assert reader.timestamps[1] == pytest.approx(float(1 / reader.fps))


@pytest.mark.parametrize("threads", [1, 4])
def test_images_are_decoded_by_threads_in_order(
    frame_folder: Make, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    folder = frame_folder()
    decoded: list[str] = []

    def read(path: Path) -> NDArray[np.uint8]:
        decoded.append(path.name)
        return read_image(path)

    monkeypatch.setattr(video_reader, "read_image", read)
    running = threading.active_count()
    with open_video(folder) as reader:
        assert read_numbers(reader.get(range(12))) == list(range(12))
        # the one that the size was taken from too
        assert len(decoded) == len(set(decoded)) == 12
        assert read_numbers(reader.get([0, 5])) == [0, 5]
        assert pickle.loads(pickle.dumps(open_video(folder))).get([0]).shape == (1, 37, 64, 3)
    assert threading.active_count() == running

    for number in (9, 3, 5):
        (folder / f"frame{number}.png").write_bytes(b"")
    with pytest.raises(VideoError, match=r"frame 3 of .*frame3\.png.* is empty"):
        open_video(folder).get(range(12))


def test_bad_folders(frame_folder: Make, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(VideoError, match="holds no frames") as caught:
        open_video(nothing)
    one_line(caught, "nothing")

    folder = frame_folder()
    write_image(folder / "frame7.png", numbered_frame(7, 20, 30))
    with pytest.raises(VideoError, match=r"frame 7 \('frame7.png'\) .* has 30x20 pixels where the first has 64x37"):
        open_video(folder).get(range(12))
    (folder / "frame7.png").write_bytes((folder / "frame8.png").read_bytes()[:-20])
    with pytest.raises(VideoError, match=r"frame 7 of .*frame7\.png.* truncated"):
        open_video(folder).get(range(12))


def test_real_clips(assets: Path) -> None:
    reader = open_video(assets / "clips" / "onepiece_demo.mp4")
    assert (len(reader), reader.size) == (181, (480, 640))
    exact = open_video(assets / "clips" / "onepiece_demo.mp4", "pyav")
    wanted = [180, 0, 90, 91]
    assert np.abs(reader.get(wanted).astype(int) - exact.get(wanted)).mean() < 1
    assert len(open_video(assets / "clips" / "bmx-trees" / "bmx-trees")) == 80


PROBE = """
import sys, zlib
from framewright.video import decoders, read_image, write_image
assert decoders.decord_available()
import numpy
image = numpy.arange(3000, dtype=numpy.uint8).reshape(20, 50, 3)
write_image(sys.argv[1], image)
assert numpy.array_equal(read_image(sys.argv[1]), image)
"""


@needs_decord
def test_decord_does_not_break_png(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROBE, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def collect_in_child(queue: multiprocessing.Queue[bool]) -> None:
    gc.collect()
    queue.put(True)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
def test_garbage_of_the_parent_does_not_block_a_child(make_video: Make) -> None:
    """A forgotten PyAV container is a reference cycle that owns threads."""
    path = make_video()
    gc.disable()
    try:
        reader = open_video(path, "pyav")
        reader.get([3])
        del reader
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=collect_in_child, args=(queue,), daemon=True)
        child.start()
        try:
            assert queue.get(timeout=15)
        finally:
            child.kill()
    finally:
        gc.enable()
