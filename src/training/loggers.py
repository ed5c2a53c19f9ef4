"""Loggers: ``metrics.csv`` always, Weights & Biases when asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ..core.files import write_text
from .tracking import log_files


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


class IterationWandbLogger(Logger):
    """W&B with our own iteration as the x axis; Lightning's step counts every optimizer's steps.

    Args:
        run: from :func:`~framewright.training.tracking.start_run`; None on processes other than the first.
        label: of our run, names its artifacts.
    """

    def __init__(self, run: Any | None, label: str = "") -> None:
        super().__init__()
        self._run = run
        self._label = label

    @property
    def name(self) -> str:
        """Constant: the W&B run carries the name."""
        return "wandb"

    @property
    def version(self) -> str:
        """Constant: the W&B run carries the id."""
        return "0"

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run was begun with its configuration."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values together with the iteration that they belong to."""
        if self._run is not None:
            values = {key: float(value) for key, value in metrics.items() if key != "epoch"}
            self._run.log({**values, "iteration": step})

    def log_clip(self, name: str, path: Path, iteration: int) -> None:
        """Log an mp4 file by its path, so that nothing has to be encoded again."""
        if self._run is not None:
            import wandb

            self._run.log({name: wandb.Video(str(path), format="mp4"), "iteration": iteration})

    def log_checkpoint(self, path: Path, kind: str, iteration: int) -> None:
        """Upload a checkpoint as the artifact version ``kind`` (best or last)."""
        if self._run is not None:
            log_files(self._run, f"checkpoint-{self._label}", "model", {path.name: path}, [kind], iteration=iteration)

    def finish(self, exit_code: int = 0) -> None:
        """End the W&B run; nothing can be logged afterwards. 0 means finished, anything else failed."""
        run, self._run = self._run, None
        if run is not None:
            run.finish(exit_code=exit_code)
