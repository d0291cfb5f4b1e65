# SPDX-License-Identifier: MIT
"""A loss that keeps its reduction."""

from __future__ import annotations

from ..module import Module


class Loss(Module):
    reductions = ("none", "mean", "sum")

    def __init__(self, reduction="mean"):
        if reduction not in self.reductions:
            raise ValueError(f"[{type(self).__name__}] reduction must be {', '.join(self.reductions)}, got {reduction!r}")
        self.reduction = reduction


class WeightedLoss(Loss):
    """Keeps `weight`, too, as a buffer."""

    def __init__(self, weight=None, reduction="mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
