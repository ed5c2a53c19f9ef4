"""How much a loss that couples the clips of a batch changes when the batch is split over processes; run by hand.

Run ``python perf/batch_coupling.py [--batches 12]``. The official trainers of STTN, DSTT and FuseFormer share 8 clips
among the processes, and each process takes the masked L1 losses over the holes of its own clips, and the scores of its
own clips strung together into one. Printed is how that differs from one process with all 8, for clips of procedural
scenes with the official blobs, a made video that is the truth with noise inside the holes, more of it in some clips
than in others, and discriminators with fresh weights: relative differences of the loss, and of its gradient with
respect to the made video.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
from framewright.datamodules.sources import create_source, parse_data
from framewright.losses import AdversarialLoss, MaskedL1Loss
from framewright.models.inpainting.contract import composite
from framewright.models.registry import create_model
from torch import Tensor

CLIPS = 8
Batch = dict[str, Tensor]
Loss = Callable[[Tensor, Batch], Tensor]


def batches(count: int) -> list[Batch]:
    """Global batches of 8 clips."""
    section = parse_data({"name": "scenes", "crop": 96, "masks": {"kind": "bezier", "moving": 0.5}})
    dataset = create_source(section, "inpainting").training()
    made = []
    for start in range(0, count * CLIPS, CLIPS):
        samples = [dataset.sample(index, np.random.default_rng(index)) for index in range(start, start + CLIPS)]
        made.append({name: torch.stack([sample[name] for sample in samples]) for name in ("target", "mask")})
    return made


def split(loss: Loss, made: Tensor, batch: Batch, parts: int) -> tuple[float, Tensor]:
    """Value and gradient of a loss as so many processes together see it."""
    made = made.clone().requires_grad_()
    size = CLIPS // parts
    values = []
    for start in range(0, CLIPS, size):
        part = slice(start, start + size)
        values.append(loss(made[part], {name: value[part] for name, value in batch.items()}))
    total = torch.stack(values).mean()
    (gradient,) = torch.autograd.grad(total, made)
    return float(total.detach()), gradient


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=12)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    hinge = AdversarialLoss("hinge")
    losses: dict[str, Loss] = {}
    for inside in ("hole", "valid"):
        term = MaskedL1Loss(inside)  # type: ignore[arg-type]
        losses[f"L1 {inside}"] = lambda made, batch, term=term: term({"prediction": made}, batch)  # type: ignore[misc]
    for name, width in (("STTN", 64), ("DSTT, FuseFormer", 32)):
        net = create_model("temporal_patchgan", nf=width, power_iterations=0)

        def judge(made: Tensor, batch: Batch, net: torch.nn.Module = net) -> Tensor:
            return hinge.discriminator(net(batch["target"]), net(composite(batch["target"], made, batch["mask"])))

        losses[f"discriminator of {name}"] = judge
    print(f"{'':32}" + "".join(f"{f'{parts} processes':>26}" for parts in (2, 4, 8)))
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for batch in batches(arguments.batches):
        strength = 0.1 + 0.3 * torch.rand(CLIPS, 1, 1, 1, 1)
        noise = torch.randn_like(batch["target"]) * (0.05 + strength * batch["mask"])
        made = batch["target"] + noise
        for name, loss in losses.items():
            whole, direction = split(loss, made, batch, 1)
            for parts in (2, 4, 8):
                value, gradient = split(loss, made, batch, parts)
                turned = float((gradient - direction).norm() / direction.norm())
                found.setdefault((name, parts), []).append(((value - whole) / whole, turned))
    for name in losses:
        cells = []
        for parts in (2, 4, 8):
            values, gradients = zip(*found[name, parts], strict=True)
            cells.append(f"{100 * statistics.mean(values):+.2f} % / {100 * statistics.mean(gradients):.1f} %")
        print(f"{name:32}" + "".join(f"{cell:>26}" for cell in cells))
    print("loss against one process, mean over the batches / difference of the gradients, relative to their length")


if __name__ == "__main__":
    main()
