"""The file that says that a training run has come to its end."""

from __future__ import annotations

from pathlib import Path

#: written last into a run folder; a run without it is to be continued
FINISHED = "finished.json"


def is_finished(run: Path) -> bool:
    """Whether the run in this folder has come to its end."""
    return (run / FINISHED).is_file()
