from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.flow.baselines import DISFlow, Farneback, ZeroFlow
from torch import Tensor, nn

METHODS = pytest.mark.parametrize("build", [ZeroFlow, Farneback, DISFlow])
CLASSICAL = pytest.mark.parametrize("build", [Farneback, DISFlow])


def photo() -> Tensor:
    import skimage.data

    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255


@METHODS
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 70), (40, 57)])
def test_any_size(build: type[nn.Module], size: tuple[int, int]) -> None:
    flow = build()(*torch.rand(2, 2, 3, *size))
    assert flow.shape == (2, 2, *size)
    assert flow.isfinite().all()


@METHODS
def test_no_pairs(build: type[nn.Module]) -> None:
    assert build()(*torch.rand(2, 0, 3, 40, 40)).shape == (0, 2, 40, 40)


@CLASSICAL
def test_points_to_where_the_second_image_shows_the_pixel(build: type[nn.Module]) -> None:
    image = photo()
    # the window moves 3 right and 2 up, so its contents move 3 left and 2 down
    first, second = image[..., 100:200, 100:240], image[..., 98:198, 103:243]
    flow = build()(torch.cat((first, second)), torch.cat((second, first)))[..., 20:-20, 20:-20]
    median = flow.flatten(2).median(2).values
    torch.testing.assert_close(median, torch.tensor([[-3.0, 2.0], [3.0, -2.0]]), rtol=0, atol=0.1)


def test_farneback_is_opencv_on_8bit_luma() -> None:
    import cv2

    image = photo()
    first, second = image[..., 60:160, 60:200], image[..., 61:161, 62:202]
    gray = [
        cv2.cvtColor((x[0].permute(1, 2, 0) * 255).round().byte().numpy(), cv2.COLOR_RGB2GRAY) for x in (first, second)
    ]
    expected = cv2.calcOpticalFlowFarneback(*gray, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    assert torch.equal(Farneback()(first, second)[0].permute(1, 2, 0), torch.from_numpy(expected))


def test_zero_flow_is_zero() -> None:
    assert not ZeroFlow()(*torch.rand(2, 1, 3, 8, 8)).any()


@METHODS
def test_bad_images(build: type[nn.Module]) -> None:
    image = torch.rand(1, 3, 40, 40)
    with pytest.raises(ValueError, match="of one shape"):
        build()(image, image[..., 1:])
    with pytest.raises(ValueError, match="floating-point"):
        build()(image.byte(), image.byte())
    with pytest.raises(ValueError, match="at least one pixel"):
        build()(image[..., :0], image[..., :0])


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="preset must be"):
        DISFlow("slow")
    with pytest.raises(ConfigError, match="poly_n 5 or 7"):
        Farneback(poly_n=6)
    with pytest.raises(ConfigError, match="pyr_scale"):
        Farneback(pyr_scale=1.0)
