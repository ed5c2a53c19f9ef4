"""A small results file as an evaluation writes it, without running one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from framewright.benchmark.problems import Problem, View, error_map
from framewright.benchmark.results import Results
from framewright.benchmark.samples import Gallery, write_clip, write_still
from framewright.benchmark.statistics import aggregate, bootstrap_interval
from framewright.inference import Context, split_frames
from framewright.video.montage import to_uint8

# key, label, unit, higher is better, decimals, mean over, value of the best method, loss of each further one, spread
_COLUMNS: tuple[tuple[str, str, str, bool, int, str | None, float, float, float], ...] = (
    ("psnr", "PSNR", "dB", True, 2, None, 33.0, 0.9, 3.0),
    ("ssim", "SSIM", "", True, 4, "frames", 0.96, 0.02, 0.02),
    ("lpips", "LPIPS (alex)", "", False, 4, "videos", 0.05, -0.01, 0.01),
    ("fid", "FID", "", False, 3, "set", 20.0, -4.0, 0.0),
)


def made_up_results(
    methods: int = 3,
    videos: int = 8,
    *,
    names: Sequence[str] = (),
    video_ids: Sequence[str] = (),
    repeat: int = 1,
    costs: bool = True,
) -> Results:
    """Methods that get worse from row to row, the second as good as the first; columns ``repeat`` times."""
    rng = np.random.default_rng(0)
    ids = list(video_ids) or [f"scene/{index}" for index in range(videos)]
    counts = rng.integers(8, 25, videos).astype(float)
    columns = [(f"{column[0]}{turn or ''}", *column[1:]) for turn in range(repeat) for column in _COLUMNS]
    rows: list[dict[str, Any]] = [
        {
            "name": names[index] if names else f"method_{index}",
            "source": f"folder results/method_{index}",
            "weights_sha256": "ab" * 32 if index % 2 else None,
            "metrics": {},
            "videos": {video: {} for video in ids},
            "frames": {video: {} for video in ids},
            "cost": {
                "parameters": 1_500_000 * (index + 1),
                "seconds_per_frame": 0.02 * (index + 1),
                "macs_per_frame": 6.5e10 * (index + 1) if index else None,
                "peak_memory_mb": 850.5 + 700 * index,
            }
            if costs
            else {},
        }
        for index in range(methods)
    ]
    for key, _, unit, higher, _, mean_over, value, loss, spread in columns:
        hardness = rng.normal(0, 1, videos)
        for index, row in enumerate(rows):
            worse = 0 if index == 1 else index
            made = value - loss * worse + spread * hardness + 0.1 * abs(loss) * rng.normal(0, 1, videos)
            _fill(row, ids, key, made, counts, unit, higher, mean_over)
    rows[0]["metrics"]["psnr"]["published"] = {"value": 33.1, "source": "Doe et al. 2020, table 2"}
    protocol: dict[str, Any] = {
        "name": "plain",
        "version": 1,
        "task": "interpolation",
        "mean_over": "frames",
        "description": ["Every second frame is predicted & compared."],
        "metrics": [
            {"key": key, "label": label, "metric": key, "options": {}, "unit": unit, "higher_is_better": higher}
            | {"decimals": decimals}
            | ({} if mean_over is None else {"mean_over": mean_over})
            for key, label, unit, higher, decimals, mean_over, *_ in columns
        ],
    }
    return Results.model_validate(
        {
            "schema": 1,
            "benchmark": "made_up",
            "protocol": protocol,
            "dataset": "made-up videos",
            "data_manifest": "cd" * 32,
            "command": "python evaluate.py benchmark=made_up",
            "environment": {"python": "3.11", "packages": {"torch": "2"}},
            "methods": rows,
        }
    )


def _fill(
    row: dict[str, Any],
    ids: Sequence[str],
    key: str,
    values: Any,
    counts: Any,
    unit: str,
    higher: bool,
    mean_over: str | None,
) -> None:
    whole_set = mean_over == "set"
    over: Any = "videos" if mean_over == "videos" else "frames"
    for video, value, count in zip(ids, values, counts, strict=True):
        row["videos"][video][key] = None if whole_set else float(value)
        row["frames"][video][key] = 0 if whole_set else int(count)
    row["metrics"][key] = {
        "mean": float(values[0]) if whole_set else aggregate(values * counts, counts, over),
        "ci95": None if whole_set else bootstrap_interval(values * counts, counts, over, resamples=200),
        "n": len(ids),
        "n_frames": int(counts.sum()),
        "unit": unit,
        "higher_is_better": higher,
    }


def made_up_gallery(folder: Path, names: Sequence[str], videos: int = 2, frames: int = 6) -> Gallery:
    """Clips and stills of a few small pictures; a clip shows its frame number as brightness."""
    generator = torch.Generator().manual_seed(0)
    gallery = Gallery()
    for video in range(videos):
        ramp = torch.linspace(0.1, 0.9, 2 * frames + 1)[:, None, None, None]
        shown = (ramp * torch.rand(1, 3, 36, 64, generator=generator).add(1).div(2)).clamp(0, 1)
        split = split_frames(shown)
        problem = Problem(split.sources, split.targets, Context("interpolation", split.timesteps, f"scene/{video}"))
        predictions = {n: (split.targets + 0.02 * index).clamp(0, 1) for index, n in enumerate(names)}
        kept = {name: to_uint8(made) for name, made in predictions.items()}
        gallery.clips.append(write_clip(folder / "clips", problem, kept, limit=frames, fps=6))
        one = {n: View(made[1], error_map(made[1], split.targets[1])) for n, made in predictions.items()}
        captions = dict.fromkeys(names, "PSNR 31.25 dB, SSIM 0.9312, LPIPS (alex) 0.0731")
        title = f"Worst case of {names[0]} (PSNR, SSIM)"
        gallery.stills.append(write_still(folder / "stills", title, problem, 1, one, captions))
    return gallery
