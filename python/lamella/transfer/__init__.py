# SPDX-License-Identifier: MIT
"""Transfer: what one training learned, used in another (freezing, per-layer rates, features, domains, several heads)."""

from .domain import DANN, GradientReversal, PairedDataset, ReversalSchedule, dann_schedule, reverse_gradient
from .features import FeatureExtractor, extract_features
from .freeze import GradualUnfreezing, freeze, layer_groups, layerwise_groups, unfreeze
from .heads import GradNorm, MultiHead, MultiTaskLoss, UncertaintyWeights, replace_head

__all__ = [
    "DANN",
    "FeatureExtractor",
    "GradNorm",
    "GradientReversal",
    "GradualUnfreezing",
    "MultiHead",
    "MultiTaskLoss",
    "PairedDataset",
    "ReversalSchedule",
    "UncertaintyWeights",
    "dann_schedule",
    "extract_features",
    "freeze",
    "layer_groups",
    "layerwise_groups",
    "replace_head",
    "reverse_gradient",
    "unfreeze",
]
