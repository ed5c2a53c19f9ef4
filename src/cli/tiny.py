"""``debug=tiny``: any experiment as a trial that takes seconds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError


def make_tiny(values: Mapping[str, Any], config_directory: Path) -> dict[str, Any]:
    """Replace what is large or has to be downloaded: the network's size, the data, the final table's set.

    Optimizer, schedule, losses, metrics and callbacks stay as the experiment has them.

    Args:
        values: a composed training configuration.
        config_directory: where ``data/scenes.yaml`` and the benchmarks are.

    Raises:
        ConfigError: the model is unknown.
    """
    from ..models.registry import get_card

    tiny = dict(values)
    model = dict(values.get("model") or {})
    if "name" not in model:
        raise ConfigError("model.name is required and not set")
    card = get_card(str(model["name"]))
    tiny["model"] = {**model, "weights": None, "backbone_weights": None, **card.tiny}
    data = dict(values.get("data") or {})
    scenes: dict[str, Any] = {"name": "scenes", "batch_size": 2, "workers": data.get("workers", 0), "crop": 64}
    frames = (data.get("settings") or {}).get("frames", data.get("frames") if card.recurrent else None)
    if frames is not None:
        # networks for clips cannot learn from single frames
        scenes["settings"] = {"frames": min(int(frames), 3)}
    if "timestep" in data:
        scenes["timestep"] = data["timestep"]
    elif str(data.get("name", "")).endswith("septuplet"):
        scenes["timestep"] = "any"
    if card.task == "super_resolution":
        # scenes have no sharpened truth; a discriminator for one size of image needs that size
        sizes = [_input_size(section) for section in ((values.get("gan") or {}).get("discriminators") or {}).values()]
        kept = {key: data[key] for key in ("scales", "degradation", "sharpened") if key in data}
        scenes |= {"name": "photographs", "crop": max([64, *sizes]), **kept}
    tiny["data"] = scenes
    terms = {name: _without_weights(term) for name, term in (values.get("loss") or {}).items()}
    if card.recurrent:
        # scenes have neither labelled people nor clips of a second size
        terms = {name: term for name, term in terms.items() if not _beside_clips(str(term.get("of", "")))}
    tiny["loss"] = terms
    optim = dict(values.get("optim") or {})
    scheduler = optim.get("scheduler")
    if isinstance(scheduler, Mapping) and "warmup" in scheduler:
        warmup = min(int(scheduler["warmup"]), int(optim.get("iterations", 2)) // 2)
        optim["scheduler"] = {**scheduler, "warmup": warmup}
    tiny["optim"] = optim
    if values.get("gan") is not None:
        tiny["gan"] = _tiny_discriminators(values["gan"])
    final = values.get("final")
    if final is not None:
        # the benchmark of a published data set needs that data set
        benchmark = "sr_scenes" if card.task == "super_resolution" else f"{card.task}_scenes"
        exists = (config_directory / "benchmark" / f"{benchmark}.yaml").is_file()
        tiny["final"] = {**final, "benchmark": benchmark, "data": {"videos": 1}} if exists else None
    return tiny


def _beside_clips(output: str) -> bool:
    return output == "logits" or output.startswith("high_")


def _tiny_discriminators(gan: Mapping[str, Any]) -> dict[str, Any]:
    """Small ones, which take part from the first iteration on."""
    from ..models.registry import get_card

    small = {
        name: {**section, "weights": None, **get_card(str(section["name"])).tiny}
        for name, section in gan["discriminators"].items()
    }
    return {**gan, "discriminators": small, "start": 0}


def _input_size(section: Mapping[str, Any]) -> int:
    """The side of the images that a discriminator takes, 0 for any."""
    from ..models.registry import get_card

    parameters = inspect.signature(get_card(str(section["name"])).build).parameters
    if "input_size" not in parameters:
        return 0
    return int(section.get("input_size", parameters["input_size"].default))


def _without_weights(term: Mapping[str, Any]) -> dict[str, Any]:
    """A loss that looks through a network does so through a random one, which needs no file."""
    from ..core.config import locate_class

    if not str(term.get("_target_", "")).startswith("framewright."):
        return dict(term)
    weights = inspect.signature(locate_class(str(term["_target_"]))).parameters.get("weights")
    # elsewhere the name stands for factors
    return {**term, "weights": None} if weights is not None and isinstance(weights.default, str) else dict(term)
