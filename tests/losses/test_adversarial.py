from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from framewright.core.errors import ConfigError
from framewright.losses import AdversarialLoss, RelativisticAdversarialLoss, WeightedSum
from torch import Tensor

REAL, MADE = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "real", "made", "generator"),
    [
        ("hinge", 0.5 / 2, 2 / 2, 1.0),
        (
            "nsgan",
            (softplus(-2) + softplus(-0.5)) / 2,
            (softplus(-3) + softplus(1)) / 2,
            (softplus(3) + softplus(-1)) / 2,
        ),
        ("lsgan", (1 + 0.25) / 2, (9 + 1) / 2, 16 / 2),
    ],
)
def test_by_hand(kind: str, real: float, made: float, generator: float) -> None:
    loss = AdversarialLoss(kind)  # type: ignore[arg-type]
    assert loss.judged(REAL, real=True).item() == pytest.approx(real)
    assert loss.judged(MADE, real=False).item() == pytest.approx(made)
    assert loss.discriminator(REAL, MADE).item() == pytest.approx((real + made) / 2)
    assert loss.generator(MADE).item() == pytest.approx(generator)


def test_it_is_a_term_of_a_sum() -> None:
    total, values = WeightedSum({"gan": (0.01, AdversarialLoss(of="fake"))})({"fake": MADE}, {})
    assert values["gan"].item() == pytest.approx(1.0)
    assert total.item() == pytest.approx(0.01)


def test_half_precision_scores_are_averaged_in_full() -> None:
    scores = torch.full((70_000,), 0.001, dtype=torch.float16)
    assert AdversarialLoss().generator(scores).dtype == torch.float32


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="hinge, nsgan, lsgan"):
        AdversarialLoss("wgan")  # type: ignore[arg-type]


def test_relativistic_by_hand() -> None:
    real_mean, made_mean = 1.25, -1.0
    loss = RelativisticAdversarialLoss()
    as_real = [softplus(-(r - made_mean)) for r in (2.0, 0.5)], [softplus(m - real_mean) for m in (-3.0, 1.0)]
    as_made = [softplus(r - made_mean) for r in (2.0, 0.5)], [softplus(-(m - real_mean)) for m in (-3.0, 1.0)]
    assert loss.discriminator(REAL, MADE).item() == pytest.approx(sum(map(sum, as_real)) / 4)
    assert loss.generator(MADE, REAL).item() == pytest.approx(sum(map(sum, as_made)) / 4)
    total, _ = WeightedSum({"gan": (0.005, RelativisticAdversarialLoss(of="fake", real_of="true"))})(
        {"fake": MADE, "true": REAL}, {}
    )
    assert total.item() == pytest.approx(0.005 * sum(map(sum, as_made)) / 4)


def test_official_relativistic_values() -> None:
    real = torch.tensor([1.1120012998580933, -0.029643764719367027, -0.6062010526657104])
    real = torch.cat((real, torch.tensor([0.35506704449653625, -0.3857920467853546, -0.24523916840553284])))
    made = torch.tensor([0.7497566342353821, -1.2396643161773682, -2.696044445037842])
    made = torch.cat((made, torch.tensor([-0.9715769290924072, 0.23472659289836884, 0.4614550769329071])))
    loss = RelativisticAdversarialLoss()
    assert loss.generator(made, real).item() == pytest.approx(1.13309693, abs=1e-6)
    assert loss.discriminator(real, made).item() == pytest.approx(0.52284032, abs=1e-6)


def test_relativistic_gradients() -> None:
    def gradients(detach_means: bool) -> tuple[Tensor, Tensor, float]:
        real, made = REAL.clone().requires_grad_(), MADE.clone().requires_grad_()
        value = RelativisticAdversarialLoss(detach_means=detach_means).discriminator(real, made)
        value.backward()
        assert real.grad is not None
        assert made.grad is not None
        return real.grad, made.grad, value.item()

    real, made, value = gradients(detach_means=True)
    # two passes with a constant mean each, as the official code makes them
    torch.testing.assert_close(real, -torch.sigmoid(-(REAL - MADE.mean())) / 4)
    torch.testing.assert_close(made, torch.sigmoid(MADE - REAL.mean()) / 4)
    whole_real, whole_made, whole = gradients(detach_means=False)
    assert whole == value
    assert not torch.allclose(whole_real, real)
    assert not torch.allclose(whole_made, made)
    # the generator's real scores are constants, its mean is not
    real, made = REAL.clone().requires_grad_(), MADE.clone().requires_grad_()
    RelativisticAdversarialLoss().generator(made, real).backward()
    assert real.grad is None
    assert made.grad is not None
    assert torch.all(made.grad < -torch.sigmoid(-(MADE - REAL.mean())) / 4)


def test_relativistic_needs_real_scores() -> None:
    assert RelativisticAdversarialLoss.adversarial
    assert RelativisticAdversarialLoss.wants_real
    with pytest.raises(ConfigError, match="'real_scores'"):
        RelativisticAdversarialLoss()({"scores": MADE}, {})


# one of two processes that hold half of the samples each
SHARE = """
import sys
import torch
from framewright.losses import RelativisticAdversarialLoss

rank, folder, *scores = sys.argv[1:]
torch.distributed.init_process_group("gloo", f"file://{folder}/meet", world_size=2, rank=int(rank))
for across in (True, False):
    real, made = (torch.tensor([float(score)], requires_grad=True) for score in scores)
    loss = RelativisticAdversarialLoss(across_ranks=across, detach_means=False)
    values = loss.discriminator(real, made), loss.generator(made, real)
    gradients = torch.autograd.grad(sum(values), (real, made))
    torch.save([*(value.detach() for value in values), *gradients], f"{folder}/{across}{rank}.pt")
torch.distributed.destroy_process_group()
"""


def test_relativistic_means_over_processes(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", SHARE, str(rank), str(tmp_path), str(real.item()), str(made.item())])
        for rank, (real, made) in enumerate(zip(REAL, MADE, strict=True))
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    whole = [s.clone().requires_grad_() for s in (REAL, MADE)]
    loss = RelativisticAdversarialLoss(detach_means=False)
    values = loss.discriminator(*whole), loss.generator(*whole[::-1])
    gradients = torch.autograd.grad(sum(values), whole)
    for across in (True, False):
        parts = [torch.load(tmp_path / f"{across}{rank}.pt") for rank in (0, 1)]
        # processes average their losses and gradients: a sample's share of the mean is half of its gradient
        means = [(parts[0][k] + parts[1][k]) / 2 for k in (0, 1)]
        joined = [torch.cat((parts[0][k], parts[1][k])) / 2 for k in (2, 3)]
        same = [
            torch.allclose(ours, expected)
            for ours, expected in zip((*means, *joined), (*values, *gradients), strict=True)
        ]
        assert all(same) if across else not any(same)
