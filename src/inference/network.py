"""A network, with or without weights, as a method."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from torch import nn

from ..core.errors import ConfigError
from ..models.card import PublishedResult
from .flow import flow_chunks
from .interpolation import interpolate_chunks
from .method import Chunk, Context
from .super_resolution import super_resolution_chunks

DEFAULT_PIXEL_BUDGET = 2**21
"""Pixels in one forward pass: about 18 Vimeo frames (256x448) or one frame of full HD."""


class Engine(Protocol):
    """How the networks of one task run over a stream of chunks."""

    def __call__(
        self, net: nn.Module, chunks: Iterable[Chunk], context: Context, *, name: str, pixel_budget: int
    ) -> Iterator[Chunk]: ...


ENGINES: dict[str, Engine] = {
    "interpolation": interpolate_chunks,
    "flow": flow_chunks,
    "super_resolution": super_resolution_chunks,
}


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
        pixel_budget: upper bound of the pixels in one forward pass.
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
        pixel_budget: int = DEFAULT_PIXEL_BUDGET,
    ) -> None:
        self.name = name
        self.net = net
        self.source = source or type(net).__name__
        self.weights_sha256 = weights_sha256
        self.published = published
        self.pixel_budget = pixel_budget
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
            ConfigError: no engine runs the context's task, or the network refuses the context's timesteps.
        """
        if context.task not in ENGINES:
            raise ConfigError(
                f"networks for {context.task!r} cannot be run over a video; possible: {', '.join(ENGINES)}"
            )
        with evaluating(self.net.to(context.device)):
            yield from ENGINES[context.task](self.net, chunks, context, name=self.name, pixel_budget=self.pixel_budget)


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
