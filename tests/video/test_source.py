"""Videos made from a source: what is not the picture comes through unchanged."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.core.errors import VideoError
from framewright.video import VideoWriter, open_video, probe

from .numbered import numbered_frame, one_line, read_numbers

Make = Callable[..., Path]
B_FRAMES = {"bf": "3", "g": "12"}


def numbered(count: int, height: int = 48, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.stack([numbered_frame(number, height, width) for number in range(count)])


def packets(path: Path, kind: str) -> list[list[tuple[Fraction, Fraction, bytes]]]:
    """Time, duration and bytes of every packet of every stream of a kind."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found: dict[int, list[tuple[Fraction, Fraction, bytes]]] = {stream.index: [] for stream in streams}
        for packet in container.demux(*streams) if streams else ():
            if packet.size:
                unit = packet.time_base
                found[packet.stream_index].append((packet.pts * unit, (packet.duration or 0) * unit, bytes(packet)))
    return list(found.values())


def stream_facts(path: Path) -> list[Any]:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [(s.type, s.time_base, s.start_time, s.duration, s.language) for s in container.streams]


def rewrite(source: Path, target: Path, **options: Any) -> None:
    """Read a video and write it again through its source."""
    with open_video(source) as reader, VideoWriter(target, source=reader, **options) as writer:
        for frames in reader.iterate():
            writer.write(frames)


def assert_same(source: Path, target: Path, tolerance: float = 0.0) -> None:
    """Frame count, times, tags, geometry and sound of both files are the same."""
    one, two = open_video(source), open_video(target)
    assert len(one) == len(two)
    assert np.abs(one.timestamps - two.timestamps).max() <= tolerance
    before, after = probe(source), probe(target)
    for field in ("colour", "size", "rotation", "sample_aspect", "regular", "audio", "subtitles"):
        assert getattr(before, field) == getattr(after, field), field
    # how long the last frame of a variable rate is shown is not stored as such
    slack = max(2 * tolerance, 1e-9) if before.regular else 0.06
    assert after.duration == pytest.approx(before.duration, abs=slack)
    for kind in ("audio", "subtitle"):
        for sent, got in zip(packets(source, kind), packets(target, kind), strict=True):
            assert [content for *_, content in sent] == [content for *_, content in got]
            assert max(abs(s[0] - g[0]) for s, g in zip(sent, got, strict=True)) <= tolerance


def test_real_clip_comes_back_unchanged(assets: Path, tmp_path: Path) -> None:
    source, target = assets / "clips" / "onepiece_demo.mp4", tmp_path / "again.mp4"
    rewrite(source, target)
    assert_same(source, target)
    assert stream_facts(source) == stream_facts(target), "time base, start, duration and language, to the unit"
    assert [len(track) for track in packets(target, "audio")] == [354]
    before, after = open_video(source).get([0, 90, 180]), open_video(target).get([0, 90, 180])
    assert np.abs(before.astype(int) - after).mean() < 2


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_constant_rate_with_sound(make_video: Make, tmp_path: Path, suffix: str) -> None:
    source = make_video("in.mp4", options=B_FRAMES, fps=Fraction(30000, 1001), sound=True)
    target = tmp_path / f"out{suffix}"
    rewrite(source, target)
    assert_same(source, target, 0.001 if suffix == ".mkv" else 0.0)
    assert open_video(target).fps == Fraction(30000, 1001)
    assert read_numbers(open_video(target).get(range(60))) == list(range(60))


@pytest.mark.parametrize(("before", "after"), [(".mp4", ".mp4"), (".mkv", ".mp4"), (".mkv", ".mkv"), (".mp4", ".mkv")])
def test_variable_rate(make_video: Make, tmp_path: Path, before: str, after: str) -> None:
    steps = np.random.default_rng(0).integers(10, 90, 60)
    source = make_video(f"in{before}", options=B_FRAMES, stamps_ms=(np.cumsum(steps) - steps[0]).tolist(), sound=True)
    target = tmp_path / f"out{after}"
    rewrite(source, target)
    assert_same(source, target, 0.0 if after == before or after == ".mp4" else 0.001)
    if after == ".mp4":
        assert probe(source).time_base == probe(target).time_base
    assert not probe(target).regular
    assert read_numbers(open_video(target).get(range(60))) == list(range(60))


def test_a_late_start_stays_late(make_video: Make, tmp_path: Path) -> None:
    source = make_video("in.mp4", 20, stamps_ms=[400 + 40 * i for i in range(20)], sound=True)
    assert open_video(source).timestamps[0] == pytest.approx(0.4)
    rewrite(source, tmp_path / "out.mp4")
    assert_same(source, tmp_path / "out.mp4")


def test_a_broadcast_clock_begins_at_zero(make_video: Make, tmp_path: Path) -> None:
    """Transport streams count from anywhere; a file that did would begin with a pause."""
    source, target = (
        make_video("in.ts", 30, sound=True, muxer={"output_ts_offset": "9"}),
        tmp_path / "out.mp4",
    )
    rewrite(source, target)
    one, two = open_video(source), open_video(target)
    start = one.timestamps[0] - two.timestamps[0]
    assert one.timestamps[0] > 1
    assert two.timestamps[0] < 0.1
    assert np.abs(one.timestamps - two.timestamps - start).max() < 1e-4
    sent, got = packets(source, "audio")[0], packets(target, "audio")[0]
    assert len(sent) == len(got)
    assert float(sent[0][0] - got[0][0]) == pytest.approx(start, abs=1e-3), "sound moves with the picture"


@pytest.mark.parametrize(
    ("primaries", "transfer", "matrix", "color_range"),
    [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (5, 6, 5, 2), (9, 16, 9, 1), (2, 2, 2, 0), (4, 4, 4, 1), (7, 7, 7, 1)],
)
def test_colour_tags_and_colours(tmp_path: Path, primaries: int, transfer: int, matrix: int, color_range: int) -> None:
    av = pytest.importorskip("av")
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    picture = np.empty((48, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 40, 40), (30, 60, 210)
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        context = stream.codec_context
        context.color_primaries, context.color_trc = primaries, transfer
        context.colorspace, context.color_range = matrix, color_range
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=5 if matrix == 2 else matrix, dst_color_range=color_range or 1
        )
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    rewrite(source, target, crf=1)
    assert_same(source, target)
    assert probe(target).colour.numbers()[:3] == (primaries, transfer, matrix)
    for path in (source, target):
        shown = open_video(path).get([0])[0].astype(int)
        for column in (10, 50):
            assert np.abs(shown[20, column] - picture[20, column].astype(int)).max() <= 5, path.name


def test_rgb_sources_become_bt709(make_video: Make, tmp_path: Path) -> None:
    source = make_video("in.mkv", 3, codec="ffv1", pixel_format="bgr0")
    assert probe(source).colour.matrix in ("gbr", "unknown")
    rewrite(source, tmp_path / "out.mp4")
    assert read_numbers(open_video(tmp_path / "out.mp4").get(range(3))) == [0, 1, 2]
    difference = open_video(tmp_path / "out.mp4").get([2])[0, :10].astype(int) - open_video(source).get([2])[0, :10]
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rotation(make_video: Make, tmp_path: Path, degrees: int, suffix: str) -> None:
    source = make_video("phone.mp4", 3, (48, 64))
    content = bytearray(source.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    cosine, sine = {90: (0, -one), 180: (-one, 0), 270: (0, one)}[degrees]
    content[matrix : matrix + 36] = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    source.write_bytes(content)
    assert probe(source).rotation == degrees
    target = tmp_path / f"out{suffix}"
    rewrite(source, target)
    assert_same(source, target, 0.001 if suffix == ".mkv" else 0.0)
    difference = open_video(source).get([2])[0].astype(int) - open_video(target).get([2])[0]
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sample_aspect(tmp_path: Path, suffix: str) -> None:
    av = pytest.importorskip("av")
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, 48, 64), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    rewrite(source, tmp_path / f"out{suffix}")
    assert probe(tmp_path / f"out{suffix}").sample_aspect == Fraction(64, 45)


def with_subtitles(video: Path, target: Path) -> Path:
    """A copy of a video with two lines of subtitles, a title, a language and a chapter."""
    av = pytest.importorskip("av")
    text = target.with_suffix(".srt")
    text.write_text(
        "1\n00:00:00,200 --> 00:00:00,700\nErste Zeile\n\n2\n00:00:01,000 --> 00:00:01,900\nZweite – Zeile\n"
    )
    with av.open(str(video)) as films, av.open(str(text)) as lines, av.open(str(target), "w") as output:
        output.metadata["title"] = "Ein Film"
        streams = {}
        for number, container in enumerate((films, lines)):
            for stream in container.streams:
                copy = output.add_stream_from_template(stream)
                copy.metadata["language"] = "ger"
                streams[number, stream.index] = copy
        if hasattr(output, "set_chapters"):
            chapter = {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "Eins"}}
            output.set_chapters([chapter])
        for number, container in enumerate((films, lines)):
            for packet in container.demux():
                if packet.size:
                    packet.stream = streams[number, packet.stream_index]
                    output.mux(packet)
    return target


def test_subtitles_chapters_and_names(make_video: Make, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    source, target = with_subtitles(make_video("in.mp4", sound=True), tmp_path / "in.mkv"), tmp_path / "out.mkv"
    rewrite(source, target)
    assert_same(source, target)
    info = probe(target)
    assert [track.codec for track in info.subtitles] == ["subrip"]
    assert [track.language for track in (*info.audio, *info.subtitles)] == ["ger", "ger"]
    assert packets(source, "subtitle") == packets(target, "subtitle"), "times, durations and text"
    with av.open(str(target)) as container:
        assert container.metadata["title"] == "Ein Film"
        if hasattr(container, "chapters"):
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Eins"]


def test_streams_that_do_not_fit_are_named(make_video: Make, tmp_path: Path) -> None:
    source = with_subtitles(make_video("in.mp4", sound=True), tmp_path / "in.mkv")
    with pytest.raises(VideoError, match=r"\.mp4 files cannot hold the subtitle stream 2 \(subrip\)") as caught:
        rewrite(source, tmp_path / "out.mp4")
    one_line(caught, "in.mkv", "write an .mkv file instead", 'keep=("audio",)')
    rewrite(source, tmp_path / "out.mp4", keep=("audio",))
    info = probe(tmp_path / "out.mp4")
    assert (len(info.audio), len(info.subtitles)) == (1, 0)
    rewrite(source, tmp_path / "silent.mp4", keep=())
    assert probe(tmp_path / "silent.mp4").audio == ()


def test_twice_the_frames(make_video: Make, tmp_path: Path) -> None:
    """As interpolation writes them: either at a new rate, or with the caller's times."""
    source = make_video("in.mp4", 20, fps=Fraction(24000, 1001), sound=True)
    reader = open_video(source)
    doubled = np.repeat(reader.get(range(20)), 2, axis=0)
    with VideoWriter(tmp_path / "rate.mp4", 2 * reader.fps, source=source) as writer:
        writer.write(doubled)
    with VideoWriter(tmp_path / "times.mp4", source=source, time_base=Fraction(1, 48000)) as writer:
        writer.write(doubled[:2], times=[0, Fraction(1001, 48000)])
        writer.write(doubled[2:], times=[i * Fraction(1001, 48000) for i in range(2, 40)])
    for name in ("rate.mp4", "times.mp4"):
        result = open_video(tmp_path / name)
        assert (len(result), result.fps) == (40, Fraction(48000, 1001))
        assert np.abs(result.timestamps[::2] - reader.timestamps).max() < 1e-9
        assert result.probe().duration == pytest.approx(reader.probe().duration)
        assert packets(tmp_path / name, "audio") == packets(source, "audio")


def test_other_sizes_and_odd_ones(make_video: Make, tmp_path: Path) -> None:
    source = make_video("in.mp4", 4, (37, 51), pixel_format="yuv444p")
    with VideoWriter(tmp_path / "out.mp4", source=source) as writer:
        assert (writer.size, writer.padding) == ((37, 51), (1, 1))
        writer.write(open_video(source).get(range(4)))
    read = open_video(tmp_path / "out.mp4").get(range(4))
    assert read.shape == (4, 38, 52, 3)
    assert np.abs(read[:, 37].astype(int) - read[:, 36]).mean() < 12, "the last row once more"
    with VideoWriter(tmp_path / "large.mp4", size=(74, 102), source=source) as writer:
        writer.write(numbered(4, 74, 102))
    assert probe(tmp_path / "large.mp4").size == (74, 102)


def test_folders_as_sources(frame_folder: Make, tmp_path: Path) -> None:
    folder = frame_folder(size=(36, 64))
    rewrite(folder, tmp_path / "out.mp4")
    assert (probe(tmp_path / "out.mp4").frames, probe(tmp_path / "out.mp4").exact_fps) == (12, 25)
    assert probe(tmp_path / "out.mp4").colour.matrix == "bt709"


def test_frames_must_match_the_source(make_video: Make, tmp_path: Path) -> None:
    source, target = make_video("in.mp4", 10), tmp_path / "out.mp4"
    with (
        pytest.raises(VideoError, match="only 6 frames were written") as caught,
        VideoWriter(target, source=source) as writer,
    ):
        writer.write(numbered(6))
    one_line(caught, "in.mp4", "out.mp4", "has 10")
    with (
        pytest.raises(VideoError, match=r"frame 10 of .* has only 10 frames"),
        VideoWriter(target, source=source) as writer,
    ):
        writer.write(numbered(11))
    with VideoWriter(target, source=source) as writer:
        writer.write(numbered(6), times=open_video(source).timestamps[2:8])
    assert np.abs(open_video(target).timestamps - open_video(source).timestamps[2:8]).max() < 1e-9


def test_wrong_times(tmp_path: Path) -> None:
    def write(times: list[float], **options: Any) -> None:
        with VideoWriter(tmp_path / "a.mp4", size=(48, 64), **options) as writer:
            writer.write(numbered(2), times=times)

    with pytest.raises(ValueError, match=r"frame 1 .* is not after the one before"):
        write([0.5, 0.5], time_base=Fraction(1, 1000))
    with pytest.raises(ValueError, match="1 times for 2 frames"):
        write([0.5], fps=25)
    with pytest.raises(ValueError, match=r"frame 0 .* is nan"):
        write([float("nan"), 1], fps=25)
    with pytest.raises(VideoError, match="needs fps"):
        write([0, 1])
    with (
        pytest.raises(ValueError, match="give times"),
        VideoWriter(tmp_path / "a.mp4", size=(48, 64), time_base=Fraction(1, 1000)) as writer,
    ):
        writer.write(numbered(2))
    assert list(tmp_path.iterdir()) == []
    write([0.25, 1.5], time_base=Fraction(1, 1000))
    assert open_video(tmp_path / "a.mp4").timestamps.tolist() == [0.25, 1.5]


def test_a_source_may_be_replaced(make_video: Make) -> None:
    path = make_video("same.mp4", 8, sound=True)
    before = packets(path, "audio")
    rewrite(path, path)
    assert packets(path, "audio") == before
    assert read_numbers(open_video(path).get(range(8))) == list(range(8))


LIMITED = """
import resource, sys
import numpy as np
from framewright.core.errors import VideoError
from framewright.video import VideoWriter
path, source, limit = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3)).astype(np.uint8)
try:
    with VideoWriter(path, 25, (48, 64), source=source) as writer:
        writer.write(noise)
except VideoError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are POSIX")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("with_source", [False, True])
def test_a_full_disk_leaves_nothing(make_video: Make, tmp_path: Path, suffix: str, with_source: bool) -> None:
    """A limit on file sizes makes writes fail as a full disk does, wherever in the file it strikes."""
    source = make_video("in/source.mp4", 30, sound=True) if with_source else ""
    folder = tmp_path / "out"
    whole = folder / f"whole{suffix}"

    def run(path: Path, limit: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LIMITED, str(path), str(source), str(limit)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run(whole, 10**9).returncode == 0
    size = whole.stat().st_size
    for limit in (100, size // 2, size - 1):
        done = run(folder / f"a{suffix}", limit)
        assert done.returncode == 3, (limit, done.stdout, done.stderr)
        assert f"a{suffix}" in done.stdout
        assert len(done.stdout.strip().splitlines()) == 1
        assert [file.name for file in folder.iterdir()] == [whole.name]
