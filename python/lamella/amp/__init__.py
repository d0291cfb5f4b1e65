# SPDX-License-Identifier: MIT
"""Mixed precision: autocast, GradScaler, and float32 master weights of models held in 16 bits."""

from .autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available, is_bfloat16_fast
from .grad_scaler import GradScaler
from .master_weights import MasterWeights

__all__ = [
    "GradScaler",
    "MasterWeights",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
    "is_bfloat16_fast",
]
