"""A benchmark table in Weights & Biases: numbers, per-video rows, clips, stills and all files as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..benchmark.report import Written
from ..benchmark.results import Results
from ..benchmark.samples import Gallery
from ..training.tracking import log_files


def log_table(run: Any, results: Results, gallery: Gallery, written: Written) -> None:
    """Log a finished evaluation once: a table logged again would be another version of the same table.

    Args:
        run: of W&B.
        results: the numbers; each method's aggregate also becomes a summary value ``<method>/<metric>``.
        gallery: clips are logged by path, stills as images.
        written: the report's files, kept together as an artifact of type ``results``.
    """
    import wandb

    keys = [column.key for column in results.protocol.metrics]
    table = wandb.Table(columns=["method", "source", *(f"{k}{part}" for k in keys for part in ("", "_low", "_high"))])
    videos = wandb.Table(columns=["method", "video", *keys])
    for method in results.methods:
        cells: list[float | None] = []
        for key in keys:
            metric = method.metrics[key]
            cells += [metric.mean, *(metric.ci95 or (None, None))]
            if metric.mean is not None:
                run.summary[f"{method.name}/{key}"] = metric.mean
        table.add_data(method.name, method.source, *cells)
        for video, values in method.videos.items():
            videos.add_data(method.name, video, *(values[key] for key in keys))
    media: dict[str, Any] = {"table": table, "videos": videos}
    for clip in gallery.clips:
        media[f"clips/{clip.path.stem}"] = wandb.Video(str(clip.path), format="mp4", caption=", ".join(clip.labels))
    for still in gallery.stills:
        media[f"stills/{still.title}"] = [
            wandb.Image(str(panel.image), caption=f"{panel.label} {panel.caption}".strip()) for panel in still.panels
        ]
    run.log(media)
    paths = (written.results, written.markdown, written.latex, written.csv, written.videos, written.html)
    files: dict[str, Path] = {path.name: path for path in paths}
    log_files(run, f"results-{results.benchmark}", "results", files, ["latest"], data_manifest=results.data_manifest)
