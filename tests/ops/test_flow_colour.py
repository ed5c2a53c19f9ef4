"""The Middlebury colour wheel."""

from __future__ import annotations

import colorsys
import itertools
import math

import pytest
import torch
from framewright.ops import flow_to_colour
from framewright.ops.flow_colour import colour_wheel
from torchvision.utils import flow_to_image


def direction(degrees: float, length: float = 1.0) -> torch.Tensor:
    angle = math.radians(degrees)
    return torch.tensor([math.cos(angle), math.sin(angle)]).mul(length).reshape(1, 2, 1, 1)


def hue(colour: torch.Tensor) -> float:
    return colorsys.rgb_to_hsv(*colour.flatten().tolist())[0] * 360


def test_the_wheel_has_the_published_corners() -> None:
    wheel = colour_wheel() * 255
    assert wheel.shape == (55, 3)
    corners = {
        0: (255, 0, 0),
        15: (255, 255, 0),
        21: (0, 255, 0),
        25: (0, 255, 255),
        36: (0, 0, 255),
        49: (255, 0, 255),
    }
    for index, colour in corners.items():
        assert wheel[index].tolist() == pytest.approx(colour, abs=1e-3)


def test_hue_turns_with_the_direction() -> None:
    hues = [hue(flow_to_colour(direction(degrees), maximum=1.0)) for degrees in range(0, 350, 10)]
    assert hues[0] == pytest.approx(0, abs=1)
    assert all(later > earlier for earlier, later in itertools.pairwise(hues))
    assert 50 < hues[9] < 60  # down: yellow
    assert 180 < hues[18] < 200  # left: cyan to blue
    assert 250 < hues[27] < 270  # up: violet


def test_saturation_is_the_length() -> None:
    for share in (0.0, 0.25, 0.5, 1.0):
        colour = flow_to_colour(direction(0, 8 * share), maximum=8.0).flatten()
        torch.testing.assert_close(colour, torch.tensor([1.0, 1 - share, 1 - share]))
    beyond = flow_to_colour(direction(0, 9), maximum=8.0).flatten()
    torch.testing.assert_close(beyond, torch.tensor([0.75, 0.0, 0.0]))


def test_equals_torchvision_up_to_its_rounding() -> None:
    flow = torch.randn(1, 2, 40, 50, generator=torch.Generator().manual_seed(0)) * 4
    levels = flow_to_colour(flow) * 255
    difference = levels - flow_to_image(flow).float()
    assert difference.min() >= -1e-3
    assert difference.max() < 1.001


def test_every_image_has_its_own_scale_or_a_given_one() -> None:
    flow = torch.cat([direction(30, 2), direction(30, 10)])
    own = flow_to_colour(flow)
    torch.testing.assert_close(own[0], own[1])
    torch.testing.assert_close(flow_to_colour(flow, maximum=torch.tensor([2.0, 10.0])), own)
    assert not torch.allclose(*flow_to_colour(flow, maximum=10.0))


def test_no_motion_is_white_and_unknown_is_black() -> None:
    flow = torch.zeros(1, 2, 2, 2)
    flow[0, 1, 0, 0] = math.nan
    colour = flow_to_colour(flow)
    assert colour[0, :, 0, 0].tolist() == [0, 0, 0]
    assert (colour[0, :, 1] == 1).all()


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"\(B, 2, H, W\)"):
        flow_to_colour(torch.zeros(2, 3, 3))
    with pytest.raises(ValueError, match="positive maximum"):
        flow_to_colour(torch.zeros(1, 2, 3, 3), maximum=0.0)
