"""``python sweep.py``: many runs from one file, and the table that is made of them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ..core.config import Section, parse_section
from ..core.errors import ConfigError, FramewrightError

HELP = """\
Run a sweep: python sweep.py sweep=<name> key=value ...

sweep=NAME          configs/sweep/NAME.yaml, or the path of such a file
out=FOLDER          of the sweep (default: runs/sweeps/NAME); run the command again to continue what is missing there
jobs=N              so many jobs at once (default: 1); several GPUs are dealt out among them
print=true          print the commands of the missing jobs, and run nothing
slurm=FILE          write a batch script with one array task per missing job (with trainer=slurm), and run nothing
wandb=FILE          write a file for `wandb sweep` and `wandb agent`, and run nothing
KEY=VALUE           everything else goes to train.py, for every job: debug=tiny, data.root=FOLDER, logger=wandb ...

Make one table of a sweep's runs: python sweep.py collect=<folder>

collect=FOLDER      of a sweep, or any folder with run folders below it
out=FOLDER          of the table (default: FOLDER/table)
base=ROW            the row that the others are compared with (default: as in the sweep's file, or the first)
resamples=N         of the bootstrap intervals (default: 10000)

sweeps: {sweeps}
"""


class SweepOptions(Section):
    """What ``sweep.py`` understands itself."""

    sweep: str | None = None
    out: str | None = None
    jobs: Annotated[int, Field(gt=0)] | None = None
    print: bool = False
    slurm: str | None = None
    wandb: str | None = None
    collect: str | None = None
    base: str | None = None
    resamples: Annotated[int, Field(gt=0)] = 10_000


def main(config_directory: Path, arguments: Sequence[str] | None = None) -> None:
    """Entry of ``sweep.py``; ``config_directory`` is the absolute path of ``configs``.

    Exit status: 0 all jobs are finished, 1 some failed, 2 a mistake in the input, 130 stopped by a signal.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if not typed or any(argument in ("-h", "--help", "help") for argument in typed):
        names = sorted(path.stem for path in (config_directory / "sweep").glob("*.yaml"))
        print(HELP.format(sweeps=", ".join(names) or "none"))
        return
    try:
        options, forwarded = split_arguments(typed)
        if options.collect is not None:
            collect_sweep(options, forwarded)
            return
        status = run_sweep(options, forwarded, config_directory)
    except FramewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    if status:
        sys.exit(status)


def split_arguments(arguments: Sequence[str]) -> tuple[SweepOptions, list[str]]:
    """The driver's own options and what it hands to ``train.py``.

    Raises:
        ConfigError: an argument without ``=``, a value of a wrong type, neither a sweep nor a folder to collect.
    """
    own: dict[str, Any] = {}
    forwarded = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument!r} is not key=value; see python sweep.py --help")
        if key in SweepOptions.model_fields:
            own[key] = value
        else:
            forwarded.append(argument)
    options = parse_section(SweepOptions, own)
    if (options.sweep is None) == (options.collect is None):
        raise ConfigError("give either sweep=<name> or collect=<folder>; see python sweep.py --help")
    return options, forwarded


def run_sweep(options: SweepOptions, forwarded: Sequence[str], config_directory: Path) -> int:
    """Run, print or write the jobs of a sweep; returns the exit status.

    Raises:
        FramewrightError: the sweep's file or a job's configuration is wrong, the folder belongs to another sweep.
    """
    from .sweeps.driver import Driver, job_command
    from .sweeps.folder import SweepFolder
    from .sweeps.multirun import check_job
    from .sweeps.plan import Plan, make_plan, read_sweep_file
    from .sweeps.scripts import write_slurm_array, write_wandb_sweep

    assert options.sweep is not None
    if sum((options.print, options.slurm is not None, options.wandb is not None)) > 1:
        raise ConfigError("print, slurm and wandb are different things to do; choose one")
    path = Path(options.sweep).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = config_directory / "sweep" / f"{options.sweep}.yaml"
    sweep = read_sweep_file(path)
    plan = make_plan(path.stem, sweep, forwarded)
    folder = SweepFolder(options.out or Path("runs") / "sweeps" / path.stem)
    program = config_directory.parent / "train.py"
    if options.wandb is not None:
        common = [f"experiment={sweep.experiment}"] if sweep.experiment is not None else []
        composed = check_job([*common, *sweep.overrides, *forwarded], config_directory)
        written = write_wandb_sweep(options.wandb, path.stem, sweep, forwarded, composed, folder)
        print(f"wrote {written}; start it with: wandb sweep {written}, then: wandb agent <id>")
        return 0
    # every row once, before the first job starts
    composed_rows = {job.setting: check_job(job.overrides, config_directory) for job in reversed(plan.jobs)}
    trainer = composed_rows[plan.jobs[0].setting].get("trainer") or {}
    plan = _complete(plan, composed_rows)
    folder.write_plan(plan)
    missing = Plan(plan.name, plan.keys, plan.base, tuple(j for j in plan.jobs if not folder.is_finished(j)), plan.tags)
    if options.print:
        print(f"{len(missing.jobs)} of {len(plan.jobs)} jobs are missing", file=sys.stderr)
        for job in missing.jobs:
            print(shlex.join(job_command(program, folder, plan, job)))
        return 0
    if options.slurm is not None:
        if not missing.jobs:
            print(f"all {len(plan.jobs)} jobs are finished; nothing to write")
            return 0
        written = write_slurm_array(options.slurm, missing, folder, program, trainer, at_once=options.jobs)
        print(f"wrote {written} for {len(missing.jobs)} jobs; submit it with: sbatch {written}")
        return 0
    slots = min(options.jobs or 1, max(len(missing.jobs), 1))
    driver = Driver(folder, plan, program, slots=slots, environment=slot_environments(slots, trainer))
    outcome = driver.run()
    for job, message in outcome.failed:
        print(f"failed: {job.name}: {message}\n        log: {folder.log(job)}", file=sys.stderr)
    if outcome.stopped:
        print("stopped; the same command continues the sweep", file=sys.stderr)
        return 130
    done = len(outcome.finished) + len(outcome.skipped)
    print(f"{done} of {len(plan.jobs)} jobs are finished; one table: python sweep.py collect={folder.path}")
    return 1 if outcome.failed else 0


def _complete(plan: Any, composed: Mapping[str, Mapping[str, Any]]) -> Any:
    """Say for every row which value it has for a key that only other rows change."""
    import dataclasses

    from .sweeps.plan import shown_value

    def value(setting: str, key: str) -> str:
        found: Any = composed[setting]
        for part in key.replace("/", ".").split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return "default" if isinstance(found, Mapping) else shown_value(found)

    jobs = [
        dataclasses.replace(job, settings={k: job.settings.get(k, value(job.setting, k)) for k in plan.keys})
        for job in plan.jobs
    ]
    return dataclasses.replace(plan, jobs=tuple(jobs))


def slot_environments(slots: int, trainer: Mapping[str, Any]) -> list[dict[str, str]]:
    """What jobs that run at the same time need in order not to get into each other's way.

    GPUs are dealt out, because by default every job would take the first one; without enough of them they are
    shared. On the CPU each job gets its share of the cores.
    """
    if slots == 1:
        return [{}]
    import torch

    from ..core.provenance import available_cores

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count() if trainer.get("accelerator") != "cpu" else 0
    ids = visible.split(",")[:count] if visible else [str(index) for index in range(count)]
    if ids:
        devices = trainer.get("devices", 1)
        each = devices if isinstance(devices, int) else max(1, len(ids) // slots)
        if slots * each > len(ids):
            print(f"{slots} jobs at once share {len(ids)} GPU{'' if len(ids) == 1 else 's'}")
        dealt = [[ids[(slot * each + n) % len(ids)] for n in range(each)] for slot in range(slots)]
        return [{"CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(group))} for group in dealt]
    if "OMP_NUM_THREADS" in os.environ or trainer.get("threads") is not None:
        return [{} for _ in range(slots)]
    return [{"OMP_NUM_THREADS": str(max(1, available_cores() // slots))} for _ in range(slots)]


def collect_sweep(options: SweepOptions, forwarded: Sequence[str]) -> Path:
    """Make one table of the runs below a folder; returns the folder of the table.

    Raises:
        FramewrightError: no finished run, an unknown base, an unwritable folder.
    """
    if forwarded:
        raise ConfigError(f"{forwarded[0]}: collect only reads what is there; see python sweep.py --help")
    from ..benchmark.ablation_report import ablation_text, write_ablation
    from .sweeps.collect import collect

    assert options.collect is not None
    source = Path(options.collect).expanduser()
    ablation = collect(source, base=options.base, resamples=options.resamples)
    out = Path(options.out).expanduser() if options.out else source / "table"
    written = write_ablation(ablation, out)
    print(ablation_text(ablation))
    print(f"results: {written.results}\nreport:  {written.html}")
    return out
