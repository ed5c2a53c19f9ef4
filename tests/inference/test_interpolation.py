"""Interpolation over a stream of frames."""

from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.inference import Chunk, Context, NetworkMethod, chunked, split_frames
from framewright.models import registry
from torch import Tensor, nn


class Blend(nn.Module):
    """A small network whose result depends on order, time and neighbours, and not on the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 3, 3, padding=1)
        self.batches: list[int] = []

    def forward(self, image0: Tensor, image1: Tensor, timestep: float | Tensor = 0.5) -> Tensor:
        assert not self.training
        self.batches.append(image0.shape[0])
        time = torch.as_tensor(timestep).reshape(-1, 1, 1, 1)
        return image0 * (1 - time) + image1 * time + 0.3 * self.conv(torch.cat((image0, image1), 1))


class MiddleOnly(nn.Module):
    def forward(self, image0: Tensor, image1: Tensor, timestep: float | Tensor = 0.5) -> Tensor:
        if not bool((torch.as_tensor(timestep) == 0.5).all()):
            raise ValueError("makes the middle frame only")
        return (image0 + image1) / 2


def _run(method: NetworkMethod, frames: Tensor, size: int | None, context: Context) -> Tensor:
    chunks = list(method.process(chunked(frames, size), context))
    position = 0
    for chunk in chunks:
        assert chunk.start == position
        position += len(chunk)
    return torch.cat([chunk.frames for chunk in chunks])


@pytest.mark.parametrize("timesteps", [(0.5,), (0.25, 0.5, 0.75)])
@pytest.mark.parametrize("budget", [1, 3 * 20 * 24, 10**9])
def test_result_does_not_depend_on_chunks(timesteps: tuple[float, ...], budget: int) -> None:
    frames = torch.rand(7, 3, 20, 24)
    method = NetworkMethod("blend", Blend(), pixel_budget=budget)
    context = Context("interpolation", timesteps)
    whole = _run(method, frames, None, context)
    assert whole.shape == (6 * len(timesteps), 3, 20, 24)
    for size in (1, 2, 3):
        assert torch.equal(_run(method, frames, size, context), whole)


def test_frames_are_in_order_and_at_their_times() -> None:
    net = Blend()
    nn.init.zeros_(net.conv.weight)
    nn.init.zeros_(net.conv.bias)
    frames = torch.arange(4).float().reshape(4, 1, 1, 1).expand(4, 3, 8, 8) / 4
    result = _run(NetworkMethod("x", net), frames, 2, Context("interpolation", (0.25, 0.75)))
    expected = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.25, 2.75]) / 4
    assert torch.allclose(result[:, 0, 0, 0], expected)


def test_pixel_budget_bounds_the_batch_and_a_single_pair_always_runs() -> None:
    net = Blend()
    frames = torch.rand(6, 3, 10, 10)
    _run(NetworkMethod("x", net, pixel_budget=250), frames, None, Context("interpolation"))
    assert net.batches == [2, 2, 1]
    net.batches.clear()
    _run(NetworkMethod("x", net, pixel_budget=1), frames, None, Context("interpolation"))
    assert net.batches == [1] * 5


def test_streams_without_reading_ahead() -> None:
    read: list[int] = []

    def source() -> object:
        for index in range(10):
            read.append(index)
            yield Chunk(index, torch.rand(1, 3, 8, 8))

    method = NetworkMethod("x", Blend(), pixel_budget=1)
    output = method.process(source(), Context("interpolation"))  # type: ignore[arg-type]
    next(output)
    assert read == [0, 1]


def test_output_is_clamped_float32_without_gradient_and_modes_are_restored() -> None:
    net = nn.Sequential()
    net.blend = Blend()
    net.forward = lambda image0, image1, timestep: net.blend(image0, image1, timestep) * 100 - 50  # type: ignore[method-assign, assignment]
    net.train()
    net.blend.conv.eval()
    result = _run(NetworkMethod("x", net), torch.rand(3, 3, 8, 8), None, Context("interpolation"))
    assert result.dtype == torch.float32
    assert not result.requires_grad
    assert result.min() == 0
    assert result.max() == 1
    assert net.training
    assert net.blend.training
    assert not net.blend.conv.training


def test_bfloat16_is_close_to_float32() -> None:
    frames = torch.rand(3, 3, 16, 16)
    method = NetworkMethod("x", Blend())
    exact = _run(method, frames, None, Context("interpolation"))
    mixed = _run(method, frames, None, Context("interpolation", precision="bf16-mixed"))
    assert mixed.dtype == torch.float32
    assert not torch.equal(exact, mixed)
    assert (exact - mixed).abs().max() < 0.02


def test_middle_only_network_names_method_and_times() -> None:
    method = NetworkMethod("mine", MiddleOnly())
    with pytest.raises(ConfigError, match=r"'mine' cannot interpolate at t = 0.25, 0.5, 0.75.*middle"):
        list(method.process(chunked(torch.rand(2, 3, 8, 8)), Context("interpolation", (0.25, 0.5, 0.75))))


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="'auxiliary'"):
        list(NetworkMethod("x", Blend()).process(chunked(torch.rand(2, 3, 8, 8)), Context("auxiliary")))


@pytest.mark.parametrize("name", ["rife", "rife_m", "frame_average", "dis_warp"])
def test_real_networks_do_not_depend_on_chunks(name: str) -> None:
    card = registry.get_card(name)
    net = registry.create_model(name, **card.tiny)
    method = NetworkMethod(name, net, pixel_budget=2 * 40 * 52)
    frames = torch.rand(5, 3, 40, 52)
    whole = _run(method, frames, None, Context("interpolation"))
    assert whole.shape == (4, 3, 40, 52)
    for size in (2, 3):
        assert torch.equal(_run(method, frames, size, Context("interpolation")), whole)


class TestSplit:
    def test_triplets(self) -> None:
        frames = torch.arange(7).float().reshape(7, 1, 1, 1).expand(7, 3, 2, 2)
        split = split_frames(frames)
        assert split.sources[:, 0, 0, 0].tolist() == [0, 2, 4, 6]
        assert split.targets[:, 0, 0, 0].tolist() == [1, 3, 5]
        assert split.timesteps == (0.5,)

    def test_stride_four_and_a_tail_without_right_neighbour(self) -> None:
        frames = torch.arange(11).float().reshape(11, 1, 1, 1).expand(11, 3, 2, 2)
        split = split_frames(frames, 4)
        assert split.sources[:, 0, 0, 0].tolist() == [0, 4, 8]
        assert split.targets[:, 0, 0, 0].tolist() == [1, 2, 3, 5, 6, 7]
        assert split.timesteps == (0.25, 0.5, 0.75)

    def test_too_short(self) -> None:
        with pytest.raises(ValueError, match="needs 3 frames, got 2"):
            split_frames(torch.rand(2, 3, 4, 4))


def test_context_and_chunk_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="timesteps"):
        Context("interpolation", (0.5, 0.5))
    with pytest.raises(ValueError, match="timesteps"):
        Context("interpolation", (0.0, 0.5))
    with pytest.raises(ValueError, match="precision"):
        Context("interpolation", precision="16")
    with pytest.raises(ValueError, match=r"\(T, 3, H, W\)"):
        Chunk(0, torch.rand(3, 8, 8))
    with pytest.raises(ValueError, match="'mask' has 1 frames"):
        Chunk(0, torch.rand(2, 3, 8, 8), {"mask": torch.rand(1, 1, 8, 8)})


def test_chunks_carry_their_extras() -> None:
    frames, mask = torch.rand(5, 3, 4, 4), torch.rand(5, 1, 4, 4)
    chunks = list(chunked(frames, 2, start=10, extras={"mask": mask}))
    assert [chunk.start for chunk in chunks] == [10, 12, 14]
    assert torch.equal(torch.cat([chunk.extras["mask"] for chunk in chunks]), mask)
