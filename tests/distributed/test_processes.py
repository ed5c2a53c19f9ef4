"""Two processes and one process with the same global batch do the same thing."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.threads=1")


def train(tmp_path: Path, name: str, *overrides: str) -> list[dict[str, str]]:
    run = tmp_path / name
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "debug=tiny",
        "final=null",
        "optim.iterations=4",
        "optim.accumulate=2",
        "validation.metrics={psnr: {}}",
        # 3 videos over 2 processes: one of them validates more than the other
        "validation.videos=3",
        "trainer.progress=false",
        "trainer.threads=1",
        "data.workers=0",
        f"run.dir={run}",
        *overrides,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with open(run / "metrics.csv", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("experiment", ["quickstart", "quickstart_flow"])
def test_losses_agree_with_one_process(experiment: str, tmp_path: Path) -> None:
    chosen = f"experiment={experiment}"
    one = train(tmp_path, "one", chosen)
    two = train(
        tmp_path, "two", chosen, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.threads=1"
    )
    assert [row["iteration"] for row in one] == [row["iteration"] for row in two] == ["1", "2", "3", "4"]
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for key, value in a.items():
            if value:
                assert float(b[key]) == pytest.approx(float(value), rel=1e-5), (a["iteration"], key)
    assert one[1]["val/psnr"]


# what a batch has in common would be taken over the samples of each process
SPLITTABLE = {
    "quickstart_inpainting": [
        "gan.discriminators.temporal.per_clip=true",
        "gan.discriminators.temporal.power_iterations=0",
    ],
    "quickstart_sr_gan": ["gan.discriminators.unet.power_iterations=0"],
}
COUPLED = ("train/hole", "train/valid", "train/loss")


@pytest.mark.parametrize(
    ("experiment", "terms"),
    [
        ("quickstart_inpainting", ["loss.hole.per_sample=true", "loss.valid.per_sample=true"]),
        # accumulated batches keep their own share of holes
        ("quickstart_inpainting", ["loss.hole.across=world", "loss.valid.across=world", "optim.accumulate=1"]),
        ("quickstart_sr_gan", []),
    ],
)
def test_training_against_a_discriminator_agrees_with_one_process(
    experiment: str, terms: list[str], tmp_path: Path
) -> None:
    # Adam divides a gradient near zero, and with it its rounding, by its own size; not with such an epsilon
    chosen = [f"experiment={experiment}", "++optim.optimizer.eps=0.01", *SPLITTABLE[experiment], *terms]
    one = train(tmp_path, "one", *chosen)
    two = train(tmp_path, "two", *chosen, *TWO)
    assert len(one) == len(two) == 4
    for a, b in zip(one, two, strict=True):
        for key, value in a.items():
            # what a process logs of a loss across the world is its own part
            if value and not ("across" in "".join(terms) and key in COUPLED):
                # later steps follow Adam, which amplifies the rounding of gradients near zero
                close = 1e-4 if a["iteration"] == "1" else 0.02
                assert float(b[key]) == pytest.approx(float(value), rel=close, abs=1e-6), (a["iteration"], key)
    discriminator = "temporal" if experiment == "quickstart_inpainting" else "unet"
    assert float(one[0][f"train/{discriminator}_loss"])


def test_by_default_every_process_takes_its_own_share_of_holes(tmp_path: Path) -> None:
    chosen = ["experiment=quickstart_inpainting", *SPLITTABLE["quickstart_inpainting"]]
    one, two = train(tmp_path, "one", *chosen), train(tmp_path, "two", *chosen, *TWO)
    assert float(one[0]["train/hole"]) != pytest.approx(float(two[0]["train/hole"]), rel=1e-4)
