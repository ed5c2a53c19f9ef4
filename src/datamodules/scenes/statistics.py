"""How much a set of scenes moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .scene import Scene
from .truth import flow_truth


class MotionStatistics(NamedTuple):
    """Statistics of flow lengths over all pixels of all given fields.

    Attributes:
        mean, median: in pixels.
        above_8, above_16, above_24: fraction of pixels that move farther than so many pixels.
        largest: in pixels.
        occluded: fraction of pixels without a counterpart; NaN when no masks were given.
    """

    mean: float
    median: float
    above_8: float
    above_16: float
    above_24: float
    largest: float
    occluded: float


def motion_statistics(flows: Iterable[Tensor], occlusions: Iterable[Tensor] = ()) -> MotionStatistics:
    """Statistics of flow fields ``(..., 2, H, W)`` and, optionally, occlusion masks ``(..., 1, H, W)``."""
    lengths = torch.cat([flow.double().square().sum(-3).sqrt().flatten() for flow in flows]).numpy()
    masks = [mask.double().flatten() for mask in occlusions]
    return MotionStatistics(
        float(lengths.mean()),
        float(np.median(lengths)),
        float((lengths > 8).mean()),
        float((lengths > 16).mean()),
        float((lengths > 24).mean()),
        float(lengths.max()),
        float(torch.cat(masks).mean()) if masks else float("nan"),
    )


def scene_motion(scene: Scene, step: float = 2.0) -> tuple[Tensor, Tensor]:
    """Flows ``(N, 2, H, W)`` and occlusions ``(N, 1, H, W)`` from each frame t of a scene to t + ``step``.

    The default is the pair that interpolation and flow are evaluated on.
    """
    count = int(scene.settings.frames - step)
    pairs = [flow_truth(scene, scene.render(float(time)), time + step) for time in range(count)]
    return torch.stack([flow for flow, _ in pairs]), torch.stack([occlusion for _, occlusion in pairs])
