"""``data.masks``: which masks a network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ...core.config import Section
from ...core.errors import ConfigError
from .base import MaskVideo
from .bezier import BezierMasks
from .free_form import FreeFormMasks

Kind = Literal["bezier", "free_form", "object"]
Share = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class TrainingMasks(Section):
    """Masks of training clips; every sample has its own, drawn from the sample's generator.

    Attributes:
        kind: ``bezier`` (STTN's blobs), ``free_form`` (strokes), ``object`` (annotated objects; procedural scenes: the
            nearest object, which the true clip does without), or ``mixed``.
        moving: probability that a blob or stroke wanders; otherwise it stands still for the whole video.
        shares: for ``mixed``: how often each kind comes, in parts.
        own: for ``object``: probability of the video's own object, whose place the true clip shows nothing behind; the
            others are objects of other videos laid over this one.
        grow: for ``object``: pixels by which annotated objects grow.

    Raises:
        ConfigError: unknown kind, or shares that are all zero.
    """

    kind: Literal["bezier", "free_form", "object", "mixed"] = "bezier"
    moving: Probability = 0.5
    shares: dict[Kind, Share] = {"bezier": 1.0, "free_form": 1.0}
    own: Probability = 0.0
    grow: Annotated[int, Field(ge=0)] = 4

    @model_validator(mode="after")
    def _some_share(self) -> TrainingMasks:
        if self.kind == "mixed" and not sum(self.shares.values()):
            raise ValueError("with kind=mixed at least one of the shares must be above 0")
        return self

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that can come."""
        if self.kind != "mixed":
            return (self.kind,)
        return tuple(kind for kind, share in self.shares.items() if share > 0)

    def choose(self, rng: np.random.Generator) -> Kind:
        """The kind of one sample."""
        kinds = self.kinds
        if len(kinds) == 1:
            return kinds[0]
        ends = np.cumsum([self.shares[kind] for kind in kinds])
        return kinds[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]

    def describe(self) -> dict[str, Any]:
        """The values as JSON."""
        return self.model_dump(mode="json")


def draw_masks(
    kind: Kind, rng: np.random.Generator, frames: int, size: tuple[int, int], moving: float = 0.5
) -> MaskVideo:
    """Random masks for a whole video, of a kind that needs no annotations.

    Args:
        kind: ``bezier`` or ``free_form``.
        rng: gives the seed.
        frames: of the video.
        size: height and width.
        moving: probability that the shape wanders.

    Raises:
        ConfigError: a kind that needs annotations.
    """
    generators: Mapping[str, type[BezierMasks] | type[FreeFormMasks]] = {
        "bezier": BezierMasks,
        "free_form": FreeFormMasks,
    }
    if kind not in generators:
        raise ConfigError(f"masks of the kind {kind!r} are not drawn; possible: {', '.join(generators)}")
    seed = int(rng.integers(2**64, dtype=np.uint64))
    return generators[kind](seed, frames=frames, size=size, moving=moving)


def mask_stack(masks: MaskVideo, frames: list[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The masks of some frames as ``(T, 1, H, W)`` float32, 1 = hole."""
    return np.stack([masks.frame(index) for index in frames]).astype(np.float32)[:, None]
