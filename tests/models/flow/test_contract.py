"""What every flow network and baseline promises beyond the tests of all networks."""

from __future__ import annotations

import pytest
import torch
from framewright.models.registry import create_model, get_card, list_models

NAMES = pytest.mark.parametrize("name", list_models("flow"))


@NAMES
def test_images_that_do_not_fit(name: str) -> None:
    net = create_model(name, **get_card(name).tiny)
    image = torch.rand(1, 3, 70, 80)
    with pytest.raises(ValueError, match=r"of one shape, got \(1, 3, 70, 80\) and \(1, 3, 70, 79\)"):
        net(image, image[..., 1:])
    with pytest.raises(ValueError, match="of one shape"):
        net(image[:, :1], image[:, :1])
    with pytest.raises(ValueError, match="floating-point"):
        net((image * 255).byte(), (image * 255).byte())
    with pytest.raises(ValueError, match="at least one pixel"):
        net(image[..., :0], image[..., :0])


@NAMES
def test_one_pixel(name: str) -> None:
    with torch.no_grad():
        flow = create_model(name, **get_card(name).tiny)(*torch.rand(2, 1, 3, 1, 1))
    assert flow.shape == (1, 2, 1, 1)
    assert flow.isfinite().all()
