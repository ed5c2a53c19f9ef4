"""Stabilization of streams and files: borders, look-ahead, threads, cuts, and clips in which little happens."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.inference import Chunk, Context, StabilizationOptions, chunked, stabilize_chunks, stabilize_file
from framewright.inference.ahead import ahead
from framewright.inference.camera_plan import PathPlanner
from framewright.models.registry import create_model
from framewright.models.stabilization import FrameMotion
from framewright.ops.camera_path import kept_share, pose_of, with_zoom
from framewright.video import load_video, save_video
from torch import Tensor

CONTEXT = Context("stabilization")


def photo(name: str = "astronaut") -> Tensor:
    import skimage.data

    return torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1).float() / 255


def shaky(frames: int = 24, name: str = "astronaut", height: int = 96, width: int = 128) -> Tensor:
    """A hand-held window on a photograph, whole pixels."""
    generator = torch.Generator().manual_seed(4)
    image, places = photo(name), (torch.randn(frames, 2, generator=generator) * 2).round().int().tolist()
    return torch.stack([image[:, 100 + y : 100 + y + height, 150 + x : 150 + x + width] for x, y in places])


def run(video: Tensor, smoother: str = "kalman_rts", size: int | None = None, **options: Any) -> list[Chunk]:
    settings = StabilizationOptions(**{"motion_size": 128, **options})
    return list(stabilize_chunks(create_model(smoother), chunked(video, size), CONTEXT, options=settings))


def frames(made: list[Chunk]) -> Tensor:
    return torch.cat([chunk.frames for chunk in made])


def extra(made: list[Chunk], name: str) -> Tensor:
    return torch.cat([chunk.extras[name] for chunk in made])


def unrest(video: Tensor) -> float:
    return float((video[1:] - video[:-1])[..., 20:-20, 20:-20].abs().mean())


def test_shake_goes_and_no_border_shows() -> None:
    video = shaky()
    made = run(video, "tripod")
    assert unrest(frames(made)) < 0.35 * unrest(video)
    assert extra(made, "validity").all()
    assert extra(made, "zoom").min() >= 1
    assert [chunk.start for chunk in made] == list(range(24))


@pytest.mark.parametrize("options", [{}, {"look_ahead": 12}, {"border": "previous", "zoom": "none"}])
def test_neither_chunks_nor_threads_matter(options: dict[str, Any]) -> None:
    video = shaky(16)
    expected = run(video, **options)
    for other in (run(video, size=5, **options), run(video, threads=3, **options), run(video, threads=2, **options)):
        assert torch.equal(frames(other), frames(expected))
        assert torch.equal(extra(other, "smooth"), extra(expected, "smooth"))


@pytest.mark.parametrize("look_ahead", [0, 6, 14])
def test_a_frame_comes_out_when_its_look_ahead_has_come_in(look_ahead: int) -> None:
    taken = 0

    def source() -> Iterator[Chunk]:
        nonlocal taken
        for chunk in chunked(shaky(24), 1):
            taken += 1
            yield chunk

    options = StabilizationOptions(look_ahead=look_ahead, motion_size=128)
    made = stabilize_chunks(create_model("kalman_rts"), source(), CONTEXT, options=options)
    for position, _ in enumerate(made):
        assert taken <= min(24, position + look_ahead + 1)
    assert position == 23


def test_a_fixed_lag_in_a_stream_is_that_of_the_whole_path() -> None:
    made = run(shaky(40), look_ahead=8, zoom="none")
    expected = create_model("kalman_rts", lag=8)(extra(made, "seen")[None])[0]
    torch.testing.assert_close(extra(made, "smooth"), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("zoom", ["adaptive", "smallest"])
def test_a_planned_zoom_covers_every_frame(zoom: Any) -> None:
    generator = torch.Generator().manual_seed(2)
    planner = PathPlanner(create_model("kalman_rts"), (180, 320), zoom=zoom, max_zoom=3.0)
    plans = []
    for motion in torch.randn(150, 4, generator=generator, dtype=torch.float64) * torch.tensor([3.0, 3, 0.01, 0.01]):
        plans += planner.push(FrameMotion(motion, 1.0, False, False))
    plans += planner.finish()
    corrections = torch.stack([with_zoom(p.correction, torch.tensor(p.zoom, dtype=torch.float64)) for p in plans])
    assert (kept_share(corrections, 180, 320) > 1 - 1e-9).all()
    zooms = torch.tensor([plan.zoom for plan in plans])
    assert zooms.max() < 3
    assert zooms.diff().abs().max() < (0.02 if zoom == "adaptive" else 1e-9)


def test_the_plan_of_a_recorded_clip(assets: Path) -> None:
    """Recorded motions of a hand-held camera, 120 frames: a path 20 times calmer, nine tenths of the frame kept."""
    matrices = np.load(assets / "parity/stabilization/farneback_traj_video3.npz")["motions"].copy()
    matrices[..., 2] /= 2  # translations were recorded in pixels of the full frame, the rest in a frame half as large
    motions = pose_of(torch.from_numpy(matrices), 180, 320) * torch.tensor([2.0, 2, 1, 1])
    planner = PathPlanner(create_model("kalman_rts"), (360, 640))
    plans = []
    for pose in (torch.zeros(4, dtype=torch.float64), *motions):
        plans += planner.push(FrameMotion(pose, 1.0, False, False))
    plans += planner.finish()
    seen, smooth = torch.stack([p.seen for p in plans]), torch.stack([p.smooth for p in plans])
    shaky, calm = (float(x[:, :2].diff(dim=0).diff(dim=0).square().mean().sqrt()) for x in (seen, smooth))
    assert calm < shaky / 20
    zooms = torch.tensor([p.zoom for p in plans])
    assert (1 / zooms).mean() > 0.9
    assert zooms.log().diff().abs().max() < 0.004


def test_an_endless_stream_needs_no_more_memory() -> None:
    planner = PathPlanner(create_model("kalman_rts", q=1e-2, r=1.0), (90, 160), look_ahead=12)
    count = 0
    for number in range(1500):
        still = FrameMotion(torch.tensor([0.5, 0, 0, 0]).double(), 1.0, False, False)
        count += len(planner.push(still))
        assert number + 1 - count <= 12
    assert len(planner._seen) < 500


def test_zoom_and_border_choices() -> None:
    video = shaky(10)
    assert not extra(run(video, zoom="none"), "validity").all()
    assert torch.allclose(extra(run(video, zoom="fixed", keep=0.8), "zoom"), torch.tensor(1.25))
    bare = run(video, zoom="none", border="black")
    hole = (extra(bare, "validity") == 0).expand(-1, 3, -1, -1)
    assert frames(bare)[hole].mean() < 0.1
    for options in ({"border": "circular"}, {"border": "previous"}, {"border": "inpaint", "filler": "telea"}):
        made = run(video, zoom="none", **options)
        torch.testing.assert_close(frames(made)[~hole], frames(bare)[~hole], rtol=0, atol=2e-3)
        assert frames(made)[hole].mean() > 0.1
        assert torch.equal(extra(made, "validity"), extra(bare, "validity"))


def test_the_frame_before_fills_borders_better_than_a_mirror() -> None:
    video = shaky(24)
    truth = photo()[:, 100:196, 150:278]
    errors = {}
    for border in ("mirror", "previous"):
        made = run(video, "tripod", zoom="none", border=border)
        hole = (extra(made, "validity") == 0)[12:]
        offset = (frames(made)[12:] - frames(made)[:1]).abs().mean(1, keepdim=True)
        errors[border] = float(offset[hole].mean())
    assert truth.shape == video.shape[1:]
    assert errors["previous"] < 0.5 * errors["mirror"]


def test_a_static_clip_stays_static() -> None:
    video = shaky(1).expand(12, -1, -1, -1)
    for smoother in ("kalman_rts", "kalman", "gaussian_path", "l1_path"):
        made = run(video, smoother)
        assert (frames(made) - video).abs().max() < 2e-3
        assert torch.allclose(extra(made, "zoom"), torch.tensor(1.0), atol=1e-3)


def test_a_cut_in_the_middle_begins_a_new_path() -> None:
    video = torch.cat((shaky(12), shaky(12, "coffee")))
    made = run(video)
    assert not extra(made, "seen")[[0, 12]].any()
    alone = run(shaky(12, "coffee"))
    torch.testing.assert_close(frames(made)[12:], frames(alone), rtol=0, atol=1e-5)


def test_a_pure_zoom_stays_one() -> None:
    import torch.nn.functional as F

    image, video = photo()[:, 50:350, 60:460], []
    for number in range(16):
        edge = 4 * number
        part = image[None, :, edge * 3 // 4 : 300 - edge * 3 // 4, edge : 400 - edge]
        video.append(F.interpolate(part, (96, 128), mode="area")[0])
    made = run(torch.stack(video))
    scale = extra(made, "seen")[:, 3]
    assert scale[-1] == pytest.approx(math.log(400 / 280), abs=0.02)
    assert (extra(made, "smooth")[:, 3] - scale).abs().max() < 0.03
    assert extra(made, "correction")[:, :2].abs().max() < 1


def test_a_black_clip_and_very_short_ones() -> None:
    black = torch.zeros(8, 3, 48, 64)
    assert torch.equal(frames(run(black)), black)
    for length in (1, 2):
        made = run(shaky(length))
        assert frames(made).shape == (length, 3, 96, 128)
        assert extra(made, "validity").all()
    assert run(shaky(2)[:0]) == []


def test_messages() -> None:
    for options in ({"keep": 0.9}, {"filler": "telea"}, {"look_ahead": 3, "zoom": "smallest"}, {"threads": 9}):
        with pytest.raises(ValueError, match=next(iter(options))):
            StabilizationOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="whole clip"):
        run(shaky(3), "l1_path", look_ahead=10)
    with pytest.raises(ConfigError, match="expected a network for flow"):
        run(shaky(3), flow="telea")
    with pytest.raises(ConfigError, match="needs weights"):
        run(shaky(3), flow="raft_small")
    with pytest.raises(ConfigError, match="farneback"):
        run(shaky(3), flow="nothing")
    sizes = [Chunk(0, torch.zeros(1, 3, 32, 32)), Chunk(1, torch.zeros(1, 3, 32, 40))]
    with pytest.raises(DataError, match="size"):
        list(stabilize_chunks(create_model("kalman"), sizes, CONTEXT))


@pytest.mark.parametrize("options", [{}, {"look_ahead": 12, "threads": 3}])
def test_file_to_file(tmp_path: Path, options: dict[str, Any]) -> None:
    video = shaky(20)
    save_video(video, tmp_path / "shaky.mp4")
    settings = StabilizationOptions(motion_size=128, **options)
    plans = stabilize_file(tmp_path / "shaky.mp4", tmp_path / "steady.mp4", "tripod", settings)
    steady = load_video(tmp_path / "steady.mp4")
    assert len(plans) == len(steady) == 20
    assert unrest(steady.float()) < 0.5 * unrest(video)


def test_working_ahead_keeps_order_passes_errors_on_and_stops() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))

    def broken() -> Iterator[int]:
        yield 1
        raise DataError("no more")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(DataError, match="no more"):
        next(items)

    made: list[int] = []

    def counting() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    endless = ahead(counting(), 2)
    next(endless)
    time.sleep(0.05)
    endless.close()  # type: ignore[attr-defined]
    assert len(made) <= 5
    assert not [thread for thread in threading.enumerate() if thread.name == "framewright-ahead"]
    with pytest.raises(ValueError, match="depth"):
        next(ahead([], 0))
