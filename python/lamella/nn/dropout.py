# SPDX-License-Identifier: MIT
"""Dropout layers: active in training mode only."""

from __future__ import annotations

from ..ops import random
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]


class _Dropout(Module):
    _function = None

    def __init__(self, p=0.5, inplace=False):
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] p must be in [0, 1], got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input):
        return type(self)._function(input, self.p, self.training, self.inplace)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Elements are zeroed with chance p, the others scaled by 1 / (1 - p): see `functional.dropout`."""

    _function = staticmethod(random.dropout)


class Dropout1d(_Dropout):
    """Whole channels of (N, C, L) are zeroed with chance p."""

    _function = staticmethod(random.dropout1d)


class Dropout2d(_Dropout):
    """Whole channels of (N, C, H, W) are zeroed with chance p."""

    _function = staticmethod(random.dropout2d)


class Dropout3d(_Dropout):
    """Whole channels of (N, C, D, H, W) are zeroed with chance p."""

    _function = staticmethod(random.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks, keeping mean and variance: see `functional.alpha_dropout`."""

    _function = staticmethod(random.alpha_dropout)
