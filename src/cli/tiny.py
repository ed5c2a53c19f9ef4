"""``debug=tiny``: any experiment as a trial that takes seconds."""

from __future__ import annotations

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
    tiny["model"] = {**model, "weights": None, **card.tiny}
    data = dict(values.get("data") or {})
    scenes = {"name": "scenes", "batch_size": 2, "workers": data.get("workers", 0), "crop": 64}
    frames = (data.get("settings") or {}).get("frames")
    if frames is not None:
        # networks for clips cannot learn from single frames
        scenes["settings"] = {"frames": min(int(frames), 3)}
    if "timestep" in data:
        scenes["timestep"] = data["timestep"]
    elif str(data.get("name", "")).endswith("septuplet"):
        scenes["timestep"] = "any"
    tiny["data"] = scenes
    optim = dict(values.get("optim") or {})
    scheduler = optim.get("scheduler")
    if isinstance(scheduler, Mapping) and "warmup" in scheduler:
        warmup = min(int(scheduler["warmup"]), int(optim.get("iterations", 2)) // 2)
        optim["scheduler"] = {**scheduler, "warmup": warmup}
    tiny["optim"] = optim
    final = values.get("final")
    if final is not None:
        # the benchmark of a published data set needs that data set
        benchmark = f"{card.task}_scenes"
        exists = (config_directory / "benchmark" / f"{benchmark}.yaml").is_file()
        tiny["final"] = {**final, "benchmark": benchmark, "data": {"videos": 1}} if exists else None
    return tiny
