"""The command on DEVIL's development kit prints what the official program gave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framewright.video.flow_files import write_flow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def devil(assets: Path) -> Path:
    return assets / "metrics" / "devil_devkit"


def flows(devil: Path, name: str, folder: Path) -> Path:
    """The recorded flow as DEVIL keeps it, the occlusion beside it."""
    for archive in (devil / name).glob("flow_*_int16_div64.npz"):
        video = archive.name.split("_")[1]
        with np.load(archive) as arrays:
            for index, flow in enumerate(arrays["fw"].astype(np.float32) / 64):
                write_flow(folder / "fw_flow" / video / f"{index:05d}.flo", flow)
    (folder / "fw_occlusion").symlink_to(devil / name / "eval-data" / "fw_occlusion")
    return folder


def evaluate(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "evaluate.py"), "benchmark=folders", "protocol=devil", "device=cpu"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_golden_numbers_of_the_sample(devil: Path, tmp_path: Path) -> None:
    sample = devil / "full_432x240"
    out = evaluate(
        f"gt={sample / 'gt'}",
        f"methods.sample={sample / 'pred'}",
        f"data.flows={flows(devil, 'full_432x240', tmp_path / 'flows')}",
        "metrics=[psnr,ssim,warp_error_precomputed,warp_error_mask_precomputed,pcons_psnr,pcons_psnr_mask]",
        "metric_options.warp_error_precomputed.convention=devil",
        f"out={tmp_path / 'out'}",
    )
    golden: dict[str, Any] = json.loads((devil / "devil_metrics_golden.json").read_text())["values"]["full_432x240"]
    found = json.loads((tmp_path / "out" / "results.json").read_text())["methods"][0]["metrics"]
    assert found["psnr"]["mean"] == pytest.approx(golden["psnr"][0], abs=1e-5)
    assert found["ssim"]["mean"] == pytest.approx(golden["ssim"][0], abs=1e-6)
    for key in ("warp_error", "warp_error_mask"):
        assert found[f"{key}_precomputed"]["mean"] == pytest.approx(golden[key][0], rel=1e-5)
    for key in ("pcons_psnr", "pcons_psnr_mask"):
        assert found[key]["mean"] == pytest.approx(golden[key][0], rel=1e-6)
    assert "41.16" in out
    assert "0.9943" in out


def test_second_video_draws_its_patches_after_the_first(devil: Path, tmp_path: Path) -> None:
    sample = devil / "small_rect_216x120"
    evaluate(
        f"gt={sample / 'gt'}",
        f"methods.sample={sample / 'pred'}",
        "metrics=[psnr,ssim,pcons_psnr,pcons_ssim]",
        f"out={tmp_path / 'out'}",
    )
    golden = json.loads((devil / "devil_metrics_golden.json").read_text())["values"]["small_rect_216x120"]
    (method,) = json.loads((tmp_path / "out" / "results.json").read_text())["methods"]
    for place, video in enumerate(("clip0", "clip1")):
        for key in ("psnr", "ssim", "pcons_psnr", "pcons_ssim"):
            assert method["videos"][video][key] == pytest.approx(golden[key][place], rel=1e-6), (video, key)
