"""Starting a training from the weights of a backbone that was trained for something else, such as ImageNet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, WeightsError, nearest
from ..weights import OfficialWeights, fetch, read_checkpoint, unwrap_state_dict
from .card import BackboneWeights, ModelCard


def load_backbone(net: nn.Module, card: ModelCard, options: Mapping[str, Any], weights: str | os.PathLike[str]) -> None:
    """Copy the weights of a backbone into a network; everything else stays as it is.

    Args:
        net: the network.
        card: its card, which says which backbones there are.
        options: all its constructor options.
        weights: a tag, such as ``"imagenet"`` (downloaded if need be), or the path of such a file.

    Raises:
        ConfigError: the network starts from no such weights, or not with these options.
        WeightsError: the file cannot be had or does not fit; missing tensors are listed.
    """
    asked = os.fspath(weights)
    entry = _entry(card, options, asked)
    path = fetch(card.name, entry.weights) if asked == entry.weights.tag else Path(asked)
    try:
        found = entry.convert(unwrap_state_dict(read_checkpoint(path).state))
    except (KeyError, ValueError, IndexError) as error:
        raise WeightsError(f"{str(path)!r} is no file of the backbone of {card.name!r}: {error}") from error
    own = {key: value for key, value in net.state_dict().items() if key.startswith(entry.prefix)}
    # counters are not in every file, and nothing depends on them
    missing = [key for key in own if key not in found and not key.endswith("num_batches_tracked")]
    wrong = [key for key, value in found.items() if key not in own or own[key].shape != value.shape]
    if missing or wrong:
        raise WeightsError(
            f"{str(path)!r} does not fit the backbone of {card.name!r}: {len(missing)} tensors are missing "
            f"({', '.join(missing[:5]) or '-'}), {len(wrong)} are unknown or of another shape "
            f"({', '.join(wrong[:5]) or '-'})"
        )
    with torch.no_grad():
        for key, value in found.items():
            own[key].copy_(value)


def _entry(card: ModelCard, options: Mapping[str, Any], asked: str) -> BackboneWeights:
    tags = list(dict.fromkeys(entry.weights.tag for entry in card.backbones))
    if asked not in tags and not Path(asked).is_file():
        raise ConfigError(
            f"backbone_weights {asked!r} of {card.name!r}: neither an existing file nor a known tag "
            f"(tags: {', '.join(tags) or 'none'}){nearest(asked, tags)}"
        )
    for entry in card.backbones:
        if asked in (entry.weights.tag, *([] if asked in tags else [asked])) and entry.suits(options):
            return entry
    chosen = ", ".join(f"{key}={value!r}" for key, value in options.items())
    raise ConfigError(f"there are no backbone_weights {asked!r} for {card.name!r} with {chosen}")


def without(prefixes: tuple[str, ...], state: Mapping[str, Tensor], renamed: str = "backbone.") -> dict[str, Tensor]:
    """The tensors whose names begin with none of ``prefixes``, with ``renamed`` in front."""
    return {f"{renamed}{key}": value for key, value in state.items() if not key.startswith(prefixes)}


def imagenet(filename: str) -> OfficialWeights:
    """A file of torchvision that was trained on ImageNet; its name ends in the first 8 digits of its hash."""
    return OfficialWeights(
        tag="imagenet",
        filename=filename,
        licence="BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research",
        source="https://docs.pytorch.org/vision/stable/models.html",
        url=f"https://download.pytorch.org/models/{filename}",
        sha256=filename.removesuffix(".pth").rpartition("-")[2],
        trained_on="ImageNet",
    )
