"""The LightningModules, one file per task."""

from __future__ import annotations

from ..core.errors import ConfigError
from ..training.task_module import TaskModule
from .flow import FlowTask, ZeroFlowAlarm
from .inpainting import InpaintingTask
from .interpolation import InterpolationTask
from .matting import MattingTask
from .segmentation import SegmentationTask
from .stabilization import StabilizationTask
from .style import StyleTask
from .super_resolution import SuperResolutionTask

TASK_MODULES: dict[str, type[TaskModule]] = {
    "flow": FlowTask,
    "inpainting": InpaintingTask,
    "interpolation": InterpolationTask,
    "super_resolution": SuperResolutionTask,
    "matting": MattingTask,
    "segmentation": SegmentationTask,
    "stabilization": StabilizationTask,
    "style": StyleTask,
}


def task_module(task: str) -> type[TaskModule]:
    """The LightningModule class that trains networks of a task.

    Raises:
        ConfigError: networks of this task cannot be trained.
    """
    if task not in TASK_MODULES:
        raise ConfigError(
            f"networks of the task {task!r} cannot be trained; trainable tasks: {', '.join(TASK_MODULES)}"
        )
    return TASK_MODULES[task]


__all__ = [
    "TASK_MODULES",
    "FlowTask",
    "InpaintingTask",
    "InterpolationTask",
    "MattingTask",
    "SegmentationTask",
    "StabilizationTask",
    "StyleTask",
    "SuperResolutionTask",
    "ZeroFlowAlarm",
    "task_module",
]
