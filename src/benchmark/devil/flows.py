"""Where the optical flow of the scores comes from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...core.errors import ConfigError, nearest
from ...models.registry import create_model, list_models

FlowFunction = Callable[[Tensor, Tensor], Tensor]
"""``(image1, image2) -> flow``: two ``(1, 3, H, W)`` RGB in [0, 1], the flow from 1 to 2 ``(1, 2, H, W)`` in pixels."""


def flow_function(name: str = "dis", weights: str | None = None, device: torch.device | None = None) -> FlowFunction:
    """A source of flow by name.

    Args:
        name: a registered flow network, or a method without weights such as ``dis``, OpenCV's dense inverse search.
        weights: of the network, as for ``create_model``.
        device: where it computes; None: the first GPU, or the CPU.

    Raises:
        ConfigError: unknown name, weights for a method that has none, or none for a network.
        WeightsError: the weights cannot be had.
    """
    known = list_models("flow")
    if name not in known:
        raise ConfigError(f"unknown source of flow {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    weightless = name in list_models("flow", baselines=True)
    if weightless and weights is not None:
        raise ConfigError(f"flow={name} has no weights, got flow_weights={weights}")
    if not weightless and weights is None:
        raise ConfigError(f"flow={name} needs flow_weights=<file or tag>: an untrained network knows no motion")
    where = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = create_model(name, weights).to(where)

    @torch.inference_mode()
    def compute(first: Tensor, second: Tensor) -> Tensor:
        flow: Tensor = network(first.to(where), second.to(where))
        return flow.cpu()

    return compute
