from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError, DataError
from framewright.inference import Context, NetworkMethod, chunked, engine_options
from framewright.models.registry import create_model
from torch import Tensor, nn

CONTEXT = Context("matting", video_id="clip")


class Red(nn.Module):
    """Alpha is the red channel; counts what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        self.images += len(image)
        return image[:, :1]


def example() -> tuple[Tensor, Tensor]:
    trimap = torch.zeros(4, 1, 6, 8)
    trimap[1:, ..., 2:6] = 128 / 255
    trimap[2, ..., 6:] = 1
    trimap[3] = 1
    return torch.rand(4, 3, 6, 8), trimap


def matte(net: nn.Module, video: Tensor, trimap: Tensor | None, size: int | None = None, **options: object) -> Tensor:
    method = NetworkMethod("test", net, pixel_budget=3 * 48, options=engine_options("matting", options, "test"))
    extras = {} if trimap is None else {"trimap": trimap}
    return torch.cat([chunk.extras["alpha"] for chunk in method.process(chunked(video, size, extras=extras), CONTEXT)])


def test_known_pixels_are_kept_and_decided_frames_not_computed() -> None:
    video, trimap = example()
    net = Red()
    alpha = matte(net, video, trimap)
    unknown = (trimap > 0) & (trimap < 1)
    assert torch.equal(alpha[unknown], video[:, :1][unknown])
    assert torch.equal(alpha[~unknown], trimap[~unknown])
    assert net.images == 2  # empty foreground and background only: nothing to find out
    assert torch.equal(matte(net, video, trimap, size=1), alpha)
    assert torch.equal(matte(net, video, trimap, keep_known=False), video[:, :1])


def test_missing_or_misfitting_trimaps_say_so() -> None:
    video, trimap = example()
    with pytest.raises(DataError, match="no trimap at frame 0"):
        matte(Red(), video, None)
    with pytest.raises(DataError, match="as its frames"):
        matte(Red(), video, trimap[..., :-1])
    with pytest.raises(ConfigError, match="downsample_ratio"):
        matte(Red(), video, trimap, downsample_ratio=0.5)


def test_a_recurrent_network_keeps_its_state_over_chunks() -> None:
    torch.manual_seed(0)
    net, video = create_model("rvm", width=0.25), torch.rand(4, 3, 32, 40)
    method = NetworkMethod("rvm", net, pixel_budget=2 * 32 * 40)
    whole = list(method.process(chunked(video), CONTEXT))
    parts = list(method.process(chunked(video, 1), CONTEXT))
    assert torch.equal(*(torch.cat([c.extras["foreground"] for c in run]) for run in (whole, parts)))
    assert whole[0].extras["alpha"].shape == (2, 1, 32, 40)


def test_foreground_colours_on_request() -> None:
    video, trimap = example()
    method = NetworkMethod("red", Red(), options=engine_options("matting", {"foreground": True}, "test"))
    chunk = next(iter(method.process(chunked(video, extras={"trimap": trimap}), CONTEXT)))
    assert chunk.extras["foreground"].shape == video.shape
