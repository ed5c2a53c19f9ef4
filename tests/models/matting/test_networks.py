from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.models.matting.dim import DeepImageMatting, _hints
from framewright.models.matting.rvm import RobustVideoMatting
from framewright.models.registry import create_model

TINY_DIM = {"channels": 4, "refine_channels": 4}


def example(height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    trimap = torch.zeros(1, 1, height, width)
    trimap[..., 10:30, 10:40] = 0.5
    trimap[..., 15:25, 15:35] = 1.0
    return torch.rand(1, 3, height, width), trimap


def test_any_value_between_is_unknown() -> None:
    image, trimap = example()
    net = DeepImageMatting(**TINY_DIM).eval()  # type: ignore[arg-type]
    torch.nn.init.normal_(net.backbone.encoder.layer1[0].weight)  # type: ignore[index, union-attr]
    with torch.no_grad():
        half, odd = net(image, trimap), net(image, torch.where(trimap == 0.5, 128 / 255, trimap))
        other = net(image, torch.ones_like(trimap))
    assert torch.equal(half, odd)
    assert not torch.allclose(half, other)


def test_trimap_of_another_size_is_refused() -> None:
    image, trimap = example()
    with pytest.raises(ValueError, match="of the size of the image"):
        DeepImageMatting(**TINY_DIM)(image, trimap[..., :-1])  # type: ignore[arg-type]


def test_stages_train_their_part_and_share_weights() -> None:
    nets = {stage: create_model("dim", **TINY_DIM, stage=stage) for stage in (1, 2, 3)}
    trained = {
        stage: {name.split(".")[0] for name, p in net.named_parameters() if p.requires_grad}
        for stage, net in nets.items()
    }
    assert trained == {1: {"backbone"}, 2: {"refiner"}, 3: {"backbone", "refiner"}}
    nets[3].load_state_dict(nets[1].state_dict())
    image, trimap = example()
    with torch.no_grad():
        outputs = nets[3].training_outputs(image, trimap)  # type: ignore[operator]
        torch.testing.assert_close(nets[1](image, trimap), outputs["alpha"])
        torch.testing.assert_close(nets[3](image, trimap), outputs["refined"])


def test_hints_reach_both_parts_and_need_no_known_foreground() -> None:
    net = DeepImageMatting(**TINY_DIM, hints=True)  # type: ignore[arg-type]
    # samples go to the refinement alone
    assert net.get_parameter("backbone.encoder.layer1.0.weight").shape[1] == 8
    assert net.get_parameter("refiner.refine_conv1.weight").shape[1] == 13
    image, trimap = example()
    for known in (trimap, torch.full_like(trimap, 0.5), torch.zeros_like(trimap), torch.ones_like(trimap)):
        outputs = net.training_outputs(image, known)
        assert outputs["refined"].shape == trimap.shape
        assert bool(outputs["refined"].isfinite().all())
    sum(outputs.values()).sum().backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_hints_have_the_precision_of_the_network() -> None:
    net = DeepImageMatting(**TINY_DIM, hints=True).bfloat16()  # type: ignore[arg-type]
    image, trimap = example()
    with torch.no_grad():
        assert net(image.bfloat16(), trimap.bfloat16()).dtype == torch.bfloat16


def test_refinement_of_hints_starts_from_their_matte() -> None:
    net = DeepImageMatting(**TINY_DIM, hints=True)  # type: ignore[arg-type]
    image, trimap = example()
    with torch.no_grad():
        matte = create_model("guided_sampling")(image, trimap)
        torch.testing.assert_close(net(image, trimap), matte)
        net.refiner.refine_pred.bias.fill_(2.0)
        # learning needs values beyond, results are within
        assert float(net.training_outputs(image, trimap)["refined"].max()) > 1
        assert float(net(image, trimap).max()) == 1


def test_hints_are_in_the_order_that_weights_know() -> None:
    image, trimap = torch.zeros(1, 3, 32, 64), torch.full((1, 1, 32, 64), 0.5)
    image[..., 32:] = 1
    trimap[..., :20], trimap[..., 44:] = 0, 1
    matte, between, front, back, mean, alpha, spread, fit, contrast = (
        plane[0, 0, 16] for plane in _hints(image, trimap == 0, trimap == 1)
    )
    assert between[[19, 44]].tolist() == [0, 1]
    assert between[25] == pytest.approx(6 / 25)
    assert front[[44, 40, 0]].tolist() == pytest.approx([0, 4 / 24, 1])
    assert back[[19, 23, 63]].tolist() == pytest.approx([0, 4 / 24, 1])
    for plane in (matte, mean, alpha):
        assert plane[31] == pytest.approx(0, abs=1e-3)
        assert plane[32] == pytest.approx(1, abs=1e-3)
    assert float(spread.max()) < 1e-2
    assert float(fit.min()) > 0.99
    assert contrast[30] == pytest.approx(3**0.5 / 0.225, rel=1e-3)


def test_a_checkpoint_without_refinement_loads_and_changes_nothing(tmp_path: Path) -> None:
    torch.manual_seed(5)
    first = DeepImageMatting(stage=1).eval()
    state = {key: value for key, value in first.state_dict().items() if not key.startswith("refiner")}
    torch.save({"state_dict": state}, tmp_path / "stage1.pth")
    loaded = create_model("dim", tmp_path / "stage1.pth")
    image, trimap = example(32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image, trimap), first(image, trimap))
    # it can still learn
    assert all(value.any() for key, value in loaded.state_dict().items() if key.endswith("conv2.weight"))


def test_reduced_frames_and_the_state_of_rvm() -> None:
    torch.manual_seed(1)
    net = RobustVideoMatting(width=0.25).eval()
    video = torch.rand(1, 3, 3, 37, 50)
    with torch.no_grad():
        whole = net(video, downsample_ratio=0.6)
        start = net(video[:, :2], downsample_ratio=0.6)
        end = net(video[:, 2:], start.state, downsample_ratio=0.6)
        forgotten = net(video[:, 2:], downsample_ratio=0.6)
        assert torch.equal(net(video).alpha, net(video, downsample_ratio=1.0).alpha)
    assert whole.alpha.shape == (1, 3, 1, 37, 50)
    assert whole.foreground.shape == video.shape
    torch.testing.assert_close(torch.cat((start.alpha, end.alpha), 1), whole.alpha)
    # the pre-clamp difference may vanish in alpha, never in the memory
    assert not torch.allclose(forgotten.state[3], end.state[3])


def test_bad_input_and_options_of_rvm() -> None:
    net = RobustVideoMatting(width=0.25).eval()
    with pytest.raises(ValueError, match="B, T, 3, H, W"):
        net(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="downsample_ratio"):
        net(torch.rand(1, 1, 3, 32, 32), downsample_ratio=0.0)
    with pytest.raises(ConfigError, match="variant"):
        create_model("rvm", variant="resnet18")
