"""Where the optical flow of the scores comes from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ConfigError, nearest
from ...models.registry import create_model, list_models

FlowFunction = Callable[[Tensor, Tensor], Tensor]
"""``(image1, image2) -> flow``: two ``(1, 3, H, W)`` RGB in [0, 1], the flow from 1 to 2 ``(1, 2, H, W)`` in pixels."""


def flow_function(name: str = "dis", weights: str | None = None, device: torch.device | None = None) -> FlowFunction:
    """A source of flow by name.

    Args:
        name: ``dis``, the dense inverse search of OpenCV, which needs no weights; or a registered flow network.
        weights: of the network, as for ``create_model``.
        device: where the network computes; None: the first GPU, or the CPU.

    Raises:
        ConfigError: unknown name, weights for ``dis``, or none for a network.
        WeightsError: the weights cannot be had.
    """
    networks = list_models("flow", baselines=False)
    if name == "dis":
        if weights is not None:
            raise ConfigError(f"flow=dis has no weights, got flow_weights={weights}")
        return dis_flow
    if name not in networks:
        known = ("dis", *networks)
        raise ConfigError(f"unknown source of flow {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    if weights is None:
        raise ConfigError(f"flow={name} needs flow_weights=<file or tag>: an untrained network knows no motion")
    where = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = create_model(name, weights).to(where)

    @torch.inference_mode()
    def compute(first: Tensor, second: Tensor) -> Tensor:
        flow: Tensor = network(first.to(where), second.to(where))
        return flow.cpu()

    return compute


def dis_flow(first: Tensor, second: Tensor) -> Tensor:
    """Dense inverse search (Kroeger et al., ECCV 2016) as in OpenCV, preset medium, on grey images."""
    import cv2

    grey = [
        cv2.cvtColor(image[0].mul(255).round().byte().permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
        for image in (first, second)
    ]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey[0], grey[1], None)
    return torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))[None]
