"""Reconstruction losses inside and outside of holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from ..core.errors import ConfigError
from . import distributed, select


class MaskedL1Loss(nn.Module):
    """Absolute difference averaged over one side of a mask, as STTN, DSTT, FuseFormer and E2FGVI weigh it.

    ``mean(|prediction - target| * weight) / mean(weight)``, where ``weight`` is the mask (``inside="hole"``) or one
    minus the mask (``inside="valid"``). Both means are over the whole batch, as the official code takes them: a clip
    with a small hole counts less than one with a large hole, and a batch that is split over processes or accumulated
    steps gives another value. ``per_sample=True`` divides each sample by its own mean and averages the quotients,
    which splitting does not change. ``across="world"`` takes ``mean(weight)`` over the batches of all processes, so
    that any number of them gives the value of one; accumulated batches keep their own.

    Args:
        inside: ``"hole"`` or ``"valid"``.
        scale: of the difference; 2 as the official code compares videos in [-1, 1].
        per_sample: see above; False as the official code does.
        across: ``"rank"``, as the official code does, or ``"world"``; see above.
        of: name of the output, ``(B, T, 3, H, W)`` in [0, 1].
        target: name of the batch entry with the truth.
        mask: name of the batch entry with the mask, 1 = hole.

    Raises:
        ConfigError: an option out of range; when called: no such output or entry.
        ValueError: when called, if shapes differ.
    """

    def __init__(
        self,
        inside: Literal["hole", "valid"] = "hole",
        scale: float = 2.0,
        per_sample: bool = False,
        across: Literal["rank", "world"] = "rank",
        of: str = "prediction",
        target: str = "target",
        mask: str = "mask",
    ) -> None:
        super().__init__()
        if inside not in ("hole", "valid"):
            raise ConfigError(f"inside must be 'hole' or 'valid', got {inside!r}")
        if scale <= 0:
            raise ConfigError(f"scale must be positive, got {scale}")
        if across not in ("rank", "world"):
            raise ConfigError(f"across must be 'rank' or 'world', got {across!r}")
        if per_sample and across == "world":
            raise ConfigError("across=world has no meaning with per_sample=true, which is the same for any splitting")
        self.inside, self.scale, self.per_sample, self.across = inside, scale, per_sample, across
        self.of, self.target, self.mask = of, target, mask

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; 0 where that side of the mask is empty."""
        prediction, truth = select.output(outputs, self.of), select.target(batch, self.target)
        mask = select.target(batch, self.mask)
        if prediction.shape != truth.shape or mask.shape != (*truth.shape[:-3], 1, *truth.shape[-2:]):
            raise ValueError(
                f"output {self.of!r} has shape {tuple(prediction.shape)}, {self.target!r} has {tuple(truth.shape)}, "
                f"{self.mask!r} has {tuple(mask.shape)}"
            )
        weight = mask if self.inside == "hole" else 1 - mask
        difference = (prediction - truth).abs() * weight
        dims = tuple(range(1, truth.dim())) if self.per_sample else tuple(range(truth.dim()))
        # an empty side has a zero above as well
        share = weight.mean(dims)
        if self.across == "world":
            share = distributed.mean_over_processes(share)
        quotient = difference.mean(dims) / share.where(share > 0, share.new_ones(()))
        return self.scale * quotient.mean()
