from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.inference import Chunk, Context, NetworkMethod, SegmentationOptions, chunked, engine_options
from torch import Tensor, nn

CONTEXT = Context("segmentation", video_id="clip")


class Brightness(nn.Module):
    """Class 1 where a pixel is bright, class 2 at the left edge."""

    def forward(self, image: Tensor) -> Tensor:
        bright = image.mean(1, keepdim=True) * 4 - 2
        edge = torch.zeros_like(bright)
        edge[..., 0] = 9
        return torch.cat((-bright, bright, edge), 1)


def run(video: Tensor, size: int | None = None, budget: int = 2**20, **options: object) -> list[Chunk]:
    method = NetworkMethod(
        "test", Brightness(), pixel_budget=budget, options=engine_options("segmentation", options, "test")
    )
    return list(method.process(chunked(video, size), CONTEXT))


def test_labels_do_not_depend_on_chunks_or_budget() -> None:
    video = torch.rand(5, 3, 6, 8)
    whole = torch.cat([chunk.extras["labels"] for chunk in run(video)])
    assert whole.dtype == torch.int64
    assert (whole[..., 0] == 2).all()
    assert torch.equal(whole[..., 1:] == 1, video.mean(1)[..., 1:] > 0.5)
    parts = run(video, size=2, budget=3 * 48)
    assert [(chunk.start, len(chunk)) for chunk in parts] == [(0, 3), (3, 2)]
    assert torch.equal(torch.cat([chunk.extras["labels"] for chunk in parts]), whole)


def test_probability_of_chosen_classes_and_logits() -> None:
    chunk = run(torch.rand(1, 3, 6, 8), classes=[0, 1], logits=True)[0]
    expected = chunk.extras["logits"].softmax(1)[:, :2].sum(1, keepdim=True)
    torch.testing.assert_close(chunk.extras["probability"], expected)
    with pytest.raises(ConfigError, match="no class 3"):
        run(torch.rand(1, 3, 6, 8), classes=[3])


def test_several_views_are_averaged() -> None:
    video = torch.full((1, 3, 8, 8), 0.75)
    labels = run(video, flip=True, scales=[0.5, 1.0])[0].extras["labels"]
    # seen mirrored, the right edge is the left one
    assert (labels[..., 1:-1] == 1)[..., 2:-2].all()
    logits = run(video, flip=True, logits=True)[0].extras["logits"]
    torch.testing.assert_close(logits[..., 0], logits[..., -1])


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="scale"):
        engine_options("segmentation", {"scale": 2}, "methods.x.inference")
    assert SegmentationOptions().scales == (1.0,)
