"""Flow networks equal the official ones."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from framewright.models.flow.pwcnet import PWCNet
from framewright.models.registry import create_model, get_card, model_info
from framewright.weights import cache_directory
from torch import Tensor

from .portable import load_case

# as the tests' own cache replaces it
USER_CACHE = cache_directory()
LEVELS = ("flow2", "flow3", "flow4", "flow5", "flow6")


def portable_pwcnet(*, swapped: bool = False) -> dict[str, Tensor]:
    case = load_case("pwcnet")
    net = PWCNet().eval()
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == case.shapes
    net.load_state_dict(case.state_dict())
    frames = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    if swapped:
        frames = frames.flip(1)
    with torch.no_grad():
        return dict(zip(LEVELS, net.training_outputs(frames[:1], frames[1:]), strict=True))


def test_portable_figures_of_pwcnet() -> None:
    load_case("pwcnet").check(portable_pwcnet())


def test_figures_are_missed_by_a_wrong_colour_order() -> None:
    with pytest.raises(AssertionError, match=r"pwcnet\.flow2: values off"):
        load_case("pwcnet").check(portable_pwcnet(swapped=True))


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_portable_figures_of_raft(name: str) -> None:
    case = load_case(name)
    net = create_model(name, num_flow_updates=2)
    layout = next(layout for layout in get_card(name).layouts if layout.matches(set(case.shapes)))
    net.load_state_dict(layout.convert(case.state_dict()))
    frames = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        first, last = net.training_outputs(frames[:1], frames[1:])
    case.check({"flow_first": first, "flow": last})


def test_portable_figures_of_spynet() -> None:
    case = load_case("spynet")
    net = create_model("spynet")
    layout = next(layout for layout in get_card("spynet").layouts if layout.matches(set(case.shapes)))
    net.load_state_dict(layout.convert(case.state_dict()))
    frames = torch.from_numpy(case.inputs().frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        case.check({"flow": net(frames[:1], frames[1:])})


def test_pwcnet_with_seeded_weights_on_rubberwhale(assets: Path) -> None:
    with np.load(assets / "parity" / "flow" / "parity_pwcnet_detweights_rubberwhale_128x192.npz") as archive:
        golden = {key: torch.from_numpy(np.asarray(archive[key])) for key in archive.files}
    gain, net = float(golden["gain"]), PWCNet().eval()
    state = {}
    for key, value in net.state_dict().items():
        noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(value.shape)).astype(np.float32)
        fan_in = np.prod(value.shape[1:])
        state[key] = torch.from_numpy(noise * np.float32(gain * np.sqrt(2 / fan_in) if value.dim() > 1 else 0.02))
    net.load_state_dict(state)
    first, second = (golden["input"][:, i : i + 3].flip(1) for i in (0, 3))
    with torch.no_grad():
        flows = net.training_outputs(first, second)
    for name, flow in zip(LEVELS, flows, strict=True):
        torch.testing.assert_close(flow, golden[name], rtol=0, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


def middlebury(assets: Path, name: str) -> tuple[Tensor, Tensor]:
    from skimage import io

    files = [assets / "flow" / "middlebury" / name / f"frame1{i}.png" for i in (0, 1)]
    first, second = (torch.from_numpy(io.imread(f)).permute(2, 0, 1)[None].float() / 255 for f in files)
    return first, second


def recorded(assets: Path, file: str) -> Tensor:
    with np.load(assets / "parity" / "flow" / file) as archive:
        return torch.from_numpy(archive["flow"]).permute(2, 0, 1)[None]


def test_raft_small_with_the_official_checkpoint(assets: Path) -> None:
    net = create_model("raft_small", assets / "weights" / "raft-small.pth")
    assert model_info(net).layout == "official princeton-vl"
    with torch.no_grad():
        flow = net(*middlebury(assets, "RubberWhale"))
    torch.testing.assert_close(flow, recorded(assets, "ref_raft_small_rubberwhale.npz"), rtol=0, atol=1e-3)


def test_spynet_with_the_official_weights(assets: Path) -> None:
    net = create_model("spynet", assets / "weights" / "spynet_C.pth")
    with torch.no_grad():
        flow = net(*middlebury(assets, "RubberWhale"))
    torch.testing.assert_close(flow, recorded(assets, "ref_spynet_C_rubberwhale.npz"), rtol=0, atol=1e-3)


def test_pwcnet_with_the_official_checkpoint_on_sintel(assets: Path) -> None:
    """Runs where the official file lies in the user's weight cache, or beside the other weights."""
    from skimage import io

    folders = (USER_CACHE / "weights" / "pwcnet", assets / "weights")
    file = next((folder / "pwc_net.pth.tar" for folder in folders if (folder / "pwc_net.pth.tar").is_file()), None)
    if file is None:
        pytest.skip(f"needs pwc_net.pth.tar in {folders[0]}, from github.com/NVlabs/PWC-Net")
    folder = assets / "flow" / "sintel"
    images = [io.imread(folder / f"frame_00{i}.png")[..., :3] for i in (10, 11)]
    first, second = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in images)
    data = np.fromfile(folder / "pwcnet_pytorch_official_out_0010.flo", dtype="<f4", offset=12)
    official = torch.from_numpy(data.reshape(*images[0].shape[:2], 2)).permute(2, 0, 1)[None]
    with torch.no_grad():
        flow = create_model("pwcnet", file)(first, second)
    # the official program resizes images as 8-bit ones
    assert (flow - official).square().sum(1).sqrt().mean() < 0.02
