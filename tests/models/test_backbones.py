"""Backbones from torchvision's files, against a server on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from framewright.core.errors import ConfigError, WeightsError
from framewright.models.backbones import load_backbone
from framewright.models.registry import create_model, get_card, model_info


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under the names of torchvision's files."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    for name in ("mobilenet_v2", "mobilenet_v3_large", "resnet50"):
        net = getattr(torchvision.models, name)(weights=None)
        for key, value in net.state_dict().items():
            if "running" in key:
                value.uniform_(0.5, 1.5)
        torch.save(net.state_dict(), folder / f"{name}.pth")
    return folder


def test_resnet_gives_what_torchvision_gives(files: Path) -> None:
    net = create_model("deeplabv3", output_stride=16, backbone_weights=files / "resnet50.pth", num_classes=3)
    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
    theirs.load_state_dict(torch.load(files / "resnet50.pth", weights_only=True))
    wanted = torchvision.models._utils.IntermediateLayerGetter(theirs.eval(), {"layer1": "low", "layer4": "high"})
    image = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        ours, expected = net.backbone(image), wanted(image)  # type: ignore[operator]
    for made, true in zip(ours, (expected["low"], expected["high"]), strict=True):
        torch.testing.assert_close(made, true, rtol=1e-4, atol=1e-4 * float(true.abs().max()))


@pytest.mark.parametrize(
    ("name", "file", "probe", "theirs"),
    [
        ("deeplabv3plus", "mobilenet_v2", "backbone.high_level_features.17.conv.2.weight", "features.17.conv.2.weight"),
        ("rvm", "mobilenet_v3_large", "backbone.features.16.0.weight", "features.16.0.weight"),
    ],
)
def test_mobilenets_are_copied_whole(files: Path, name: str, file: str, probe: str, theirs: str) -> None:
    path = files / f"{file}.pth"
    net = create_model(name, backbone_weights=path)
    assert torch.equal(net.state_dict()[probe], torch.load(path, weights_only=True)[theirs])


def test_vgg_of_deep_image_matting_has_no_weights_for_the_trimap(tmp_path: Path) -> None:
    torch.manual_seed(1)
    features = torchvision.models.vgg16(weights=None).features
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save(state, tmp_path / "vgg.pth")
    net = create_model("dim", backbone_weights=tmp_path / "vgg.pth")
    first = net.state_dict()["backbone.encoder.layer1.0.weight"]
    assert torch.equal(first[:, :3], state["features.0.weight"])
    assert not first[:, 3:].any()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        ours = net.backbone.encoder(torch.cat((image, torch.rand(1, 1, 32, 32)), 1))[2][-1]  # type: ignore[operator,union-attr]
        torch.testing.assert_close(ours, features[:30](image), rtol=1e-4, atol=1e-5)


def test_the_tag_is_fetched_and_verified(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = get_card("rvm")
    entry = card.backbones[0]
    content = (files / "mobilenet_v3_large.pth").read_bytes()
    place = tmp_path / "mirror" / "rvm" / entry.weights.filename
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    stated = replace(entry.weights, sha256=hashlib.sha256(content).hexdigest()[:8])
    card = replace(card, backbones=(replace(entry, weights=stated),))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("FRAMEWRIGHT_OFFLINE", raising=False)
    net = create_model("rvm")
    options = model_info(net).options
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("FRAMEWRIGHT_MIRROR", f"http://127.0.0.1:{server.server_port}")
        load_backbone(net, card, options, "imagenet")
        server.shutdown()
        thread.join()
    wanted = torch.load(files / "mobilenet_v3_large.pth", weights_only=True)["features.0.0.weight"]
    assert torch.equal(net.state_dict()["backbone.features.0.0.weight"], wanted)
    # now it is in the cache
    monkeypatch.setenv("FRAMEWRIGHT_OFFLINE", "1")
    load_backbone(net, card, options, "imagenet")


def test_messages(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("FRAMEWRIGHT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"mobilenet_v3_large-8738ca79\.pth.*put it at"):
        create_model("rvm", backbone_weights="imagenet")
    with pytest.raises(ConfigError, match="did you mean 'imagenet'"):
        create_model("rvm", backbone_weights="imagnet")
    with pytest.raises(ConfigError, match=r"no backbone_weights 'imagenet' for 'rvm' with .*width=0\.5"):
        create_model("rvm", width=0.5, backbone_weights="imagenet")
    with pytest.raises(WeightsError, match="does not fit the backbone of 'rvm'"):
        create_model("rvm", backbone_weights=files / "resnet50.pth")
    with pytest.raises(ConfigError, match="tags: none"):
        create_model("raft_small", backbone_weights="imagenet")
