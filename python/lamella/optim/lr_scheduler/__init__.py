# SPDX-License-Identifier: MIT
"""Learning-rate schedules, PyTorch's: call `step()` after each epoch, or after each batch where the schedule says so.

Most are chainable: a step multiplies the learning rate that the optimiser has now, so several may act at once, and the
rates may be set by hand in between. Each resumes from its state_dict and the optimiser's to the same bits.
"""

from .base import LRScheduler
from .combine import ChainedScheduler, SequentialLR, WarmupCosineLR
from .cyclic import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from .factor import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupCosineLR",
]
