"""Another style."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...core.config import Section
from ...core.errors import ConfigError
from ...inference.method import Chunk
from ...inference.specs import MethodFields
from ..stage import Chosen, MethodStage, Settings, along


class RestyleSection(MethodFields):
    """The method, Reinhard's colour transfer by default.

    Attributes:
        reference: a picture, a video or a folder of pictures whose style is taken; networks with one style need none.
    """

    reference: str | None = None


class Restyle(MethodStage):
    """Style transfer. ``inference`` holds :class:`framewright.inference.StyleOptions` (coherence, cuts ...).

    A recurrent network, and the filter for coherence, remember what was before: then the video is one segment.
    """

    task = "style"
    section: RestyleSection

    def choose(self) -> Chosen:
        chosen = Chosen(self.section, self.task, "reinhard", self.where)
        how: dict[str, Any] = dict(self.section.inference)
        if self.section.reference is not None:
            how["reference"] = self.section.reference
        takes = chosen.card is None or getattr(chosen.card.build, "takes_reference", True)
        if takes and how.get("reference") is None:
            raise ConfigError(f"{self.where} needs a reference: a picture or video whose style is taken (reference=)")
        if how.get("reference") is not None and not Path(how["reference"]).expanduser().exists():
            raise ConfigError(f"{self.where}.reference: there is no {how['reference']!r}")
        self._reference = how.get("reference")
        self._filtered = how.get("coherence") is not None
        if how:
            chosen.spec["inference"] = how
        return chosen

    @property
    def back(self) -> int | None:
        return None if self._filtered or self.chosen.attribute("recurrent", True) else 0

    def files(self) -> list[Path]:
        own = [] if self._reference is None else [Path(self._reference).expanduser()]
        return [*super().files(), *own]

    def run(self, chunks: Iterator[Chunk], settings: Settings) -> Iterator[Chunk]:
        return along(chunks, lambda inner: self.chosen.run(inner, settings))

    @classmethod
    def options(cls) -> type[Section]:
        return RestyleSection
