"""Building, loading and saving networks by name."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..core.errors import ConfigError, WeightsError, nearest
from ..weights import fetch, save_weights
from .backbones import load_backbone
from .card import ModelCard
from .catalog import all_cards, get_card, list_models, register_model
from .packed import Storage, pack
from .stored import PartInfo, StoredWeights, describe, implied_options, load_into, read_stored

__all__ = [
    "ModelInfo",
    "PartInfo",
    "all_cards",
    "create_model",
    "get_card",
    "list_models",
    "load_model",
    "model_info",
    "register_model",
    "save_model",
]

_ATTRIBUTE = "_framewright_info"


@dataclass(frozen=True)
class ModelInfo:
    """How a network came about; :func:`model_info` finds it again.

    Attributes:
        name: model name.
        options: all constructor options, defaults included, as plain JSON values.
        parts: networks inside of it, by argument name.
        weights_sha256: of the file that its weights were loaded from; None for random weights.
        weights_source: what was asked for: a path or a tag.
        layout: key layout of that file, ``"framewright"`` for our own.
    """

    name: str
    options: Mapping[str, Any]
    parts: Mapping[str, PartInfo] = field(default_factory=dict)
    weights_sha256: str | None = None
    weights_source: str | None = None
    layout: str | None = None


def create_model(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    parts: Mapping[str, str] | None = None,
    backbone_weights: str | os.PathLike[str] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network, in eval mode.

    Args:
        name: see :func:`list_models`.
        weights: None for random initialisation; the tag of an official checkpoint (downloaded if need be);
            or a path: our ``.safetensors`` or ``.ckpt``, a run folder, or an official checkpoint in one of
            its known layouts. A file of ours brings its constructor options along; those of an official checkpoint
            are read off its tensors where a network can (number of blocks, scale ...).
        parts: networks inside of it, ``{argument: spec}``; a spec is a model name, ``name:tag`` or a path.
        backbone_weights: without ``weights``: a tag (``"imagenet"``) or a path, of which the backbone alone is loaded,
            see :func:`~framewright.models.backbones.load_backbone`.
        options: constructor options; they win over those of the file.

    Raises:
        ConfigError: unknown name, option or part.
        WeightsError: the weights cannot be had or do not fit; missing and unexpected keys are listed.
    """
    card = get_card(name)
    if weights is None:
        net = _assemble(card, options, parts or {}, None, None)
        if backbone_weights is not None:
            load_backbone(net, card, model_info(net).options, backbone_weights)
        return net
    stored = read_stored(_locate(card, weights))
    if stored.model not in (None, name):
        raise WeightsError(f"{str(stored.path)!r} holds weights of {stored.model!r}, not of {name!r}")
    known = {**stored.options, **implied_options(card, stored, options)}
    return _assemble(card, {**known, **options}, parts or {}, stored, os.fspath(weights))


def load_model(path: str | os.PathLike[str], *, parts: Mapping[str, str] | None = None) -> nn.Module:
    """Load a network from our ``.safetensors``, our ``.ckpt`` (EMA weights if it has any) or a run folder.

    Args:
        path: the file names the network and its options itself.
        parts: other networks for its parts, as in :func:`create_model`.

    Returns:
        The network, in eval mode.

    Raises:
        WeightsError: when the file cannot be read, does not fit, or is not ours.
    """
    stored = read_stored(path)
    if stored.model is None:
        raise WeightsError(
            f"{str(stored.path)!r} does not say which network it belongs to; name it: create_model(name, weights=path)"
        )
    return _assemble(get_card(stored.model), stored.options, parts or {}, stored, os.fspath(path))


def save_model(
    net: nn.Module,
    path: str | os.PathLike[str],
    *,
    training: Mapping[str, Any] | None = None,
    storage: Storage | None = None,
) -> None:
    """Write the weights of a network as safetensors, with all that :func:`load_model` needs.

    Args:
        net: made by :func:`create_model` or :func:`load_model`, or a deep copy of such a network.
        path: ends in ``.safetensors``.
        training: JSON-able facts to keep with the weights, for example iteration and configuration.
        storage: ``"float16"`` or ``"int8"`` for a smaller file, see :mod:`.packed`; None: as they are.

    Raises:
        ConfigError: when the network was made otherwise, or ``storage`` is unknown.
        WeightsError: when the file cannot be written, or a number does not fit the storage.
    """
    info = model_info(net)
    state = net.state_dict() if storage is None else pack(net.state_dict(), storage)
    save_weights(path, state, describe(info.name, info.options, info.parts, training or {}))


def model_info(net: nn.Module) -> ModelInfo:
    """How a network was made.

    Raises:
        ConfigError: when neither :func:`create_model` nor :func:`load_model` made it.
    """
    info = getattr(net, _ATTRIBUTE, None)
    if not isinstance(info, ModelInfo):
        raise ConfigError(
            f"this {type(net).__name__} was not made by create_model or load_model, so its name and options are unknown"
        )
    return info


def _locate(card: ModelCard, weights: str | os.PathLike[str]) -> Path:
    # tags first: a folder that happens to be called like one is reached as ./tag
    tags = {entry.tag: entry for entry in card.weights}
    asked = os.fspath(weights)
    if asked in tags:
        return fetch(card.name, tags[asked])
    if Path(asked).exists():
        return Path(asked)
    known = ", ".join(repr(tag) for tag in tags) or "none"
    raise WeightsError(
        f"weights {asked!r} for {card.name!r}: neither an existing file or run folder nor a known tag "
        f"(tags: {known}){nearest(asked, tags)}"
    )


def _assemble(
    card: ModelCard,
    options: Mapping[str, Any],
    parts: Mapping[str, str],
    stored: StoredWeights | None,
    source: str | None,
) -> nn.Module:
    recorded = _check_options(card, options)
    for argument in parts:
        if argument not in card.parts:
            known = ", ".join(card.parts) or "none"
            raise ConfigError(f"{card.name!r} has no part {argument!r} (parts: {known})")
    inner = {
        argument: _build_part(card, argument, default, parts.get(argument), stored)
        for argument, default in card.parts.items()
    }
    infos = {argument: info for argument, (_, info) in inner.items()}
    try:
        net = card.build(**options, **{argument: module for argument, (module, _) in inner.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"cannot build the model {card.name!r}: {error}") from error
    layout = sha256 = None
    if stored is not None:
        ready = {argument for argument, info in infos.items() if info.sha256}
        layout = load_into(net, card, stored, ready, set(parts))
        sha256 = stored.sha256
    net.eval()
    setattr(net, _ATTRIBUTE, ModelInfo(card.name, recorded, infos, sha256, source, layout))
    return net


def _check_options(card: ModelCard, options: Mapping[str, Any]) -> dict[str, Any]:
    """All constructor options as plain JSON values; ConfigError for unknown or unsuitable ones."""
    parameters = inspect.signature(card.build).parameters
    named = {
        key: parameter
        for key, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in options:
        if key in card.parts:
            raise ConfigError(
                f"{key!r} is a network inside {card.name!r}: choose it with parts={{{key!r}: name or path}}"
            )
        if key not in named and not open_ended:
            known = [name for name in named if name not in card.parts]
            raise ConfigError(
                f"the model {card.name!r} has no option {key!r}{nearest(key, known)} "
                f"(options: {', '.join(known) or 'none'})"
            )
    defaults = {
        key: parameter.default
        for key, parameter in named.items()
        if parameter.default is not parameter.empty and key not in card.parts
    }
    recorded: dict[str, Any] = {}
    for key, value in {**defaults, **options}.items():
        try:
            recorded[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"option {key!r} of {card.name!r} is a {type(value).__name__}; expected numbers, texts, "
                "lists or None, which a weight file can record"
            ) from error
    return recorded


def _build_part(
    card: ModelCard, argument: str, default: str, override: str | None, stored: StoredWeights | None
) -> tuple[nn.Module, PartInfo]:
    """A part as overridden, else as the weight file records it, else by default."""
    if override is not None:
        return _part_from_spec(card, argument, override)
    recorded = stored.parts.get(argument) if stored is not None else None
    if stored is None or recorded is None:
        return _part_from_spec(card, argument, default)
    if any(key.startswith(f"{argument}.") for key in stored.state):
        return create_model(recorded.name, **recorded.options), recorded
    if recorded.sha256 is None or recorded.source is None:
        raise WeightsError(
            f"{str(stored.path)!r} does not hold the weights of its part {argument!r} ({recorded.name}); "
            f"give them with parts={{{argument!r}: path}}"
        )
    module, info = _part_from_spec(card, argument, recorded.source)
    if info.sha256 != recorded.sha256:
        raise WeightsError(
            f"the part {argument!r} of {str(stored.path)!r} was {recorded.source!r} with sha256 "
            f"{recorded.sha256}, which is now {info.sha256}; give the right one with "
            f"parts={{{argument!r}: path}}"
        )
    return module, info


def _part_from_spec(card: ModelCard, argument: str, spec: str) -> tuple[nn.Module, PartInfo]:
    name, _, tag = spec.partition(":")
    if spec in all_cards():
        net = create_model(spec)
    elif name in all_cards() and tag:
        net = create_model(name, tag)
    elif Path(spec).exists():
        net = load_model(spec)
    else:
        raise ConfigError(
            f"part {argument!r} of {card.name!r}: {spec!r} is neither a model, name:tag, nor an existing file"
            f"{nearest(spec, all_cards())}"
        )
    info = model_info(net)
    return net, PartInfo(info.name, info.weights_sha256, spec, info.options)
