from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.card import ModelCard
from framewright.models.flow.raft import CARDS, RAFT
from framewright.models.registry import create_model
from torch import Tensor


def photo_pair(height: int, width: int) -> tuple[Tensor, Tensor]:
    import skimage.data

    image = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255
    return image[..., :height, 100 : 100 + width], image[..., 1 : 1 + height, 102 : 102 + width]


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (130, 140)])
def test_any_size(size: tuple[int, int]) -> None:
    net = create_model("raft_small", num_flow_updates=1)
    first, second = photo_pair(*size)
    with torch.no_grad():
        flow = net(first, second)
    assert flow.shape == (1, 2, *size)
    assert flow.isfinite().all()


@pytest.mark.parametrize(("padding", "top"), [("sintel", 2), ("kitti", 0)])
def test_padding_repeats_edges_as_the_official_evaluation(padding: str, top: int) -> None:
    net = create_model("raft_small", num_flow_updates=1, padding=padding)
    first, second = photo_pair(132, 141)
    margins = (1, 2, top, 4 - top)
    padded = [F.pad(x, margins, mode="replicate") for x in (first, second)]
    with torch.no_grad():
        expected = net(*padded)[..., top : top + 132, 1:142]
        assert torch.equal(net(first, second), expected)


def test_number_of_updates_and_training_outputs() -> None:
    net = create_model("raft_small", num_flow_updates=3)
    pair = photo_pair(128, 128)
    flows = net.training_outputs(*pair)
    assert len(flows) == 3
    assert torch.equal(net(*pair), flows[-1])
    with torch.no_grad():
        fewer = create_model("raft_small", num_flow_updates=1)
        fewer.load_state_dict(net.state_dict())
        assert torch.equal(fewer(*pair), flows[0])


def test_can_be_copied_after_a_training_step() -> None:
    net = create_model("raft_small", num_flow_updates=1).train()
    pair = photo_pair(128, 128)
    net(*pair).sum().backward()
    copied = copy.deepcopy(net).eval()
    with torch.no_grad():
        assert torch.equal(copied(*pair), net.eval()(*pair))


def test_autocast_changes_nothing() -> None:
    net = create_model("raft_small", num_flow_updates=1)
    pair = photo_pair(128, 128)
    with torch.no_grad():
        expected = net(*pair)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(net(*pair), expected)


def test_parameters() -> None:
    assert sum(p.numel() for p in RAFT("small").parameters()) == 990_162
    assert sum(p.numel() for p in RAFT("large").parameters()) == 5_257_536


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_layouts_know_their_variant_only(card: ModelCard) -> None:
    other = next(c for c in CARDS if c is not card)
    keys = {key.removeprefix("network.") for key in card.build().state_dict()}
    assert [layout.name for layout in card.layouts if layout.matches(keys)] == ["torchvision"]
    assert not [layout.name for layout in other.layouts if layout.matches(keys)]


def test_torchvision_file_loads(tmp_path: Path) -> None:
    from torchvision.models.optical_flow import raft_small

    theirs = raft_small(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "raft.pth")
    net = create_model("raft_small", tmp_path / "raft.pth", num_flow_updates=2)
    first, second = photo_pair(128, 136)
    with torch.no_grad():
        expected = theirs(first * 2 - 1, second * 2 - 1, num_flow_updates=2)[-1]
        assert torch.equal(net(first, second), expected)
    with pytest.raises(WeightsError, match="raft_large"):
        create_model("raft_large", tmp_path / "raft.pth")


def test_absent_weights_are_named() -> None:
    with pytest.raises(WeightsError, match=r"raft_small_C_T_V2-01064c6d\.pth"):
        create_model("raft_small", "C_T_V2")


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="'small' or 'large'"):
        RAFT("medium")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1"):
        create_model("raft_small", num_flow_updates=0)
    with pytest.raises(ConfigError, match="'sintel' or 'kitti'"):
        create_model("raft_small", padding="zeros")
