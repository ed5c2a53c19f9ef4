"""A network, with or without weights, as a method."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import nn

from ..core.config import Section, parse_section
from ..core.errors import ConfigError
from ..models.card import PublishedResult
from .flow import flow_chunks
from .inpainting import InpaintingOptions, inpaint_chunks
from .interpolation import interpolate_chunks
from .matting import MattingOptions, matte_chunks
from .method import Chunk, Context
from .pairs import pixel_budget_for
from .segmentation import SegmentationOptions, segment_chunks
from .stabilization import StabilizationOptions, stabilize_chunks
from .style import StyleOptions, style_chunks
from .super_resolution import SuperResolutionOptions, super_resolution_chunks


class NoOptions(Section):
    """The options of an engine that has none."""


class Engine(Protocol):
    """How the networks of one task run over a stream of chunks."""

    def __call__(
        self,
        net: nn.Module,
        chunks: Iterable[Chunk],
        context: Context,
        *,
        name: str,
        pixel_budget: int,
        options: Section,
    ) -> Iterator[Chunk]: ...


class EngineEntry(NamedTuple):
    """An engine, and the section of its options; all of them have defaults."""

    run: Engine
    options: type[Section] = NoOptions


ENGINES: dict[str, EngineEntry] = {
    "interpolation": EngineEntry(interpolate_chunks),
    "flow": EngineEntry(flow_chunks),
    "inpainting": EngineEntry(inpaint_chunks, InpaintingOptions),
    "super_resolution": EngineEntry(super_resolution_chunks, SuperResolutionOptions),
    "matting": EngineEntry(matte_chunks, MattingOptions),
    "segmentation": EngineEntry(segment_chunks, SegmentationOptions),
    "stabilization": EngineEntry(stabilize_chunks, StabilizationOptions),
    "style": EngineEntry(style_chunks, StyleOptions),
}


def engine_options(task: str, values: Mapping[str, Any], where: str) -> Section:
    """Check the options of a task's engine.

    Args:
        task: of the networks.
        values: options by name; those that are missing have their defaults.
        where: dotted path of the options, for messages.

    Raises:
        ConfigError: no engine runs the task, or unknown or contradicting options.
    """
    section = _engine(task).options
    if values and not section.model_fields:
        raise ConfigError(f"{where}: there is nothing to set about how {task} networks are run over a video")
    return parse_section(section, values, where)


def _engine(task: str) -> EngineEntry:
    if task not in ENGINES:
        raise ConfigError(f"networks for {task!r} cannot be run over a video; possible: {', '.join(ENGINES)}")
    return ENGINES[task]


class NetworkMethod:
    """Runs a network over videos, streaming, on the device and in the precision of the context.

    Args:
        name: the row's name in a table.
        net: follows the call contract of its task; its training mode is restored after use.
        source: where the network comes from, for people.
        weights_sha256: of its weight file.
        fingerprint: what its output depends on, JSON-able; None if that is unknown (such a method is never
            cached).
        published: numbers from the literature that belong to exactly this network.
        pixel_budget: upper bound of the pixels in one forward pass; None: :func:`pixel_budget_for` the device.
        options: of the task's engine, see :func:`engine_options`; None: its defaults.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        *,
        source: str = "",
        weights_sha256: str | None = None,
        fingerprint: Mapping[str, Any] | None = None,
        published: tuple[PublishedResult, ...] = (),
        pixel_budget: int | None = None,
        options: Section | None = None,
    ) -> None:
        self.name = name
        self.net = net
        self.source = source or type(net).__name__
        self.weights_sha256 = weights_sha256
        self.published = published
        self.pixel_budget = pixel_budget
        self.options = options
        self._fingerprint = fingerprint

    @property
    def parameters(self) -> int:
        """Number of parameters of the network, with those that only training uses (a teacher)."""
        return sum(parameter.numel() for parameter in self.net.parameters())

    def fingerprint(self) -> Mapping[str, Any] | None:
        """What the output depends on; None if unknown."""
        return self._fingerprint

    def process(self, chunks: Iterable[Chunk], context: Context) -> Iterator[Chunk]:
        """Yield the result of one video; frames are clamped to [0, 1].

        Raises:
            ConfigError: no engine runs the context's task, the options are another engine's, or the network refuses
                what the context or the options ask of it.
        """
        engine = _engine(context.task)
        options = self.options if self.options is not None else engine.options()
        if not isinstance(options, engine.options):
            raise ConfigError(f"method {self.name!r} has {type(options).__name__}, which is not for {context.task}")
        budget = pixel_budget_for(context.device) if self.pixel_budget is None else self.pixel_budget
        with evaluating(self.net.to(context.device)):
            yield from engine.run(self.net, chunks, context, name=self.name, pixel_budget=budget, options=options)


@contextlib.contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, and each of its modules back into its own mode afterwards."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
