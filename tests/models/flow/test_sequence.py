from __future__ import annotations

import pytest
import torch
from framewright.models.flow import video_flow
from torch import Tensor, nn


class Difference(nn.Module):
    """Stands for a flow network: mean colour of the second image minus that of the first, and the batch sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.batches: list[int] = []

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        self.batches.append(len(image1))
        assert image1.dtype == torch.float32
        return (image2 - image1).mean(1, keepdim=True).expand(-1, 2, -1, -1) * self.scale


@pytest.mark.parametrize("batch", [None, 1, 2, 10])
def test_pairs_in_order_whatever_the_batch(batch: int | None) -> None:
    frames = torch.rand(6, 3, 4, 5)
    steps = (frames[1:] - frames[:-1]).mean(1, keepdim=True).expand(-1, 2, -1, -1)
    net = Difference()
    torch.testing.assert_close(video_flow(net, frames, pairs_per_batch=batch), steps)
    torch.testing.assert_close(video_flow(net, frames, backward=True, pairs_per_batch=batch), -steps)
    assert max(net.batches) <= (batch or 5)


def test_no_gradient_and_no_growing_batch() -> None:
    net = Difference()
    flow = video_flow(net, torch.rand(5, 3, 512, 512))
    assert not flow.requires_grad
    assert set(net.batches) == {1}


def test_short_videos_and_bad_ones() -> None:
    assert video_flow(Difference(), torch.rand(1, 3, 4, 5)).shape == (0, 2, 4, 5)
    assert video_flow(Difference(), torch.rand(0, 3, 4, 5)).shape == (0, 2, 4, 5)
    with pytest.raises(ValueError, match=r"\(T, 3, H, W\)"):
        video_flow(Difference(), torch.rand(2, 5, 3, 4, 5))
    with pytest.raises(ValueError, match="at least 1"):
        video_flow(Difference(), torch.rand(2, 3, 4, 5), pairs_per_batch=0)
