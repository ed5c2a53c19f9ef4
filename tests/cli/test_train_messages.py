"""Every mistake ends with one readable message, before anything is built."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from framewright.cli.entry import compose
from framewright.cli.train import check, train
from framewright.core.errors import ConfigError, DataError, FramewrightError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


def checked(*overrides: str) -> Any:
    return check(compose(CONFIGS, "train", overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optim.iteratons=5"], "unknown key 'optim.iteratons'; did you mean 'iterations'"),
        (["optm.iterations=5"], "unknown key 'optm'; did you mean 'optim'"),
        (["optim.optimizer.lrr=1"], "unknown key 'optim.optimizer.lrr'; did you mean 'lr'"),
        (["data.batchsize=4"], "unknown key 'data.batchsize'; did you mean 'batch_size'"),
        (["data.batch_size=0"], "data.batch_size: .*greater than 0, got 0"),
        (["data.batch_size=many"], "data.batch_size: .*integer.*'many'"),
        (["model.chanels=[8,8,8]"], "unknown key 'model.chanels'; did you mean 'channels'"),
        (["model.name=rfie"], "did you mean 'rife'"),
        (["model.name=frame_average"], "frame_average is a baseline"),
        (["loss.laplacian.levls=3"], "unknown key 'loss.laplacian.levls'; did you mean 'levels'"),
        (["loss.laplacian._target_=os.system"], "_target_ 'os.system' is not allowed"),
        (["validation.metrics={pnsr: {}}"], "unknown metric 'pnsr'; did you mean 'psnr'"),
        (["checkpoint.monitor=val/ssim"], "'val/ssim' is not validated"),
        (["experiment=quickstrat"], "did you mean 'quickstart'"),
        (["data=foldr"], "did you mean 'folder'"),
        (["trainer=gpus"], "available: cpu_or_gpu, ddp, slurm"),
        (["checkpoint.keep=1"], "checkpoint.keep: .*greater than or equal to 2"),
    ],
)
def test_mistakes_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(*overrides)


def attempt(*overrides: str) -> None:
    typed = ["final=null", "trainer.progress=false", *overrides]
    train(compose(CONFIGS, "train", typed), typed, CONFIGS)


def test_a_data_set_without_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set data.root=<folder>"):
        attempt("data=folder", f"run.dir={tmp_path / 'run'}")


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such"):
        attempt("data=folder", f"data.root={tmp_path / 'no such'}", f"run.dir={tmp_path / 'run'}")


def test_a_wrong_layout(tmp_path: Path) -> None:
    (tmp_path / "vimeo" / "pictures").mkdir(parents=True)
    with pytest.raises(DataError, match=r"tri_trainlist.txt.*pictures"):
        attempt("experiment=rife_vimeo90k", f"data.root={tmp_path / 'vimeo'}", f"run.dir={tmp_path / 'run'}")


def test_an_unwritable_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FramewrightError, match="cannot write to the folder"):
        attempt(f"run.dir={tmp_path / 'file' / 'run'}")


def test_resume_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not a run folder: it has no config.yaml"):
        attempt(f"resume={tmp_path}")


def test_fp16_with_accumulation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use bf16-mixed"):
        attempt("debug=tiny", "trainer.precision=16-mixed", "optim.accumulate=2", f"run.dir={tmp_path / 'run'}")


def run_program(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / name), *arguments], cwd=cwd, capture_output=True, text=True)


def test_the_program_prints_one_message_and_no_traceback(tmp_path: Path) -> None:
    done = run_program("train.py", "optim.lr=1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown key 'optim.lr'")
    assert "Traceback" not in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_leaves_nothing(tmp_path: Path) -> None:
    started = time.monotonic()
    done = run_program("train.py", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "experiment: quickstart" in done.stdout
    assert "data.root=DIR" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - started < 60


def test_help_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['train.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip().endswith("False"), done.stdout[-300:] + done.stderr


def test_a_strange_run_folder_name_works(tmp_path: Path) -> None:
    name = "räsult, no=1 [x] '${run.dir}'"
    typed = ["debug=tiny", "final=null", "trainer.progress=false", "data.workers=0", f"run.dir={tmp_path / name}"]
    values = compose(CONFIGS, "train", typed)
    assert train(values, typed, CONFIGS) == tmp_path / name
    assert (tmp_path / name / "weights.safetensors").is_file()
    typed = ["final=null", f"resume={tmp_path / name}"]
    train(compose(CONFIGS, "train", typed), typed, CONFIGS)
