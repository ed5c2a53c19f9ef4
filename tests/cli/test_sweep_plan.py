"""Sweep files, their jobs and names, and what is made of them for SLURM and W&B."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from framewright.cli.entry import compose
from framewright.cli.sweep import main, slot_environments, split_arguments
from framewright.cli.sweeps.driver import job_command
from framewright.cli.sweeps.folder import SweepFolder
from framewright.cli.sweeps.multirun import check_job, refuse_several_devices
from framewright.cli.sweeps.plan import SweepFile, grammar, make_plan, read_sweep_file, short_keys
from framewright.core.config import parse_section
from framewright.core.errors import ConfigError
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
SWEEPS = sorted(path.stem for path in (CONFIGS / "sweep").glob("*.yaml"))


def sweep_of(**values: Any) -> SweepFile:
    return parse_section(SweepFile, values)


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_of_the_repository_is_valid(name: str) -> None:
    plan = make_plan(name, read_sweep_file(CONFIGS / "sweep" / f"{name}.yaml"))
    for job in plan.jobs:
        values = check_job(job.overrides, CONFIGS)
        assert values["seed"] == job.seed
    assert plan.base in {job.setting for job in plan.jobs}


def test_settings_times_grid_times_seeds() -> None:
    sweep = sweep_of(
        settings={"plain": {}, "no clip": {"optim.gradient_clip": None}},
        grid={"optim.optimizer.lr": [1e-3, 1e-4]},
        seeds=[1, 7],
    )
    plan = make_plan("s", sweep, ["debug=tiny"])
    assert len(plan.jobs) == 8
    assert [job.seed for job in plan.jobs] == [1] * 4 + [7] * 4, "all rows with one seed before the next seed"
    assert plan.base == "plain, lr=0.001"
    assert plan.jobs[3].overrides == ("debug=tiny", "optim.gradient_clip=null", "optim.optimizer.lr=0.0001", "seed=1")
    assert plan.jobs[3].name == "no-clip-lr-0.0001-seed1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gird": {}}, "unknown key 'gird'; did you mean 'grid'"),
        ({"grid": {"seed": [1, 2]}}, "list them as seeds"),
        ({"grid": {"run.dir": ["x"]}}, "'run.dir' is set for each job"),
        ({"grid": {"optim.ema": []}}, "grid.optim.ema"),
        ({"grid": {"a": [1]}, "settings": {"x": {"a": 2}}}, "'a' is in the grid and in the setting 'x'"),
        ({"seeds": [1, 1]}, "seed 1 is listed twice"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_mistakes_in_a_sweep_file_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sweep_of(**values)


def test_more_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'b=1'"):
        make_plan("s", sweep_of(grid={"a.b": [1, 2]}, base="a.b=1"))
    with pytest.raises(ConfigError, match=r"two rows of the sweep are 'b=1'"):
        make_plan("s", sweep_of(grid={"a.b": [1, 1]}))
    with pytest.raises(ConfigError, match="resume is set for each job"):
        make_plan("s", sweep_of(grid={"a.b": [1]}), ["resume=auto"])
    (tmp_path / "ema.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sweep_file(tmp_path / "ema.yaml")
    with pytest.raises(ConfigError, match="did you mean 'ema'"):
        read_sweep_file(tmp_path / "emma.yaml")
    with pytest.raises(ConfigError, match="is not key=value"):
        split_arguments(["-m", "sweep=x"])
    with pytest.raises(ConfigError, match=r"give either sweep=<name> or collect=<folder>"):
        split_arguments(["jobs=2"])
    with pytest.raises(ConfigError, match="jobs"):
        split_arguments(["sweep=x", "jobs=0"])


VALUES = [None, True, 3, -0.5, 1e-7, "text", "null", "12", "1e-3", "a b", "a,b", "it's", "[x]", "x=y", "", "smörgås"]
NESTED = [[1, "a,b", None], {"a": {"b": [1.5, "null"]}}, ["[", "}"], "back\\slash\\", "a:b", "(x", "$HOME"]


@pytest.mark.parametrize("value", [*VALUES, *NESTED])
def test_values_come_out_of_hydra_as_they_are_in_the_file(value: Any) -> None:
    override = OverridesParser.create().parse_override(f"key={grammar(value)}")
    assert not override.is_sweep_override()
    assert override.value() == value
    assert type(override.value()) is type(value) or isinstance(value, str)


def test_short_keys_tell_the_keys_apart() -> None:
    keys = ["optim.optimizer.lr", "optim.ema", "a.x.n", "b.x.n", "n"]
    assert list(short_keys(keys).values()) == ["lr", "ema", "a.x.n", "b.x.n", "n"]


def test_names_of_folders_are_safe_and_unique() -> None:
    values = ["a/b", "a:b", "a b", "A-b", "..", "x" * 300, "動画", "$(rm -rf ~)", "con"]
    plan = make_plan("s", sweep_of(settings={value: {"run.notes": value} for value in values}))
    names = [job.name for job in plan.jobs]
    assert len({name.casefold() for name in names}) == len(values)
    for name in names:
        assert len(name) <= 80
        assert not set(name) & set("/\\:*?\"<>| $()~='")
        assert name.strip(".-") == name


def test_a_command_carries_values_through_shell_and_hydra(tmp_path: Path) -> None:
    sweep = sweep_of(settings={"it's, [odd] ${x}": {"run.notes": "a, 'b' $c"}}, tags=["one, two"])
    plan = make_plan("näme, x", sweep, [f"data.root={tmp_path / 'a b, c'}"])
    folder = SweepFolder(tmp_path / "out, folder")
    command = job_command(ROOT / "train.py", folder, plan, plan.jobs[0])
    words = shlex.split(shlex.join(command))
    values = compose(CONFIGS, "train", words[2:])
    assert values["run"]["dir"] == str(folder.run(plan.jobs[0]))
    assert values["run"]["notes"] == "a, 'b' $c"
    assert values["run"]["group"] == "näme, x"
    assert values["run"]["tags"] == ["one, two", "run.notes=a, 'b' $c"]
    assert values["data"]["root"] == str(tmp_path / "a b, c")
    assert values["resume"] == "auto"


def test_the_wandb_file_gives_the_agent_commands_that_compose(tmp_path: Path) -> None:
    agent = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    path = tmp_path / "sweep.yaml"
    out = tmp_path / "my runs"
    main(CONFIGS, ["sweep=quickstart_ema", f"wandb={path}", f"out={out}", "optim.iterations=9", "debug=tiny"])
    written = OmegaConf.to_container(OmegaConf.create(agent.load_sweep_config(str(path))), resolve=False)
    assert isinstance(written, dict)
    assert written["program"] == "train.py"
    assert written["method"] == "grid"
    assert written["metric"] == {"name": "val/psnr", "goal": "maximize"}
    assert written["parameters"] == {"optim.ema": {"values": [0.995, "null"]}, "seed": {"values": [1, 2]}}
    assert written["command"][:3] == ["${env}", "${interpreter}", "${program}"]
    assert written["command"][-1] == "${args_no_hyphens}"
    given = {"args": {"optim.ema": {"value": "null"}, "seed": {"value": 2}}}
    arguments = agent.create_sweep_command_args(given)["args_no_hyphens"]
    values = check_job([*written["command"][3:-1], *arguments], CONFIGS)
    assert values["optim"]["ema"] is None
    assert (values["seed"], values["optim"]["iterations"]) == (2, 9)
    assert values["run"] == {**values["run"], "root": str(out), "group": "quickstart_ema"}
    assert values["logger"]["wandb"]["project"] == "framewright"


def test_a_wandb_file_of_rows_that_are_no_product_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "two keys.yaml"
    sweep.write_text("settings: {a: {optim.ema: null}, b: {optim.gradient_clip: null}}")
    with pytest.raises(SystemExit):
        main(CONFIGS, [f"sweep={sweep}", f"wandb={tmp_path / 'w.yaml'}"])
    assert "W&B knows only products" in capsys.readouterr().err
    assert not (tmp_path / "w.yaml").exists()


def test_the_slurm_array_has_one_task_per_missing_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script, out = tmp_path / "array.sh", tmp_path / "my runs"
    typed = ["sweep=quickstart_ema", f"out={out}", f"slurm={script}", "jobs=2", "trainer=slurm", "trainer.devices=4"]
    (out / "with-EMA-seed1").mkdir(parents=True)
    (out / "with-EMA-seed1" / "finished.json").write_text("{}")
    main(CONFIGS, [*typed, "trainer.num_nodes=2", "run.notes=a 'b' $c"])
    lines = script.read_text().splitlines()
    assert {
        "#SBATCH --array=0-2%2",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=4",
        "#SBATCH --gpus-per-node=4",
        "#SBATCH --signal=SIGUSR1@180",
        "#SBATCH --requeue",
        f'#SBATCH --output="{out}/logs/slurm-%A_%a.log"',
    } <= set(lines)
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    given = done.stdout.splitlines()
    assert f"run.dir={out / 'with-EMA-seed2'}" in given
    assert "run.notes=a 'b' $c" in given
    assert "resume=auto" in given
    none = subprocess.run(["bash", str(script)], capture_output=True, env={**environment, "SLURM_ARRAY_TASK_ID": "3"})
    assert none.returncode == 2


@pytest.mark.parametrize(
    ("trainer", "reason"),
    [
        ({"devices": 2}, "trainer.devices=2"),
        ({"devices": "auto", "strategy": "ddp"}, "trainer.strategy=ddp"),
        ({"num_nodes": 2}, "trainer.num_nodes=2"),
    ],
)
def test_several_devices_are_refused(trainer: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"\({reason}\).*whole sweep once more.*python sweep.py"):
        refuse_several_devices({"trainer": trainer})


def test_one_device_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refuse_several_devices({"trainer": {"devices": "auto", "strategy": "auto", "accelerator": "auto"}})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    refuse_several_devices({"trainer": {"devices": "auto", "accelerator": "cpu"}})
    with pytest.raises(ConfigError, match="auto with 2 GPUs"):
        refuse_several_devices({"trainer": {"devices": "auto", "accelerator": "auto"}})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="WORLD_SIZE=2"):
        refuse_several_devices({})


def test_gpus_are_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    dealt = slot_environments(2, {"devices": 2})
    assert dealt == [{"CUDA_VISIBLE_DEVICES": "4,5"}, {"CUDA_VISIBLE_DEVICES": "6,7"}]
    assert slot_environments(2, {"devices": "auto"}) == dealt
    assert slot_environments(1, {"devices": 2}) == [{}]
    shared = slot_environments(8, {"devices": 1})
    assert [e["CUDA_VISIBLE_DEVICES"] for e in shared] == list("45674567")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert set(slot_environments(2, {"accelerator": "cpu"})[0]) == {"OMP_NUM_THREADS"}
    assert int(slot_environments(2, {"accelerator": "cpu"})[0]["OMP_NUM_THREADS"]) == max(
        1, len(os.sched_getaffinity(0)) // 2
    )
