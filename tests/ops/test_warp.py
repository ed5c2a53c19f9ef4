from __future__ import annotations

import pytest
import torch
from framewright.ops.warp import warp


def _flow(u: float, v: float, height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.tensor([u, v]).view(1, 2, 1, 1).expand(batch, 2, height, width).clone()


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(9, 14), (256, 448), (1, 7), (5, 1)])
def test_zero_flow_changes_nothing(size: tuple[int, int], align_corners: bool) -> None:
    image = torch.rand(2, 3, *size)
    out = warp(image, torch.zeros(2, 2, *size), align_corners=align_corners)
    torch.testing.assert_close(out, image, rtol=0, atol=5e-5)


@pytest.mark.parametrize("align_corners", [True, False])
def test_whole_pixel_flow_is_a_shift(align_corners: bool) -> None:
    image = torch.rand(1, 3, 12, 17)
    out = warp(image, _flow(3, -2, 12, 17), align_corners=align_corners)
    torch.testing.assert_close(out[..., 2:, :-3], image[..., :-2, 3:], rtol=0, atol=1e-5)
    # outside, the border is repeated
    torch.testing.assert_close(out[..., 2:, -3:], image[..., :-2, -1:].expand(-1, -1, -1, 3), rtol=0, atol=1e-5)


def test_half_pixel_flow_is_the_mean_of_neighbours() -> None:
    image = torch.rand(1, 1, 6, 8, dtype=torch.float64)
    out = warp(image, _flow(0.5, 0, 6, 8).double())
    torch.testing.assert_close(out[..., :-1], (image[..., :-1] + image[..., 1:]) / 2)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(6, 8), (1, 8), (6, 1)])
def test_zeros_padding_is_black_outside(size: tuple[int, int], align_corners: bool) -> None:
    out = warp(torch.ones(1, 1, *size), _flow(20, 20, *size), padding="zeros", align_corners=align_corners)
    assert out.abs().max() == 0


def test_autocast_and_half_precision_keep_positions() -> None:
    # at 1000 pixels, bfloat16 positions would be off by several pixels
    ramp = torch.arange(1000.0).view(1, 1, 1, 1000).expand(1, 1, 4, 1000) / 1000
    flow = _flow(10.25, 0, 4, 1000)
    expected = warp(ramp, flow)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(warp(ramp, flow), expected)
    half = warp(ramp.bfloat16(), flow)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0, atol=4e-3)


def test_gradients_with_respect_to_image_and_flow() -> None:
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    # away from whole pixels, where bilinear interpolation has no derivative
    flow = (torch.rand(1, 2, 5, 6, dtype=torch.float64) * 0.6 + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: warp(i, f, padding="zeros"), (image, flow))


@pytest.mark.parametrize(
    ("image", "flow", "options", "message"),
    [
        ((1, 3, 4, 5), (1, 3, 4, 5), {}, r"flow \(B, 2, H, W\)"),
        ((1, 3, 4, 5), (1, 2, 5, 4), {}, "same batch, height and width"),
        ((2, 3, 4, 5), (1, 2, 4, 5), {}, "same batch, height and width"),
        ((1, 3, 4, 5), (1, 2, 4, 5), {"padding": "reflect"}, "'border' or 'zeros'"),
    ],
)
def test_bad_arguments(image: tuple[int, ...], flow: tuple[int, ...], options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        warp(torch.zeros(image), torch.zeros(flow), **options)  # type: ignore[arg-type]


def test_exports_without_graph_breaks() -> None:
    class Module(torch.nn.Module):
        def forward(self, image: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
            return warp(image, flow)

    image, flow = torch.rand(1, 3, 8, 9), torch.randn(1, 2, 8, 9)
    program = torch.export.export(Module(), (image, flow))
    torch.testing.assert_close(program.module()(image, flow), warp(image, flow))
