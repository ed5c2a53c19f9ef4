"""The losses of Recycle-GAN (Bansal et al., ECCV 2018) as the official code computes them.

Outputs are those of the ``training_outputs`` of :class:`~framewright.models.style.recycle_gan.RecycleGAN` or
:class:`~framewright.models.style.rgan.RGAN`, batches hold the clips ``a`` and ``b`` ``(B, T, 3, H, W)`` in [0, 1], one
of each domain. Differences are measured in [-1, 1], as in the official code, and each term is the sum over domains. The
official objective is ``1 * adversarial + 10 * recycle + 10 * prediction``; its variant "ReCycle" adds ``10 * cycle``
and ``5 * identity``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select
from .adversarial import AdversarialLoss, Kind

Part = Literal["recycle", "prediction", "cycle", "identity"]
Behaviour = Literal["code", "paper"]
# of each: the output, and the first frame of the clip that it holds
_PARTS: dict[str, tuple[str, int]] = {
    "recycle": ("recycled", 2),
    "prediction": ("predicted", 2),
    "cycle": ("cycle", 0),
    "identity": ("identity", 0),
}


class RecycleReconstructionLoss(nn.Module):
    """Mean absolute differences from the frames that should come back, summed over frames and domains.

    * ``"recycle"``: two frames translated, the third predicted there, translated back (equation 5 of the paper);
    * ``"prediction"``: the third frame predicted from the first two, which the paper calls the recurrent loss
      (equation 3);
    * ``"cycle"``: frames there and back (Zhu et al., CycleGAN, 2017);
    * ``"identity"``: frames through the generator whose domain they are already of.

    Args:
        part: see above.
        domains: whose frames; both in the official code.
        over: ``"sum"`` over frames, as in the official code, or their ``"mean"``, which does not grow with the clip.

    Raises:
        ConfigError: an option out of range; when called: no such output or entry.
        ValueError: when called, an output of another size than the clip.
    """

    def __init__(self, part: Part, domains: Sequence[str] = ("a", "b"), over: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        if part not in _PARTS or over not in ("sum", "mean"):
            raise ConfigError(
                f"part must be one of {', '.join(_PARTS)} and over 'sum' or 'mean', got {part!r}, {over!r}"
            )
        if not domains or not set(domains) <= {"a", "b"}:
            raise ConfigError(f"domains must be a, b or both, got {list(domains)}")
        self.part, self.domains, self.over = part, tuple(domains), over
        #: names of the outputs that are read
        self.reads = tuple(f"{_PARTS[part][0]}_{domain}" for domain in self.domains)

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss; a mean over samples."""
        first = _PARTS[self.part][1]
        total: Tensor | None = None
        for domain, name in zip(self.domains, self.reads, strict=True):
            made = select.output(outputs, name)
            real = select.target(batch, domain)[:, first : first + made.shape[1]]
            if made.shape != real.shape:
                raise ValueError(f"output {name!r} has shape {tuple(made.shape)}, expected {tuple(real.shape)}")
            frames = made.shape[1] if self.over == "sum" else 1
            term = 2 * frames * F.l1_loss(made, real)
            total = term if total is None else total + term
        assert total is not None
        return total


class RecycleAdversarialLoss(nn.Module):
    """What the generators minimise against ``D_A``, which judges domain B, and ``D_B``, which judges domain A.

    The scores are of ``[translated 0, translated 1, predicted from these, predicted from real frames]``, stacked along
    the batch; the losses of the images are summed.

    Args:
        behaviour: ``"code"``: the predictors do not learn from the scores of what they predict from real frames,
            though the discriminators learn from these images. ``"paper"``: they do (behind a flag in the code).
        kind: as of :class:`~framewright.losses.AdversarialLoss`; least squares in the official code.
        of: names of the outputs with the scores.

    Raises:
        ConfigError: an unknown ``behaviour`` or ``kind``; when called: no such output.
    """

    adversarial = True

    def __init__(
        self,
        behaviour: Behaviour = "code",
        kind: Kind = "lsgan",
        of: Sequence[str] = ("scores_D_A", "scores_D_B"),
    ) -> None:
        super().__init__()
        if behaviour not in ("code", "paper"):
            raise ConfigError(f"behaviour must be 'code' or 'paper', got {behaviour!r}")
        if not of:
            raise ConfigError("of must name the outputs with the scores")
        self.behaviour, self.of = behaviour, tuple(of)
        self.loss = AdversarialLoss(kind)

    def forward(self, outputs: Any, batch: Any = None) -> Tensor:
        """The scalar loss.

        Raises:
            ValueError: scores that do not come in fours.
        """
        terms = []
        for name in self.of:
            scores = select.output(outputs, name)
            if len(scores) % 4:
                raise ValueError(f"{name} has scores of {len(scores)} images, expected four for each sample")
            terms += [self.loss.generator(part) for part in scores.chunk(4)[: 3 if self.behaviour == "code" else 4]]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total
