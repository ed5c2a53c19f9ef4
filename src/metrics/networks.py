"""Pretrained networks that metrics look through: loading, sharing among metrics, and exact arithmetic."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import WeightsError
from ..models.catalog import get_card
from ..models.registry import create_model, model_info
from ..weights import fetch

_loaded: weakref.WeakValueDictionary[tuple[str, str, int, int], FixedNetwork] = weakref.WeakValueDictionary()


class FixedNetwork:
    """A network in eval mode that is never trained.

    It is no ``nn.Module`` on purpose: as a submodule of a metric it would end up in the checkpoints and optimizers of
    the model that holds the metric, and change its precision with it. Copies of a metric share it.

    Attributes:
        net: the network.
        sha256: of its weight file, which belongs to the identity of everything computed with it.
    """

    def __init__(self, model: str, path: Path) -> None:
        # building draws random numbers, and creating a metric must not change what a training run draws next
        with torch.random.fork_rng(devices=[]):
            self.net: Any = create_model(model, path).requires_grad_(False)
        self.sha256 = str(model_info(self.net).weights_sha256)

    def on(self, frames: Tensor) -> Any:
        """The network, on the device of ``frames``."""
        self.net.to(frames.device)
        return self.net

    def __deepcopy__(self, memo: dict[int, Any]) -> FixedNetwork:
        return self


def fixed_network(model: str, weights: str | os.PathLike[str] | None, tag: str) -> FixedNetwork:
    """The network ``model`` with weights; metrics that use the same file share one copy while they live.

    Args:
        model: name of a registered network.
        weights: a path, or the tag of official weights; None for the default tag.
        tag: of the official weights that the metric is defined with.

    Raises:
        WeightsError: absent, damaged, of another network, or unsafe; the message says where to get the right file.
    """
    asked = tag if weights is None else os.fspath(weights)
    official = {entry.tag: entry for entry in get_card(model).weights}
    if asked in official:
        try:
            path = fetch(model, official[asked])
        except WeightsError as error:
            raise WeightsError(f"{error} Or give the metric the path of the file: weights=<path>.") from error
    else:
        path = Path(asked)
    try:
        stat = path.stat()
    except OSError as error:
        known = ", ".join(repr(name) for name in official)
        raise WeightsError(
            f"cannot read the weights {asked!r}: {error.strerror or error}; expected a file of {model!r}, or the tag "
            f"of official weights ({known})"
        ) from error
    key = (model, str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    network = _loaded.get(key)
    if network is None:
        network = _loaded[key] = FixedNetwork(model, path)
    return network


@contextlib.contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """No gradients, no autocast and no TF32: float32 as reference evaluations compute it."""
    with torch.no_grad(), torch.autocast(device_type=device.type, enabled=False), contextlib.ExitStack() as stack:
        if device.type == "cuda":
            cudnn: Any = torch.backends.cudnn  # its annotations lack ``conv``
            for backend in (cudnn.conv, torch.backends.cuda.matmul):
                stack.callback(setattr, backend, "fp32_precision", backend.fp32_precision)
                backend.fp32_precision = "ieee"
        yield


def fast_layout(net: nn.Module, images: Tensor) -> Tensor:
    """Network and images in the memory order in which a CPU convolves faster; elsewhere unchanged."""
    if images.device.type != "cpu":
        return images
    net.to(memory_format=torch.channels_last)
    return images.contiguous(memory_format=torch.channels_last)
