"""Adversarial losses of a discriminator and of a generator."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.distributed
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


class RelativisticAdversarialLoss(nn.Module):
    """How much more real than the average made sample a real one looks, and the reverse (ESRGAN).

    With the means R and M of the logits of real and made samples and the cross-entropy ``h`` of a logit with 1 or 0,
    the discriminator minimises the mean of ``h(real - M, 1)`` and ``h(made - R, 0)``, the generator that of
    ``h(real - M, 0)`` and ``h(made - R, 1)``, where real scores are constants (Jolicoeur-Martineau, "The relativistic
    discriminator", ICLR 2019, https://arxiv.org/abs/1807.00734; Wang et al., ESRGAN, 2018, equations 1 and 2, halved
    as in the official code).

    As a term of a generator's loss it is called with outputs and batch like any other.

    Args:
        of: name of the output with the discriminator's scores of the made samples; logits.
        real_of: name of the output with its scores of the real samples.
        across_ranks: take R and M over the samples of all processes (all of which must have as many), so that a batch
            means the same however many share it; False: of each process for itself, as the official code does.
        detach_means: no gradient of the discriminator goes through R and M, as in the official code, which makes a
            backward pass for each of the two halves. The value is the same.
    """

    adversarial = True
    #: tells the training to add the scores of real samples to the outputs
    wants_real = True

    def __init__(
        self,
        of: str = "scores",
        real_of: str = "real_scores",
        across_ranks: bool = False,
        detach_means: bool = True,
    ) -> None:
        super().__init__()
        self.of, self.real_of = of, real_of
        self.across_ranks, self.detach_means = across_ranks, detach_means

    def forward(self, outputs: Any, batch: Any = None) -> Tensor:
        """The generator's scalar loss; it couples the samples of a batch.

        Raises:
            ConfigError: no such output.
        """
        return self.generator(select.output(outputs, self.of), select.output(outputs, self.real_of))

    def generator(self, made: Tensor, real: Tensor) -> Tensor:
        """The generator's scalar loss for scores of made and of real samples, each of any shape."""
        made, real = select.full_precision(made), select.full_precision(real).detach()
        return (_entropy(real - self._mean(made), 0) + _entropy(made - self._mean(real), 1)) / 2

    def discriminator(self, real: Tensor, made: Tensor) -> Tensor:
        """The discriminator's scalar loss for scores of real and of made samples, each of any shape."""
        real, made = select.full_precision(real), select.full_precision(made)
        of_real, of_made = (self._mean(scores.detach() if self.detach_means else scores) for scores in (real, made))
        return (_entropy(real - of_made, 1) + _entropy(made - of_real, 0)) / 2

    def _mean(self, scores: Tensor) -> Tensor:
        mean = scores.mean()
        if not (self.across_ranks and torch.distributed.is_available() and torch.distributed.is_initialized()):
            return mean
        everywhere: Tensor = _MeanOverRanks.apply(mean)
        return everywhere


def _entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class _MeanOverRanks(torch.autograd.Function):
    """The mean of a tensor over all processes; every process's gradient reaches every process's tensor."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _MeanOverRanks._reduced(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _MeanOverRanks._reduced(gradients[0])

    @staticmethod
    def _reduced(value: Tensor) -> Tensor:
        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return total / torch.distributed.get_world_size()
