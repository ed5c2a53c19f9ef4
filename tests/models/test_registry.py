"""The registry, with small networks registered for the test."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import framewright
import pytest
import torch
from framewright.core.errors import ConfigError, WeightsError
from framewright.models import catalog
from framewright.models.card import CheckpointLayout, ModelCard
from framewright.models.registry import (
    create_model,
    get_card,
    list_models,
    load_model,
    model_info,
    register_model,
    save_model,
)
from framewright.weights import OfficialWeights, read_checkpoint
from torch import Tensor, nn


class Small(nn.Module):
    def __init__(self, width: int = 4, kernels: tuple[int, ...] = (3, 3)) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width is positive, got {width}")
        self.first = nn.Conv2d(3, width, kernels[0], padding=kernels[0] // 2)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 3, kernels[1], padding=kernels[1] // 2)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.last(self.norm(self.first(image)).relu())
        return out


class Outer(nn.Module):
    def __init__(self, inner: nn.Module, gain: float = 2.0) -> None:
        super().__init__()
        self.inner = inner
        self.scale = nn.Parameter(torch.tensor(gain))

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.inner(image) * self.scale
        return out


OFFICIAL = {"head": "first", "bn": "norm", "tail": "last"}


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        stem, _, rest = key.partition(".")
        renamed[f"{OFFICIAL.get(stem, stem)}.{rest}"] = value
    return renamed


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {ours: theirs for theirs, ours in OFFICIAL.items()}
    return {f"{names[key.partition('.')[0]]}.{key.partition('.')[2]}": value for key, value in state.items()}


SMALL = ModelCard(
    name="test_small",
    task="super_resolution",
    build=Small,
    summary="for tests",
    weights=(OfficialWeights("photos", "small.pth", "MIT", "https://example.org/small"),),
    layouts=(CheckpointLayout("authors", lambda keys: "head.weight" in keys, from_official),),
)
OUTER = ModelCard("test_outer", "super_resolution", Outer, "for tests", parts={"inner": "test_small"})
IMAGE = torch.rand(1, 3, 8, 9)


@pytest.fixture(autouse=True)
def _cards(monkeypatch: pytest.MonkeyPatch) -> None:
    for card in (SMALL, OUTER):
        monkeypatch.setitem(catalog.all_cards(), card.name, card)


def trained(**options: object) -> nn.Module:
    net = create_model("test_small", **options)
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.add_(0.25)
    return net


def same(one: nn.Module, other: nn.Module) -> bool:
    with torch.no_grad():
        return torch.equal(one(IMAGE), other(IMAGE))


def lightning_checkpoint(net: nn.Module, path: Path, ema: nn.Module | None = None, **extra: object) -> Path:
    info = model_info(net)
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    if ema is not None:
        state |= {f"ema.net.{key}": value for key, value in ema.state_dict().items()}
    ours = {"model": info.name, "options": dict(info.options), "parts": {}, "iteration": 3, "weights": "ema"}
    torch.save({"state_dict": state, "framewright": ours | extra, "epoch": 0}, path)
    return path


def test_listing() -> None:
    assert "test_small" in list_models("super_resolution")
    assert "test_small" not in list_models("flow")
    assert {"frame_average", "dis_warp"} <= set(list_models("interpolation", baselines=True))
    assert "frame_average" not in list_models(baselines=False)
    assert list_models() == sorted(list_models())
    with pytest.raises(ConfigError, match="did you mean 'interpolation'"):
        list_models("interpolate")


def test_unknown_names_and_options() -> None:
    with pytest.raises(ConfigError, match="no model 'test_smal'; did you mean 'test_small'"):
        get_card("test_smal")
    with pytest.raises(ConfigError, match=r"no option 'widht'; did you mean 'width'\? \(options: width, kernels\)"):
        create_model("test_small", widht=3)
    with pytest.raises(ConfigError, match="cannot build the model 'test_small': width is positive, got 0"):
        create_model("test_small", width=0)
    with pytest.raises(ConfigError, match="option 'width' of 'test_small' is a Tensor"):
        create_model("test_small", width=torch.tensor(3))


def test_info_records_all_options() -> None:
    net = create_model("test_small", width=5)
    assert not net.training
    assert model_info(net).options == {"width": 5, "kernels": [3, 3]}
    assert model_info(copy.deepcopy(net)) == model_info(net)
    with pytest.raises(ConfigError, match="was not made by create_model"):
        model_info(nn.Identity())


def test_save_and_load(tmp_path: Path) -> None:
    net = trained(width=5, kernels=(1, 3))
    path = tmp_path / "run, ünïcode" / "weights.safetensors"
    save_model(net, path, training={"iteration": 12})
    metadata = read_checkpoint(path).metadata
    assert metadata["framewright.schema"] == "1"
    assert metadata["framewright.model"] == "test_small"
    assert json.loads(metadata["framewright.options"]) == {"width": 5, "kernels": [1, 3]}
    assert json.loads(metadata["framewright.training"]) == {"iteration": 12}
    for loaded in (load_model(path), load_model(path.parent), create_model("test_small", path)):
        assert same(net, loaded)
        assert not loaded.training
        info = model_info(loaded)
        assert info.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert info.layout == "framewright"
        assert info.options["width"] == 5


def test_options_of_the_file_can_be_overridden_but_must_fit(tmp_path: Path) -> None:
    save_model(trained(width=5), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"first.weight is \(5, 3, 3, 3\) instead of \(6, 3, 3, 3\)"):
        create_model("test_small", tmp_path / "w.safetensors", width=6)
    with pytest.raises(WeightsError, match="holds weights of 'test_small', not of 'test_outer'"):
        create_model("test_outer", tmp_path / "w.safetensors")


def test_lightning_checkpoint(tmp_path: Path) -> None:
    live, average = trained(), trained()
    assert same(load_model(lightning_checkpoint(live, tmp_path / "live.ckpt")), live)
    with_ema = lightning_checkpoint(live, tmp_path / "ema.ckpt", average)
    assert same(load_model(with_ema), average)
    assert same(create_model("test_small", str(with_ema)), average)
    with pytest.raises(WeightsError, match=r"give that|ema\.ckpt|live\.ckpt"):
        load_model(tmp_path)
    broken = lightning_checkpoint(live, tmp_path / "broken.ckpt", parts=[1])
    with pytest.raises(WeightsError, match="the description inside"):
        load_model(broken)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "params", "netG"])
def test_official_layout(wrapper: str | None, tmp_path: Path) -> None:
    net = trained()
    state = {f"module.{key}": value for key, value in to_official(net.state_dict()).items()}
    torch.save({wrapper: state} if wrapper else state, tmp_path / "official.pth")
    loaded = create_model("test_small", tmp_path / "official.pth")
    assert same(net, loaded)
    assert model_info(loaded).layout == "authors"
    with pytest.raises(WeightsError, match="does not say which network"):
        load_model(tmp_path / "official.pth")


def test_own_keys_without_metadata_load(tmp_path: Path) -> None:
    net = trained()
    torch.save({k: v for k, v in net.state_dict().items() if "num_batches" not in k}, tmp_path / "old.pth")
    assert same(net, create_model("test_small", tmp_path / "old.pth"))


def test_keys_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = to_official(trained().state_dict())
    del state["tail.bias"]
    state["extra.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError) as caught:
        create_model("test_small", tmp_path / "a.pth")
    assert "1 missing keys: last.bias" in str(caught.value)
    assert "1 unexpected keys: extra.weight" in str(caught.value)
    torch.save({f"{i}.weight": torch.zeros(1) for i in range(30)}, tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="no known layout; known: 'authors'") as caught:
        create_model("test_small", tmp_path / "b.pth")
    assert "30 unexpected keys: 0.weight" in str(caught.value)
    assert "9.weight, …" in str(caught.value)
    assert "10.weight" not in str(caught.value)


def test_weights_that_are_nowhere() -> None:
    with pytest.raises(WeightsError, match=r"neither an existing file .* did you mean 'photos'"):
        create_model("test_small", "photo")
    with pytest.raises(WeightsError, match=r"cannot be downloaded automatically.*small\.pth"):
        create_model("test_small", "photos")


def test_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEWRIGHT_CACHE", str(tmp_path))
    (tmp_path / "weights" / "test_small").mkdir(parents=True)
    net = trained()
    torch.save(to_official(net.state_dict()), tmp_path / "weights" / "test_small" / "small.pth")
    loaded = create_model("test_small", "photos")
    assert same(net, loaded)
    assert model_info(loaded).weights_source == "photos"
    outer = create_model("test_outer", parts={"inner": "test_small:photos"})
    assert model_info(outer).parts["inner"].sha256 == model_info(loaded).weights_sha256


def test_parts_are_built_recorded_and_restored(tmp_path: Path) -> None:
    inner = trained(width=7)
    save_model(inner, tmp_path / "inner.safetensors")
    net = create_model("test_outer", parts={"inner": str(tmp_path / "inner.safetensors")}, gain=3.0)
    part = model_info(net).parts["inner"]
    assert part.name == "test_small"
    assert part.sha256 == hashlib.sha256((tmp_path / "inner.safetensors").read_bytes()).hexdigest()
    save_model(net, tmp_path / "outer.safetensors")
    recorded = json.loads(read_checkpoint(tmp_path / "outer.safetensors").metadata["framewright.parts"])
    assert (recorded["inner"]["name"], recorded["inner"]["sha256"]) == (part.name, part.sha256)
    assert same(load_model(tmp_path / "outer.safetensors"), net)

    other = trained(width=2)
    save_model(other, tmp_path / "other.safetensors")
    exchanged = load_model(tmp_path / "outer.safetensors", parts={"inner": str(tmp_path / "other.safetensors")})
    with torch.no_grad():
        assert torch.allclose(exchanged(IMAGE), other(IMAGE) * 3)


def test_checkpoint_without_its_frozen_part(tmp_path: Path) -> None:
    save_model(trained(width=7), tmp_path / "inner.safetensors")
    net = create_model("test_outer", parts={"inner": str(tmp_path / "inner.safetensors")})
    part = model_info(net).parts["inner"]
    parts = {"inner": {"name": part.name, "sha256": part.sha256, "source": part.source}}
    path = lightning_checkpoint(net, tmp_path / "a.ckpt", parts=parts)
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if ".inner." not in k}
    torch.save(content, path)
    assert same(load_model(path), net)
    save_model(trained(width=7), tmp_path / "inner.safetensors")
    with pytest.raises(WeightsError, match="which is now"):
        load_model(path)
    content["framewright"]["parts"]["inner"]["source"] = None
    torch.save(content, path)
    with pytest.raises(WeightsError, match="does not hold the weights of its part 'inner'"):
        load_model(path)


def test_wrong_parts() -> None:
    with pytest.raises(ConfigError, match=r"'test_outer' has no part 'flow' \(parts: inner\)"):
        create_model("test_outer", parts={"flow": "test_small"})
    with pytest.raises(ConfigError, match="choose it with parts="):
        create_model("test_outer", inner="test_small")
    with pytest.raises(ConfigError, match=r"'nowhere\.pth' is neither a model, name:tag, nor an existing file"):
        create_model("test_outer", parts={"inner": "nowhere.pth"})


def test_register_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "all_cards", dict(catalog.all_cards()).copy)
    cards: dict[str, ModelCard] = {}
    monkeypatch.setattr(catalog, "all_cards", lambda: cards)
    assert register_model(SMALL) is SMALL
    assert register_model(SMALL) is SMALL
    with pytest.raises(ConfigError, match="two models are called 'test_small'"):
        register_model(ModelCard("test_small", "flow", Small, "another"))


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("outside_models")
    module.CARD = SMALL  # type: ignore[attr-defined]
    module.CARDS = (OUTER,)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "outside_models", module)
    group = catalog.ENTRY_POINT_GROUP
    points = [
        importlib.metadata.EntryPoint("good", "outside_models", group),
        importlib.metadata.EntryPoint("broken", "outside_models:nothing", group),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    with pytest.warns(RuntimeWarning, match="'outside_models:nothing' are left out"):
        cards = catalog.all_cards.__wrapped__()
    assert cards["test_small"] is SMALL
    assert cards["test_outer"] is OUTER
    assert "rife" in cards


PROBE = """
import sys, time
import framewright
assert "torch" not in sys.modules, "import framewright imports torch"
import torch, numpy
before = time.perf_counter()
import framewright.models.registry
framewright.create_model("frame_average")
seconds = time.perf_counter() - before
heavy = {"torchvision", "cv2", "av", "decord", "skimage", "matplotlib", "wandb", "pytorch_lightning", "hydra"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print(seconds)
"""


def test_imports_are_light() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr


def test_public_names() -> None:
    assert framewright.create_model is create_model
    assert isinstance(framewright.__version__, str)
    assert {"create_model", "load_video"} <= set(dir(framewright))
    with pytest.raises(AttributeError, match="has no attribute 'creat_model'"):
        framewright.creat_model  # noqa: B018
