from __future__ import annotations

import pytest
import torch
from framewright.ops.pad import PadRule, pad_to_multiple


@pytest.mark.parametrize("mode", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("shape", [(3, 33, 40), (2, 3, 33, 40), (2, 4, 3, 33, 40)])
def test_pads_below_and_right_and_crops_back(shape: tuple[int, ...], mode: str) -> None:
    x = torch.rand(shape)
    padded, crop = pad_to_multiple(x, 16, mode)  # type: ignore[arg-type]
    assert padded.shape == (*shape[:-2], 48, 48)
    assert torch.equal(crop(padded), x)
    corner = {"zeros": torch.zeros(shape[:-2]), "replicate": x[..., -1, -1], "reflect": x[..., 17, 31]}
    assert torch.equal(padded[..., 47, 47], corner[mode])


def test_nothing_to_do_returns_the_input() -> None:
    x = torch.rand(1, 3, 32, 64)
    padded, crop = pad_to_multiple(x, 32)
    assert padded is x
    assert torch.equal(crop(x), x)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="too small to be padded by reflection"):
        pad_to_multiple(torch.rand(1, 3, 4, 4), 32, "reflect")
    with pytest.raises(ValueError, match="at least 1"):
        pad_to_multiple(torch.rand(1, 3, 4, 4), 0)
    with pytest.raises(ValueError, match="padding mode"):
        pad_to_multiple(torch.rand(1, 3, 4, 4), 2, "wrap")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expects"):
        pad_to_multiple(torch.rand(4, 4), 2)


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("target", [{"size": (40, 50)}, {"multiple": 16}])
def test_rule_pads_and_crops_back(target: dict, mode: str, centred: bool) -> None:
    x = torch.rand(2, 3, 33, 45) + 1
    rule = PadRule(**target, mode=mode, centred=centred)  # type: ignore[arg-type]
    padded, crop = rule.pad(x)
    assert padded.shape[2:] == rule.padded_size(33, 45) == target.get("size", (48, 48))
    assert torch.equal(crop(padded), x)
    assert (padded[0, 0, 0, 0] == x[0, 0, 0, 0]) == (mode == "replicate" or not centred)
    assert (padded == 0).any() == (mode == "zeros")


def test_rule_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="either a size or a multiple"):
        PadRule()
    with pytest.raises(ValueError, match="either a size or a multiple"):
        PadRule(size=(4, 4), multiple=2)
    with pytest.raises(ValueError, match="45x33 is larger than the 44x40"):
        PadRule(size=(40, 44)).pad(torch.rand(1, 3, 33, 45))
