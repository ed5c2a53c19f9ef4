"""From what the user wrote on the command line to a method that runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator
from torch import nn

from ..core.config import Section, parse_section
from ..core.errors import ConfigError, nearest
from ..models.card import ModelCard, PublishedResult
from ..models.registry import ModelInfo, create_model, get_card, list_models, load_model, model_info
from .folder import FolderMethod
from .method import Method
from .network import NetworkMethod, engine_options
from .style import StyleOptions

RUN_WEIGHTS = "weights.safetensors"


class MethodFields(Section):
    """What can be said about a method.

    Attributes:
        network: name of a registered network, with ``weights`` (path or official tag) and ``options``.
        weights: weights of ``network``; alone, a weight file of ours, which knows its network.
        run: a run folder.
        baseline: name of a method that needs no weights, with ``options``.
        folder: somebody else's results.
        options: constructor options of a network or baseline.
        parts: weights of contained networks, by argument.
        inference: how the network is run over a video, options of the task's engine (inpainting:
            :class:`framewright.inference.InpaintingOptions`, style: :class:`framewright.inference.StyleOptions`).
    """

    network: str | None = None
    weights: str | None = None
    run: str | None = None
    baseline: str | None = None
    folder: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    parts: dict[str, str] = Field(default_factory=dict)
    inference: dict[str, Any] = Field(default_factory=dict)


class MethodSpec(MethodFields):
    """One method of a benchmark or of a pipeline's stage; exactly one of ``network``, ``run``, ``baseline``, ``folder``
    and, alone, ``weights`` says what it is.
    """

    @model_validator(mode="after")
    def _one_kind(self) -> MethodSpec:
        kinds = [kind for kind in ("network", "run", "baseline", "folder") if getattr(self, kind) is not None]
        if len(kinds) > 1 or not (kinds or self.weights):
            raise ValueError(
                "give exactly one of network (with weights), run, baseline, folder, or weights alone; "
                f"got {', '.join(kinds) or 'none of them'}"
            )
        if self.weights is not None and kinds and kinds != ["network"]:
            raise ValueError(f"weights go with network, not with {kinds[0]}")
        if self.options and not (self.network or self.baseline):
            raise ValueError("options go with network or baseline; run folders and weight files bring their own")
        if self.inference and self.folder is not None:
            raise ValueError("inference says how a network is run; the results in a folder are there already")
        return self


class Resolved(NamedTuple):
    """A method, one line, to be printed, that says how its specification was understood, and its run folder if any."""

    method: Method
    decision: str
    run: Path | None = None


def method_from_spec(name: str, spec: str | Mapping[str, Any], task: str, where: str | None = None) -> Resolved:
    """Build the method ``methods.<name>=<spec>``.

    A bare string is, in this order: a run folder (it holds ``weights.safetensors``), a folder of results, a
    weight file, or the name of a registered baseline or network.

    Args:
        name: of the table's row.
        spec: a mapping with the fields of :class:`MethodSpec`, or a bare string.
        task: of the benchmark; a network for another task is refused.
        where: dotted path of the specification, for messages; None: ``methods.<name>``.

    Raises:
        ConfigError: nothing fits the specification, or it contradicts itself or the task.
        WeightsError: the weights cannot be loaded.
    """
    where = where or f"methods.{name}"
    if isinstance(spec, str):
        kind, why = recognise(spec, where, task)
        parsed = MethodSpec.model_validate({kind: spec})
        suffix = f" ({why})"
    elif isinstance(spec, Mapping):
        parsed = parse_section(MethodSpec, {str(key): value for key, value in spec.items()}, where)
        suffix = ""
    else:
        raise ConfigError(f"{where} must be a name, a path or a mapping, got {spec!r}")
    method = _build(name, parsed, task, where)
    run = None if parsed.run is None else Path(parsed.run).expanduser()
    return Resolved(method, f"{where}: {method.source}{suffix}", run)


def recognise(text: str, where: str, task: str) -> tuple[str, str]:
    """What a bare string means: the field of :class:`MethodSpec` it stands for, and why.

    Raises:
        ConfigError: it is nothing that is known; the message lists what was tried.
    """
    path = Path(text).expanduser()
    if (path / RUN_WEIGHTS).is_file():
        return "run", f"the folder holds {RUN_WEIGHTS}"
    if path.is_dir():
        return "folder", f"a folder without {RUN_WEIGHTS} is taken as results"
    if path.is_file():
        return "weights", "an existing file is taken as weights"
    if text in _models_for(task, baselines=True):
        return "baseline", "a registered baseline"
    if text in list_models():
        return "network", "a registered network"
    known = _models_for(task)
    raise ConfigError(
        f"{where}: {text!r} is nothing that can be evaluated{nearest(text, known)}\n"
        f"  not a run folder: there is no {path / RUN_WEIGHTS}\n"
        f"  not a folder of results or a weight file: there is no {path}\n"
        f"  not a method for {task}: {', '.join(known) or 'this protocol compares folders only'}"
    )


def _build(name: str, spec: MethodSpec, task: str, where: str) -> Method:
    if spec.folder is not None:
        return FolderMethod(name, Path(spec.folder).expanduser())
    inference = engine_options(task, spec.inference, f"{where}.inference") if spec.inference else None
    if spec.baseline is not None:
        card = _card(spec.baseline, task, where)
        if not card.baseline:
            raise ConfigError(
                f"{where}: {card.name!r} is a network, not a baseline; write {{network: {card.name}, weights: ...}}"
            )
        net = create_model(card.name, parts=spec.parts or None, **spec.options)
        return _network_method(name, net, f"baseline {card.name}{_shown(spec.options)}", inference)
    if spec.network is not None:
        card = _card(spec.network, task, where)
        weights = spec.weights if card.baseline or spec.weights is not None else _official(card, where)
        net = create_model(card.name, weights, parts=spec.parts or None, **spec.options)
        source = f"network {card.name}{_shown(spec.options)}"
        return _network_method(name, net, f"{source}, weights {weights}" if weights else source, inference)
    kind, path = ("run", spec.run) if spec.run is not None else ("weights", spec.weights)
    assert path is not None
    place = Path(path).expanduser()
    if not place.exists():
        raise ConfigError(f"{where}: the {'run folder' if kind == 'run' else 'weight file'} {path!r} does not exist")
    net = load_model(place, parts=spec.parts or None)
    info = model_info(net)
    changed = _changed(_card(info.name, task, where), info.options)
    return _network_method(name, net, f"{kind} {path}: {info.name}{_shown(changed)}", inference)


def _models_for(task: str, *, baselines: bool | None = None) -> list[str]:
    """The networks of a task; none for protocols that compare stored results of any task."""
    return [] if task == "any" else list_models(task, baselines=baselines)


def _card(network: str, task: str, where: str) -> ModelCard:
    known = _models_for(task)
    if network in known:
        return get_card(network)
    if task == "any":
        raise ConfigError(
            f"{where}: {network!r} is a network, but this protocol compares stored results: give a folder"
        )
    if network in list_models():
        other = get_card(network).task
        raise ConfigError(f"{where}: {network!r} is a network for {other}, expected one for {task}")
    raise ConfigError(
        f"{where}: there is no network {network!r}{nearest(network, known)} (for {task}: {', '.join(known)})"
    )


def _official(card: ModelCard, where: str) -> str:
    """The tag of the first official checkpoint that can be had without the user's help."""
    for entry in card.weights:
        if entry.url is not None:
            return entry.tag
    tags = "; ".join(f"{entry.filename} from {entry.source}" for entry in card.weights)
    official = f" Official weights: {tags}." if tags else ""
    raise ConfigError(
        f"{where}: {card.name!r} needs weights, and an untrained network would only score noise. "
        f"Write {{network: {card.name}, weights: <file>}} or give a run folder.{official}"
    )


def _network_method(name: str, net: nn.Module, source: str, inference: Section | None) -> NetworkMethod:
    chosen = {} if inference is None else inference.model_dump(include=inference.model_fields_set)
    told = f"; run with {', '.join(f'{key}={value}' for key, value in chosen.items())}" if chosen else ""
    # published numbers belong to the way of running that is the default
    usual = inference is None or inference == type(inference)()
    info = model_info(net)
    card = get_card(info.name)
    fingerprint = None
    # without a hash two different sets of weights would look the same to the cache
    if info.weights_sha256 is not None or card.baseline:
        fingerprint = {
            "kind": "network",
            "network": info.name,
            "options": repr(sorted(info.options.items())),
            "weights": info.weights_sha256,
            "parts": {argument: asdict(part) for argument, part in sorted(info.parts.items())},
            "inference": None if inference is None or usual else _identity(inference),
        }
    return NetworkMethod(
        name,
        net,
        source=f"{source}{told}",
        weights_sha256=info.weights_sha256,
        fingerprint=fingerprint,
        published=_published(card, info) if usual else (),
        options=inference,
    )


def _identity(inference: Section) -> dict[str, Any]:
    """What a result depends on: the options, and what the files hold that they name."""
    return inference.identity() if isinstance(inference, StyleOptions) else inference.model_dump(mode="json")


def _published(card: ModelCard, info: ModelInfo) -> tuple[PublishedResult, ...]:
    """The card's numbers if the network is the published one, with the weights and the options they belong to."""
    changed = _changed(card, info.options)
    tags = {""}
    for entry in card.weights:
        known = entry.sha256 is not None and (info.weights_sha256 or "").startswith(entry.sha256)
        if known or info.weights_source == entry.tag:
            tags.add(entry.tag)
    return tuple(result for result in card.published if result.variant in tags and dict(result.options) == changed)


def _changed(card: ModelCard, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from the constructor's defaults."""
    defaults = inspect.signature(card.build).parameters
    return {
        key: value for key, value in options.items() if key not in defaults or not _same(defaults[key].default, value)
    }


def _same(default: Any, value: Any) -> bool:
    # options that went through JSON or YAML come back with lists for tuples
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return list(default) == list(value)
    return bool(default == value)


def _shown(options: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{key}={value}' for key, value in options.items())})" if options else ""
