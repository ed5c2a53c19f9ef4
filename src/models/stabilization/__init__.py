"""Estimating the path of a camera, and smoothing it."""

from .contract import PathSmoother
from .motion import FrameMotion, MotionEstimator

__all__ = ["FrameMotion", "MotionEstimator", "PathSmoother"]
