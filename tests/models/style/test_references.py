from __future__ import annotations

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.registry import create_model

NAMES = ("reconet", "fast_style", "adain")
TINY = {"reconet": {"width": 4}, "fast_style": {"width": 4}, "adain": {"base": 8}}


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (9, 30), (33, 16)])
def test_any_size(name: str, size: tuple[int, int]) -> None:
    net = create_model(name, **TINY[name])
    made = net(torch.rand(1, 1, 3, *size), torch.rand(1, 3, 5, 7)).video
    assert made.shape == (1, 1, 3, *size)
    assert bool(torch.isfinite(made).all())


@torch.no_grad()
@pytest.mark.parametrize("name", ["adain", "reinhard", "histogram_matching"])
def test_references_of_every_kind(name: str) -> None:
    net = create_model(name, **TINY.get(name, {}))
    video, image = torch.rand(2, 2, 3, 24, 32), torch.rand(2, 3, 20, 28)
    made, state = net(video, image)
    # a clip of the same frame twice, an image without colour in one channel or three, the state instead of a reference
    torch.testing.assert_close(net(video, image[:, None].expand(-1, 2, -1, -1, -1)).video, made, rtol=0, atol=1e-3)
    grey = image.mean(1, keepdim=True)
    assert torch.equal(net(video, grey).video, net(video, grey.expand(-1, 3, -1, -1)).video)
    assert torch.equal(net(video, None, state).video, made)
    assert not torch.equal(net(video, image.flip(0)).video, made)
    with pytest.raises(ValueError, match="needs a reference"):
        net(video)
    with pytest.raises(ValueError, match="for each of 2 videos"):
        net(video, image[:1])


@torch.no_grad()
def test_alpha_of_adain_leads_from_content_to_style() -> None:
    torch.manual_seed(0)
    video, reference = torch.rand(1, 1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    whole = create_model("adain", base=8)
    states = whole.state_dict()
    for alpha in (0.0, 0.5):
        net = create_model("adain", base=8, alpha=alpha)
        net.load_state_dict(states)
        same = torch.equal(net(video, reference).video, net(video, 1 - reference).video)
        assert same == (alpha == 0)
    with pytest.raises(ConfigError, match="alpha"):
        create_model("adain", alpha=1.5)
    with pytest.raises(ConfigError, match="relu5_1"):
        create_model("adain", layer="relu5_1")
