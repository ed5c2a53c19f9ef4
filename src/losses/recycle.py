"""The losses of Recycle-GAN (Bansal et al., ECCV 2018) as the official code computes them.

Outputs are those of :meth:`framewright.models.style.recycle_gan.RecycleGAN.training_outputs`, batches hold the triplets
``a`` and ``b`` ``(B, 3, 3, H, W)`` in [0, 1]. Differences are measured in [-1, 1], as in the official code, and each
term is the sum over both domains. The official objective is ``1 * adversarial + 10 * recycle + 10 * prediction``; its
variant "ReCycle" adds ``10 * cycle`` and ``5 * identity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ConfigError
from . import select
from .adversarial import AdversarialLoss, Kind

Part = Literal["recycle", "prediction", "cycle", "identity"]
# of each: the output, and the frames of the triplet that it should equal
_PARTS: dict[str, tuple[str, slice]] = {
    "recycle": ("recycled", slice(2, 3)),
    "prediction": ("predicted", slice(2, 3)),
    "cycle": ("cycle", slice(0, 2)),
    "identity": ("identity", slice(0, 2)),
}


class RecycleReconstructionLoss(nn.Module):
    """Mean absolute differences from the frames that should come back, summed over frames and both domains.

    * ``"recycle"``: two frames translated, the third predicted there, translated back (equation 5 of the paper);
    * ``"prediction"``: the third frame predicted from the first two, which the paper calls the recurrent loss
      (equation 3);
    * ``"cycle"``: the first two frames there and back (Zhu et al., CycleGAN, 2017);
    * ``"identity"``: the first two frames through the generator whose domain they are already of.

    Args:
        part: see above.

    Raises:
        ConfigError: an unknown ``part``; when called: no such output or entry.
    """

    def __init__(self, part: Part) -> None:
        super().__init__()
        if part not in _PARTS:
            raise ConfigError(f"part must be one of {', '.join(_PARTS)}, got {part!r}")
        self.part = part

    def forward(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss."""
        name, frames = _PARTS[self.part]
        total = None
        for domain in ("a", "b"):
            real = select.target(batch, domain)[:, frames]
            made = select.output(outputs, f"{name}_{domain}").reshape(real.shape)
            term = 2 * real.shape[1] * F.l1_loss(made, real)
            total = term if total is None else total + term
        assert total is not None
        return total


class RecycleAdversarialLoss(nn.Module):
    """What the generators minimise against ``D_A``, which judges domain B, and ``D_B``, which judges domain A.

    The scores are of ``[translated 0, translated 1, predicted from these, predicted from real frames]``, stacked along
    the batch (:func:`recycle_samples`); the losses of the images are summed.

    Args:
        predictions: whether the predictors learn from the scores of what they predict from real frames too.
            False is what the official code does, whose discriminators learn from these images all the same; True is
            the adversarial loss on predictions that it has behind a flag.
        kind: as of :class:`~framewright.losses.AdversarialLoss`; least squares in the official code.
        of: names of the outputs with the scores.

    Raises:
        ConfigError: an unknown ``kind``; when called: no such output.
    """

    adversarial = True

    def __init__(
        self, predictions: bool = False, kind: Kind = "lsgan", of: tuple[str, str] = ("scores_D_A", "scores_D_B")
    ) -> None:
        super().__init__()
        self.predictions, self.of = predictions, tuple(of)
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
            terms += [self.loss.generator(part) for part in scores.chunk(4)[: 4 if self.predictions else 3]]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


def recycle_samples(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """What the discriminator ``"D_A"`` (of domain B) or ``"D_B"`` (of domain A) sees.

    The mean over all is the discriminator's loss that the official code reports. (It makes one backward pass for each
    of the four, so that its gradient is four times as large; Adam is indifferent to that.)

    Returns:
        Real and made images ``(4 B, 3, H, W)``: frames 0, 1, 2 and 2 again; those of :class:`RecycleAdversarialLoss`.

    Raises:
        ConfigError: another name.
    """
    if name not in ("D_A", "D_B"):
        raise ConfigError(f"the discriminators of Recycle-GAN are called D_A and D_B, got {name!r}")
    domain = "b" if name == "D_A" else "a"
    real, fake = batch[domain], outputs[f"fake_{domain}"]
    made = torch.cat((*fake.unbind(1), outputs[f"predicted_{domain}"]))
    return torch.cat((*real.unbind(1), real[:, 2])), made
