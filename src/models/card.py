"""What a network says about itself: one :class:`ModelCard` beside each network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..weights import OfficialWeights

TASKS = (
    "flow",
    "interpolation",
    "segmentation",
    "matting",
    "style",
    "super_resolution",
    "inpainting",
    "stabilization",
    "auxiliary",
)

Proof = Literal["parity", "trained here", "official weights never seen", "unproven"]


@dataclass(frozen=True)
class CheckpointLayout:
    """One way in which official checkpoints of a network name their tensors.

    ``matches`` looks at the key set of the *unwrapped* state dict (wrapper dicts opened and a common
    ``module.`` prefix removed, see :func:`framewright.weights.unwrap_state_dict`); ``convert`` returns the
    state dict in this package's own key names, and drops nothing silently: what is left over is reported as
    an unexpected key.
    """

    name: str
    matches: Callable[[set[str]], bool]
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class PublishedResult:
    """One published number.

    Attributes:
        benchmark: it belongs to, without the task in front.
        metric: key of its column.
        value: as printed.
        source: where it is printed.
        variant: tag of the official weights that it belongs to, or the name of a variant of the network that is not
            here; empty: any weights of the network.
        options: constructor options of the published evaluation where they differ from the defaults.
    """

    benchmark: str
    metric: str
    value: float
    source: str
    variant: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class ModelCard:
    """Everything the registry, the zoo tests, the docs tables and the benchmarks need to know.

    Attributes:
        name: the name scripts cite, unique over all cards.
        task: one of :data:`TASKS`; fixes the call contract of the network.
        build: the network's class (or a function that returns a network); its keyword parameters are the
            constructor options and their defaults.
        summary: one line for tables.
        paper: citation and address; empty for baselines.
        tiny: options of a variant small enough for tests.
        baseline: True for a method that needs no weights.
        recurrent: for matting: True for a network that takes a video and a state instead of image and trimap.
        parts: other networks that it contains, ``{argument name: default model name}``.
        licence: licence of the *method's official release* as far as it binds users of its weights.
        weights: official checkpoints by tag.
        layouts: known key layouts of official checkpoints.
        options_of: constructor options that converted tensors of a foreign file belong to, where they can be told
            (number of blocks, scale ...); None: the caller has to give what differs from the defaults.
        published: numbers from the literature, shown beside ours.
        proven: how far the implementation is proven.
    """

    name: str
    task: str
    build: Callable[..., nn.Module]
    summary: str
    paper: str = ""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    baseline: bool = False
    recurrent: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    weights: tuple[OfficialWeights, ...] = ()
    layouts: tuple[CheckpointLayout, ...] = ()
    options_of: Callable[[Mapping[str, Tensor]], dict[str, Any]] | None = None
    published: tuple[PublishedResult, ...] = ()
    proven: tuple[Proof, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"card {self.name!r}: task {self.task!r} is not one of {', '.join(TASKS)}")


def example_inputs(
    task: str,
    height: int,
    width: int,
    batch: int = 1,
    *,
    recurrent: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, ...]:
    """Positional inputs of a task's call contract, filled with uniform noise (for tests and measurements)."""

    def image(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    if task in ("flow", "interpolation"):
        return image(batch, 3, height, width), image(batch, 3, height, width)
    if task in ("segmentation", "super_resolution"):
        return (image(batch, 3, height, width),)
    if task == "matting" and recurrent:
        return (image(batch, 2, 3, height, width),)
    if task == "matting":
        return image(batch, 3, height, width), (image(batch, 1, height, width) * 3).floor() / 2
    if task == "style":
        return image(batch, 3, 3, height, width), image(batch, 3, 40, 56)
    if task == "inpainting":
        return image(batch, 3, 3, height, width), (image(batch, 3, 1, height, width) > 0.7).float()
    if task == "stabilization":
        return (image(batch, 8, 4),)
    raise ValueError(f"the task {task!r} has no common call contract")
