"""What edits a user's own videos."""

from .executor import EditRun, Execution, run_pipeline
from .pipeline import Pipeline, build_pipeline
from .stage import Settings, Stage
from .stages import STAGES

__all__ = ["STAGES", "EditRun", "Execution", "Pipeline", "Settings", "Stage", "build_pipeline", "run_pipeline"]
