"""One process that fails ends them all, with one message, however the others are waiting."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .conftest import ROOT, TINY, TWO, start

FAILING = """
import os, signal, threading
from pytorch_lightning.callbacks import Callback
from framewright.core.errors import DataError

class Fail(Callback):
    def __init__(self, rank, how):
        self.rank, self.how = rank, how

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step < 2:
            return
        if trainer.global_rank == self.rank:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise DataError("clip.mp4: frame 3 cannot be decoded")
        if self.how == "others hang":
            threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("rank", "how", "message"),
    [
        (1, "others hang", "error: clip.mp4: frame 3 cannot be decoded (process 1 of 2)"),
        (0, "message", "error: clip.mp4: frame 3 cannot be decoded"),
        (1, "killed", "error: process 1 of 2 was ended by SIGKILL (often: out of memory)"),
    ],
)
def test_one_failure_ends_all_with_one_message(rank: int, how: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    started = time.monotonic()
    process = start(
        tmp_path,
        *TINY,
        *TWO,
        "optim.iterations=50",
        "validation.every=50",
        f"callbacks.fail={{_target_: failing.Fail, rank: {rank}, how: {how}}}",
        "allow_targets=[failing]",
        f"run.dir={tmp_path / 'run'}",
        PYTHONPATH=f"{ROOT / '.typing'}:{tmp_path}",
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert [line for line in errors.splitlines() if "rror" in line] == [message]
    assert "Traceback" not in errors
    assert time.monotonic() - started < 100
