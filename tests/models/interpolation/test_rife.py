from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framewright import create_model
from framewright.core.errors import ConfigError
from framewright.losses import LaplacianPyramidLoss, MaskedDistillationLoss, WeightedSum
from framewright.models.interpolation.rife import CARDS, IFNet, IFNetM
from torch import Tensor, nn

TINY = dict(CARDS[0].tiny)
BOTH = pytest.mark.parametrize("build", [IFNet, IFNetM])


def frames(batch: int = 1, height: int = 64, width: int = 96, count: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.rand(count, batch, 3, height, width, generator=generator))


def tiny(build: type[IFNet] = IFNet, **options: object) -> IFNet:
    torch.manual_seed(5)
    return build(**{**TINY, **options}).eval()  # type: ignore[arg-type]


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("build", "total"), [(IFNet, 10_708_215), (IFNetM, 10_710_780)])
def test_official_sizes(build: type[IFNet], total: int) -> None:
    with torch.device("meta"):
        net = build()
        assert parameters(net) == total
        assert len(net.state_dict()) == 190
        assert parameters(build(teacher=False)) == total - parameters(net.block_tea or net)
    parts = {name: parameters(child) for name, child in IFNet().named_children()}
    assert parts == {
        "block0": 4_436_645,
        "block1": 1_747_580,
        "block2": 635_450,
        "block_tea": 636_665,
        "contextnet": 294_000,
        "unet": 2_957_875,
    }


@BOTH
@pytest.mark.parametrize("size", [(1, 1), (33, 50), (64, 96)])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@torch.no_grad()
def test_any_size(build: type[IFNet], size: tuple[int, int], padding: str) -> None:
    image0, image1 = frames(2, *size)
    out = tiny(build, padding=padding)(image0, image1)
    assert out.shape == image0.shape
    assert out.dtype == torch.float32
    assert 0 <= out.min() <= out.max() <= 1


@torch.no_grad()
def test_padding_is_the_official_one_to_a_multiple_of_32() -> None:
    image0, image1 = frames(1, 40, 60)
    net = tiny()
    wide = [torch.nn.functional.pad(i, (0, 4, 0, 24)) for i in (image0, image1)]
    assert torch.equal(net(image0, image1), net(*wide)[..., :40, :60])
    assert not torch.equal(net(image0, image1), tiny(padding="replicate")(image0, image1))


@torch.no_grad()
def test_test_time_augmentation_averages_the_flipped_result() -> None:
    image0, image1 = frames()
    plain, augmented = tiny(), tiny(tta=True)
    flipped = plain(image0.flip((2, 3)), image1.flip((2, 3))).flip((2, 3))
    expected = (plain(image0, image1) + flipped) / 2
    torch.testing.assert_close(augmented(image0, image1), expected)
    # the augmented network does not care which way up the frames are
    torch.testing.assert_close(
        augmented(image0.flip((2, 3)), image1.flip((2, 3))).flip((2, 3)), expected, rtol=0, atol=1e-6
    )


def test_the_middle_network_refuses_another_time() -> None:
    image0, image1, target = frames(2, count=3)
    net = tiny()
    for bad in (0.25, torch.tensor([0.5, 0.75])):
        with pytest.raises(ValueError, match=r"timestep 0\.5.*rife_m"):
            net(image0, image1, bad)
        with pytest.raises(ValueError, match=r"timestep 0\.5"):
            net.training_outputs(image0, image1, target, bad)
    assert net(image0, image1, torch.tensor([0.5, 0.5])).shape == image0.shape


@torch.no_grad()
def test_time_as_a_number_or_per_sample() -> None:
    image0, image1 = frames(2)
    net = tiny(IFNetM)
    times = torch.tensor([0.25, 0.75])
    together = net(image0, image1, times)
    for i, time in enumerate((0.25, 0.75)):
        alone = net(image0[i : i + 1], image1[i : i + 1], time)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6)
    assert not torch.allclose(net(image0, image1, 0.25), net(image0, image1, 0.75), atol=1e-6)
    for bad in (1.5, float("nan"), torch.tensor([0.5, -0.1])):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            net(image0, image1, bad)
    with pytest.raises(ValueError, match="1 or 2 values"):
        net(image0, image1, torch.tensor([0.1, 0.2, 0.3]))


def test_wrong_shapes_are_named() -> None:
    image0, image1 = frames()
    with pytest.raises(ValueError, match=r"of one shape, got \(1, 3, 64, 96\), \(1, 3, 64, 95\)"):
        tiny()(image0, image1[..., 1:])
    with pytest.raises(ValueError, match="of one shape"):
        tiny()(image0[:, :1], image1[:, :1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (8, 7, 4)}, "channels must be even"),
        ({"channels": ()}, "channels must be even"),
        ({"scales": (4, 2)}, "one number per stage"),
        ({"scales": (4, 3, 1)}, "powers of two"),
        ({"scale": 0.3}, "powers of two"),
        ({"padding": "reflect"}, "padding must be"),
        ({"refine_channels": 0}, "refine_channels"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**options)


@torch.no_grad()
def test_variants() -> None:
    image0, image1, target = frames(1, 48, 64, count=3)
    for options in (
        {"refine": False},
        {"channels": (8, 4), "scales": (2, 1)},
        {"channels": [6], "scales": [1]},
        {"scale": 0.5},
        {"scale": 2.0},
        {"scale": 4.0},
    ):
        net = tiny(**options)
        assert net(image0, image1).shape == image0.shape
        out = net.training_outputs(image0, image1, target)
        stages = len(options.get("channels", "abc"))  # type: ignore[arg-type]
        assert len(out.flows) == len(out.predictions) == len(out.masks) == stages
        assert out.flows[-1].shape == (1, 4, 48, 64)
        if not options.get("refine", True):
            assert torch.equal(out.prediction, out.predictions[-1])


@torch.no_grad()
def test_training_outputs_without_teacher() -> None:
    image0, image1, target = frames(count=3)
    out = tiny(teacher=False).training_outputs(image0, image1, target)
    assert out.teacher_flow is None
    assert out.teacher_prediction is None


@torch.no_grad()
def test_training_outputs_have_the_size_of_the_crop() -> None:
    image0, image1, target = frames(1, 40, 50, count=3)
    out = tiny(IFNetM).training_outputs(image0, image1, target, torch.tensor([0.3]))
    for value in (out.prediction, *out.predictions, *out.flows, *out.masks, out.teacher_prediction):
        assert value is not None
        assert value.shape[2:] == (40, 50)


def _loss() -> WeightedSum:
    return WeightedSum(
        {
            "reconstruction": (1, LaplacianPyramidLoss()),
            "teacher": (1, LaplacianPyramidLoss(of="teacher_prediction")),
            "distillation": (0.01, MaskedDistillationLoss(threshold=0.0)),
        }
    )


@BOTH
def test_every_parameter_learns(build: type[IFNet]) -> None:
    image0, image1, target = frames(2, count=3)
    net = tiny(build).train()
    total, values = _loss()(net.training_outputs(image0, image1, target), {"target": target})
    assert set(values) == {"reconstruction", "teacher", "distillation"}
    total.backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not silent
    assert sum(bool((p.grad != 0).any()) for p in net.parameters() if p.grad is not None) > 180


def test_which_loss_trains_what() -> None:
    """As in the official code: distillation leaves the teacher alone, the teacher's loss reaches the student."""
    image0, image1, target = frames(1, count=3)
    net = tiny().train()
    out = net.training_outputs(image0, image1, target)
    assert net.block_tea is not None
    assert out.teacher_prediction is not None
    teacher = [p for n, p in net.block_tea.named_parameters() if "lastconv" in n]
    student = list(net.get_submodule("block0").parameters())

    def reached(loss: Tensor, weights: list[nn.Parameter]) -> bool:
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        return any(g is not None and bool((g != 0).any()) for g in gradients)

    batch = {"target": target}
    distillation = MaskedDistillationLoss(threshold=0.0)(out, batch)
    assert reached(distillation, student)
    assert not reached(distillation, teacher)
    teacher_loss = LaplacianPyramidLoss(of="teacher_prediction")(out, batch)
    assert reached(teacher_loss, teacher)
    assert reached(teacher_loss, student)
    assert not reached(LaplacianPyramidLoss()(out, batch), teacher)


def test_a_moving_texture_is_learned() -> None:
    """Thirty small steps take the result far closer to the truth than the average of both frames."""
    torch.manual_seed(0)
    texture = nn.functional.interpolate(torch.rand(1, 3, 10, 10), size=(80, 80), mode="bicubic").clamp(0, 1)
    image0, target, image1 = (texture[..., 8:72, 8 + d : 72 + d] for d in (0, 2, 4))
    net = IFNet(channels=(8, 8), scales=(2, 1), refine=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    loss = _loss()
    for _ in range(30):
        total, _ = loss(net.training_outputs(image0, image1, target), {"target": target})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    with torch.no_grad():
        error = (net.eval()(image0, image1) - target).square().mean()
    average = ((image0 + image1) / 2 - target).square().mean()
    assert error < 0.25 * average


@torch.no_grad()
def test_autocast_stays_close_and_keeps_flow_in_float32() -> None:
    image0, image1, target = frames(count=3)
    net = tiny(IFNetM)
    exact = net.training_outputs(image0, image1, target, 0.4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net.training_outputs(image0, image1, target, 0.4)
    assert all(f.dtype == torch.float32 for f in (*out.flows, *out.masks, out.prediction))
    torch.testing.assert_close(out.prediction, exact.prediction, rtol=0, atol=0.02)


@torch.no_grad()
def test_double_precision_and_memory_format() -> None:
    image0, image1 = frames()
    net = tiny()
    expected = net(image0, image1)
    double = tiny().double()(image0.double(), image1.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), expected, rtol=0, atol=1e-5)
    channels_last = tiny().to(memory_format=torch.channels_last)(image0, image1)  # type: ignore[call-overload]
    torch.testing.assert_close(channels_last, expected, rtol=0, atol=1e-5)


def test_exports_as_one_graph() -> None:
    image0, image1 = frames()
    net = tiny(IFNetM)
    time = torch.tensor([0.3])
    program = torch.export.export(net, (image0, image1, time))
    torch.testing.assert_close(program.module()(image0, image1, time), net(image0, image1, time))


@pytest.mark.parametrize("name", ["rife", "rife_m"])
def test_an_official_checkpoint_loads(name: str, tmp_path: Path) -> None:
    net = create_model(name, **TINY)
    # as saved by the official training under DistributedDataParallel
    state = {f"module.{key}": torch.randn_like(value) for key, value in net.state_dict().items()}
    torch.save(state, tmp_path / "flownet.pkl")
    loaded = create_model(name, weights=str(tmp_path / "flownet.pkl"), **TINY)
    assert all(torch.equal(value, state[f"module.{key}"]) for key, value in loaded.state_dict().items())


def test_official_layout_is_recognised() -> None:
    for card in CARDS:
        (layout,) = card.layouts
        net = card.build(**card.tiny)
        state = net.state_dict()
        assert layout.matches(set(state))
        assert layout.convert(state).keys() == state.keys()
        # the released v4 networks have no blocks of eight convolutions
        assert not layout.matches({"block0.conv0.0.0.weight", "block0.convblock.0.conv.weight"})
