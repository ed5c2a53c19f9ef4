"""Loss terms: modules called ``term(outputs, batch)`` that return one scalar, and their weighted sum."""

from .adversarial import AdversarialLoss
from .distillation import MaskedDistillationLoss
from .flow import MultiScaleEndPointLoss, MultiScaleRobustLoss, SequenceFlowLoss
from .inpainting import MaskedL1Loss
from .laplacian import LaplacianPyramidLoss, laplacian_pyramid_loss
from .pixel import CharbonnierLoss, L1Loss
from .stabilization import CycleLoss, PathAccelerationLoss, PathDistanceLoss, SteadyMotionLoss
from .weighted_sum import WeightedSum

__all__ = [
    "AdversarialLoss",
    "CharbonnierLoss",
    "CycleLoss",
    "L1Loss",
    "LaplacianPyramidLoss",
    "MaskedDistillationLoss",
    "MaskedL1Loss",
    "MultiScaleEndPointLoss",
    "MultiScaleRobustLoss",
    "PathAccelerationLoss",
    "PathDistanceLoss",
    "SequenceFlowLoss",
    "SteadyMotionLoss",
    "WeightedSum",
    "laplacian_pyramid_loss",
]
