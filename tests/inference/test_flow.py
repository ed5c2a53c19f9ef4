"""Optical flow over a stream of frames, by networks and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.core.errors import DataError
from framewright.inference import Chunk, Context, FolderMethod, NetworkMethod, chunked
from framewright.models import registry
from framewright.ops.pad import PadRule
from framewright.video.flow_files import write_flow
from torch import Tensor, nn


class Difference(nn.Module):
    """A flow that tells which frames it was made of."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        assert not self.training
        self.batches.append(len(image1))
        return torch.stack((image2.mean(1) - image1.mean(1), image1.mean(1)), 1) * 100


def run(method: NetworkMethod | FolderMethod, frames: Tensor, size: int | None, context: Context) -> list[Chunk]:
    chunks = list(method.process(chunked(frames, size), context))
    ends = np.cumsum([0, *(len(chunk) for chunk in chunks)]).tolist()
    assert [chunk.start for chunk in chunks] == ends[:-1]
    return chunks


def flows(chunks: list[Chunk]) -> Tensor:
    return torch.cat([chunk.extras["flow"] for chunk in chunks])


@pytest.mark.parametrize("budget", [1, 3 * 6 * 8, 10**9])
def test_flow_goes_from_each_frame_to_the_next_whatever_the_chunks(budget: int) -> None:
    frames = torch.rand(6, 3, 6, 8)
    method = NetworkMethod("difference", Difference(), pixel_budget=budget)
    context = Context("flow")
    assert context.output_frames(6) == 5
    for size in (None, 1, 2, 4):
        chunks = run(method, frames, size, context)
        assert torch.equal(torch.cat([chunk.frames for chunk in chunks]), frames[:-1])
        means = frames.mean(1)
        assert torch.allclose(flows(chunks)[:, 0], (means[1:] - means[:-1]) * 100, atol=1e-4)
        assert torch.allclose(flows(chunks)[:, 1], means[:-1] * 100, atol=1e-4)


def test_pixel_budget_bounds_the_batch() -> None:
    net = Difference()
    run(NetworkMethod("x", net, pixel_budget=2 * 48), torch.rand(6, 3, 6, 8), None, Context("flow"))
    assert net.batches == [2, 2, 1]


def test_a_single_frame_has_no_flow() -> None:
    assert run(NetworkMethod("x", Difference()), torch.rand(1, 3, 6, 8), None, Context("flow")) == []


def test_flow_is_not_clamped_and_autocast_follows_the_context() -> None:
    frames = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    assert float(flows(run(NetworkMethod("x", Difference()), frames, None, Context("flow"))).max()) == 100

    class Product(nn.Module):
        def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
            self.dtype = torch.mm(image1[0, 0], image2[0, 0]).dtype
            return image1[:, :2]

    net = Product()
    made = flows(run(NetworkMethod("x", net), frames, None, Context("flow", precision="bf16-mixed")))
    assert (net.dtype, made.dtype) == (torch.bfloat16, torch.float32)


def test_padding_of_a_protocol_is_undone() -> None:
    class Size(nn.Module):
        def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
            self.size = image1.shape[2:]
            return image1[:, :2]

    net, frames = Size(), torch.rand(2, 3, 6, 9)
    rule = PadRule(None, 8, "replicate", True)
    made = flows(run(NetworkMethod("x", net), frames, None, Context("flow", padding=rule)))
    assert tuple(net.size) == (8, 16)
    assert torch.equal(made, frames[:1, :2])


def test_a_network_that_returns_no_flow_is_named() -> None:
    class Frame(nn.Module):
        def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
            return image1

    with pytest.raises(ValueError, match=r"'odd' returned a flow of shape \(1, 3, 6, 8\), expected \(1, 2, 6, 8\)"):
        run(NetworkMethod("odd", Frame()), torch.rand(2, 3, 6, 8), None, Context("flow"))


@pytest.mark.parametrize("name", ["zero_flow", "dis", "pwcnet", "spynet"])
def test_real_networks_do_not_depend_on_chunks(name: str) -> None:
    net = registry.create_model(name, **registry.get_card(name).tiny)
    method = NetworkMethod(name, net, pixel_budget=2 * 64 * 64)
    frames = torch.rand(4, 3, 40, 56)
    whole = flows(run(method, frames, None, Context("flow")))
    assert whole.shape == (3, 2, 40, 56)
    assert torch.equal(flows(run(method, frames, 1, Context("flow"))), whole)


def stored(folder: Path, name: str, flow: Tensor) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_flow(path, flow.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("suffix", [".flo", ".pfm", ".png"])
def test_files_of_flow_are_results(tmp_path: Path, suffix: str) -> None:
    made = (torch.rand(11, 2, 6, 8) * 100 * 64).round() / 64
    frames = torch.rand(12, 3, 6, 8)
    for index, flow in enumerate(made):
        # 10 comes after 9
        stored(tmp_path, f"scene/clip/{index}{suffix}", flow)
    stored(tmp_path, f"pair{suffix}", made[0])
    method = FolderMethod("theirs", tmp_path, chunk_frames=4)
    assert torch.equal(flows(run(method, frames, 5, Context("flow", video_id="scene/clip"))), made)
    assert torch.equal(flows(run(method, frames[:2], None, Context("flow", video_id="pair"))), made[:1])


def test_wrong_files_of_flow_are_refused(tmp_path: Path) -> None:
    frames = torch.rand(3, 3, 6, 8)
    method = FolderMethod("theirs", tmp_path)

    def process(video: str) -> None:
        run(method, frames, None, Context("flow", video_id=video))

    with pytest.raises(DataError, match=r"holds no flow of the video 'clip'; expected .*clip\.flo"):
        process("clip")
    stored(tmp_path, "clip/0.flo", torch.zeros(2, 6, 8))
    with pytest.raises(DataError, match="has 1 flow, expected 2 for the video 'clip'"):
        process("clip")
    stored(tmp_path, "clip/1.pfm", torch.zeros(2, 6, 8))
    with pytest.raises(DataError, match="keep only one kind"):
        process("clip")
    (tmp_path / "clip" / "1.pfm").unlink()
    stored(tmp_path, "clip/1.flo", torch.zeros(2, 8, 6))
    with pytest.raises(DataError, match=r"1\.flo is 6x8, expected 8x6"):
        process("clip")
    stored(tmp_path, "clip/1.flo", torch.full((2, 6, 8), float("nan")))
    with pytest.raises(DataError, match=r"1\.flo leaves 48 pixels unknown"):
        process("clip")
    with pytest.raises(DataError, match="not a path inside"):
        process("../clip")
