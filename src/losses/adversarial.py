"""Adversarial losses of a discriminator and of a generator."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select

Kind = Literal["hinge", "nsgan", "lsgan"]
_KINDS = ("hinge", "nsgan", "lsgan")


class AdversarialLoss(nn.Module):
    """What a discriminator and a generator minimise against each other; means over all scores.

    The discriminator takes the mean of its losses on real and on made samples.

    * ``"hinge"``: ``relu(1 - real)`` and ``relu(1 + made)``; the generator ``-made`` (Lim and Ye 2017; Miyato et al.
      2018).
    * ``"nsgan"``: cross-entropy of the logits with 1 for real and 0 for made; the generator with 1, which does not
      saturate (Goodfellow et al. 2014).
    * ``"lsgan"``: squared distances from 1 and 0; the generator's from 1 (Mao et al. 2017).

    As a term of a generator's loss it is called with outputs and batch like any other.

    Args:
        kind: see above.
        of: name of the output with the discriminator's scores of the made samples; logits.

    Raises:
        ConfigError: an unknown ``kind``; when called: no such output.
    """

    #: such a term has nothing to read before the discriminators take part
    adversarial = True

    def __init__(self, kind: Kind = "hinge", of: str = "scores") -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ConfigError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
        self.kind, self.of = kind, of

    def forward(self, outputs: Any, batch: Any = None) -> Tensor:
        """The generator's scalar loss; a mean over samples."""
        return self.generator(select.output(outputs, self.of))

    def generator(self, made: Tensor) -> Tensor:
        """The generator's scalar loss for scores of made samples, of any shape."""
        made = select.full_precision(made)
        return -made.mean() if self.kind == "hinge" else self._distance(made, real=True)

    def discriminator(self, real: Tensor, made: Tensor) -> Tensor:
        """The discriminator's scalar loss for scores of real and of made samples, each of any shape."""
        return (self.judged(real, real=True) + self.judged(made, real=False)) / 2

    def judged(self, scores: Tensor, *, real: bool) -> Tensor:
        """The discriminator's loss on samples of one kind."""
        scores = select.full_precision(scores)
        if self.kind == "hinge":
            return F.relu(1 - scores if real else 1 + scores).mean()
        return self._distance(scores, real=real)

    def _distance(self, scores: Tensor, *, real: bool) -> Tensor:
        target = torch.full_like(scores, float(real))
        if self.kind == "nsgan":
            return F.binary_cross_entropy_with_logits(scores, target)
        return F.mse_loss(scores, target)
