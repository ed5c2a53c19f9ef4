"""Loggers: ``metrics.csv`` always, Weights & Biases when asked for."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from ..core.files import write_text
from .config import WandbSection


class CsvLogger(Logger):
    """One row per iteration in ``metrics.csv``, which always is a complete file.

    A resumed run drops rows past the iteration it continues from, so that the file of an interrupted run
    equals that of an uninterrupted one.
    """

    def __init__(self, path: Path, flush_every: int = 50) -> None:
        super().__init__()
        self.path = path
        self._flush_every = flush_every
        self._rows: dict[int, dict[str, str]] = {}
        self._columns: list[str] = []
        self._pending = 0

    @property
    def name(self) -> str:
        """Constant: the run folder carries the name."""
        return "csv"

    @property
    def version(self) -> str:
        """Constant: the run folder carries the version."""
        return "0"

    def load_until(self, iteration: int) -> None:
        """Read the file of the run that is continued, up to and including ``iteration``."""
        if not self.path.is_file():
            return
        with open(self.path, newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            self._columns = [name for name in reader.fieldnames or [] if name != "iteration"]
            for row in reader:
                step = int(row.pop("iteration"))
                if step <= iteration:
                    self._rows[step] = {key: value for key, value in row.items() if value}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the resolved configuration is a file of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to the row of iteration ``step``."""
        row = self._rows.setdefault(int(step or 0), {})
        for key, value in metrics.items():
            if key == "epoch":
                continue
            if key not in self._columns:
                self._columns.append(key)
            row[key] = repr(float(value))
        self._pending += 1
        if self._pending >= self._flush_every or any(key.startswith("val/") for key in metrics):
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["iteration", *self._columns], lineterminator="\n")
        writer.writeheader()
        for step in sorted(self._rows):
            writer.writerow({"iteration": step, **self._rows[step]})
        write_text(self.path, text.getvalue())
        self._pending = 0

    def finalize(self, status: str) -> None:
        """Write what is pending."""
        if self._rows:
            self.save()


def wandb_mode(section: WandbSection) -> tuple[str, str]:
    """Which W&B mode to use and one line that says why.

    The configuration decides, then ``WANDB_MODE``, then whether a key is configured. There is never a prompt.
    """
    if section.mode is not None:
        return section.mode, f"W&B is {section.mode} (logger.wandb.mode)"
    variable = os.environ.get("WANDB_MODE")
    if variable:
        return variable, f"W&B is {variable} (WANDB_MODE)"
    if os.environ.get("WANDB_API_KEY") or _key_in_netrc():
        return "online", "W&B is online (a key is configured)"
    return (
        "offline",
        "W&B is offline because no key is configured; upload later with: wandb sync <run folder>/wandb/*",
    )


def _key_in_netrc() -> bool:
    import netrc

    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


class IterationWandbLogger(WandbLogger):
    """W&B with our own iteration as the x axis; Lightning's step counts every optimizer's steps."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values together with the iteration that they belong to."""
        values = {key: value for key, value in metrics.items() if key != "epoch"}
        self.experiment.log({**values, "iteration": step})

    @rank_zero_only
    def log_clip(self, name: str, path: Path, iteration: int) -> None:
        """Log an mp4 file by its path, so that nothing has to be encoded again."""
        import wandb

        self.experiment.log({name: wandb.Video(str(path), format="mp4"), "iteration": iteration})


def make_wandb_logger(
    section: WandbSection,
    run_directory: Path,
    *,
    name: str,
    group: str | None,
    tags: list[str],
    notes: str | None,
    config: dict[str, Any],
) -> IterationWandbLogger:
    """A W&B logger whose files lie in the run folder and whose step axis is our own iteration.

    W&B cannot resume an offline run, so every segment of a resumed run is a run of its own; ``group`` (the run
    folder's name unless the configuration sets one) keeps them together.
    """
    mode, _ = wandb_mode(section)
    logger = IterationWandbLogger(
        project=section.project,
        entity=section.entity,
        name=name,
        save_dir=run_directory,
        group=group,
        tags=tags,
        notes=notes,
        mode=mode,
        config=config,
        log_model=False,
        settings={"silent": True, "console": "off"},
    )
    experiment = logger.experiment
    if hasattr(experiment, "define_metric"):
        experiment.define_metric("iteration", hidden=True)
        experiment.define_metric("*", step_metric="iteration")
    return logger
