"""Procedural scenes: textured objects in motion, with exact ground truth for every task and no download."""

from .appearance import APPEARANCES, Appearance
from .dataset import TASKS, ScenesDataset
from .evaluation import VERSIONS, EvaluationVersion, ScenesEvaluation
from .motion import Camera, ShakePath, Similarity, SmoothPath, camera_transform
from .scene import Scene, SceneFrame
from .settings import SceneSettings
from .shapes import CLASSES
from .statistics import MotionStatistics, motion_statistics, scene_motion
from .textures import EVALUATION_TEXTURES, TRAINING_TEXTURES, load_texture, texture_names

__all__ = [
    "APPEARANCES",
    "CLASSES",
    "EVALUATION_TEXTURES",
    "TASKS",
    "TRAINING_TEXTURES",
    "VERSIONS",
    "Appearance",
    "Camera",
    "EvaluationVersion",
    "MotionStatistics",
    "Scene",
    "SceneFrame",
    "SceneSettings",
    "ScenesDataset",
    "ScenesEvaluation",
    "ShakePath",
    "Similarity",
    "SmoothPath",
    "camera_transform",
    "load_texture",
    "motion_statistics",
    "scene_motion",
    "texture_names",
]
