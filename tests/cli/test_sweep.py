"""Sweeps that run: ``-m`` in one process, the driver with many, and one table of either."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from framewright.cli import train as train_program
from framewright.cli.sweep import main
from framewright.cli.sweeps.driver import Driver
from framewright.cli.sweeps.folder import SweepFolder
from framewright.cli.sweeps.plan import Plan, SweepFile, make_plan
from framewright.core.errors import ConfigError, Interrupted
from framewright.training.interruption import TrainingInterrupted

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"

TINY = [
    "debug=tiny",
    "trainer.progress=false",
    "trainer.threads=1",
    "data.workers=0",
    "validation.metrics={psnr: {}}",
    "optim.iterations=2",
]

# stands for train.py: waits while there is a gate, fails while it is not mended
PROGRAM = """
import pathlib, sys, time
options = dict(argument.split("=", 1) for argument in sys.argv[1:])
run = pathlib.Path(options["run.dir"])
run.mkdir(parents=True, exist_ok=True)
with open(run / "starts", "a") as handle:
    handle.write("x")
while (run.parent / "gate").exists():
    time.sleep(0.02)
if options.get("optim.ema") == "null" and not (run.parent / "mended").exists():
    print("error: it is broken", file=sys.stderr)
    sys.exit(2)
(run / "config.yaml").write_text("")
(run / "finished.json").write_text("{}")
"""


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[SweepFolder, Plan, Path]:
    """Two rows x two seeds for the stand-in; the row ``off`` fails until the folder holds ``mended``."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    plan = make_plan("s", SweepFile(settings={"on": {}, "off": {"optim.ema": None}}, seeds=[1, 2]))
    folder = SweepFolder(tmp_path / "my sweep")
    folder.write_plan(plan)
    return folder, plan, program


def starts(folder: SweepFolder) -> dict[str, int]:
    return {path.parent.name: len(path.read_text()) for path in folder.path.glob("*/starts")}


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_failing_jobs_do_not_stop_the_others_and_are_tried_again(sweep: tuple[SweepFolder, Plan, Path]) -> None:
    folder, plan, program = sweep
    said: list[str] = []
    outcome = Driver(folder, plan, program, slots=2, say=said.append).run()
    assert sorted(outcome.finished) == ["on-seed1", "on-seed2"]
    assert sorted(job.name for job, _ in outcome.failed) == ["off-seed1", "off-seed2"]
    job, message = outcome.failed[0]
    assert message == "exit status 2: error: it is broken"
    assert f"{program}" in folder.log(job).read_text()
    assert folder.status(job).state == "failed"
    (folder.path / "mended").touch()
    again = Driver(folder, plan, program, say=said.append).run()
    assert sorted(again.skipped) == ["on-seed1", "on-seed2"]
    assert sorted(again.finished) == ["off-seed1", "off-seed2"]
    assert starts(folder) == {"on-seed1": 1, "on-seed2": 1, "off-seed1": 2, "off-seed2": 2}
    assert all(folder.status(job).state == "finished" for job in plan.jobs)


def test_after_the_driver_was_killed_no_job_is_started_while_it_still_runs(
    sweep: tuple[SweepFolder, Plan, Path],
) -> None:
    folder, plan, program = sweep
    (folder.path / "mended").touch()
    (folder.path / "gate").touch()
    code = (
        "import sys; from pathlib import Path\n"
        "from framewright.cli.sweeps.driver import Driver\n"
        "from framewright.cli.sweeps.folder import SweepFolder\n"
        "folder = SweepFolder(sys.argv[1])\n"
        "Driver(folder, folder.read_plan(), Path(sys.argv[2])).run()\n"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(folder.path), str(program)], stdout=subprocess.DEVNULL)
    wait_for(lambda: bool(starts(folder)))
    first.kill()
    first.wait()
    assert folder.status(plan.jobs[0]).state == "running"
    threading.Timer(1.0, (folder.path / "gate").unlink).start()
    said: list[str] = []
    outcome = Driver(folder, plan, program, slots=2, say=said.append).run()
    assert any("on-seed1: is running already" in line for line in said)
    assert outcome.skipped == ["on-seed1"]
    assert len(outcome.finished) == 3
    assert set(starts(folder).values()) == {1}


def test_a_signal_stops_the_jobs_and_the_next_driver_goes_on(sweep: tuple[SweepFolder, Plan, Path]) -> None:
    folder, plan, program = sweep
    (folder.path / "mended").touch()
    (folder.path / "gate").touch()

    def interrupt() -> None:
        wait_for(lambda: bool(starts(folder)))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    before = signal.getsignal(signal.SIGINT)
    outcome = Driver(folder, plan, program, say=lambda line: None).run()
    assert outcome.stopped
    assert not outcome.failed, "a job that was told to stop has not failed"
    assert starts(folder) == {"on-seed1": 1}
    assert signal.getsignal(signal.SIGINT) is before
    (folder.path / "gate").unlink()
    assert len(Driver(folder, plan, program, say=lambda line: None).run().finished) == 4


def test_a_folder_with_other_settings_is_refused(sweep: tuple[SweepFolder, Plan, Path]) -> None:
    folder, plan, program = sweep
    Driver(folder, plan, program, say=lambda line: None).run()
    same = make_plan("s", SweepFile(settings={"on": {}, "off": {"optim.ema": None}}, seeds=[1]), ["trainer.devices=2"])
    folder.write_plan(same)
    other = make_plan("s", SweepFile(settings={"on": {"optim.ema": 0.5}}, seeds=[1]))
    with pytest.raises(ConfigError, match=r"on-seed1' was started with other settings(.|\n)*out=<folder>"):
        folder.write_plan(other)


def multirun(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *TINY, *arguments])
    train_program.main(CONFIGS)


def test_multirun_becomes_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    multirun(monkeypatch, "seed=1,2", "optim.optimizer.lr=1e-3,1e-4", "run.tags=[mine]")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sweeps"]
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    runs = ["lr-0.001-seed1", "lr-0.0001-seed1", "lr-0.001-seed2", "lr-0.0001-seed2"]
    assert {path.name for path in folder.iterdir()} == {*runs, "logs", "multirun.yaml", "sweep.json"}
    config = (folder / runs[1] / "config.yaml").read_text()
    assert f"group: {folder.name}" in config
    assert "- mine\n" in config
    assert "- optim.optimizer.lr=0.0001" in config
    capsys.readouterr()
    main(CONFIGS, [f"collect={folder}", f"out={tmp_path / 'table'}", "base=lr=0.0001"])
    shown = capsys.readouterr().out
    assert "0.0001  1, 2" in shown
    with open(tmp_path / "table" / "table.csv", newline="") as handle:
        rows = {row["optim.optimizer.lr"]: row for row in csv.DictReader(handle)}
    assert rows["0.0001"]["base"] == "1"
    assert float(rows["0.001"]["psnr"]) - float(rows["0.0001"]["psnr"]) == pytest.approx(
        float(rows["0.001"]["psnr_difference"]), abs=1e-9
    )
    tables = [json.loads((folder / run / "table" / "results.json").read_text()) for run in runs]
    values = [next(m for m in t["methods"] if m["name"] == "trained")["metrics"]["psnr"]["mean"] for t in tables]
    assert float(rows["0.001"]["psnr"]) == pytest.approx((values[0] + values[2]) / 2)
    assert rows["0.001"]["psnr_ci95_low"], "two seeds give an interval"
    # without the list of jobs the configurations tell the same
    (folder / "sweep.json").unlink()
    main(CONFIGS, [f"collect={folder}", f"out={tmp_path / 'again'}"])
    with open(tmp_path / "again" / "table.csv", newline="") as handle:
        found = {row["optim.optimizer.lr"]: row["psnr"] for row in csv.DictReader(handle)}
    assert found == {key: row["psnr"] for key, row in rows.items()}


def test_a_failing_job_of_a_multirun_is_listed_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        # both compose; one is refused when it starts
        multirun(monkeypatch, "final=null", "seed=1", "trainer.precision=16-mixed,32-true", "optim.accumulate=2")
    assert stopped.value.code == 2
    errors = capsys.readouterr().err
    assert "1 job failed" in errors
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    main(CONFIGS, [f"collect={folder}", "base=precision=32-true"])
    shown = capsys.readouterr().out
    assert "not in the table: precision-16-mixed-seed1: failed: trainer.precision=16-mixed cannot be combined" in shown
    with pytest.raises(SystemExit):
        main(CONFIGS, [f"collect={folder}"])
    assert "'precision=16-mixed' has no finished run yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer=ddp", "seed=1,2"], "python sweep.py"),
        (["trainer.devices=1,2"], "trainer.devices=2"),
        (["run.dir=here", "seed=1,2"], "run.dir names the folder of a single run"),
        (["optim.ema=0.5,2"], "optim.ema"),
        (["resume=auto", "seed=1,2"], "python sweep.py continues a sweep"),
    ],
)
def test_multiruns_that_cannot_work_are_refused_before_the_first_job(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        multirun(monkeypatch, *arguments)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interruption_ends_a_multirun() -> None:
    assert issubclass(TrainingInterrupted, Interrupted)


@pytest.fixture
def ablation(tmp_path: Path) -> list[str]:
    """Arguments of a sweep over two settings x two seeds, as a user's own file."""
    path = tmp_path / "my ablation.yaml"
    path.write_text("experiment: quickstart\nsettings:\n  with: {}\n  without: {optim.ema: null}\nseeds: [1, 2]\n")
    return [f"sweep={path}", f"out={tmp_path / 'out'}", "final=null", *TINY]


def test_the_killed_driver_is_started_again_and_all_becomes_one_table(
    ablation: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, str(ROOT / "sweep.py"), *ablation]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(lambda: bool(list(tmp_path.glob("out/*/finished.json"))), 300)
    first.kill()
    first.wait()
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/finished.json")}
    assert 0 < len(finished) < 4
    done = subprocess.run([*command, "jobs=2"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 jobs are finished" in done.stdout
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in finished.items())
    logs = [path.read_text() for path in (tmp_path / "out" / "logs").glob("*.log")]
    assert len(logs) == 4
    # the job that ran when the driver was killed went on; none was started twice
    assert all(text.count("=== ") == 1 for text in logs)
    main(CONFIGS, [f"collect={tmp_path / 'out'}"])
    shown = capsys.readouterr().out
    assert "with     0.995  1, 2" in shown
    assert "without  null   1, 2" in shown
    assert (tmp_path / "out" / "table" / "report.html").is_file()


@pytest.mark.slow
def test_two_processes_per_job_through_the_driver(
    tmp_path: Path, ablation: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my ablation.yaml").write_text("settings:\n  with: {}\n  without: {optim.ema: null}\nseeds: [1]\n")
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.threads=1"]
    main(CONFIGS, [*ablation, *two])
    main(CONFIGS, [f"collect={tmp_path / 'out'}"])
    shown = capsys.readouterr().out
    assert "2 of 2 jobs are finished" in shown
    assert "without  null   1" in shown
    for log in (tmp_path / "out" / "logs").glob("*.log"):
        assert log.read_text().count("run folder:") == 1, "one of the ranks made a run of its own"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "logs",
        "sweep.json",
        "table",
        "with-seed1",
        "without-seed1",
    }
