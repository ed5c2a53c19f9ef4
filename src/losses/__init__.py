"""Loss terms: modules called ``term(outputs, batch)`` that return one scalar, and their weighted sum."""

from .adversarial import AdversarialLoss, RelativisticAdversarialLoss
from .distillation import MaskedDistillationLoss
from .flow import MultiScaleEndPointLoss, MultiScaleRobustLoss, SequenceFlowLoss
from .inpainting import MaskedL1Loss
from .laplacian import LaplacianPyramidLoss, laplacian_pyramid_loss
from .perceptual import PerceptualLoss, StyleLoss
from .pixel import CharbonnierLoss, L1Loss
from .total_variation import TotalVariationLoss
from .weighted_sum import WeightedSum

__all__ = [
    "AdversarialLoss",
    "CharbonnierLoss",
    "L1Loss",
    "LaplacianPyramidLoss",
    "MaskedDistillationLoss",
    "MaskedL1Loss",
    "MultiScaleEndPointLoss",
    "MultiScaleRobustLoss",
    "PerceptualLoss",
    "RelativisticAdversarialLoss",
    "SequenceFlowLoss",
    "StyleLoss",
    "TotalVariationLoss",
    "WeightedSum",
    "laplacian_pyramid_loss",
]
