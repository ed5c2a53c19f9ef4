"""What every registered network has to fulfil, in its tiny variant. A new card is tested without new lines."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from framewright.models.card import ModelCard, example_inputs
from framewright.models.registry import all_cards, create_model, get_card, list_models, load_model, save_model
from framewright.models.stored import _differences
from torch import Tensor, nn

PARITY_RECORDS = sorted((Path(__file__).parents[1] / "parity" / "data").glob("*.json"))
# for records whose options cannot be told from their constructor arguments: {record: (model, options)}
PARITY_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    f"temporal_patch_discriminator_nf{nf}": ("temporal_patchgan", {"nf": nf}) for nf in (32, 64)
} | {
    "deeplabv3plus_resnet50_os16": ("deeplabv3plus", {"backbone": "resnet50"}),
    "recycle_gan_generator": ("recycle_gan", {}),
    "recycle_gan_predictor": ("unet_predictor", {}),
    "recycle_gan_discriminator": ("patchgan", {}),
    "dim_skip": ("dim", {"skip": True, "conv6_kernel": 3}),
}

CALLABLE = [name for name in list_models() if get_card(name).task != "auxiliary"]
TRAINABLE = [name for name in CALLABLE if not get_card(name).baseline]


def tiny(name: str) -> nn.Module:
    torch.manual_seed(1)
    return create_model(name, **get_card(name).tiny)


def inputs(name: str, height: int, width: int, batch: int = 1) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    card = get_card(name)
    return example_inputs(card.task, height, width, batch, recurrent=card.recurrent, generator=generator)


def tensors(output: object) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from tensors(value)


def main_output(output: object) -> Tensor:
    return next(tensors(output))


def check_shape(card: ModelCard, net: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
    first = given[0]
    batch, (height, width) = first.shape[0], first.shape[-2:]
    if card.task == "flow":
        assert result.shape == (batch, 2, height, width)
    elif card.task == "segmentation":
        assert (result.shape[0], *result.shape[2:]) == (batch, height, width)
    elif card.task == "matting":
        assert result.shape[-3:] == (1, height, width)
    elif card.task == "super_resolution":
        scale = result.shape[-1] // width
        assert scale == getattr(net, "scale", scale)
        assert result.shape == (batch, 3, height * scale, width * scale)
    else:
        assert result.shape == first.shape


@pytest.mark.parametrize("name", list_models())
def test_card(name: str) -> None:
    card = get_card(name)
    assert card.summary
    assert not card.summary.endswith(".")
    parameters = inspect.signature(card.build).parameters
    assert set(card.tiny) <= set(parameters)
    assert set(card.parts) <= set(parameters)
    assert set(card.parts.values()) <= set(all_cards())
    assert len({entry.tag for entry in card.weights}) == len(card.weights)
    assert len({layout.name for layout in card.layouts}) == len(card.layouts)
    if card.baseline:
        assert not card.weights
    else:
        assert card.paper
        assert card.proven
    assert all(result.source for result in card.published)


@pytest.mark.parametrize("name", CALLABLE)
@pytest.mark.parametrize("size", [(64, 64), (37, 51)], ids=["even", "odd"])
def test_forward(name: str, size: tuple[int, int]) -> None:
    net, given = tiny(name), inputs(name, *size, batch=2)
    copies = [tensor.clone() for tensor in given]
    with torch.no_grad():
        output = net(*given)
        again = net(*given)
    check_shape(get_card(name), net, given, main_output(output))
    assert all(torch.isfinite(tensor).all() for tensor in tensors(output))
    assert main_output(output).dtype == torch.float32
    assert all(torch.equal(one, two) for one, two in zip(tensors(output), tensors(again), strict=True))
    assert all(torch.equal(one, two) for one, two in zip(given, copies, strict=True)), "inputs were changed"


@pytest.mark.parametrize("name", CALLABLE)
def test_samples_of_a_batch_are_independent(name: str) -> None:
    net, given = tiny(name), inputs(name, 48, 64, batch=2)
    with torch.no_grad():
        both = main_output(net(*given))
        second = main_output(net(*(tensor[1:] for tensor in given)))
    tolerance = 1e-4 * float(both.abs().max()) + 1e-6
    assert (both[1:] - second).abs().max() < tolerance


@pytest.mark.parametrize("name", TRAINABLE)
def test_backward(name: str) -> None:
    net, given = tiny(name).train(), inputs(name, 64, 64, batch=2)
    floats = [tensor for tensor in tensors(net(*given)) if tensor.requires_grad]
    sum(tensor.square().mean() for tensor in floats).backward()  # type: ignore[union-attr]
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", list_models())
def test_save_and_load(name: str, tmp_path: Path) -> None:
    net = tiny(name)
    # values that no constructor gives, so that a forgotten tensor is noticed
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.rand_like(tensor))
    save_model(net, tmp_path / "weights.safetensors")
    loaded = load_model(tmp_path)
    own, other = net.state_dict(), loaded.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(own[key], other[key]) for key in own)
    if name in CALLABLE:
        given = inputs(name, 64, 64)
        with torch.no_grad():
            pairs = zip(tensors(net(*given)), tensors(loaded(*given)), strict=True)
            assert all(torch.equal(one, two) for one, two in pairs)


def accepts(card: ModelCard, state: dict[str, Tensor], options: dict[str, Any]) -> list[str] | None:
    """None when no layout of the card matches, else the difference after conversion."""
    layout = next((layout for layout in card.layouts if layout.matches(set(state))), None)
    if layout is None:
        return None
    known = inspect.signature(card.build).parameters
    net = create_model(card.name, **{key: value for key, value in options.items() if key in known})
    own = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    converted = layout.convert(dict(state))
    return _differences(own, {k: v for k, v in converted.items() if not k.endswith("num_batches_tracked")})


@pytest.mark.parametrize("record", PARITY_RECORDS, ids=lambda path: path.stem)
def test_official_keys(record: Path) -> None:
    content = json.loads(record.read_text(encoding="utf-8"))
    state = {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, (dtype, shape) in content["state_dict"].items()
    }
    options = content.get("constructor", {})
    cards = list(all_cards().values())
    if record.stem in PARITY_MODELS:
        name, options = PARITY_MODELS[record.stem]
        cards = [get_card(name)]
    answers = {card.name: accepts(card, state, options) for card in cards}
    matching = {name: differences for name, differences in answers.items() if differences is not None}
    assert matching, "no layout of any card accepts these official keys"
    assert [] in matching.values(), matching
