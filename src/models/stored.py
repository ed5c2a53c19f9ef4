"""Weight files of networks: what they say about themselves, and fitting their tensors into a network."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..core.errors import WeightsError
from ..core.files import sha256_file
from ..weights import Checkpoint, read_checkpoint, unwrap_state_dict
from .card import ModelCard
from .packed import unpack

SCHEMA = "1"
RUN_WEIGHTS = "weights.safetensors"
_SHOWN = 10


@dataclass(frozen=True)
class PartInfo:
    """A network inside another one.

    Attributes:
        name: its model name.
        sha256: of the weight file it was loaded from; None for random or jointly trained weights.
        source: what it was asked for as: a name, ``name:tag`` or a path.
        options: its constructor options.
    """

    name: str
    sha256: str | None = None
    source: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredWeights:
    """A weight file that was read.

    Attributes:
        path: the file (inside of the run folder, if a folder was given).
        sha256: of the file.
        state: tensors; under this package's key names if ``model`` is known, else as in the file.
        model: name of the network, None for a file of another program.
        options: constructor options of the network.
        parts: networks inside of it.
    """

    path: Path
    sha256: str
    state: dict[str, Tensor]
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, PartInfo] = field(default_factory=dict)


def read_stored(path: str | os.PathLike[str]) -> StoredWeights:
    """Read our ``.safetensors``, our ``.ckpt``, a run folder, or another program's checkpoint.

    Of our checkpoints the averaged weights (EMA) are taken where there are any.

    Raises:
        WeightsError: when it cannot be read; names the file and the reason.
    """
    path = _file_of(Path(path))
    checkpoint = read_checkpoint(path)
    ours = checkpoint.state.get("framewright")
    try:
        if "framewright.model" in checkpoint.metadata:
            return _from_safetensors(path, checkpoint)
        if isinstance(ours, Mapping) and "model" in ours:
            return _from_lightning(path, checkpoint, ours)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"the description inside {str(path)!r} is damaged: {error!r}") from error
    try:
        return StoredWeights(path, sha256_file(path), unwrap_state_dict(checkpoint.state))
    except WeightsError as error:
        raise WeightsError(f"{str(path)!r}: {error}") from error


def describe(
    model: str, options: Mapping[str, Any], parts: Mapping[str, PartInfo], training: Mapping[str, Any]
) -> dict[str, str]:
    """The metadata of our weight files."""
    recorded = {
        argument: {
            "name": part.name,
            "sha256": part.sha256,
            "source": part.source,
            "options": dict(part.options),
        }
        for argument, part in parts.items()
    }
    return {
        "framewright.schema": SCHEMA,
        "framewright.model": model,
        "framewright.options": json.dumps(dict(options), sort_keys=True),
        "framewright.parts": json.dumps(recorded, sort_keys=True),
        "framewright.training": json.dumps(dict(training), sort_keys=True),
    }


def implied_options(card: ModelCard, stored: StoredWeights, given: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor options that a file of another program belongs to, as far as its tensors tell.

    Raises:
        WeightsError: ``given`` options contradict them.
    """
    if stored.model is not None or card.options_of is None:
        return {}
    state, _ = _convert(card, stored)
    try:
        implied = card.options_of(state)
    except (KeyError, ValueError, IndexError):
        # the file is of another network, which loading it will say in detail
        return {}
    for key, value in implied.items():
        if given.get(key, value) != value:
            raise WeightsError(
                f"{str(stored.path)!r} holds weights of {card.name!r} with {key}={value!r}, not {key}={given[key]!r}"
            )
    return implied


def load_into(
    net: nn.Module,
    card: ModelCard,
    stored: StoredWeights,
    ready_parts: Collection[str],
    replaced: Collection[str],
) -> str:
    """Copy the tensors of a file into a network; returns the name of the layout they were stored in.

    Args:
        net: the network.
        card: its card.
        stored: the file.
        ready_parts: parts that have weights already, so that the file may lack them.
        replaced: parts whose weights in the file are not wanted.

    Raises:
        WeightsError: listing missing and unexpected keys and differing shapes.
    """
    state, layout = _convert(card, stored) if stored.model is None else (stored.state, "framewright")
    own = net.state_dict()
    dropped = tuple(f"{argument}." for argument in replaced)
    state = {key: value for key, value in state.items() if not key.startswith(dropped)}
    for argument in ready_parts:
        prefix = f"{argument}."
        if not any(key.startswith(prefix) for key in state):
            state |= {key: value for key, value in own.items() if key.startswith(prefix)}
    # absent from files of torch before 0.4.1, and without influence on evaluation
    state |= {key: value for key, value in own.items() if key.endswith("num_batches_tracked") and key not in state}
    problems = _differences(own, state)
    if problems:
        known = ", ".join(repr(known.name) for known in card.layouts) or "none"
        read_as = f"layout {layout!r}" if layout else f"no known layout; known: {known}; read as its own keys"
        raise WeightsError(
            f"the weights {str(stored.path)!r} ({read_as}) do not fit the model {card.name!r}: "
            f"{'; '.join(problems)}. Other constructor options, or another model, may be needed."
        )
    net.load_state_dict(state)
    return layout or "framewright"


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    if not (path / RUN_WEIGHTS).is_file():
        checkpoints = sorted(path.rglob("*.ckpt"))
        hint = f"; it has the checkpoint {str(checkpoints[-1])!r}, give that" if checkpoints else ""
        raise WeightsError(f"the folder {str(path)!r} holds no {RUN_WEIGHTS}, so it is no finished run{hint}")
    return path / RUN_WEIGHTS


def _from_safetensors(path: Path, checkpoint: Checkpoint) -> StoredWeights:
    metadata = checkpoint.metadata
    if metadata.get("framewright.schema") != SCHEMA:
        raise WeightsError(
            f"{str(path)!r} has the schema {metadata.get('framewright.schema')!r}, this version of "
            f"framewright reads {SCHEMA!r}: use the version that wrote it, or a newer one"
        )
    return StoredWeights(
        path,
        sha256_file(path),
        unpack(checkpoint.state),
        metadata["framewright.model"],
        dict(json.loads(metadata.get("framewright.options", "{}"))),
        _parts(json.loads(metadata.get("framewright.parts", "{}"))),
    )


def _from_lightning(path: Path, checkpoint: Checkpoint, ours: Mapping[str, Any]) -> StoredWeights:
    everything: Mapping[str, Any] = checkpoint.state["state_dict"]
    # live first, averaged on top: an average may leave out buffers
    state = {
        key.removeprefix(prefix): value
        for prefix in ("net.", "ema.net.")
        for key, value in everything.items()
        if key.startswith(prefix)
    }
    if not state:
        raise WeightsError(f"the checkpoint {str(path)!r} holds no tensors of the network (keys 'net.…')")
    return StoredWeights(
        path,
        sha256_file(path),
        state,
        str(ours["model"]),
        dict(ours.get("options") or {}),
        _parts(ours.get("parts") or {}),
    )


def _parts(recorded: Mapping[str, Mapping[str, Any]]) -> dict[str, PartInfo]:
    return {
        str(argument): PartInfo(
            str(part["name"]), part.get("sha256"), part.get("source"), dict(part.get("options") or {})
        )
        for argument, part in recorded.items()
    }


def _convert(card: ModelCard, stored: StoredWeights) -> tuple[dict[str, Tensor], str | None]:
    """The tensors under our key names; unchanged, with layout None, when no known layout matches."""
    keys = set(stored.state)
    for layout in card.layouts:
        if layout.matches(keys):
            try:
                return layout.convert(dict(stored.state)), layout.name
            except (KeyError, ValueError, IndexError) as error:
                raise WeightsError(
                    f"{str(stored.path)!r} looks like the layout {layout.name!r} of {card.name!r}, but is "
                    f"incomplete: {error!r}"
                ) from error
    return stored.state, None


def _differences(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """What keeps ``given`` from being loaded, as phrases; nothing when it fits."""
    missing = [key for key in own if key not in given]
    unexpected = [key for key in given if key not in own]
    shapes = [
        f"{key} is {tuple(given[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if key in given and given[key].shape != tensor.shape
    ]
    return [
        f"{len(items)} {what}: {', '.join(items[:_SHOWN])}{', …' if len(items) > _SHOWN else ''}"
        for items, what in (
            (missing, "missing keys"),
            (unexpected, "unexpected keys"),
            (shapes, "keys of another shape"),
        )
        if items
    ]
