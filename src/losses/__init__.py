"""Loss terms: modules called ``term(outputs, batch)`` that return one scalar, and their weighted sum."""

from .adversarial import AdversarialLoss, RelativisticAdversarialLoss
from .coherence import FeatureTemporalLoss, OutputTemporalLoss
from .distillation import MaskedDistillationLoss
from .flow import MultiScaleEndPointLoss, MultiScaleRobustLoss, SequenceFlowLoss
from .inpainting import MaskedL1Loss
from .laplacian import LaplacianPyramidLoss, laplacian_pyramid_loss
from .matting import AlphaLoss, BinarySegmentationLoss, CoherenceLoss, CompositionalLoss, VisibleL1Loss
from .perceptual import PerceptualLoss, StyleLoss, StyleMomentsLoss
from .pixel import CharbonnierLoss, L1Loss
from .recycle import RecycleAdversarialLoss, RecycleReconstructionLoss
from .segmentation import CrossEntropyLoss, FocalLoss
from .stabilization import CycleLoss, PathAccelerationLoss, PathDistanceLoss, SteadyMotionLoss
from .statistics import PatchStatisticsLoss, StructureLoss
from .temporal import SyntheticWarpLoss, TemporalWarpLoss
from .total_variation import TotalVariationLoss
from .weighted_sum import WeightedSum

__all__ = [
    "AdversarialLoss",
    "AlphaLoss",
    "BinarySegmentationLoss",
    "CharbonnierLoss",
    "CoherenceLoss",
    "CompositionalLoss",
    "CrossEntropyLoss",
    "CycleLoss",
    "FeatureTemporalLoss",
    "FocalLoss",
    "L1Loss",
    "LaplacianPyramidLoss",
    "MaskedDistillationLoss",
    "MaskedL1Loss",
    "MultiScaleEndPointLoss",
    "MultiScaleRobustLoss",
    "OutputTemporalLoss",
    "PatchStatisticsLoss",
    "PathAccelerationLoss",
    "PathDistanceLoss",
    "PerceptualLoss",
    "RecycleAdversarialLoss",
    "RecycleReconstructionLoss",
    "RelativisticAdversarialLoss",
    "SequenceFlowLoss",
    "SteadyMotionLoss",
    "StructureLoss",
    "StyleLoss",
    "StyleMomentsLoss",
    "SyntheticWarpLoss",
    "TemporalWarpLoss",
    "TotalVariationLoss",
    "VisibleL1Loss",
    "WeightedSum",
    "laplacian_pyramid_loss",
]
