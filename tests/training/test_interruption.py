"""Signals that reach the main process and the workers of the data loader alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from framewright.training.checkpoints import newest_checkpoint

REPOSITORY = Path(__file__).parents[2]
ENDLESS = [
    *("experiment=quickstart", "debug=tiny", "data.crop=32", "data.batch_size=2", "data.workers=2", "logger=csv"),
    *("optim.iterations=1000000", "validation.every=1000000", "checkpoint.every=1000000", "trainer.threads=1"),
]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_writes_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    command = [sys.executable, str(REPOSITORY / "train.py"), *ENDLESS, f"run.dir={run}"]
    with (tmp_path / "log").open("w") as log:
        program = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 300
        # two lines: the loader has been running for a while
        while (tmp_path / "log").read_text().count("iteration ") < 2:
            assert program.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(program.pid, number)
        program.wait(120)
    printed = (tmp_path / "log").read_text()
    assert "the checkpoint is written" in printed
    assert f"resume={run}" in printed
    assert "Traceback" not in printed
    assert newest_checkpoint(run).iteration > 0
